// What a strategy published by name, laid on the candles of a chart. Pure.

/** Lines that a chart shows of one strategy at most. */
export const PLOTS_MOST = 16;

/** How far from the candles a line may run and still be one of prices, in their height. */
const NEAR = 1;

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * A published series at the candles: the newest value at the end of each, held until
 * there is another; nothing before the first. `ms` and `values` belong together.
 */
export function atCandles(ms, values, times, interval) {
  const points = [];
  let [next, value] = [0, null];
  for (const time of times) {
    for (; next < ms.length && ms[next] < (time + interval) * 1000; next += 1) {
      if (Number.isFinite(values[next])) value = values[next];
    }
    if (value !== null) points.push({ time, value });
  }
  return points;
}

/** True when a line belongs among the candles, not into a pane of its own. */
export function isPrice(points, candles) {
  if (points.length === 0 || candles.length === 0) return false;
  const [low, high] = [Math.min(...candles.map((candle) => candle[3])), Math.max(...candles.map((candle) => candle[2]))];
  const room = NEAR * Math.max(high - low, high * 0.001);
  const middle = median(points.map(({ value }) => value));
  return middle >= low - room && middle <= high + room;
}

/** Whether a name speaks of one of these symbols. */
const speaksOf = (name, symbols) => symbols.some((symbol) => name.toLowerCase().includes(symbol.toLowerCase()));

/**
 * The lines of a strategy on a chart of `symbol`: `{name, index, price, points}`.
 * `published`: what the host gives; `symbols`: all of the strategy's. One that names
 * another symbol than the chart's is left out.
 */
export function linesOf(published, candles, interval, symbol, symbols) {
  const times = candles.map(([time]) => time);
  const others = symbols.filter((other) => other !== symbol);
  return (published?.series ?? []).slice(0, PLOTS_MOST)
    .map(({ name, values }, index) => ({ name, index, values }))
    .filter(({ name }) => speaksOf(name, [symbol]) || !speaksOf(name, others))
    .map(({ name, index, values }) => {
      const points = atCandles(published.ms ?? [], values, times, interval);
      return { name, index, points, price: isPrice(points, candles) };
    })
    .filter(({ points }) => points.length > 0);
}
