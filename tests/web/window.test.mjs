import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commonStart, since, within } from '../../host/web/app/window.mjs';

const HOUR = 3_600_000;
const curve = [[0, 100], [HOUR, 200], [1.5 * HOUR, 150], [2 * HOUR, 180]];

test('a window begins with the newest point before it', () => {
  assert.deepEqual(since(curve, 0), { return_pct: 80, pnl: 80, max_drawdown_pct: 25 });
  const late = since(curve, 1.2 * HOUR);
  assert.deepEqual([Math.round(late.return_pct), late.pnl, late.max_drawdown_pct], [-10, -20, 25]);
  assert.deepEqual(since(curve, 9 * HOUR), { return_pct: 0, pnl: 0, max_drawdown_pct: 0 });
  assert.equal(since([], 0), null);
  assert.equal(since([[0, 0], [1, 5]], 0), null, 'nothing to be a part of');
});

test('who joined later is compared over the common time', () => {
  const late = [[1.4 * HOUR, 100], [2 * HOUR, 110]];
  assert.equal(commonStart([curve, late, []], HOUR, 2 * HOUR), 1.4 * HOUR);
  const rows = [{ name: 'early' }, { name: 'late' }, { name: 'none' }];
  const found = within(rows, { early: curve, late }, HOUR, 2 * HOUR);
  assert.deepEqual(found.map(({ return_pct: it }) => (it === null ? null : Math.round(it))), [-10, 10, null]);
});
