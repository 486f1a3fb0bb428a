// Write a Sandpaper strategy in JavaScript: `export const { … } = guest({ … })`,
// see sma-cross.js. The host calls with batches of events as 64-bit words; this
// module turns them into objects and keeps the account.
//
// There are no files, sockets or clocks, and timers throw: the time is the
// event's. Use `ctx.seed` for randomness.

import { submit, cancel } from 'sandpaper:strategy/trading@0.1.0';
import { log, indicator } from 'sandpaper:strategy/report@0.1.0';

const TRADE = 1, BOOK = 2, CANDLE = 3, TIMER = 4, STATUS = 5;

/** What a strategy reads and asks during a call. */
export class Context {
  #positions;
  #warmUp = false;
  #sent = false;

  constructor(info) {
    this.seed = info.seed;
    this.tsNs = info.tsNs;
    this.instruments = info.instruments;
    this.cash = info.account.cash;
    this.equity = info.account.equity;
    this.parameters = Object.fromEntries(info.parameters.map(([name, value]) => [
      name, value.tag === 'integer' ? Number(value.val) : value.val,
    ]));
    this.#positions = info.instruments.map(() => 0);
    for (const held of info.account.positions) this.#positions[held.symbol] = held.quantity;
  }

  /** Base units held; negative when short. */
  position(symbol) { return this.#positions[symbol]; }

  buy(symbol, order) { return this.order('buy', symbol, order); }
  sell(symbol, order) { return this.order('sell', symbol, order); }
  short(symbol, order) { return this.order('short', symbol, order); }
  cover(symbol, order) { return this.order('cover', symbol, order); }

  /**
   * Sends an order and returns its number, or undefined when it was refused at
   * once. The size is `base` units, an amount of `quote`, or, with neither, all.
   */
  order(action, symbol, { base, quote, kind, stopLoss, takeProfit, reason = '' } = {}) {
    if (this.#warmUp) return undefined;
    this.#sent = true;
    const size = base !== undefined ? { tag: 'base', val: base }
      : quote !== undefined ? { tag: 'quote', val: quote } : { tag: 'all' };
    try {
      return submit({
        action, symbol, size,
        kind: kind ?? { tag: 'market' },
        timeInForce: 'gtc', postOnly: false, reduceOnly: false,
        stopLoss, takeProfit, reason, metadata: [],
      });
    } catch {
      return undefined;
    }
  }

  /** Asks to cancel a resting order. */
  cancel(order) { this.#sent = true; return cancel(order); }

  /** Writes a line to the strategy's log. */
  log(message, level = 'info') { log(level, message); }

  /** Shows a number by name. */
  indicator(name, value) { indicator(name, value); }

  /** Gives a strategy its events up to one on which it sent an order. */
  batch(words, strategy) {
    const floats = new Float64Array(words.buffer, words.byteOffset, words.length);
    this.#sent = false;
    let at = 0, consumed = 0;
    while (at < words.length && !this.#sent) {
      at = this.#event(words, floats, at, strategy);
      consumed += 1;
    }
    return consumed;
  }

  // The layout stands in the contract's own documentation.
  #event(words, floats, at, strategy) {
    const header = words[at];
    const bits = (shift, width) => Number((header >> BigInt(shift)) & ((1n << BigInt(width)) - 1n));
    const kind = bits(0, 8), flags = bits(8, 8), symbol = bits(16, 16);
    const tsNs = words[at + 1];
    this.tsNs = tsNs;
    this.#warmUp = false;
    switch (kind) {
      case TRADE:
        strategy.onTrade?.(this, {
          symbol, tsNs, price: floats[at + 2], quantity: floats[at + 3],
          takerSold: (flags & 1) !== 0, id: words[at + 4],
        });
        return at + 5;
      case CANDLE: {
        this.#warmUp = (flags & 1) !== 0;
        const [open, high, low, close, volume, vwap] = floats.subarray(at + 4, at + 10);
        strategy.onCandle?.(this, {
          symbol, tsNs, intervalS: Number(words[at + 2]), openTsNs: words[at + 3],
          open, high, low, close, volume, vwap,
          warmUp: this.#warmUp, empty: (flags & 2) !== 0, partial: (flags & 4) !== 0,
        });
        return at + 10;
      }
      case TIMER:
        strategy.onTimer?.(this, bits(32, 32));
        return at + 2;
      case STATUS:
        strategy.onStatus?.(this, { symbol, tsNs, status: flags });
        return at + 2;
      case BOOK:
        return at + 2 + 2 * (bits(32, 16) + bits(48, 16));
      default:
        throw new Error(`unknown event kind ${kind}`);
    }
  }

  /** Takes where the account stands after an order's news. */
  settle(update) {
    this.cash = update.cash;
    this.equity = update.equity;
    this.#positions[update.symbol] = update.position;
    if (update.tsNs > this.tsNs) this.tsNs = update.tsNs;
  }
}

/**
 * The functions of the contract around a strategy: `description`, `create(ctx)`,
 * which gives an object with the `on…` methods that it cares about, and, so that a
 * restart or a newer version goes on from there, `state()` and `resume(state)`, as JSON
 * values: all that its decisions depend on. Without both it does not save, and after a
 * restart the host tells it everything again.
 */
export function guest({ description, create }) {
  let ctx, strategy;
  return {
    describe: () => descriptor(description),
    start(info) {
      ctx = new Context(info);
      strategy = create(ctx);
    },
    handle: (words) => said(() => ctx.batch(words, strategy)),
    onOrder: (update) => said(() => {
      ctx.settle(update);
      strategy.onOrder?.(ctx, update);
    }),
    stop() {},
    save() {
      // A text that is thrown is the contract's refusal; an error would be a trap.
      if (!strategy.state || !strategy.resume) throw 'it has no `state` and `resume`';
      try {
        return toBytes(JSON.stringify(strategy.state()));
      } catch (error) {
        throw String(error);
      }
    },
    load: (state) => strategy.resume?.(JSON.parse(toText(state))),
  };
}

/** Makes a call and says in the log what it threw: a trap alone tells nothing. */
function said(call) {
  try {
    return call();
  } catch (error) {
    log('error', String(error));
    throw error;
  }
}

function descriptor({ name, version = '0.1.0', symbols = [], trades, candles = [], timers = [], status, parameters = [] }) {
  const channels = [
    ...(trades ? [{ tag: 'trades' }] : []),
    ...candles.map((val) => ({ tag: 'candles', val })),
    ...timers.map((val) => ({ tag: 'timer', val })),
    ...(status ? [{ tag: 'status' }] : []),
  ];
  return {
    name, version, symbols,
    subscriptions: channels.map((channel) => ({ symbol: undefined, channel })),
    parameters: parameters.map(({ name, value, minimum, maximum, description = '' }) => ({
      name, description, minimum, maximum, default: typed(value),
    })),
  };
}

function typed(value) {
  if (typeof value === 'boolean') return { tag: 'flag', val: value };
  if (typeof value === 'bigint') return { tag: 'integer', val: value };
  if (typeof value === 'number') return { tag: 'number', val: value };
  return { tag: 'text', val: String(value) };
}

// JSON text as bytes: only ASCII, the rest escaped, so that no encoder is needed.
function toBytes(json) {
  const escape = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return Uint8Array.from(json.replace(/[^\x00-\x7f]/g, escape), (c) => c.charCodeAt(0));
}

function toText(bytes) {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}
