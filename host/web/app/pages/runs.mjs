// This run, and those before it, side by side.

import { html } from '../../vendor/ui.mjs';
import { EquityChart } from '../charts.mjs';
import * as f from '../format.mjs';
import { api } from '../net.mjs';
import { Chip, Copy, Empty, Export, Facts, Panel, Problem, Skeleton, Table, useRequest } from '../parts.mjs';
import { address } from '../route.mjs';
import * as store from '../store.mjs';
import { listOf } from '../topics.mjs';

/** Runs that are compared at most. */
const COMPARED_MOST = 6;

/** What the list shows of a run, where it is known; the comparison shows all. */
const COLUMNS = ['mode', 'state', 'seed', 'started_ns', 'ended_ns', 'events', 'symbols', 'strategies', 'best', 'worst', 'traps', 'version', 'config_sha256'];

/** A field of a run that the page knows no more about. */
function plain(key, value) {
  if (value === null || value === undefined) return f.UNKNOWN;
  if (key.endsWith('_ns')) return f.moment(f.millis(value), store.prefs.value.zone);
  if (key.endsWith('_pct')) return f.percent(value);
  if (key.endsWith('sha256')) return f.shortHash(value);
  if (key.endsWith('earlier')) return value.length === 0 ? 'none' : value.map((hash) => f.shortHash(hash)).join(', ');
  if (Array.isArray(value)) return value.map((item) => (typeof item === 'object' ? item.name : item)).join(', ');
  if (typeof value === 'object') return JSON.stringify(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' ? f.count(value) : String(value);
}

/** The command that replays a run from its record and compares every decision. */
const proof = (folder, { run }) => `sandpaper verify ${folder}/${run}`;

/** Where this host keeps the records of its runs; null when it keeps none. */
function useFolder() {
  const { data } = useRequest(() => api('/config'), []);
  const setting = (name) => listOf(data, 'settings').find(({ key }) => key === name)?.value.replace(/^"|"$/g, '') ?? null;
  return setting('record.enabled') === 'true' ? setting('record.dir') : null;
}

/** A run with a field for each figure of each of its strategies. */
function flat({ strategies, ...run }) {
  const of = listOf(strategies).flatMap(({ name, ...figures }) => Object.entries(figures).map(([key, value]) => [`${name}: ${key}`, value]));
  return { ...run, ...Object.fromEntries(of) };
}

/** The curves of the chosen runs over the time since their start. */
function Curves({ runs }) {
  const { data, error } = useRequest(() => Promise.all(runs.map(({ run }) => api(`/runs/${encodeURIComponent(run)}`))), [runs.map(({ run }) => run).join()]);
  const curves = listOf(data).flatMap((run) => listOf(run, 'curves').map(({ name, points }) => ({ name: `${name} · ${run.run.slice(-8)}`, points: points.map(([ms, ...rest]) => [ms - points[0][0], ...rest]) })))
    .filter(({ points }) => points.length > 1).map((curve, index) => ({ ...curve, index }));
  return html`<${Panel} title="Equity and drawdown since the start" className="span" tools=${html`<span class="legend">${curves.map(({ name, index }) => html`<span key=${name}><i class="swatch line-${(index % 7) + 1} ${index >= 7 ? 'dashed' : ''}" />${name}</span>`)}</span>`}>
    ${error ? html`<${Problem} text=${error} />` : data === null ? html`<${Skeleton} />` : curves.length === 0 ? html`<${Empty}>These runs keep no curve.<//>` : html`<${EquityChart} curves=${curves} rebased=${true} label="Equity and drawdown of the chosen runs since their start" />`}<//>`;
}

function Compare({ runs: chosen }) {
  const runs = chosen.map(flat);
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  return html`<${Panel} title="Compared" className="span"><div class="scroll"><table><thead><tr><th scope="col" class="text">Field</th>${runs.map((run) => html`<th scope="col" key=${run.run}>${run.run}</th>`)}</tr></thead>
    <tbody>${keys.map((key) => {
      const cells = runs.map((run) => plain(key, run[key]));
      return html`<tr key=${key} class=${new Set(cells).size > 1 ? 'differs' : ''}><th scope="row" class="text">${f.words(key)}</th>${cells.map((value, index) => html`<td key=${index}>${value}</td>`)}</tr>`;
    })}</tbody></table></div><p class="note">Rows that differ stand out.</p><//>`;
}

export function Runs({ route }) {
  const { data, error } = useRequest(() => api('/runs'), [], 10_000);
  // In the address, so that a comparison can be kept and sent.
  const chosen = (route.query.compare ?? '').split(',').filter((id) => id !== '').slice(0, COMPARED_MOST);
  const setChosen = (ids) => store.go(address('runs', null, { compare: ids.join(',') }), true);
  const run = store.run.value;
  const folder = useFolder();
  const { zone } = store.prefs.value;
  const rows = listOf(data, 'runs');
  const keys = COLUMNS.filter((key) => rows.some((row) => row[key] !== undefined));
  const toggle = (id) => setChosen(chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id].slice(-COMPARED_MOST));
  const columns = [
    { key: 'pick', label: 'Compare', show: (row) => html`<input type="checkbox" name="compare" aria-label="Compare ${row.run}" checked=${chosen.includes(row.run)} onChange=${() => toggle(row.run)} />` },
    { key: 'run', label: 'Run', text: true, value: (row) => row.run, show: (row) => html`<b>${row.run}</b>${row.run === run?.run ? html` <small class="muted">this run</small>` : ''}` },
    ...keys.map((key) => ({ key, text: ['mode', 'state', 'version'].includes(key) || rows.some((row) => Array.isArray(row[key])), label: f.words(key.replace(/_(ns|sha256)$/, '')), value: (row) => row[key], show: (row) => (key === 'state' ? html`<${Chip} status=${row.state} />` : plain(key, row[key])) })),
  ];
  return html`<h1>Runs</h1>
    ${run && html`<${Panel} title="This run" className="span"><${Facts} pairs=${[
      ['Run', run.run], ['State', html`<${Chip} status=${run.state} />`], ['Source', run.mode], ['Started', f.moment(f.millis(run.started_ns), zone)], ['Clock of the engine', f.moment(f.millis(run.now_ns), zone)],
      ['Events', f.count(run.events)], ['Seed', run.seed], ['Symbols', (run.symbols ?? []).join(', ')], ['Version', run.version], ['Contract', run.wit], ['Configuration', f.shortHash(run.config_sha256), run.config_sha256],
    ]} />${folder && html`<p class="meta">To prove it and to play it again: <code>${proof(folder, run)}</code> <${Copy} text=${proof(folder, run)} /></p>`}<//>`}
    <${Panel} title="All runs" className="span" tools=${html`<${Export} name="runs" rows=${rows} />`}><${Problem} text=${error} />
      ${data === null && !error ? html`<${Skeleton} />` : rows.length === 0 ? html`<${Empty}>No stored run yet. Each run leaves one behind when it ends.<//>` : html`<${Table} name="Runs" columns=${columns} rows=${rows} keyOf=${(row) => row.run} />`}<//>
    ${chosen.length === 1 && html`<p class="note">Choose another run to compare it with.</p>`}
    ${chosen.length > 1 && data !== null && html`<${Compare} runs=${rows.filter((row) => chosen.includes(row.run))} /><${Curves} runs=${rows.filter((row) => chosen.includes(row.run))} />`}`;
}
