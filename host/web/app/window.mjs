// How strategies did over a part of the run, from their curves. Pure.

/** Lengths to rank by, in ms; none is the whole run. */
export const WINDOWS = [['run', 'Run', null], ['1h', '1 h', 3_600_000], ['24h', '24 h', 86_400_000], ['7d', '7 d', 604_800_000]];

/**
 * The first moment of a window that ends at `now`: no curve may begin after it, so that
 * one that joined later is compared over the time that all of them have.
 */
export function commonStart(curves, length, now) {
  const begins = curves.filter((points) => points.length > 0).map((points) => points[0][0]);
  return Math.max(now - length, ...begins);
}

/**
 * What a curve `[ms, equity, …]` did from a moment on: return and largest fall in percent,
 * and gain; null where it has no point by then.
 */
export function since(points, from) {
  let [base, peak, fall, last] = [null, null, 0, null];
  for (const [ms, equity] of points) {
    if (ms <= from || base === null) {
      [base, peak, fall] = [equity, equity, 0];
    } else {
      peak = Math.max(peak, equity);
      if (peak > 0) fall = Math.max(fall, (100 * (peak - equity)) / peak);
    }
    last = equity;
  }
  if (base === null || base <= 0) return null;
  return { return_pct: 100 * (last / base - 1), pnl: last - base, max_drawdown_pct: fall };
}

/** Rows of the leaderboard with the figures of a window in the place of the run's. */
export function within(rows, curves, length, now) {
  const from = commonStart(rows.map(({ name }) => curves[name] ?? []), length, now);
  const unknown = { return_pct: null, pnl: null, max_drawdown_pct: null };
  return rows.map((row) => ({ ...row, ...(since(curves[row.name] ?? [], from) ?? unknown) }));
}
