// Charts: curves over time, and candles with what a strategy did. They read the
// same colors as the page.

import * as lwc from '../vendor/lwc.mjs';
import { html, useEffect, useRef, useState } from '../vendor/ui.mjs';
import { fullTime, money, percent, price as writePrice, priceDigits, quantity, ratio } from './format.mjs';
import { onGrid } from './grid.mjs';
import { savePng } from './parts.mjs';
import { prefs, themeNow } from './store.mjs';

/** The value of a color of the page. */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** One color a line; told apart by a dash as well from the eighth on. */
export const LINES = ['line-1', 'line-2', 'line-3', 'line-4', 'line-5', 'line-6', 'line-7'];
const lineColor = (index) => color(LINES[index % LINES.length]);

function options() {
  const shift = prefs.value.zone === 'utc' ? 0 : 1;
  const text = (seconds, withDate) => new Date(seconds * 1000).toLocaleString('sv-SE', {
    timeZone: shift ? undefined : 'UTC', ...(withDate ? { dateStyle: 'short' } : {}), timeStyle: 'medium',
  });
  return {
    autoSize: true,
    layout: {
      background: { color: 'transparent' }, textColor: color('muted'), attributionLogo: false,
      fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11,
      panes: { separatorColor: color('edge'), enableResize: false },
    },
    grid: { vertLines: { color: color('grid') }, horzLines: { color: color('grid') } },
    rightPriceScale: { borderColor: color('edge') },
    timeScale: {
      borderColor: color('edge'), timeVisible: true, secondsVisible: true, rightOffset: 2, minBarSpacing: 0.05,
      tickMarkFormatter: (seconds, kind) => (kind <= 2 ? text(seconds, true).slice(5, 10) : text(seconds).slice(0, kind === 4 ? 8 : 5)),
    },
    localization: { locale: 'en-US', timeFormatter: (seconds) => text(seconds, true) },
    crosshair: { mode: lwc.CrosshairMode.Normal },
  };
}

/** How often a screen reader hears of the crosshair, at most. */
const SAY_EVERY_MS = 1000;

/**
 * What keys do on a chart that has the focus: the crosshair goes from point to point
 * and says what is there, the picture grows and shrinks, `End` goes to the newest.
 * `points(parts)` gives `{series, at: [{time, value, text}]}`.
 */
function keysOf(held, points, say) {
  let index = null;
  return (event) => {
    const { chart, parts } = held.current ?? {};
    if (!chart) return;
    const scale = chart.timeScale();
    const zoom = (factor) => {
      const range = scale.getVisibleLogicalRange();
      if (range) scale.setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to });
    };
    const step = (by) => {
      const { series, at } = points(parts);
      if (at.length === 0) return;
      index = Math.max(0, Math.min(at.length - 1, (index ?? at.length) + by));
      const { time, value, text } = at[index];
      chart.setCrosshairPosition(value, time, series);
      say(text);
    };
    const actions = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), '+': () => zoom(0.7), '-': () => zoom(1.4), End: () => { index = null; scale.scrollToRealTime(); } };
    if (!Object.hasOwn(actions, event.key)) return;
    held.current.touched = event.key !== 'End';
    event.preventDefault();
    actions[event.key]();
  };
}

/** How long a chart stands still before its range goes into the address. */
const RANGE_MS = 400;

/** A range as the address has it, `from-to` in seconds, or null. */
function rangeOf(text) {
  const [, from, to] = /^(\d{1,12})-(\d{1,12})$/.exec(text ?? '') ?? [];
  return from !== undefined && Number(from) < Number(to) ? { from: Number(from), to: Number(to) } : null;
}

/**
 * Creates a chart in a figure, makes it anew with the theme, and removes it. `range`
 * is the one that is asked for, `onRange` learns what the user chose. `tell(time)` is what
 * stands above it while the crosshair is at that second: parts `{text, tone}`.
 */
