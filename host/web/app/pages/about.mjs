// Versions, licenses, and the notices that they ask for.

import { html } from '../../vendor/ui.mjs';
import { Facts, Panel } from '../parts.mjs';
import * as store from '../store.mjs';

export function About() {
  const run = store.run.value;
  return html`<h1>About</h1>
    <${Panel} title="Sandpaper"><p>Paper trading for strategies that nobody has to trust. All money here is paper: no order leaves this machine.</p>
      <${Facts} pairs=${[['Version', store.me.value?.version ?? run?.version], ['Contract with strategies', run?.wit], ['Dashboard', store.me.value?.ui_hash]]} />
      <p><a href="/api/v1/openapi.json" target="_blank" rel="noreferrer">The API of this host</a></p><//>
    <${Panel} title="Notices"><p>Charts: TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc. <a href="https://www.tradingview.com/" target="_blank" rel="noreferrer">https://www.tradingview.com/</a></p>
      <p>Preact, htm and Preact Signals. <a href="vendor/LICENSES.txt" target="_blank" rel="noreferrer">All licenses</a></p><//>`;
}
