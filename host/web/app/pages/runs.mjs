// This run, and those before it, side by side.

import { html } from '../../vendor/ui.mjs';
import { EquityChart } from '../charts.mjs';
import * as f from '../format.mjs';
import { api } from '../net.mjs';
import { Chip, Copy, Empty, Export, Facts, Panel, Problem, Skeleton, Table, Toned, useRequest } from '../parts.mjs';
import { address } from '../route.mjs';
import * as store from '../store.mjs';
import { listOf } from '../topics.mjs';

/** Runs that are compared at most. */
const COMPARED_MOST = 6;

/** What the list shows of a run, where it is known; the comparison shows all. */
const COLUMNS = ['mode', 'state', 'seed', 'started_ns', 'ended_ns', 'events', 'symbols', 'strategies'];

/** Those that only a wide window has room for. */
const ROOMY = ['seed', 'ended_ns', 'events'];

/** A field of a run that the page knows no more about. */
function plain(key, value) {
  if (value === null || value === undefined) return f.UNKNOWN;
  if (key.endsWith('_ns')) return f.moment(f.millis(value), store.prefs.value.zone);
  if (key.endsWith('_pct')) return f.percent(value);
  if (key.endsWith('sha256')) return f.shortHash(value);
  if (Array.isArray(value)) return value.map((item) => (typeof item === 'object' ? item.name : item)).join(', ');
  if (typeof value === 'object') return JSON.stringify(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' ? f.count(value) : String(value);
}

/** How a run stands, and whether it ever was cut short. */
const State = ({ run }) => html`<${Chip} status=${run.state} title=${run.state === 'unfinished' ? 'It stopped without an end, by a crash or a kill' : ''} />${
  run.continued > 0 && html` <${Chip} status="recovered" title=${`It was cut short and went on: ${f.counted(run.continued, 'time')}`} />`}`;

/** The strategy of a run that did best. */
const ahead = (run) => listOf(run, 'strategies').filter(({ return_pct: it }) => it !== null && it !== undefined).sort((a, b) => b.return_pct - a.return_pct)[0] ?? null;

/** The command that replays a run from its record and compares every decision. */
const proof = (folder, { run }) => `sandpaper verify ${folder}/${run}`;

/** Where this host keeps the records of its runs; null when it keeps none. */
function useFolder() {
  const { data } = useRequest(() => api('/config'), []);
  const setting = (name) => listOf(data, 'settings').find(({ key }) => key === name)?.value.replace(/^"|"$/g, '') ?? null;
  return setting('record.enabled') === 'true' ? setting('record.dir') : null;
}

/** The curves of the chosen runs over the time since their start. */
function Curves({ runs }) {
  const { data, error } = useRequest(() => Promise.all(runs.map(({ run }) => api(`/runs/${encodeURIComponent(run)}`))), [runs.map(({ run }) => run).join()]);
  const curves = listOf(data).flatMap((run) => listOf(run, 'curves').map(({ name, points }) => ({ name: `${name} · ${run.run.slice(-8)}`, points: points.map(([ms, ...rest]) => [ms - points[0][0], ...rest]) })))
    .filter(({ points }) => points.length > 1).map((curve, index) => ({ ...curve, index }));
  return html`<${Panel} title="Equity and drawdown since the start" className="span" tools=${html`<span class="legend">${curves.map(({ name, index }) => html`<span key=${name}><i class="swatch line-${(index % 7) + 1} ${index >= 7 ? 'dashed' : ''}" />${name}</span>`)}</span>`}>
    ${error ? html`<${Problem} text=${error} />` : data === null ? html`<${Skeleton} />` : curves.length === 0 ? html`<${Empty}>These runs keep no curve.<//>` : html`<${EquityChart} curves=${curves} rebased=${true} label="Equity and drawdown of the chosen runs since their start" />`}<//>`;
}

const times = (ns) => f.moment(f.millis(ns), store.prefs.value.zone);
const listed = (items) => (Array.isArray(items) && items.length > 0 ? items.join(', ') : 'none');

/** What is compared of a run: field, label, how it is written. */
const OF_RUN = [
  ['mode', 'Source', String], ['state', 'State', String], ['seed', 'Seed', String], ['started_ns', 'Started', times], ['ended_ns', 'Ended', times], ['continued', 'Cut short and continued', f.count], ['events', 'Events', f.count],
  ['symbols', 'Symbols', listed], ['config_sha256', 'Configuration', f.shortHash], ['version', 'Version', String], ['unsigned', 'Lock file bypassed', (is) => (is ? 'yes' : 'no')],
];
/** The same of a strategy in a run; what has a difference says it beside the first run's. */
const OF_STRATEGY = [
  ['status', 'Status', String], ['return_pct', 'Return', f.signedPercent, true], ['pnl', 'PnL', f.signedMoney, true], ['equity', 'Equity', f.money, true],
  ['max_drawdown_pct', 'Max drawdown', f.percent, true], ['sharpe', 'Sharpe', f.ratio, true], ['win_rate_pct', 'Win rate', (v) => f.percent(v, 0), true], ['profit_factor', 'Profit factor', f.ratio, true],
  ['trades', 'Trades', f.count, true], ['fills', 'Fills', f.count, true], ['fees', 'Fees', f.money, true], ['sha256', 'Module', f.shortHash],
  ['earlier', 'Builds before', (hashes) => listed((hashes ?? []).map((hash) => f.shortHash(hash)))], ['chain', 'Decisions', f.shortHash],
];

/** A row of the comparison: what `of` gives for each run, and the difference from the first. */
function Row({ id, runs, of, field, label, write, differs }) {
  const values = runs.map((run) => of(run)?.[field] ?? null);
  if (values.every((value) => value === null)) return null;
  const cells = values.map((value) => (value === null ? f.UNKNOWN : write(value)));
  const base = f.number(values[0]);
  const away = (value) => {
    const by = differs && base !== null && f.number(value) !== null ? f.number(value) - base : 0;
    if (by === 0) return '';
    const text = write(Math.abs(by)).replace('+', '');
    return f.isShown(text) ? `${by > 0 ? '+' : '−'}${text}` : '';
  };
  return html`<tr key=${id} class=${new Set(cells).size > 1 ? 'differs' : ''}><th scope="row" class="text c-name">${label}</th>${cells.map((cell, index) => html`
    <td key=${index} data-label=${f.shortHash(runs[index].run.slice(-8))}>${cell}${index > 0 && away(values[index]) !== '' && html` <small class="muted">${away(values[index])}</small>`}</td>`)}</tr>`;
}

function Compare({ runs }) {
  const names = [...new Set(runs.flatMap((run) => listOf(run, 'strategies').map(({ name }) => name)))];
  const strategy = (name) => (run) => listOf(run, 'strategies').find((one) => one.name === name);
  return html`<${Panel} title="Compared" className="span"><div class="scroll"><table><thead><tr><th scope="col" class="text">Run</th>${runs.map((run) => html`<th scope="col" key=${run.run}>${run.run}</th>`)}</tr></thead>
    <tbody>${OF_RUN.map(([field, label, write]) => Row({ id: field, runs, of: (run) => run, field, label, write }))}
      ${names.map((name) => [html`<tr key=${name} class="group"><th scope="rowgroup" colspan=${runs.length + 1} class="text c-name">${name}</th></tr>`,
    ...OF_STRATEGY.map(([field, label, write, differs]) => Row({ id: `${name}/${field}`, runs, of: strategy(name), field, label, write, differs }))])}</tbody></table></div>
    <p class="note">Rows that differ stand out; small figures are the difference from the first run.</p><//>`;
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
    { key: 'ahead', label: 'Ahead', text: true, value: (row) => ahead(row)?.return_pct ?? null, show: (row) => (ahead(row) ? html`${ahead(row).name} <${Toned} value=${ahead(row).return_pct} text=${f.signedPercent(ahead(row).return_pct)} />` : f.UNKNOWN) },
    ...keys.map((key) => ({ key, roomy: ROOMY.includes(key), text: ['mode', 'state', 'version'].includes(key) || rows.some((row) => Array.isArray(row[key])), label: f.words(key.replace(/_(ns|sha256)$/, '')), value: (row) => row[key], show: (row) => (key === 'state' ? html`<${State} run=${row} />` : plain(key, row[key])) })),
  ];
  return html`<h1>Runs</h1>
    ${run && html`<${Panel} title="This run" className="span"><${Facts} pairs=${[
      ['State', html`<${State} run=${run} />`], ['Source', run.mode], ['Started', f.moment(f.millis(run.started_ns), zone)], ['Clock of the engine', f.moment(f.millis(run.now_ns), zone)],
      ['Events', f.count(run.events)], ['Seed', run.seed], ['Symbols', (run.symbols ?? []).join(', ')], ['Version', run.version], ['Contract', run.wit], ['Configuration', f.shortHash(run.config_sha256), run.config_sha256],
    ]} /><p class="meta">Run <code>${run.run}</code></p>${folder && html`<p class="meta">To prove it and to play it again: <code>${proof(folder, run)}</code> <${Copy} text=${proof(folder, run)} /></p>`}<//>`}
    <${Panel} title="All runs" className="span" tools=${html`<${Export} name="runs" rows=${rows} />`}><${Problem} text=${error} />
      ${data === null && !error ? html`<${Skeleton} />` : rows.length === 0 ? html`<${Empty}>No stored run yet. Each run leaves one behind when it ends.<//>` : html`<${Table} name="Runs" columns=${columns} rows=${rows} keyOf=${(row) => row.run} />`}<//>
    ${chosen.length === 1 && html`<p class="note">Choose another run to compare it with.</p>`}
    ${chosen.length > 1 && data !== null && html`<${Compare} runs=${rows.filter((row) => chosen.includes(row.run))} /><${Curves} runs=${rows.filter((row) => chosen.includes(row.run))} />`}`;
}