function Chart({ build, update, label, name, version, points, tell, range = null, onRange = null, className = '' }) {
  const place = useRef(null);
  const held = useRef(null);
  const said = useRef({ timer: null, text: '' });
  const [spoken, speak] = useState('');
  const say = (text) => {
    said.current.text = text;
    said.current.timer ??= setTimeout(() => { said.current.timer = null; speak(said.current.text); }, SAY_EVERY_MS);
  };
  const onKey = useRef(null);
  const newest = useRef(points);
  newest.current = points;
  const hover = useRef(null);
  const newestTell = useRef(tell);
  newestTell.current = tell;
  const newestRange = useRef(onRange);
  newestRange.current = onRange;
  onKey.current ??= keysOf(held, (parts) => newest.current(parts), say);
  useEffect(() => () => clearTimeout(said.current.timer), []);
  useEffect(() => {
    const chart = lwc.createChart(place.current, options());
    held.current = { chart, parts: build(chart), touched: false };
    update(held.current.parts, chart, true, true);
    const touch = () => { if (held.current) held.current.touched = true; };
    const wanted = rangeOf(range);
    if (wanted !== null) {
      chart.timeScale().setVisibleRange(wanted);
      touch();
    }
    let settle = null;
    let shown = range ?? null;
    const moved = () => {
      clearTimeout(settle);
      settle = setTimeout(() => {
        const now = held.current?.touched ? chart.timeScale().getVisibleRange() : null;
        const text = now === null ? null : `${Math.round(now.from)}-${Math.round(now.to)}`;
        if (!held.current || text === shown) return;
        shown = text;
        newestRange.current?.(text);
      }, RANGE_MS);
    };
    chart.timeScale().subscribeVisibleTimeRangeChange(moved);
    chart.subscribeCrosshairMove(({ time }) => {
      if (!held.current || !hover.current) return;
      const said = time === undefined ? [] : newestTell.current(time);
      hover.current.replaceChildren(...said.map(({ text, tone }) => Object.assign(document.createElement('span'), { textContent: text, className: tone ?? '' })));
    });
    const kinds = ['wheel', 'pointerdown'];
    kinds.forEach((kind) => place.current.addEventListener(kind, touch, { passive: true }));
    return () => {
      clearTimeout(settle);
      kinds.forEach((kind) => place.current?.removeEventListener(kind, touch));
      chart.remove();
      held.current = null;
    };
  }, [themeNow(), prefs.value.colors, prefs.value.zone, version]);
  useEffect(() => { if (held.current) update(held.current.parts, held.current.chart, false, !held.current.touched); });
  const png = () => savePng(name, held.current.chart.takeScreenshot());
  return html`<figure class="chart ${className}" role="figure" aria-label=${label} tabindex="0" onKeyDown=${onKey.current}><span class="hidden" aria-live="polite">${spoken}</span>
    <div class="canvas" ref=${place} /><p class="hover" aria-hidden="true" ref=${hover} /><button class="quiet png" onClick=${png} title="Save this chart as an image">PNG</button></figure>`;
}

/** The same numbers to read, made only when they are asked for. */
function AsTable({ head, rows }) {
  const [open, setOpen] = useState(false);
  return html`<details class="as-table" onToggle=${(event) => setOpen(event.target.open)}><summary>As a table</summary>
    ${open && html`<div class="scroll" tabindex="0" role="region" aria-label="The chart as a table"><table><thead><tr>${head.map((label) => html`<th key=${label} scope="col">${label}</th>`)}</tr></thead>
      <tbody>${rows().map((row, index) => html`<tr key=${index}>${row.map((cell, at) => html`<td key=${at} data-label=${head[at]}>${cell}</td>`)}</tr>`)}</tbody></table></div>`}</details>`;
}

/** Up to eleven points of a curve, evenly, with the last. */
function sampled(points) {
  const step = Math.max(1, Math.floor(points.length / 10));
  return points.filter((_, index) => index % step === 0 || index === points.length - 1);
}

const DASHED = 2;
const DOTTED = 1;

/**
 * Equity of several strategies above, their drawdown below.
 * `curves`: `{name, points: [[ms, equity, drawdown %]], index, dashed}`.
 */
