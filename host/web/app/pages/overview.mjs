// The overview: who is ahead, how the curves run, what is held, what happened.

import { html, useEffect, useState } from '../../vendor/ui.mjs';
import { EquityChart } from '../charts.mjs';
import * as f from '../format.mjs';
import { follow } from '../net.mjs';
import { Chip, Empty, Export, Panel, Skeleton, Sparkline, Table, Toned } from '../parts.mjs';
import { address } from '../route.mjs';
import { matches } from '../sort.mjs';
import { appendPoints, listOf } from '../topics.mjs';
import * as store from '../store.mjs';
import { WINDOWS, within } from '../window.mjs';
import { Controls } from './controls.mjs';
import { EventList, LastFill } from './events.mjs';
import { outages } from './instrument.mjs';

const CHARTED_MOST = 12;

/** Curves that are asked for to rank by a part of the run: a socket has so many topics. */
const RANKED_MOST = 50;
/** Levels of what is only for those who look for a fault. */
const QUIET = ['debug', 'trace'];
const ALERT_MS = 3_600_000;

/** Strategies by return, best first, without the benchmark. */
function ranked(rows = store.strategies.value ?? []) {
  return rows.filter((row) => !row.benchmark)
    .sort((a, b) => (b.return_pct ?? -Infinity) - (a.return_pct ?? -Infinity));
}

const Kpi = ({ label, value, detail, kind = '' }) => html`<div class="kpi"><span>${label}</span><strong class=${kind}>${value}</strong><small>${detail}</small></div>`;

function Strip() {
  const run = store.run.value;
  const order = ranked();
  const known = order.filter((row) => row.return_pct !== null);
  const [best, worst] = [known[0], known.at(-1)];
  const hold = (store.strategies.value ?? []).find((row) => row.benchmark);
  const slowest = Math.max(0, ...order.map((row) => row.latency_p99_us ?? 0));
  const sum = (key) => order.reduce((all, row) => all + (f.number(row[key]) ?? 0), 0);
  const lag = store.feed.value?.skew_ms;
  const latest = (store.events.value ?? []).filter((event) => event.kind === 'fault' && f.millis(event.ts_ns) > f.millis(run.now_ns) - ALERT_MS).length;
  if (!run) return html`<${Skeleton} rows=${1} />`;
  return html`<div class="kpis">
    ${(run.totals ?? []).slice(0, 2).map(({ currency, equity, start }) => {
      const gain = f.number(equity) === null || f.number(start) === null ? null : equity - start;
      return html`<${Kpi} key=${currency} label="Paper equity" value=${f.money(equity, currency)} detail=${gain === null ? 'known with the first prices' : html`<${Toned} value=${gain} text=${`${f.signedMoney(gain)} since start`} />`} />`;
    })}
    <${Kpi} label="Ahead" value=${best?.name ?? f.UNKNOWN} detail=${!best ? 'known with the first prices' : html`<${Toned} value=${best.return_pct} text=${f.signedPercent(best.return_pct)} />${hold && ` · hold ${f.signedPercent(hold.return_pct)}`}`} />
    ${known.length > 1 && html`<${Kpi} label="Behind" value=${worst.name} detail=${html`<${Toned} value=${worst.return_pct} text=${f.signedPercent(worst.return_pct)} />`} />`}
    <${Kpi} label="Open positions" value=${f.count(run.open_positions)} detail=${order.length === 1 ? '1 strategy' : `${order.length} strategies`} />
    <${Kpi} label="Closed trades" value=${f.count(sum('trades'))} detail=${`fees ${f.money(sum('fees'))}`} />
    <${Kpi} label="Market feed" value=${html`<${Chip} status=${run.feed || 'unknown'} />`} detail=${`${f.count(run.events_per_s)} events/s${lag === null || lag === undefined ? '' : ` · lag ${f.ratio(lag, 0)} ms`}`} />
    <${Kpi} label="Events" value=${f.count(run.events)} detail=${slowest > 0 ? `call p99 ≤ ${f.micros(slowest)}` : 'in this run'} />
    <${Kpi} label="Faults" value=${f.count(run.traps)} kind=${run.traps > 0 ? 'loss' : ''} detail=${run.traps > 0 ? html`<a href="#/events?kind=fault">${f.count(latest)} in the last hour</a>` : 'none so far'} /></div>`;
}

