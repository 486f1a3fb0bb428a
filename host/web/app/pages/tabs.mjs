// The tabs of a strategy's page.

import { html, useState } from '../../vendor/ui.mjs';
import * as f from '../format.mjs';
import { api } from '../net.mjs';
import { Chip, Copy, Empty, Export, Facts, Problem, Skeleton, Table, Toned, useRequest } from '../parts.mjs';
import * as stats from '../stats.mjs';
import * as store from '../store.mjs';
import { listOf } from '../topics.mjs';
import { EventList } from './events.mjs';
import { POSITION_COLUMNS } from './overview.mjs';

const at = (ns) => html`<span title=${f.fullTime(f.millis(ns), store.prefs.value.zone)}>${f.moment(f.millis(ns), store.prefs.value.zone)}</span>`;
const time = (key, label) => ({ key, label, value: (row) => f.millis(row[key]), show: (row) => at(row[key]) });
const text = (key, label) => ({ key, label, text: true, value: (row) => row[key] });
const shown = (key, label, show, title) => ({ key, label, title, value: (row) => row[key], show: (row) => show(row[key]) });

const TRADES = [
  { ...shown('n', '#', f.count), roomy: true }, { ...time('entry_ns', 'Opened'), minor: true }, time('exit_ns', 'Closed'), text('symbol', 'Symbol'), text('side', 'Side'),
  shown('quantity', 'Quantity', f.quantity), shown('entry_price', 'Entry', f.price), shown('exit_price', 'Exit', f.price),
  { key: 'pnl', label: 'PnL', value: (t) => t.pnl, show: (t) => html`<${Toned} value=${t.pnl} text=${f.signedMoney(t.pnl)} />` },
  { key: 'pnl_pct', label: 'PnL %', value: (t) => t.pnl_pct, show: (t) => html`<${Toned} value=${t.pnl_pct} text=${f.signedPercent(t.pnl_pct)} />` },
  shown('mae_pct', 'MAE', (v) => f.percent(v), 'How far it stood against the position at worst'), shown('mfe_pct', 'MFE', (v) => f.percent(v), 'How far it stood in favor at best'),
  { ...shown('fees', 'Fees', f.money), roomy: true }, shown('duration_s', 'Held', f.duration), text('exit_reason', 'Exit because'),
];
const ORDERS = [
  time('ts_ns', 'Time'), shown('order', 'Order', (v) => String(v)), text('symbol', 'Symbol'), text('action', 'Action'), text('kind', 'Kind'),
  { key: 'quantity', label: 'Quantity', value: (o) => o.quantity, show: (o) => (o.quantity === null && o.size ? o.size : f.quantity(o.quantity)) },
  shown('filled', 'Filled', f.quantity), shown('price', 'Price', f.price),
  { key: 'status', label: 'Status', text: true, value: (o) => o.status, show: (o) => html`<${Chip} status=${o.status} />` }, text('reason', 'Reason'), text('detail', 'Why'),
];
const FILLS = [
  time('ts_ns', 'Time'), shown('order', 'Order', (v) => String(v)), text('symbol', 'Symbol'), text('action', 'Action'), shown('quantity', 'Quantity', f.quantity),
  shown('price', 'Price', f.price), shown('fee', 'Fee', f.money), text('liquidity', 'Liquidity'), text('cause', 'Cause'), text('reason', 'Reason'), shown('position', 'Position after', f.quantity),
];

/** A tab that asks for a list every few seconds. */
function listed(name, what, columns, empty, sort) {
  return ({ path, show }) => {
    const { data, error } = useRequest(() => api(`${path}/${what}${what === 'orders' ? '' : '?limit=1000'}`), [path], 3000);
    if (data === null) return error ? html`<${Problem} text=${error} />` : html`<${Skeleton} />`;
    const rows = listOf(data, what);
    return html`<${Problem} text=${error} /><div class="row end"><${Export} name=${name} rows=${rows} /></div>
      ${rows.length === 0 ? html`<${Empty}>${empty}<//>` : html`<${Table} name=${name} columns=${columns} rows=${rows} first=${sort}
        open=${what === 'trades' ? show : undefined} />`}`;
  };
}

