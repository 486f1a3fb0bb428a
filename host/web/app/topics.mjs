// What arrives over the socket, put in order. Pure.

/** Follows one topic's sequence numbers: a snapshot sets it, an update raises it by one. */
export class Sequence {
  constructor() {
    /** @type {number|null} */
    this.at = null;
  }

  /**
   * What to do with a message: "apply" it, "ignore" it (it is old, or no snapshot
   * came yet), or "gap": something was missed and the topic must be asked for anew.
   */
  take({ t, seq }) {
    if (t === 'snap') {
      this.at = seq;
      return 'apply';
    }
    if (this.at === null || seq <= this.at) return 'ignore';
    if (seq !== this.at + 1) {
      this.at = null;
      return 'gap';
    }
    this.at = seq;
    return 'apply';
  }

  /** The server starts the topic anew. */
  reset() {
    this.at = null;
  }
}

/** The list in a message: the message itself, or what it holds under `key`. */
export function listOf(data, key) {
  if (Array.isArray(data)) return data;
  return Array.isArray(data?.[key]) ? data[key] : [];
}

/**
 * Adds new items that carry `seq` (or another rising `key`) to a list, oldest
 * first, without repeating one, and keeps the newest `most`.
 */
export function append(list, added, most, key = 'seq') {
  const last = list.length > 0 ? Number(list[list.length - 1][key]) : -Infinity;
  const fresh = added.filter((item) => Number(item[key]) > last);
  if (fresh.length === 0) return list;
  const all = list.concat(fresh);
  return all.length > most ? all.slice(all.length - most) : all;
}

/** Adds points `[time, …]` to a curve; a point of the last time replaces it. */
export function appendPoints(points, added, most) {
  const all = points.slice();
  for (const point of added) {
    while (all.length > 0 && all[all.length - 1][0] >= point[0]) all.pop();
    all.push(point);
  }
  return all.length > most ? all.slice(all.length - most) : all;
}

/** Candles `[time_s, open, high, low, close, volume]` as longer ones. */
export function gather(candles, interval) {
  const out = [];
  for (const [time, open, high, low, close, volume] of candles) {
    const start = Math.floor(time / interval) * interval;
    const last = out.at(-1);
    if (last?.[0] === start) {
      out[out.length - 1] = [start, last[1], Math.max(last[2], high), Math.min(last[3], low), close, last[5] + volume];
    } else {
      out.push([start, open, high, low, close, volume]);
    }
  }
  return out;
}

/** How long to wait before attempt `n` (from 0), in ms: 0.5 to 15 s, with jitter. */
export function backOff(attempt, random = Math.random) {
  const full = Math.min(15_000, 500 * 2 ** Math.min(attempt, 10));
  return full * (0.75 + 0.25 * random());
}
