"""Buys when the fast average rises above the slow one, sells when it falls below.

The same strategy as `strategy-sdk/templates/sma-cross.rs`: over the same market
both make the same decisions.
"""

from math import fsum
from typing import List, Optional

from sandpaper_sdk import Candle, Context, Description, Parameter, Strategy, guest


class Sma:
    """Simple moving average; its first value comes with input `period`."""

    def __init__(self, period: int):
        self.period = period
        self.window: List[float] = []

    def update(self, value: float) -> Optional[float]:
        self.window.append(value)
        if len(self.window) > self.period:
            self.window.pop(0)
        return fsum(self.window) / self.period if len(self.window) == self.period else None


class SmaCross(Strategy):
    @staticmethod
    def describe() -> Description:
        return Description(
            name="sma-cross",
            symbols=["BTC/USD"],
            candles_s=[60],
            parameters=[
                Parameter("fast", 10, 1, 200, "candles in the fast average"),
                Parameter("slow", 30, 2, 500, "candles in the slow average"),
            ],
        )

    def __init__(self, ctx: Context):
        fast, slow = ctx.param("fast"), ctx.param("slow")
        self.averages = [(Sma(fast), Sma(slow)) for _ in ctx.instruments]

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        symbol = candle.symbol
        fast, slow = (average.update(candle.close) for average in self.averages[symbol])
        if fast is None or slow is None:
            return
        if fast > slow and ctx.position(symbol) == 0:
            ctx.buy(symbol, quote=20.0, reason="crossed above")
        elif fast < slow and ctx.position(symbol) > 0:
            ctx.sell(symbol, reason="crossed below")

    def state(self) -> dict:
        return {"windows": [[a.window for a in pair] for pair in self.averages]}

    def resume(self, state: dict) -> None:
        for pair, windows in zip(self.averages, state["windows"]):
            for average, window in zip(pair, windows):
                average.window = list(window)[-average.period :]


class WitWorld(guest(SmaCross)):
    pass
