// One strategy: its market with what it did there, and everything that is known of it.

import { html, useEffect, useState } from '../../vendor/ui.mjs';
import { EquityChart } from '../charts.mjs';
import * as f from '../format.mjs';
import { api, follow } from '../net.mjs';
import { Chip, Copy, Empty, Facts, Panel, Problem, Skeleton, Toned, useRequest } from '../parts.mjs';
import { address } from '../route.mjs';
import * as store from '../store.mjs';
import { appendPoints, listOf } from '../topics.mjs';
import { Controls } from './controls.mjs';
import { LastFill } from './events.mjs';
import { Book, Candles, SymbolPicker, outages } from './instrument.mjs';
import { TABS } from './tabs.mjs';

function Head({ row, detail }) {
  const run = store.run.value;
  const ran = run ? (f.millis(run.now_ns) - f.millis(run.started_ns)) / 1000 : null;
  return html`<section class="panel head" aria-label="Strategy"><div class="row spread">
      <div class="row"><h1>${row.name} <small class="muted">${row.version ?? ''}</small></h1>
        <${Chip} status=${row.status} title=${row.status_detail} /><${Chip} status=${row.trust ?? 'unknown'} title="Whether its hash is in strategies.lock" /></div>
      <${Controls} subject=${row.name} path=${`/strategies/${encodeURIComponent(row.name)}`} status=${row.status} /></div>
    ${row.status_detail && html`<p class="problem">${row.status_detail}</p>`}
    <${Facts} pairs=${[
      ['Return', html`<${Toned} value=${row.return_pct} text=${f.signedPercent(row.return_pct)} />`],
      ['Equity', f.money(row.equity, row.currency)], ['PnL', html`<${Toned} value=${row.pnl} text=${f.signedMoney(row.pnl)} />`],
      ['Capital', f.money(row.start_equity)], ['Cash', f.money(row.cash)], ['Max drawdown', f.percent(row.max_drawdown_pct)], ['Trades', f.count(row.trades)],
      ['Win rate', f.percent(row.win_rate_pct, 0)], ['Fees', f.money(row.fees)], ['Rejected', f.count(row.rejected)], ['Running for', f.duration(ran)],
    ]} />
    <div class="row meta"><span>sha256 <code title=${row.sha256 ?? ''}>${f.shortHash(row.sha256, 16)}</code> ${row.sha256 && html`<${Copy} text=${row.sha256} />`}</span>
      <span>contract <code>${row.wit ?? f.UNKNOWN}</code></span>
      ${(detail?.parameters ?? []).map(({ name, value }) => html`<span key=${name}>${name} <code>${String(value)}</code></span>`)}</div></section>`;
}

function Curve({ name }) {
  const [points, setPoints] = useState([]);
  useEffect(() => follow(`equity:${name}`, (data, isSnapshot) => setPoints((at) => appendPoints(isSnapshot ? [] : at, listOf(data, 'points'), 4000))), [name]);
  return html`<${Panel} title="Equity and drawdown">${points.length === 0 ? html`<${Empty}>The curve begins with the first prices.<//>`
    : html`<${EquityChart} curves=${[{ name, index: 0, points }]} rebased=${false} label=${`Equity and drawdown of ${name}`} outages=${outages()} />`}<//>`;
}

function useFills(name) {
  const [fills, setFills] = useState([]);
  useEffect(() => follow(`fills:${name}`, (data, isSnapshot) => {
    const added = listOf(data, 'fills');
    setFills((at) => {
      const known = new Set(isSnapshot ? [] : at.map(({ id }) => id));
      return (isSnapshot ? [] : at).concat(added.filter(({ id }) => !known.has(id))).slice(-2000);
    });
  }), [name]);
  return fills;
}

export function Strategy({ route }) {
  const rows = (store.strategies.value ?? []).filter((row) => !row.benchmark);
  const row = rows.find(({ name }) => name === route.subject);
  if (store.strategies.value === null) return html`<${Skeleton} rows=${8} />`;
  if (route.subject === null) return html`<${Chooser} rows=${rows} />`;
  if (!row) return html`<h1>No such strategy</h1><${Empty}>This run has no strategy named “${route.subject}”. <a href="#/">Overview</a><//>`;
  return html`<${Shown} row=${row} route=${route} />`;
}

