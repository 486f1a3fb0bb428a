// What closed trades say, by side and by hour. Pure.

import { number } from './format.mjs';

const MS_OF_HOUR = 3_600_000;

/** Figures of some trades; null where there is nothing to divide by. */
export function figures(trades) {
  const nets = trades.map(({ pnl }) => number(pnl) ?? 0);
  const wins = nets.filter((net) => net > 0);
  const losses = nets.filter((net) => net < 0);
  const sum = (list) => list.reduce((all, one) => all + one, 0);
  const mean = (list) => (list.length > 0 ? sum(list) / list.length : null);
  return {
    trades: nets.length, wins: wins.length, losses: losses.length,
    win_rate_pct: nets.length > 0 ? (100 * wins.length) / nets.length : null,
    net: nets.length > 0 ? sum(nets) : null, mean: mean(nets), mean_win: mean(wins), mean_loss: mean(losses),
    best: nets.length > 0 ? Math.max(...nets) : null, worst: nets.length > 0 ? Math.min(...nets) : null,
    profit_factor: losses.length > 0 ? sum(wins) / -sum(losses) : null,
    fees: nets.length > 0 ? sum(trades.map(({ fees }) => number(fees) ?? 0)) : null,
    held_s: mean(trades.map(({ duration_s: held }) => number(held) ?? 0)),
  };
}

/** How often a return was in each of `count` equal ranges: `{from, to, trades}`, in percent. */
export function histogram(trades, count = 15) {
  const values = trades.map(({ pnl_pct: pct }) => number(pct)).filter((pct) => pct !== null);
  if (values.length === 0) return [];
  // Zero is an edge, so that no bar mixes gains and losses.
  const most = Math.max(...values.map(Math.abs)) || 1;
  const each = most / Math.ceil(count / 2);
  const bars = new Map();
  for (const value of values) {
    const at = Math.min(Math.ceil(count / 2) - 1, Math.max(-Math.ceil(count / 2), Math.floor(value / each)));
    bars.set(at, (bars.get(at) ?? 0) + 1);
  }
  const [low, high] = [Math.min(...bars.keys()), Math.max(...bars.keys())];
  return Array.from({ length: high - low + 1 }, (_, index) => ({ from: (low + index) * each, to: (low + index + 1) * each, trades: bars.get(low + index) ?? 0 }));
}

/** What was gained by the hour of the day (UTC) of the exit: 24 sums with their trades. */
export function byHour(trades) {
  const hours = Array.from({ length: 24 }, (_, hour) => ({ hour, trades: 0, net: 0 }));
  for (const { exit_ms: ms, pnl } of trades) {
    const slot = hours[Math.floor(ms / MS_OF_HOUR) % 24];
    if (!slot) continue;
    slot.trades += 1;
    slot.net += number(pnl) ?? 0;
  }
  return hours;
}

/** What was gained by day of the week (UTC) of the exit, Monday first. */
export function byWeekday(trades) {
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].map((day) => ({ day, trades: 0, net: 0 }));
  for (const { exit_ms: ms, pnl } of trades) {
    const slot = days[(Math.floor(ms / (24 * MS_OF_HOUR)) + 3) % 7];
    if (!slot) continue;
    slot.trades += 1;
    slot.net += number(pnl) ?? 0;
  }
  return days;
}

/**
 * What an equity curve `[[ms, equity], …]` gained in each month (UTC), in percent of
 * what it was at the month's start: `[{year, months: [12], whole}]`, null where there
 * is no curve or nothing to divide by.
 */
export function byMonth(points) {
  const years = new Map();
  let [start, month] = [points[0]?.[1], null];
  let last = start;
  for (const [ms, equity] of points) {
    const at = new Date(ms);
    const key = at.getUTCFullYear() * 12 + at.getUTCMonth();
    if (month !== null && key !== month) start = last;
    const year = years.get(at.getUTCFullYear()) ?? { year: at.getUTCFullYear(), months: Array(12).fill(null), whole: null, start: last };
    years.set(year.year, year);
    const gain = (from) => (from > 0 ? 100 * (equity / from - 1) : null);
    year.months[at.getUTCMonth()] = gain(start);
    year.whole = gain(year.start);
    [last, month] = [equity, key];
  }
  return [...years.values()].map(({ year, months, whole }) => ({ year, months, whole }));
}