export function EquityChart({ curves, rebased, logarithmic = false, label, outages = [], range = null, onRange = null }) {
  const names = curves.map(({ name }) => name).join('\n');
  const grid = onGrid(curves.map((curve) => curve.points));
  const shownAs = (equity, index) => (rebased ? (equity / (curves[index].points[0]?.[1] || 1)) * 100 : equity);
  const build = (chart) => {
    const parts = curves.map(({ index, dashed, name }) => {
      const style = {
        color: dashed ? color('muted') : lineColor(index), lineWidth: 2, priceLineVisible: false,
        lineStyle: dashed || index >= LINES.length ? DASHED : 0, title: '',
      };
      const format = { type: 'price', precision: 2, minMove: 0.01 };
      return [
        chart.addSeries(lwc.LineSeries, { ...style, priceFormat: format }, 0),
        chart.addSeries(lwc.LineSeries, { ...style, lineWidth: 1, lastValueVisible: false, priceFormat: { type: 'custom', minMove: 0.01, formatter: (v) => `${v.toFixed(1)} %` } }, 1),
      ];
    });
    chart.priceScale('right', 0).applyOptions({ mode: logarithmic ? lwc.PriceScaleMode.Logarithmic : lwc.PriceScaleMode.Normal });
    const shade = chart.addSeries(lwc.HistogramSeries, { color: color('shade'), priceScaleId: 'shade', priceLineVisible: false, lastValueVisible: false }, 0);
    chart.priceScale('shade', 0).applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    const [top, bottom] = chart.panes();
    top?.setStretchFactor(3);
    bottom?.setStretchFactor(1);
    return Object.assign(parts, { shade, step: grid.step });
  };
  const update = (parts, chart, _first, untouched) => {
    const kept = grid.step === parts.step ? null : chart.timeScale().getVisibleRange();
    grid.rows.forEach((rows, index) => {
      parts[index]?.[0].setData(rows.map(({ time, equity }) => ({ time, value: shownAs(equity, index) })));
      parts[index]?.[1].setData(rows.map(({ time, drawdown }) => (drawdown === null ? { time } : { time, value: -drawdown })));
    });
    parts.shade.setData(shaded(grid, outages));
    parts.step = grid.step;
    // The whole run, until someone zooms; then the same time, also on another grid.
    if (untouched) chart.timeScale().fitContent();
    else if (kept !== null) chart.timeScale().setVisibleRange(kept);
  };
  const points = (parts) => ({
    series: parts[0]?.[0],
    at: (grid.rows[0] ?? []).map(({ time, equity }) => ({ time, value: shownAs(equity, 0) }))
      .map(({ time, value }) => ({ time, value, text: `${curves[0].name}, ${fullTime(time * 1000, prefs.value.zone)}: ${money(value)}` })),
  });
  const tell = (time) => [{ text: fullTime(time * 1000, prefs.value.zone) }, ...curves.flatMap(({ name, index, dashed }, at) => {
    const row = grid.rows[at][Math.round((time - (grid.rows[at][0]?.time ?? Infinity)) / grid.step)];
    if (row === undefined) return [];
    const down = row.drawdown === null ? '' : ` (${percent(-row.drawdown)})`;
    return [{ text: `${name} ${money(shownAs(row.equity, at))}${down}`, tone: dashed ? 'muted' : `line-${(index % 7) + 1}` }];
  })];
  const filled = curves.filter(({ points }) => points.length > 1).length;
  return html`<${Chart} build=${build} update=${update} label=${label} name="equity" version=${`${names}/${filled}/${rebased}/${logarithmic}`} points=${points} tell=${tell} range=${range} onRange=${onRange} className="tall" />
    <${AsTable} head=${['Strategy', 'Time', 'Equity', 'Drawdown']} rows=${() => curves.flatMap(({ name, points }) => sampled(points).map(([ms, equity, drawdown]) => [
      name, fullTime(ms, prefs.value.zone), money(equity), percent(drawdown)]))} />`;
}

/** Empty places of all outages that a chart gets at most. */
const PLACES_MOST = 600;

/** The places of outages `[from_s, to_s]`, every `step` seconds, from a time on. */
function places(outages, step, first) {
  const found = new Set();
  for (const [from, to] of outages) {
    for (let time = Math.floor(Math.max(from, first) / step) * step; time <= to && found.size < PLACES_MOST; time += step) {
      if (time >= first) found.add(time);
    }
  }
  return found;
}

/** Candles with an empty place for each that an outage kept from coming. */
function withOutages(candles, interval, outages) {
  const known = new Set(candles.map(([time]) => time));
  const empty = [...places(outages, interval, candles[0]?.[0] ?? Infinity)].filter((time) => !known.has(time));
  return empty.length === 0 ? candles : candles.concat(empty.map((time) => [time])).sort((a, b) => a[0] - b[0]);
}

/** All places of a grid, with a full column where an outage was. */
const shaded = ({ times, step }, outages) => times.map((time) => (
  outages.some(([from, to]) => time + step > from && time <= to) ? { time, value: 1 } : { time }));

