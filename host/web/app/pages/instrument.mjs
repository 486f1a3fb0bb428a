// What is shown of one instrument: candles, order book, trades of the market.

import { html, useEffect, useState } from '../../vendor/ui.mjs';
import { CandleChart } from '../charts.mjs';
import * as f from '../format.mjs';
import { api, follow } from '../net.mjs';
import { Chip, Empty, Panel, Skeleton, useRequest } from '../parts.mjs';
import * as store from '../store.mjs';
import { linesOf } from '../plots.mjs';
import { gather, listOf } from '../topics.mjs';

/** Lengths to choose from, in seconds; those below what the host keeps cannot be had. */
const INTERVALS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const CANDLES_MOST = 1000;
/** How long a series may take to come before it is said to be absent. */
const PATIENCE_MS = 4000;

/** The lengths that the host keeps of a symbol; one minute where it does not say. */
const keptOf = (symbol) => {
  const kept = store.market.value?.find((row) => row.symbol === symbol)?.intervals;
  return Array.isArray(kept) && kept.length > 0 ? kept : [60];
};

/** The longest kept length that a wanted one is made of. */
const sourceOf = (symbol, wanted) => {
  const fitting = keptOf(symbol).filter((seconds) => wanted % seconds === 0);
  return fitting.length > 0 ? Math.max(...fitting) : Math.min(...keptOf(symbol));
};