function Fills({ fills }) {
  return html`<div class="row end"><${Export} name="fills" rows=${fills} /></div>${fills.length === 0 ? html`<${Empty}>Nothing was filled yet.<//>`
    : html`<${Table} name="Fills" columns=${FILLS} rows=${fills} keyOf=${(fill) => fill.id} first=${{ key: 'ts_ns', direction: 'descending' }} />`}`;
}

function Positions({ row }) {
  const held = row.positions ?? [];
  return html`<${Facts} pairs=${[['Cash', f.money(row.cash, row.currency)], ['Equity', f.money(row.equity, row.currency)], ['Exposure', f.percent(row.exposure_pct)], ['Drawdown now', f.percent(row.drawdown_pct)]]} />
    ${held.length === 0 ? html`<${Empty}>It holds nothing now.<//>` : html`<${Table} name="Positions" columns=${POSITION_COLUMNS} rows=${held} keyOf=${(p) => p.symbol} />`}`;
}

/** A row of the comparison by side: label, key, and how it is written. */
const BY_SIDE = [
  ['Trades', 'trades', f.count], ['Wins', 'wins', f.count], ['Losses', 'losses', f.count], ['Win rate', 'win_rate_pct', (v) => f.percent(v, 0)],
  ['Net', 'net', f.signedMoney], ['Mean', 'mean', f.signedMoney], ['Mean win', 'mean_win', f.signedMoney], ['Mean loss', 'mean_loss', f.signedMoney],
  ['Best', 'best', f.signedMoney], ['Worst', 'worst', f.signedMoney], ['Profit factor', 'profit_factor', f.ratio], ['Fees', 'fees', f.money], ['Held, mean', 'held_s', f.duration],
];

/** Bars around a line: up for gains, down for losses. */
function Bars({ bars, label }) {
  const most = Math.max(...bars.map(({ value }) => Math.abs(value)), 0) || 1;
  const both = bars.some(({ value }) => value < 0);
  return html`<div class="bars ${both ? 'both' : ''}" role="img" aria-label=${label}>${bars.map(({ name, value, tone, title }) => html`
    <div key=${name} title=${title}><span class="up">${value > 0 && html`<i class=${tone} style=${{ height: `${(100 * value) / most}%` }} />`}</span>
      ${both && html`<span class="down">${value < 0 && html`<i class=${tone} style=${{ height: `${(-100 * value) / most}%` }} />`}</span>`}<small>${name}</small></div>`)}</div>`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** The most of its color that a cell of the months takes: the text must stay legible. */
const HEAT_MOST_PCT = 38;

/** What each month brought, the deeper the color the more. */
function Months({ path }) {
  const { data } = useRequest(() => api(`${path}/equity`), [path], 15_000);
  const years = stats.byMonth(listOf(data, 'points'));
  if (years.length === 0) return null;
  const most = Math.max(...years.flatMap(({ months }) => months.map(Math.abs))) || 1;
  const cell = (value, key, label) => {
    const text = value === null ? '' : f.signedPercent(value);
    const heat = f.isShown(text) ? (HEAT_MOST_PCT * Math.abs(value)) / most : 0;
    return html`<td key=${key} data-label=${label} class="heat ${heat > 0 ? f.tone(value) : ''} ${value === null ? 'minor' : ''}" style=${{ '--heat': `${Math.min(heat, HEAT_MOST_PCT).toFixed(0)}%` }}>${text}</td>`;
  };
  return html`<section><h3>Return by month, UTC</h3><div class="scroll" tabindex="0" role="region" aria-label="Return by month"><table class="months">
      <thead><tr><th scope="col" class="text">Year</th>${MONTHS.map((name) => html`<th key=${name} scope="col">${name}</th>`)}<th scope="col">Year</th></tr></thead>
      <tbody>${years.map(({ year, months, whole }) => html`<tr key=${year}><th scope="row" class="text c-name">${year}</th>${months.map((value, at) => cell(value, MONTHS[at], MONTHS[at]))}${cell(whole, 'whole', 'Year')}</tr>`)}</tbody></table></div></section>`;
}

function Closed({ path }) {
  const { data } = useRequest(() => api(`${path}/trades?limit=1000`), [path], 5000);
  const trades = listOf(data, 'trades').map((trade) => ({ ...trade, exit_ms: f.millis(trade.exit_ns) }));
  if (trades.length === 0) return null;
  const sides = [['All', trades], ['Long', trades.filter(({ side }) => side === 'long')], ['Short', trades.filter(({ side }) => side === 'short')]].map(([name, list]) => [name, stats.figures(list)]);
  const gains = (rows, name) => rows.map((row) => ({ name: String(row[name]), value: row.net, tone: f.tone(row.net), title: `${row[name]}: ${f.signedMoney(row.net)}, ${f.counted(row.trades, 'trade')}` }));
  const returns = stats.histogram(trades).map(({ from, to, trades: count }) => ({ name: f.ratio(from, 2), value: count, tone: to <= 0 ? 'loss' : 'gain', title: `${f.percent(from)} to ${f.percent(to)}: ${f.counted(count, 'trade')}` }));
  return html`<div class="figures"><section><h3>Closed trades by side</h3><div class="scroll"><table><thead><tr><th scope="col" class="text">Figure</th>${sides.map(([name]) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
      <tbody>${BY_SIDE.map(([label, key, write]) => html`<tr key=${key}><th scope="row" class="text c-name">${label}</th>${sides.map(([name, of]) => html`<td key=${name} data-label=${name}>${write(of[key])}</td>`)}</tr>`)}</tbody></table></div></section>
      <div><section><h3>Return of a trade, %</h3><${Bars} bars=${returns} label="How many trades had which return" /></section>
      <section><h3>Gain by hour of the exit, UTC</h3><${Bars} bars=${gains(stats.byHour(trades), 'hour')} label="What was gained by the hour of the day" /></section>
      <section><h3>Gain by day of the week, UTC</h3><${Bars} bars=${gains(stats.byWeekday(trades), 'day')} label="What was gained by the day of the week" /></section></div></div>
    <p class="note">Of the newest ${f.counted(trades.length, 'closed trade')}.</p>`;
}

function Statistics({ detail, path }) {
  const entries = Object.entries(detail?.statistics ?? {});
  if (detail === null) return html`<${Skeleton} />`;
  if (entries.length === 0) return html`<${Empty}>No statistics yet: they begin with the first closed trade.<//>`;
  const write = (label, value) => {
    if (value === null || typeof value === 'object') return f.UNKNOWN;
    if (f.number(value) === null || typeof value === 'boolean') return String(value);
    return /%|_pct$/.test(label) ? f.percent(value) : Number.isInteger(Number(value)) ? f.count(value) : f.ratio(value, 4);
  };
  return html`<${Facts} pairs=${entries.map(([label, value]) => [f.words(label), write(label, value)])} /><${Months} path=${path} /><${Closed} path=${path} />`;
}

/** Levels of a log from the least to the gravest, and the lines of it that are shown. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
const LOG_MOST = 1000;

function Logs({ path }) {
  const [least, setLeast] = useState('trace');
  const { data, error } = useRequest(() => api(`${path}/logs?limit=1000`), [path], 2000);
  const logs = listOf(data, 'logs').toSorted((a, b) => b.seq - a.seq);
  const grave = logs.filter(({ level }) => least === 'trace' || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least));
  return html`<${Problem} text=${error} /><div class="row end"><label class="inline">At least<select name="level" value=${least} onChange=${(e) => setLeast(e.target.value)}>
      ${LOG_LEVELS.map((level) => html`<option key=${level} value=${level}>${level}</option>`)}</select></label><${Export} name="logs" rows=${grave} /></div>
    <${EventList} events=${grave.slice(0, LOG_MOST)} loading=${data === null && error === null} />`;
}

/** How much of a limit is used, as a number and a bar. */
function Meter({ used, limit, text }) {
  const share = f.number(used) === null || !f.number(limit) ? null : (100 * used) / limit;
  return html`<span>${text}${share !== null && html` <meter min="0" max="100" high="80" value=${share} title=${f.percent(share, 1)} />`}</span>`;
}

/** How many calls took how long. */
function Took({ latency }) {
  const spread = listOf(latency, 'spread');
  if (spread.length === 0) return null;
  const bars = spread.map(({ from, to, calls }) => {
    const range = to === null ? `${f.micros(from)} or longer` : `${f.micros(from)} to ${f.micros(to)}`;
    return { name: f.micros(from), value: calls, tone: 'info', title: `${range}: ${f.counted(calls, 'call')}` };
  });
  const label = `How long calls took: ${bars.filter(({ value }) => value > 0).map(({ title }) => title).join('; ')}`;
  return html`<h3>How long calls took, by powers of two</h3><${Bars} bars=${bars} label=${label} />`;
}

/** What the lock file says of it: when it was allowed, until when, and why. */
function Trust({ grant, sha256, unsigned }) {
  const day = (text) => (text ? f.fullTime(Date.parse(text), store.prefs.value.zone) : null);
  return html`<h3>Trust</h3>${unsigned ? html`<p class="problem">The lock file was bypassed for this run: nobody has allowed these bytes.</p>` : html`<${Facts} pairs=${[
      ['Allowed', day(grant?.allowed_at)], ['Until', grant ? day(grant.expires) ?? 'it is denied' : null], ['Because', grant?.note || null], ['Its file then', grant?.file],
      ['Checked against', grant?.world], ['WASI', grant ? (grant.wasi ? 'deterministic' : 'refused') : null], ['Limits of its own', grant?.limits ?? (grant ? 'none' : null)],
    ]} />`}<p class="meta">sha256 <code>${sha256 ?? f.UNKNOWN}</code> ${sha256 && html`<${Copy} text=${sha256} />`}</p>`;
}

function Sandbox({ path, row }) {
  const { data, error } = useRequest(() => api(`${path}/sandbox`), [path], 2000);
  if (data === null) return error ? html`<${Problem} text=${error} />` : html`<${Skeleton} />`;
  const { fuel, latency_us: latency } = data;
  const hostCalls = data.host_calls && typeof data.host_calls === 'object' ? Object.entries(data.host_calls).map(([name, n]) => `${name} ${f.count(n)}`).join(', ') : f.count(data.host_calls);
  return html`<${Facts} pairs=${[
      ['Fuel in all', f.count(fuel?.total)], ['Fuel per event, most', html`<${Meter} used=${fuel?.per_event_max} limit=${fuel?.limit} text=${`${f.count(fuel?.per_event_max)} of ${f.count(fuel?.limit)}`} />`],
      ['Fuel per event, p50 and p99', `${f.count(fuel?.per_event_p50)} and ${f.count(fuel?.per_event_p99)}`],
      ['Memory', html`<${Meter} used=${data.memory_bytes} limit=${data.memory_limit} text=${`${f.bytes(data.memory_bytes)} of ${f.bytes(data.memory_limit)}`} />`],
      ['Memory, most', f.bytes(data.memory_peak_bytes)], ['Calls', f.count(data.calls), `${f.count(data.event_calls)} with events, ${f.count(data.order_calls)} with news of orders`], ['Call p50', f.micros(latency?.p50)], ['Call p99', f.micros(latency?.p99)], ['Call, longest', f.micros(latency?.max)],
      ['Traps', html`<span class=${data.traps > 0 ? 'loss' : ''}>${f.count(data.traps)}</span>`], ['Host calls', hostCalls], ['Log lines', `${f.count(data.log_lines)} (${f.bytes(data.log_bytes)})`], ['Log lines dropped', f.count(data.logs_dropped)], ['Orders dropped', f.count(data.dropped_orders)],
      ['Started again', f.count(data.restarts)], ['Module size', f.bytes(data.size)], ['Checked and compiled in', data.compile_ms === null || data.compile_ms === undefined ? null : f.duration(data.compile_ms / 1000)],
    ]} />
    ${data.last_fault && html`<p class="problem">Last fault: ${data.last_fault}</p>`}
    <p class="meta">Orders refused: ${Object.keys(data.refused ?? {}).length === 0 ? 'none' : Object.entries(data.refused).map(([rule, n]) => html`<span key=${rule}><code>${rule}</code> ${f.count(n)} </span>`)}</p>
    <${Took} latency=${latency} />
    <${Trust} grant=${data.grant} sha256=${data.sha256} unsigned=${row.trust === 'unsigned'} />
    <p class="meta">Imports: ${listOf(data, 'imports').length === 0 ? 'nothing' : listOf(data, 'imports').map((name) => html`<code key=${name}>${name}</code> `)}</p>
    <p class="note">A strategy can reach what is listed here and nothing else: no file, no socket, no clock.</p>`;
}

const newest = (key) => ({ key, direction: 'descending' });

export const TABS = [
  { key: 'trades', label: 'Trades', View: listed('trades', 'trades', TRADES, 'No trade was closed yet. Open positions are in their own tab.', newest('exit_ns')) },
  { key: 'fills', label: 'Fills', View: Fills },
  { key: 'orders', label: 'Orders', View: listed('orders', 'orders', ORDERS, 'It sent no order yet.', newest('ts_ns')) },
  { key: 'positions', label: 'Positions', View: Positions }, { key: 'statistics', label: 'Statistics', View: Statistics },
  { key: 'logs', label: 'Logs', View: Logs }, { key: 'sandbox', label: 'Sandbox', View: Sandbox },
];
