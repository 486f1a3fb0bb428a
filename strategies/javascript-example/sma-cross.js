// Buys when the fast average rises above the slow one, sells when it falls below.
//
// The same strategy as `strategy-sdk/templates/sma-cross.rs`: over the same market
// both make the same decisions.

import { guest } from './sandpaper-sdk.js';

/** Simple moving average; its first value comes with input `period`. */
class Sma {
  constructor(period) {
    this.period = period;
    this.window = [];
  }

  update(value) {
    this.window.push(value);
    if (this.window.length > this.period) this.window.shift();
    if (this.window.length < this.period) return undefined;
    return this.window.reduce((sum, x) => sum + x, 0) / this.period;
  }
}

class SmaCross {
  constructor(ctx) {
    const { fast, slow } = ctx.parameters;
    this.averages = ctx.instruments.map(() => [new Sma(fast), new Sma(slow)]);
  }

  onCandle(ctx, { symbol, close }) {
    const [fast, slow] = this.averages[symbol].map((average) => average.update(close));
    if (fast === undefined || slow === undefined) return;
    if (fast > slow && ctx.position(symbol) === 0) {
      ctx.buy(symbol, { quote: 20, reason: 'crossed above' });
    } else if (fast < slow && ctx.position(symbol) > 0) {
      ctx.sell(symbol, { reason: 'crossed below' });
    }
  }

  state() {
    return { windows: this.averages.map((pair) => pair.map((average) => average.window)) };
  }

  resume({ windows }) {
    windows.forEach((pair, symbol) => pair.forEach((window, which) => {
      const average = this.averages[symbol]?.[which];
      if (average) average.window = window.slice(-average.period);
    }));
  }
}

export const { describe, start, handle, onOrder, stop, save, load } = guest({
  description: {
    name: 'sma-cross',
    symbols: ['BTC/USD'],
    candles: [60],
    parameters: [
      { name: 'fast', value: 10n, minimum: 1, maximum: 200, description: 'candles in the fast average' },
      { name: 'slow', value: 30n, minimum: 2, maximum: 500, description: 'candles in the slow average' },
    ],
  },
  create: (ctx) => new SmaCross(ctx),
});