const lengthOf = (seconds) => (seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${seconds / 60} min` : seconds < 86_400 ? `${seconds / 3600} h` : `${seconds / 86_400} d`);

export function SymbolPicker({ symbols, symbol, interval, choose }) {
  const kept = keptOf(symbol);
  const lengths = INTERVALS.filter((seconds) => kept.some((source) => seconds % source === 0));
  return html`${symbols.length > 1 && html`<select name="symbol" aria-label="Symbol" value=${symbol} onChange=${(e) => choose({ symbol: e.target.value })}>
      ${symbols.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>`}
    <select name="interval" aria-label="Candle length" value=${String(interval)} onChange=${(e) => choose({ interval: e.target.value })}>
      ${lengths.map((seconds) => html`<option key=${seconds} value=${String(seconds)}>${lengthOf(seconds)}</option>`)}</select>`;
}

/** Times when no data came, in seconds, for one symbol, or for all of them. */
export function outages(symbol = null) {
  const now = f.millis(store.run.value?.now_ns) ?? 0;
  return listOf(store.feed.value, 'outages').filter((at) => at.symbol === null || at.symbol === undefined || at.symbol === symbol)
    .map(({ from_ns: from, to_ns: to }) => [f.millis(from) / 1000, (f.millis(to) ?? now) / 1000]);
}

/** What a stop or a target of a symbol was, as it changed. */
const changesOf = (levels, symbol, kind) => levels.filter((level) => level.symbol === symbol)
  .map((level) => ({ time: f.millis(level.ts_ns) / 1000, value: f.number(level[kind]) }));

/**
 * The texts of markers that have room: a letter is about as wide as a candle, and what
 * would run into the one before it on its side says nothing. It is told above the chart.
 */
function roomy(marks, interval) {
  const free = { buy: -Infinity, sell: -Infinity };
  return marks.toSorted((a, b) => a.time - b.time).map((mark) => {
    const half = (mark.text.length / 2 + 1) * interval;
    if (mark.text === '' || mark.time - half < free[mark.side]) return { ...mark, text: '' };
    free[mark.side] = mark.time + half;
    return mark;
  });
}

/** Fills of one marker that are told one by one; of more, how many there are. */
const TOLD_MOST = 5;

/** Fills as markers: those of one side in one candle are one marker with their number. */
function gathered(fills, interval) {
  const marks = new Map();
  for (const fill of fills) {
    const side = fill.side ?? (['buy', 'cover'].includes(fill.action) ? 'buy' : 'sell');
    const time = Math.floor(f.millis(fill.ts_ns) / 1000 / interval) * interval;
    const mark = marks.get(`${time}/${side}`) ?? { time, side, count: 0, text: '', told: [] };
    mark.count += 1;
    const text = `${f.quantity(Number(fill.quantity).toPrecision(4))} @ ${f.price(fill.price)}`;
    if (mark.count <= TOLD_MOST) mark.told.push(`${fill.action ?? side} ${text}`);
    else mark.told[TOLD_MOST] = `and ${mark.count - TOLD_MOST} more`;
    mark.text = mark.count > 1 ? `×${mark.count}` : fills.length <= 8 ? text : '';
    marks.set(`${time}/${side}`, mark);
  }
  return roomy([...marks.values()], interval);
}

/** What a strategy published, to be shown or hidden: its color, name and newest value. */
function PlotPicker({ plots, hidden, onHide }) {
  const toggle = (name) => onHide(hidden.includes(name) ? hidden.filter((other) => other !== name) : [...hidden, name]);
  return html`<div class="legend plots" role="group" aria-label="Published by the strategy">${plots.map(({ name, index, points }) => html`
    <label class="choice" key=${name}><input type="checkbox" name="plot" checked=${!hidden.includes(name)} onChange=${() => toggle(name)} />
      <span><i class="swatch line-${(index % 7) + 1} ${index >= 7 ? 'dashed' : ''}" aria-hidden="true" />${name} <code>${f.ratio(points.at(-1).value, 4)}</code></span></label>`)}</div>`;
}

/**
 * Candles of a symbol, with a strategy's fills and lines. `published`: what it plots,
 * `hidden`: the names of what is not to be seen of that, which `onHide` changes.
 */
export function Candles({ symbol, symbols = [], interval, fills = [], lines = [], levels = [], published = null, hidden = [], onHide = null, focus = null, range = null, onRange = null }) {
  const [kept, setCandles] = useState(null);
  const source = sourceOf(symbol, interval);
  useEffect(() => {
    if (!symbol) return undefined;
    setCandles(null);
    const timer = setTimeout(() => setCandles((at) => at ?? []), PATIENCE_MS);
    const end = follow(`candles:${symbol}:${source}`, (data, isSnapshot) => {
      const added = listOf(data, 'candles');
      setCandles((at) => {
        const old = (isSnapshot ? [] : at ?? []).filter(([time]) => !(time >= (added[0]?.[0] ?? Infinity)));
        return old.concat(added).slice(-CANDLES_MOST);
      });
    });
    return () => { clearTimeout(timer); end(); };
  }, [symbol, source]);
  const candles = kept && gather(kept, Math.max(interval, source));
  if (candles === null) return html`<div class="chart tall"><${Skeleton} rows=${6} /></div>`;
  const here = fills.filter((fill) => fill.symbol === symbol);
  const marks = gathered(here, interval);
  if (candles.length === 0) return html`<div><${Empty}>No candle of this symbol yet. They come with its trades, when a strategy asks for candles.<//></div>`;
  const plots = linesOf(published, candles, Math.max(interval, source), symbol, symbols);
  return html`<${CandleChart} candles=${candles} fills=${marks} lines=${lines} plots=${plots.filter(({ name }) => !hidden.includes(name))} levels=${{ stop: changesOf(levels, symbol, 'stop'), target: changesOf(levels, symbol, 'target') }}
    outages=${outages(symbol)} focus=${focus} interval=${interval} range=${range} onRange=${onRange}
    name=${`candles ${symbol}`} label=${`Candles of ${symbol}, last ${f.price(candles.at(-1)[4])}, ${here.length} fills`} />
    ${plots.length > 0 && html`<${PlotPicker} plots=${plots} hidden=${hidden} onHide=${onHide} />`}`;
}

const LEVELS = 12;

/** One side of the ladder, with sizes and what adds up to there. */
function levels(side) {
  let sum = 0;
  return side.slice(0, LEVELS).map(([price, size]) => {
    sum += Number(size);
    return { price, size, sum };
  });
}

function Side({ rows, most, kind, write, writePrice }) {
  return rows.map(({ price, size, sum }) => html`<tr key=${price} class=${kind}><td class=${kind}>${writePrice(price)}</td>
    <td>${write(size)}</td><td class="sum">${write(sum)}<span class="bar" style=${{ width: `${(100 * sum) / most}%` }} aria-hidden="true" /></td></tr>`);
}

