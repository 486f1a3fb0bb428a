import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atCandles, isPrice, linesOf } from '../../host/web/app/plots.mjs';

const candle = (time, low, high) => [time, low, high, low, high, 1];

test('a candle has the newest value at its end, which holds until there is another', () => {
  const at = (ms, values) => atCandles(ms, values, [60, 120, 180, 240], 60);
  assert.deepEqual(at([70_000, 130_000, 179_999, 240_000], [null, 1, 2, 3]), [
    { time: 120, value: 2 }, { time: 180, value: 2 }, { time: 240, value: 3 },
  ]);
  assert.deepEqual(at([], []), []);
  assert.deepEqual(at([300_000], [1]), [], 'what comes after the candles is not there yet');
});

test('a line near the candles is one of prices, anything else is not', () => {
  const candles = [candle(60, 100, 101), candle(120, 101, 103)];
  const line = (value) => [{ time: 60, value }, { time: 120, value }];
  assert.ok(isPrice(line(101.5), candles));
  assert.ok(isPrice(line(97), candles), 'a slow average lags behind');
  for (const value of [0.3, 50, 300]) assert.ok(!isPrice(line(value), candles), String(value));
  assert.ok(isPrice([{ time: 120, value: 98 }], candles), 'one that has just begun is held against all of them');
  assert.ok(!isPrice([], candles));
});

test('what names another symbol is not drawn on this one', () => {
  const published = { ms: [60_000], series: [{ name: 'fast BTC/USD', values: [100] }, { name: 'fast ETH/USD', values: [100] }, { name: 'rsi', values: [40] }, { name: 'never', values: [null] }] };
  const lines = linesOf(published, [candle(60, 99, 101)], 60, 'BTC/USD', ['BTC/USD', 'ETH/USD']);
  assert.deepEqual(lines.map(({ name, index, price }) => [name, index, price]), [['fast BTC/USD', 0, true], ['rsi', 2, false]]);
  assert.deepEqual(linesOf(null, [], 60, 'BTC/USD', []), []);
});