/**
 * A level that changed, as a step line: its value at the end of each candle, and a line
 * that cannot be seen where there was none. `changes`: `{time, value}` in seconds, rising.
 */
function steps(candles, interval, changes) {
  let [next, value, last] = [0, null, null];
  return candles.map(([time]) => {
    // A level that came and went within a candle is drawn in it all the same.
    let within = value;
    for (; next < changes.length && changes[next].time < time + interval; next += 1) {
      value = changes[next].value;
      within = value ?? within;
    }
    last = value ?? within ?? last;
    if (last === null) return { time };
    // The color of a point is that of the line from it on.
    return value === null ? { time, value: last, color: 'transparent' } : { time, value: last };
  });
}

/** The library's format of a price of this size. */
function priceFormat(prices) {
  const precision = Math.max(...prices.map(priceDigits), 2);
  return { type: 'price', precision, minMove: 10 ** -precision };
}

/** Widens a scale to the lines that are near enough not to flatten the candles. */
function around(info, prices) {
  const range = info?.priceRange;
  if (!range) return info;
  const room = 2 * (range.maxValue - range.minValue);
  const near = prices.filter((price) => price > range.minValue - room && price < range.maxValue + room);
  return {
    ...info,
    priceRange: { minValue: Math.min(range.minValue, ...near), maxValue: Math.max(range.maxValue, ...near) },
  };
}

/** Draws what a strategy published: prices among the candles, the rest in a pane below. */
function drawPlots(chart, held, plots) {
  const keyOf = ({ name, price }) => `${price ? 0 : 1}/${name}`;
  const wanted = new Set(plots.map(keyOf));
  for (const [key, line] of held) {
    if (wanted.has(key)) continue;
    chart.removeSeries(line);
    held.delete(key);
  }
  let scaled = false;
  for (const plot of plots) {
    const key = keyOf(plot);
    const look = { color: lineColor(plot.index), lineWidth: 2, lineStyle: plot.index >= LINES.length ? DASHED : 0, priceLineVisible: false, crosshairMarkerVisible: false };
    // Below, the first has the axis; the others only their shape, each on its own scale.
    if (!plot.price) Object.assign(look, { priceScaleId: scaled ? key : 'right', lastValueVisible: !scaled });
    scaled ||= !plot.price;
    if (!held.has(key)) held.set(key, chart.addSeries(lwc.LineSeries, { ...look, lastValueVisible: false }, plot.price ? 0 : 1));
    held.get(key).applyOptions(look);
    held.get(key).setData(plot.points);
  }
  const [top, below] = chart.panes();
  below?.setStretchFactor(1);
  top.setStretchFactor(4);
}

/**
 * Candles with volume. `fills`: markers `{time, side, text, told}`, with each fill as a text; `levels`: what stop and target were, each a
 * list of `{time, value}`; `lines`: `{price, title, kind}` where kind is
 * entry, stop, target or order; `plots`: `{name, index, price, points}`, what the
 * strategy published; `outages`: `[from_s, to_s]`, shaded.
 */
