// Curves on common places in time. The chart's library spaces points by their number, not
// by their time: curves of different resolution side by side would stretch wherever one
// of them has more points than the others.

/** Places that a chart has at most. */
const PLACES_MOST = 2000;

/** Seconds between two places: a power of two, so that a run that goes on seldom changes it. */
const stepOf = (first, last) => 2 ** Math.max(0, Math.ceil(Math.log2((last - first + 1) / PLACES_MOST)));

/** What a curve is at each place: its last value, and its deepest drawdown since the place before. */
function held(points, times, step) {
  const out = [];
  let [next, equity, drawdown] = [0, null, null];
  for (const time of times) {
    let deepest = null;
    for (; next < points.length && points[next][0] < (time + step) * 1000; next += 1) {
      const [, value, fall] = points[next];
      if (value !== null && Number.isFinite(value)) equity = value;
      drawdown = fall === null || !Number.isFinite(fall) ? null : Math.abs(fall);
      if (drawdown !== null) deepest = Math.max(deepest ?? 0, drawdown);
    }
    if (equity !== null) out.push({ time, equity, drawdown: deepest ?? drawdown });
    if (next === points.length) break;
  }
  return out;
}

/**
 * Curves `[[ms, equity, drawdown %]]` on one grid. `times`: all places in seconds, `step`
 * apart, from the first begin to the last end; `rows`: of each curve `{time, equity,
 * drawdown}` from where it begins to where it ends, without a hole.
 */
export function onGrid(curves) {
  const ends = curves.flatMap((points) => (points.length > 0 ? [points[0][0], points.at(-1)[0]] : [])).map((ms) => Math.floor(ms / 1000));
  if (ends.length === 0) return { step: 1, times: [], rows: curves.map(() => []) };
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  const step = stepOf(first, last);
  const times = [];
  for (let time = Math.floor(first / step) * step; time <= last; time += step) times.push(time);
  return { step, times, rows: curves.map((points) => held(points, times, step)) };
}