/** The order book: asks above, bids below, sizes as bars. */
export function Book({ symbol }) {
  const [book, setBook] = useState(null);
  useEffect(() => {
    setBook(null);
    return symbol ? follow(`book:${symbol}`, setBook) : undefined;
  }, [symbol]);
  if (book === null) return html`<${Panel} title="Order book"><${Skeleton} rows=${10} /><//>`;
  const [asks, bids] = [levels(listOf(book, 'asks')), levels(listOf(book, 'bids'))];
  if (asks.length === 0 && bids.length === 0) return html`<${Panel} title="Order book"><${Empty}>The book is empty${book.status ? ` (${book.status})` : ''}.<//><//>`;
  const most = Math.max(asks.at(-1)?.sum ?? 0, bids.at(-1)?.sum ?? 0);
  const [ask, bid] = [Number(asks[0]?.price), Number(bids[0]?.price)];
  const total = (asks.at(-1)?.sum ?? 0) + (bids.at(-1)?.sum ?? 0);
  const write = f.aligned([most]);
  const writePrice = f.alignedPrices([...asks, ...bids].map(({ price }) => price));
  const checks = listOf(store.feed.value, 'symbols').find((row) => row.symbol === symbol)?.checksum_failures ?? null;
  return html`<${Panel} title="Order book" className="book" tools=${html`<${Chip} status=${book.status} />`}>
    <table><thead><tr><th scope="col">Price</th><th scope="col">Size</th><th scope="col">Sum</th></tr></thead><tbody>
      ${Side({ rows: asks.toReversed(), most, kind: 'loss', write, writePrice })}
      <tr class="spread"><td colspan="3">spread ${writePrice(ask - bid)} · ${f.ratio(((ask - bid) / ((ask + bid) / 2)) * 1e4, 1)} bp · bids ${f.percent((100 * (bids.at(-1)?.sum ?? 0)) / total, 0)}</td></tr>
      ${Side({ rows: bids, most, kind: 'gain', write, writePrice })}</tbody></table>
    <${Depth} asks=${asks} bids=${bids} symbol=${symbol} />
    ${checks !== null && html`<p class="meta">Checksum failures <span class=${checks > 0 ? 'loss' : ''}>${f.count(checks)}</span></p>`}<//>`;
}

/** What could be traded down to each price, as areas that meet at the spread. */
function Depth({ asks, bids, symbol }) {
  if (asks.length === 0 || bids.length === 0) return null;
  const [low, high] = [Number(bids.at(-1).price), Number(asks.at(-1).price)];
  const most = Math.max(asks.at(-1).sum, bids.at(-1).sum) || 1;
  const x = (price) => (((Number(price) - low) / (high - low || 1)) * 280).toFixed(1);
  const y = (sum) => (70 - (sum / most) * 66).toFixed(1);
  // Level by level: it steps, because there is nothing between two prices.
  const outline = (side) => {
    const points = [`${x(side[0].price)},70`];
    side.forEach(({ price, sum }, index) => points.push(`${x(price)},${index > 0 ? y(side[index - 1].sum) : 70}`, `${x(price)},${y(sum)}`));
    return [...points, `${x(side.at(-1).price)},70`].join(' ');
  };
  const label = `Depth of ${symbol}: ${f.quantity(bids.at(-1).sum.toPrecision(4))} bid down to ${f.price(low)}, ${f.quantity(asks.at(-1).sum.toPrecision(4))} asked up to ${f.price(high)}`;
  return html`<svg class="depth" viewBox="0 0 280 72" preserveAspectRatio="none" role="img" aria-label=${label}>
      <polygon class="gain" points=${outline(bids)} /><polygon class="loss" points=${outline(asks)} /></svg>
    <div class="row spread muted"><small>${f.price(low)}</small><small>depth</small><small>${f.price(high)}</small></div>`;
}

/** Trades of the market, newest first. */
export function Tape({ symbol }) {
  const { data, error } = useRequest(() => api(`/tape?symbol=${encodeURIComponent(symbol)}`), [symbol], 2000);
  const trades = listOf(data, 'trades').toSorted((a, b) => f.millis(b.ts_ns) - f.millis(a.ts_ns)).slice(0, 18);
  const writePrice = f.alignedPrices(trades.map((trade) => trade.price));
  const write = f.aligned(trades.map((trade) => trade.quantity));
  return html`<${Panel} title="Trades of the market" className="book">
    ${error ? html`<p class="problem">${error}</p>` : data === null ? html`<${Skeleton} />` : trades.length === 0 ? html`<${Empty}>No trade yet.<//>` : html`<table>
    <thead><tr><th scope="col">Time</th><th scope="col">Price</th><th scope="col">Size</th></tr></thead><tbody>${trades.map((trade, index) => html`
      <tr key=${`${trade.ts_ns}/${index}`}><td>${f.clock(f.millis(trade.ts_ns), store.prefs.value.zone)}</td><td class=${trade.side === 'buy' ? 'buy' : 'sell'}>${trade.side === 'buy' ? '▲' : '▼'} ${writePrice(trade.price)}</td><td>${write(trade.quantity)}</td></tr>`)}</tbody></table>`}<//>`;
}
