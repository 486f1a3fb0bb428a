// How this browser shows things, and what the host was configured with.

import { html, useState } from '../../vendor/ui.mjs';
import { api, disconnect, session } from '../net.mjs';
import { canNotify, setNotices } from '../notify.mjs';
import { Export, Panel, Problem, Skeleton, Table, useRequest } from '../parts.mjs';
import { matches } from '../sort.mjs';
import * as store from '../store.mjs';
import { listOf } from '../topics.mjs';

const CHOICES = [
  ['theme', 'Theme', [['auto', 'As the system'], ['light', 'Light'], ['dark', 'Dark']]],
  ['colors', 'Gain and loss', [['green-red', 'Green and red'], ['red-green', 'Red and green'], ['blue-orange', 'Blue and orange']]],
  ['zone', 'Times', [['utc', 'UTC'], ['local', 'Local']]],
  ['numbers', 'Numbers', [['en-US', '1,234.56'], ['de-DE', '1.234,56'], ['fr-FR', '1 234,56'], ['en-IN', '1,23,456.78']]],
  ['density', 'Density', [['cozy', 'Cozy'], ['compact', 'Compact']]],
  ['motion', 'Motion', [['auto', 'As the system'], ['reduce', 'Reduced']]],
];
const COLUMNS = [
  { key: 'key', label: 'Setting', text: true, value: (s) => s.key, show: (s) => html`<code>${s.key}</code>` },
  { key: 'value', label: 'Value', text: true, value: (s) => s.value, show: (s) => html`<code>${typeof s.value === 'object' ? JSON.stringify(s.value) : String(s.value)}</code>` },
  { key: 'origin', label: 'Comes from', text: true, value: (s) => s.origin },
];

async function leave() {
  await api('/session', { method: 'DELETE' }).catch(() => {});
  disconnect();
  session.value = 'out';
  location.reload();
}

export function Settings() {
  const { data, error } = useRequest(() => api('/config'), []);
  const [filter, setFilter] = useState('');
  const rows = listOf(data, 'settings').filter((row) => matches(`${row.key} ${row.value}`, filter));
  return html`<h1>Settings</h1>
    <${Panel} title="Appearance">${CHOICES.map(([name, label, options]) => html`<fieldset key=${name}><legend>${label}</legend>${options.map(([value, text]) => html`
      <label key=${value} class="choice"><input type="radio" name=${name} value=${value} checked=${store.prefs.value[name] === value} onChange=${() => store.setPref(name, value)} />${text}</label>`)}</fieldset>`)}
      ${canNotify() && html`<fieldset><legend>Notices</legend><label class="choice"><input type="checkbox" name="notices" checked=${store.prefs.value.notices} onChange=${(e) => setNotices(e.target.checked)} />Tell me when a strategy faults or is killed, or the feed is down</label>
        <label class="choice">and when one stands below its peak by more than <input type="number" name="drawdown" min="1" max="100" value=${store.prefs.value.drawdown} onChange=${(e) => e.target.validity.valid && e.target.value !== '' && store.setPref('drawdown', Number(e.target.value))} /> %</label>
        <label class="choice"><input type="checkbox" name="sound" checked=${store.prefs.value.sound} onChange=${(e) => store.setPref('sound', e.target.checked)} />with a sound</label></fieldset>`}
      <p><button onClick=${store.resetLayout}>Reset the layout</button> <span class="muted">shows every part and charts every strategy again</span></p>
      <p class="note">Kept in this browser. Gains carry a plus sign and losses a minus sign in every color.</p><//>
    <${Panel} title="Session"><p>You are logged in as <b>${store.me.value?.role ?? 'unknown'}</b>. <button onClick=${leave}>Log out</button></p><//>
    <${Panel} title="Configuration of the host" className="span" tools=${html`<input type="search" name="filter" data-filter placeholder="Filter ( / )" aria-label="Filter settings" value=${filter} onInput=${(e) => setFilter(e.target.value)} /><${Export} name="config" rows=${rows} />`}>
      <${Problem} text=${error} />${data === null ? !error && html`<${Skeleton} rows=${8} />` : html`<p class="meta">Read only; it is set in <code>config.toml</code>, the environment, or on the command line. sha256 <code>${data.sha256}</code></p><${Table} name="Configuration" columns=${COLUMNS} rows=${rows} keyOf=${(s) => s.key} />`}<//>`;
}