function columns(charted, toggle, ranks) {
  const fuel = (row) => (row.fuel_p99 && row.fuel_limit ? (100 * row.fuel_p99) / row.fuel_limit : null);
  return [
    { key: 'rank', minor: true, label: '#', value: (r) => ranks.get(r.name), show: (r) => ranks.get(r.name) ?? '' },
    { key: 'chart', label: 'Chart', show: (r) => (r.benchmark ? '' : html`<input type="checkbox" name="chart" aria-label="Chart ${r.name}" checked=${charted.includes(r.name)} onClick=${(e) => e.stopPropagation()} onChange=${() => toggle(r.name)} />`) },
    { key: 'name', label: 'Strategy', text: true, value: (r) => r.name, show: (r) => html`<span class="named" title=${r.sha256 ?? ''}><b>${r.name}</b>${!r.benchmark && html`<small class="muted">${f.shortHash(r.sha256)}</small>`}</span>` },
    { key: 'status', label: 'Status', text: true, value: (r) => r.status, show: (r) => (r.benchmark ? html`<span class="muted">benchmark</span>` : html`<${Chip} status=${r.status} title=${r.status_detail} />${r.trust === 'unsigned' && html` <${Chip} status="unsigned" />`}`) },
    { key: 'return_pct', label: 'Return', value: (r) => r.return_pct, show: (r) => html`<${Toned} value=${r.return_pct} text=${f.signedPercent(r.return_pct)} />` },
    { key: 'pnl', minor: true, label: 'PnL', title: 'After fees, in the currency of the account', value: (r) => r.pnl, show: (r) => html`<${Toned} value=${r.pnl} text=${f.signedMoney(r.pnl)} />` },
    { key: 'sparkline', label: 'Equity', show: (r) => html`<${Sparkline} values=${r.sparkline} label="Equity of ${r.name}" />` },
    { key: 'max_drawdown_pct', label: 'Max DD', title: 'Largest fall from a peak', value: (r) => r.max_drawdown_pct, show: (r) => f.percent(r.max_drawdown_pct) },
    { key: 'drawdown_pct', minor: true, roomy: true, label: 'DD now', value: (r) => r.drawdown_pct, show: (r) => f.percent(r.drawdown_pct) },
    { key: 'sharpe', label: 'Sharpe', title: 'A dash until there is enough to tell', value: (r) => r.sharpe, show: (r) => f.ratio(r.sharpe) },
    { key: 'win_rate_pct', label: 'Win', value: (r) => r.win_rate_pct, show: (r) => f.percent(r.win_rate_pct, 0) },
    { key: 'profit_factor', minor: true, roomy: true, label: 'PF', title: 'Profit factor: gains over losses', value: (r) => r.profit_factor, show: (r) => f.ratio(r.profit_factor) },
    { key: 'trades', label: 'Trades', value: (r) => r.trades, show: (r) => f.count(r.trades) },
    { key: 'rejected', minor: true, roomy: true, label: 'Rejected', value: (r) => r.rejected, show: (r) => f.count(r.rejected) },
    { key: 'fees', minor: true, label: 'Fees', value: (r) => r.fees, show: (r) => f.money(r.fees) },
    { key: 'exposure_pct', minor: true, roomy: true, label: 'Exposure', value: (r) => r.exposure_pct, show: (r) => f.percent(r.exposure_pct, 0) },
    { key: 'fuel', minor: true, label: 'Fuel p99', title: 'One event in a hundred takes more, of its limit', value: fuel, show: (r) => f.percent(fuel(r), 1) },
    { key: 'latency_p99_us', minor: true, label: 'Call p99', value: (r) => r.latency_p99_us, show: (r) => f.micros(r.latency_p99_us) },
  ];
}