export function CandleChart({ candles, fills = [], lines = [], levels = null, plots = [], outages = [], focus = null, interval, label, name, range = null, onRange = null }) {
  const up = color('gain');
  const down = color('loss');
  const build = (chart) => {
    const shade = chart.addSeries(lwc.HistogramSeries, { color: color('shade'), priceScaleId: 'shade', priceLineVisible: false, lastValueVisible: false });
    chart.priceScale('shade').applyOptions({ scaleMargins: { top: 0, bottom: 0 } });
    const parts = { lines: [], shown: [], focus: null, plots: new Map() };
    const bars = chart.addSeries(lwc.CandlestickSeries, {
      upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false, priceLineVisible: false,
      autoscaleInfoProvider: (original) => around(original(), parts.shown),
    }, 0);
    const volume = chart.addSeries(lwc.HistogramSeries, { color: color('volume'), priceFormat: { type: 'volume' }, priceScaleId: 'volume', lastValueVisible: false, priceLineVisible: false });
    chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    const past = (tone, lineStyle) => chart.addSeries(lwc.LineSeries, {
      color: color(tone), lineStyle, lineWidth: 1, lineType: lwc.LineType.WithSteps, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
      // The candles make the scale: a level far away is out of the picture.
      autoscaleInfoProvider: () => null,
    }, 0);
    const levelLines = { stop: past('loss', DASHED), target: past('gain', DOTTED) };
    chart.timeScale().applyOptions({ rightOffset: 8 });
    return Object.assign(parts, { bars, volume, shade, levelLines, markers: lwc.createSeriesMarkers(bars, []) });
  };
  const update = (parts, chart, fit) => {
    const all = withOutages(candles, interval, outages);
    parts.bars.setData(all.map(([time, open, high, low, close]) => (open === undefined ? { time } : { time, open, high, low, close })));
    parts.bars.applyOptions({ priceFormat: priceFormat(candles.slice(-20).map((candle) => candle[4])) });
    parts.volume.setData(candles.map(([time, , , , , value]) => ({ time, value })));
    parts.shade.setData(all.filter(([time]) => outages.some(([from, to]) => time + interval > from && time <= to)).map(([time]) => ({ time, value: 1 })));
    for (const kind of ['stop', 'target']) parts.levelLines[kind].setData(steps(all, interval, levels?.[kind] ?? []));
    drawPlots(chart, parts.plots, plots);
    const first = candles[0]?.[0] ?? Infinity;
    parts.markers.setMarkers(fills.filter((fill) => fill.time >= first).map((fill) => ({
      time: Math.floor(fill.time / interval) * interval,
      position: fill.side === 'buy' ? 'belowBar' : 'aboveBar', shape: fill.side === 'buy' ? 'arrowUp' : 'arrowDown',
      color: color(fill.side === 'buy' ? 'buy' : 'sell'), text: fill.text,
    })));
    parts.shown = lines.map(({ price }) => price);
    parts.lines.forEach((line) => parts.bars.removePriceLine(line));
    const looks = { entry: ['text', 0], stop: ['loss', DASHED], target: ['gain', DOTTED], order: ['muted', DOTTED] };
    parts.lines = lines.map(({ price, title, kind }) => parts.bars.createPriceLine({
      price, title, color: color(looks[kind][0]), lineStyle: looks[kind][1], lineWidth: 1, axisLabelVisible: true,
    }));
    if (fit && all.length > 0) chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, all.length - 120), to: all.length + 8 });
    if (focus !== parts.focus && focus !== null) {
      const at = all.findIndex(([time]) => time + interval > focus.time);
      if (at >= 0) chart.timeScale().setVisibleLogicalRange({ from: at - 20, to: at + 20 });
    }
    parts.focus = focus;
  };
  const ready = candles.length > 0;
  const points = (parts) => ({
    series: parts.bars,
    at: candles.map(([time, , high, low, close]) => ({ time, value: close, text: `${fullTime(time * 1000, prefs.value.zone)}: close ${writePrice(close)}, high ${writePrice(high)}, low ${writePrice(low)}` })),
  });
  const tell = (time) => {
    const [, open, high, low, close, volume] = candles.find((candle) => candle[0] === time) ?? [];
    const candle = open === undefined ? 'no candle' : `O ${writePrice(open)}  H ${writePrice(high)}  L ${writePrice(low)}  C ${writePrice(close)}  V ${quantity(volume)}`;
    const value = (points) => points.find((point) => point.time === time)?.value ?? null;
    return [
      { text: fullTime(time * 1000, prefs.value.zone) }, { text: candle, tone: close < open ? 'loss' : 'gain' },
      ...plots.filter(({ points }) => value(points) !== null).map(({ name: of, index, points }) => ({ text: `${of} ${ratio(value(points), 4)}`, tone: `line-${(index % 7) + 1}` })),
      ...fills.filter((fill) => fill.time === time).map(({ side, told }) => ({ text: `${side === 'buy' ? '▲' : '▼'} ${told.join(', ')}`, tone: side })),
    ];
  };
  const published = (time) => plots.map(({ points }) => ratio(points.find((point) => point.time === time)?.value ?? null, 4));
  const written = () => candles.slice(-30).toReversed().map(([time, ...rest]) => [fullTime(time * 1000, prefs.value.zone), ...rest.slice(0, 4).map(writePrice), quantity(rest[4]), ...published(time)]);
  return html`<${Chart} build=${build} update=${update} label=${label} name=${name} version=${`${name}/${interval}/${ready}`} points=${points} tell=${tell} range=${range} onRange=${onRange} className="tall" />
    <${AsTable} head=${['Opened', 'Open', 'High', 'Low', 'Close', 'Volume', ...plots.map(({ name }) => name)]} rows=${written} />`;
}
