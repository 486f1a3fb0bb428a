// What an administrator can tell a strategy, or all of them, from here.

import { html, useState } from '../../vendor/ui.mjs';
import { api } from '../net.mjs';
import { Confirm } from '../parts.mjs';
import * as store from '../store.mjs';

const ACTIONS = {
  pause: ['Pause', 'New orders are refused until it is resumed. It is still called and may cancel; orders that wait, stops and targets still fill. Flatten ends those.'],
  resume: ['Resume', 'New orders are taken again from the next event on.'],
  flatten: ['Flatten', 'Every order is canceled and every position is closed at the market.'],
  kill: ['Kill', 'Stopped for the rest of this run: every order is canceled, and POSITIONS. This cannot be undone.'],
};
/** What a kill does to positions: `risk.on_halt` of this run. */
const POSITIONS = {
  true: 'every position is closed at the market',
  false: 'positions are kept, with their stops and targets',
};
/** What an action does, in words. */
const words = (action) => ACTIONS[action][1].replace('POSITIONS', POSITIONS[store.run.value?.halt_flattens ?? false]);
/** States from which an action makes sense; any other state of a strategy is final. */
const FROM = {
  pause: ['running', 'warming', 'restarting'], resume: ['paused'],
  flatten: ['running', 'warming', 'paused', 'restarting'], kill: ['running', 'warming', 'paused', 'restarting'],
};

/**
 * Buttons with a confirmation and a reason. `path` is where they are sent below
 * `/api/v1`; without `status` every action fits.
 */
export function Controls({ subject, path, status = null }) {
  const [asked, setAsked] = useState(null);
  if (store.me.value?.role !== 'admin') return html`<span class="muted">viewer: read only</span>`;
  if (!store.commands.value) return html`<span class="muted">this host takes no commands from here</span>`;
  const fits = Object.keys(ACTIONS).filter((action) => status === null || FROM[action].includes(status));
  return html`<div class="row controls" role="group" aria-label="Commands for ${subject}">${fits.map((action) => html`
      <button key=${action} class=${action === 'kill' ? 'danger' : ''} onClick=${() => setAsked(action)}>${ACTIONS[action][0]}${status === null ? ' all' : ''}</button>`)}</div>
    ${asked && html`<${Confirm} title=${`${ACTIONS[asked][0]} ${subject}?`} text=${words(asked)} action=${ACTIONS[asked][0]} onClose=${() => setAsked(null)}
      onDone=${(reason) => api(`${path}/${asked}`, { method: 'POST', body: { reason } })} />`}`;
}