/** A curve has a point where it changed: each goes on to where the newest ends. */
function upToNow(curves) {
  const newest = Math.max(...Object.values(curves).map((points) => points.at(-1)?.[0] ?? 0));
  return Object.fromEntries(Object.entries(curves).map(([name, points]) => {
    const last = points.at(-1);
    return [name, last && last[0] < newest ? [...points, [newest, last[1], last[2]]] : points];
  }));
}

/** The curves of the charted strategies, kept up to date. */
function useCurves(names) {
  const [curves, setCurves] = useState({});
  useEffect(() => {
    const ends = names.map((name) => follow(`equity:${name}`, (data, isSnapshot) => {
      const added = listOf(data, 'points');
      setCurves((at) => ({ ...at, [name]: appendPoints(isSnapshot ? [] : at[name] ?? [], added, 4000) }));
    }));
    return () => ends.forEach((end) => end());
  }, [names.join('\n')]);
  return curves;
}

export const POSITION_COLUMNS = [
  { key: 'symbol', label: 'Symbol', text: true, value: (p) => p.symbol },
  { key: 'side', label: 'Side', text: true, value: (p) => p.side, show: (p) => html`<span class=${p.side === 'long' ? 'gain' : 'loss'}>${p.side === 'long' ? '▲' : '▼'} ${p.side}</span>` },
  { key: 'quantity', label: 'Quantity', value: (p) => p.quantity, show: (p) => f.quantity(p.quantity) },
  { key: 'entry_price', label: 'Entry', value: (p) => p.entry_price, show: (p) => f.price(p.entry_price) },
  { key: 'mark', label: 'Mark', value: (p) => p.mark, show: (p) => f.price(p.mark) },
  { key: 'unrealized', label: 'Unrealized', value: (p) => p.unrealized, show: (p) => html`<${Toned} value=${p.unrealized} text=${f.signedMoney(p.unrealized)} />` },
  { key: 'stop', label: 'Stop', value: (p) => p.stop, show: (p) => f.price(p.stop) },
  { key: 'target', label: 'Target', value: (p) => p.target, show: (p) => f.price(p.target) },
];