function Chooser({ rows }) {
  return html`<h1>Strategies</h1>${rows.length === 0 ? html`<${Empty}>${store.run.value?.state === 'starting' ? 'The run is starting: strategies are checked and compiled.' : 'No strategy runs.'}<//>` : html`<div class="cards">${rows.map((row) => html`
    <a class="panel card" key=${row.name} href=${address('strategy', row.name)}><b>${row.name}</b> <small class="muted">${row.version}</small><span><${Chip} status=${row.status} />${row.trust === 'unsigned' && html` <${Chip} status="unsigned" />`}</span>
      <strong><${Toned} value=${row.return_pct} text=${f.signedPercent(row.return_pct)} /></strong><small class="muted">${f.money(row.equity, row.currency)} · ${f.counted(row.trades, 'trade')} · drawdown ${f.percent(row.max_drawdown_pct)}</small></a>`)}</div>`}`;
}

function Shown({ row, route }) {
  const { name } = row;
  const path = `/strategies/${encodeURIComponent(name)}`;
  const { data: detail, error } = useRequest(() => api(path), [name], 3000);
  const fills = useFills(name);
  const { data: levels } = useRequest(() => api(`${path}/levels?limit=1000`), [name], 3000);
  const { data: published } = useRequest(() => api(`${path}/plots`), [name], 3000);
  const [focus, setFocus] = useState(null);
  const symbols = detail?.symbols?.length ? detail.symbols : store.run.value?.symbols ?? [];
  const symbol = symbols.includes(route.query.symbol) ? route.query.symbol : row.positions?.[0]?.symbol ?? fills.at(-1)?.symbol ?? symbols[0];
  const tab = TABS.find(({ key }) => key === route.query.tab) ?? TABS[0];
  const interval = Number(route.query.interval ?? 60);
  const choose = (change) => store.go(address('strategy', name, { ...route.query, ...change }), true);
  const position = (row.positions ?? []).find((at) => at.symbol === symbol);
  const lines = [
    position && ['entry', position.entry_price, position.side], position && ['stop', position.stop, 'stop'], position && ['target', position.target, 'target'],
    ...(detail?.orders_open ?? []).filter((order) => order.symbol === symbol).map((order) => ['order', order.price, order.action]),
  ].filter((line) => line && f.number(line[1]) !== null).map(([kind, price, title]) => ({ kind, price: Number(price), title }));
  return html`<${Head} row=${row} detail=${detail} /><${Problem} text=${error} /><${LastFill} fill=${fills.at(-1)} />
    <div class="market">
      <${Panel} title=${`${symbol ?? 'Market'} with fills`} name="Candles" tools=${html`<${SymbolPicker} symbols=${symbols} symbol=${symbol} interval=${interval} choose=${choose} />`}>
        <${Candles} symbol=${symbol} symbols=${symbols} interval=${interval} published=${published} hidden=${(route.query.without ?? '').split('\n').filter(Boolean)} onHide=${(names) => choose({ without: names.join('\n') })} fills=${fills} lines=${lines} levels=${listOf(levels, 'levels')} focus=${focus} range=${route.query.range} onRange=${(range) => choose({ range })} /><//>
      <${Book} symbol=${symbol} /></div>
    <section class="panel" aria-label="Details"><div class="tabs" role="tablist">${TABS.map(({ key, label }) => html`
        <button key=${key} role="tab" id="tab-${key}" aria-selected=${tab.key === key} aria-controls="tab-panel" onClick=${() => choose({ tab: key })}>${label}</button>`)}</div>
      <div role="tabpanel" id="tab-panel" aria-labelledby="tab-${tab.key}"><${tab.View} key=${tab.key} path=${path} row=${row} detail=${detail} fills=${fills}
        show=${(trade) => { choose({ symbol: trade.symbol }); setFocus({ time: f.millis(trade.entry_ns) / 1000 }); scrollTo({ top: 0, behavior: 'smooth' }); }} /></div></section>
    <${Curve} name=${name} />`;
}
