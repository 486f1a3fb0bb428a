// The market: every instrument, then candles, book and trades of one.

import { html } from '../../vendor/ui.mjs';
import * as f from '../format.mjs';
import { Chip, Empty, Export, Panel, Skeleton, Table, Toned } from '../parts.mjs';
import { address } from '../route.mjs';
import * as store from '../store.mjs';
import { Book, Candles, SymbolPicker, Tape } from './instrument.mjs';

const price = (key, label) => ({ key, label, value: (s) => s[key], show: (s) => f.price(s[key]) });
const COLUMNS = [
  { key: 'symbol', label: 'Symbol', text: true, value: (s) => s.symbol, show: (s) => html`<b>${s.symbol}</b>` },
  { key: 'status', label: 'Status', text: true, value: (s) => s.status, show: (s) => html`<${Chip} status=${s.status} />` },
  price('last', 'Last'), price('bid', 'Bid'), price('ask', 'Ask'),
  { key: 'spread_bps', label: 'Spread', value: (s) => s.spread_bps, show: (s) => (s.spread_bps === null ? f.UNKNOWN : `${f.ratio(s.spread_bps, 1)} bp`) },
  { key: 'change_pct', label: 'Change', value: (s) => s.change_pct, show: (s) => html`<${Toned} value=${s.change_pct} text=${f.signedPercent(s.change_pct)} />` },
];

export function Market({ route }) {
  const rows = store.market.value;
  if (rows === null) return html`<h1>Market</h1><${Skeleton} rows=${8} />`;
  if (rows.length === 0) return html`<h1>Market</h1><${Empty}>The feed has not named an instrument yet.<//>`;
  const symbol = route.subject ?? rows[0].symbol;
  const interval = Number(route.query.interval ?? 60);
  const { range } = route.query;
  const choose = (change) => store.go(address('market', change.symbol ?? symbol, { interval: change.interval ?? interval, range: change.range }), change.symbol === undefined);
  return html`<h1>Market</h1>
    <div class="market"><div class="stack">
      <${Panel} title=${symbol} name="Candles" tools=${html`<${SymbolPicker} symbols=${rows.map((s) => s.symbol)} symbol=${symbol} interval=${interval} choose=${choose} />`}>
        <${Candles} symbol=${symbol} interval=${interval} range=${range} onRange=${(to) => choose({ range: to })} /><//>
      <${Panel} title="Instruments" tools=${html`<${Export} name="market" rows=${rows} />`}>
        <${Table} name="Instruments" columns=${COLUMNS} rows=${rows} keyOf=${(s) => s.symbol} open=${(s) => store.go(address('market', s.symbol, { interval }))} /><//></div>
      <div class="stack"><${Book} symbol=${symbol} /><${Tape} symbol=${symbol} /></div></div>`;
}