export function Overview({ route }) {
  const [filter, setFilter] = useState(route.query.q ?? '');
  const { abs, log, range } = route.query;
  const [, , length] = WINDOWS.find(([key]) => key === route.query.window) ?? WINDOWS[0];
  const choose = (change) => store.go(address('overview', null, { q: filter, abs, log, range, window: route.query.window, ...change }), true);
  const whole = store.strategies.value;
  const ranking = useCurves(length === null ? [] : (whole ?? []).slice(0, RANKED_MOST).map(({ name }) => name));
  const all = whole === null || length === null ? whole : within(whole, ranking, length, f.millis(store.run.value?.now_ns) ?? 0);
  if (all === null) return html`<h1 class="hidden">Overview</h1><${Skeleton} rows=${8} />`;
  const order = ranked(all);
  const ranks = new Map(order.map((row, index) => [row.name, index + 1]));
  const names = all.filter((row) => !row.benchmark).map(({ name }) => name);
  const hidden = store.prefs.value.hidden;
  const charted = names.filter((name) => !hidden.includes(name)).slice(0, CHARTED_MOST);
  const toggle = (name) => store.setPref('hidden', hidden.includes(name) ? hidden.filter((at) => at !== name) : [...hidden, name]);
  const hold = all.filter((row) => row.benchmark);
  const shown = order.filter((row) => matches(`${row.name} ${row.status}`, filter));
  const positions = all.flatMap((row) => row.positions ?? []);
  return html`<h1 class="hidden">Overview</h1><${Strip} />
    <${LastFill} fill=${(store.events.value ?? []).findLast((event) => event.fill)?.fill} named=${true} />
    <${Panel} title="Leaderboard" className="span" tools=${html`
      <label class="inline">Over<select name="window" value=${route.query.window ?? 'run'} title="Return, PnL, drawdown and rank over this time, the same for all" onChange=${(e) => choose({ window: e.target.value === 'run' ? null : e.target.value })}>
        ${WINDOWS.map(([key, label]) => html`<option key=${key} value=${key}>${label}</option>`)}</select></label>
      <input type="search" name="filter" data-filter placeholder="Filter ( / )" aria-label="Filter strategies" value=${filter} onInput=${(e) => { setFilter(e.target.value); choose({ q: e.target.value }); }} />
      ${store.me.value?.role === 'admin' && store.commandsForAll.value && html`<${Controls} subject="all strategies" path="/run" />`}
      <${Export} name="leaderboard" rows=${all} />`}>
      ${names.length === 0 && store.run.value?.state === 'starting' ? html`<${Empty}>The run is starting: strategies are checked and compiled, and the market is asked for.<//>`
    : names.length === 0 ? html`<${Empty}>No strategy runs. Drop a .wasm file into <code>strategies/</code>, run <code>sandpaper allow strategies/NAME.wasm</code>, and start the host again.<//>`
    : html`<${Table} name="Leaderboard" columns=${columns(charted, toggle, ranks)} rows=${shown} pinned=${hold} keyOf=${(r) => r.name}
        first=${{ key: 'return_pct', direction: 'descending' }} open=${(row) => !row.benchmark && store.go(address('strategy', row.name))} />`}<//>
    ${length !== null && html`<p class="note">Return, PnL, drawdown and rank are of the last ${WINDOWS.find(([key]) => key === route.query.window)[1]}, or of the time that all of them ran; the other figures are of the whole run.</p>`}
    ${charted.length > 0 && html`<${Curves} charted=${charted} names=${names} order=${order} hold=${hold.map(({ name }) => name)} rebased=${abs !== '1'} logarithmic=${log === '1'} range=${range} choose=${choose} />`}
    <div class="two wide-left"><${Panel} title="Open positions" tools=${html`<${Export} name="positions" rows=${positions} />`}>
      ${positions.length === 0 ? html`<${Empty}>No strategy holds anything now.<//>`
    : html`<${Table} name="Open positions" columns=${[{ key: 'strategy', label: 'Strategy', text: true, value: (p) => p.strategy }, ...POSITION_COLUMNS]} rows=${positions} keyOf=${(p) => `${p.strategy}/${p.symbol}`} open=${(p) => store.go(address('strategy', p.strategy))} />`}<//>
    <${Panel} title="What happened" tools=${html`<a href="#/events">All events</a>`}><${EventList} events=${(store.events.value ?? []).filter(({ level }) => !QUIET.includes(level)).slice(-25).reverse()} loading=${store.events.value === null} /><//></div>`;
}

function Curves({ charted, names, order, hold, rebased, logarithmic, range, choose }) {
  const points = upToNow(useCurves([...charted, ...hold]));
  const curves = [
    ...charted.map((name) => ({ name, index: names.indexOf(name), points: points[name] ?? [] })),
    ...hold.filter((name) => points[name]?.length > 1).map((name) => ({ name, index: 0, dashed: true, points: points[name] })),
  ];
  const summary = order.map((row) => `${row.name} ${f.signedPercent(row.return_pct)}, largest drawdown ${f.percent(row.max_drawdown_pct)}, ${f.counted(row.trades, 'trade')}`).join('; ');
  return html`<${Panel} title="Equity and drawdown" className="span" tools=${html`
      <span class="legend">${curves.map(({ name, index, dashed }) => html`<span key=${name}><i class="swatch ${dashed ? 'muted dashed' : `line-${(index % 7) + 1} ${index >= 7 ? 'dashed' : ''}`}" />${name}</span>`)}</span>
      <button class="quiet" aria-pressed=${rebased} title="Every curve starts at 100" onClick=${() => choose({ abs: rebased ? '1' : null })}>Start = 100</button>
      <button class="quiet" aria-pressed=${logarithmic} title="Equal distances are equal ratios" onClick=${() => choose({ log: logarithmic ? null : '1' })}>Log</button>`}>
      ${curves.every((curve) => curve.points.length === 0) ? html`<${Empty}>The curves begin with the first prices.<//>`
    : html`<${EquityChart} curves=${curves} rebased=${rebased} logarithmic=${logarithmic} label=${`Equity and drawdown. ${summary}`}
      outages=${outages()} range=${range} onRange=${(to) => choose({ range: to })} />`}<//>`;
}

