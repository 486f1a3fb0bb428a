import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byHour, byMonth, byWeekday, figures, histogram } from '../../host/web/app/stats.mjs';

const trade = (pnl, pct, exit_ms = 0) => ({ pnl: String(pnl), pnl_pct: pct, fees: '0.1', duration_s: 60, exit_ms });

test('figures of trades, and nothing where there is nothing', () => {
  const all = figures([trade(3, 3), trade(-1, -1), trade(1, 1)]);
  assert.deepEqual([all.trades, all.wins, all.losses, all.net, all.best, all.worst, all.profit_factor], [3, 2, 1, 3, 3, -1, 4]);
  assert.equal(figures([trade(1, 1)]).profit_factor, null, 'no loss to divide by');
  assert.equal(figures([]).mean, null);
});

test('no bar of the histogram mixes gains and losses, and none is lost', () => {
  const bars = histogram([trade(1, 2), trade(1, 0.01), trade(1, -0.01), trade(1, -1.9), trade(1, null)], 4);
  assert.equal(bars.reduce((all, bar) => all + bar.trades, 0), 4);
  for (const { from, to } of bars) assert.ok(from >= 0 || to <= 0, `${from} to ${to}`);
  assert.deepEqual(histogram([]), []);
  assert.equal(histogram([trade(0, 0)]).length, 1);
});

test('hours and days are those of UTC', () => {
  // 2024-11-25 was a Monday.
  const monday = Date.UTC(2024, 10, 25, 13, 5);
  assert.deepEqual(byHour([trade(2, 1, monday)])[13], { hour: 13, trades: 1, net: 2 });
  assert.deepEqual(byWeekday([trade(2, 1, monday)])[0], { day: 'Mon', trades: 1, net: 2 });
});

test('a month begins with what the one before ended with, and a year with its first month', () => {
  const at = (year, month, day) => Date.UTC(year, month, day);
  const years = byMonth([[at(2024, 10, 3), 100], [at(2024, 10, 20), 110], [at(2024, 11, 2), 99], [at(2025, 0, 5), 198]]);
  assert.deepEqual(years.map(({ year }) => year), [2024, 2025]);
  const rounded = ({ months, whole }) => [...months, whole].map((value) => (value === null ? null : Math.round(value)));
  assert.deepEqual(rounded(years[0]), [...Array(10).fill(null), 10, -10, -1]);
  assert.deepEqual(rounded(years[1]), [100, ...Array(11).fill(null), 100]);
  assert.deepEqual(byMonth([]), []);
  assert.deepEqual(byMonth([[at(2024, 0, 1), 0], [at(2024, 0, 2), 5]])[0].months[0], null, 'nothing to divide by');
});
