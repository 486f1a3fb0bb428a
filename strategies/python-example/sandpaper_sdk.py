"""Write a Sandpaper strategy in Python.

Subclass `Strategy`, then bind it to the contract at the end of the module:

    class WitWorld(guest(MyStrategy)):
        pass

The host calls it with batches of events as 64-bit words; this module turns them
into `Trade`, `Candle` and `Status` objects and keeps the account. Numbers are
floats here; the host turns prices and sizes into exact decimals.

There are no files, sockets, threads or clocks: the time is the event's, and what
`random` gives was fixed when the module was built. Use `Context.seed`.
"""

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar

from componentize_py_types import Err
from wit_world import WitWorld as _World
from wit_world.imports import report, trading, types
from wit_world.imports.types import Action, LogLevel, OrderKind_Market, TimeInForce

VERSION = "0.1.0"

_TRADE, _BOOK, _CANDLE, _TIMER, _STATUS = 1, 2, 3, 4, 5
# What a word's flags say, by the kind of its event.
_TAKER_SOLD = _WARM_UP = 1
_EMPTY = 2
_PARTIAL = 4


@dataclass(frozen=True)
class Trade:
    """A public print."""

    symbol: int
    ts_ns: int
    price: float
    quantity: float
    taker_sold: bool
    id: int


@dataclass(frozen=True)
class Candle:
    """A closed candle. `warm_up`: from before the start or of an outage; orders are
    refused. `partial`: trades may be missing from it."""

    symbol: int
    ts_ns: int
    interval_s: int
    open_ts_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    warm_up: bool
    empty: bool
    partial: bool


@dataclass(frozen=True)
class Status:
    """A symbol's status: 0 trading, 1 stale data, 2 paused, 3 cancel-only,
    4 post-only, 5 limit-only, 6 reduce-only."""

    symbol: int
    ts_ns: int
    status: int


@dataclass
class Parameter:
    """A number that the operator may set, with its default and range."""

    name: str
    default: Any
    minimum: float
    maximum: float
    description: str = ""


@dataclass
class Description:
    """What a strategy is and what it wants to be called for."""

    name: str
    version: str = VERSION
    symbols: List[str] = field(default_factory=list)
    trades: bool = False
    candles_s: List[int] = field(default_factory=list)
    timers_ms: List[int] = field(default_factory=list)
    status: bool = False
    parameters: List[Parameter] = field(default_factory=list)


class Context:
    """What a strategy reads and asks during a call."""

    def __init__(self, info: types.StartInfo):
        self.seed = info.seed
        self.ts_ns = info.ts_ns
        self.instruments = info.instruments
        self.cash = info.account.cash
        self.equity = info.account.equity
        self._parameters = {name: value.value for name, value in info.parameters}
        self._positions = [0.0] * len(info.instruments)
        for position in info.account.positions:
            self._positions[position.symbol] = position.quantity
        self._warm_up = False
        self._sent = False

    def param(self, name: str) -> Any:
        """A declared parameter's value for this run."""
        return self._parameters[name]

    def position(self, symbol: int) -> float:
        """Base units held; negative when short."""
        return self._positions[symbol]

    def buy(self, symbol: int, **order: Any) -> Optional[int]:
        """Opens or adds to a long; see `order`."""
        return self.order(Action.BUY, symbol, **order)

    def sell(self, symbol: int, **order: Any) -> Optional[int]:
        """Reduces a long; see `order`."""
        return self.order(Action.SELL, symbol, **order)

    def short(self, symbol: int, **order: Any) -> Optional[int]:
        """Opens or adds to a short; see `order`."""
        return self.order(Action.SHORT, symbol, **order)

    def cover(self, symbol: int, **order: Any) -> Optional[int]:
        """Reduces a short; see `order`."""
        return self.order(Action.COVER, symbol, **order)

    def order(
        self,
        action: Action,
        symbol: int,
        *,
        base: Optional[float] = None,
        quote: Optional[float] = None,
        kind: Any = None,
        stop_loss: Optional[float] = None,
        take_profit: Optional[float] = None,
        reason: str = "",
    ) -> Optional[int]:
        """Sends an order and returns its number, or None when it was refused at
        once. The size is `base` units, an amount of `quote`, or, with neither,
        all. `kind` is one of `wit_world.imports.types.OrderKind_*`."""
        if self._warm_up:
            return None
        if base is not None:
            size: Any = types.Size_Base(base)
        elif quote is not None:
            size = types.Size_Quote(quote)
        else:
            size = types.Size_All()
        self._sent = True
        order = types.Order(
            action=action,
            symbol=symbol,
            size=size,
            kind=kind or OrderKind_Market(),
            time_in_force=TimeInForce.GTC,
            post_only=False,
            reduce_only=False,
            stop_loss=stop_loss,
            take_profit=take_profit,
            reason=reason,
            metadata=[],
            good_till_ns=None,
        )
        try:
            return trading.submit(order)
        except Err:
            return None

    def cancel(self, order: int) -> bool:
        """Asks to cancel a resting order."""
        self._sent = True
        return trading.cancel(order)

    def log(self, message: str, level: LogLevel = LogLevel.INFO) -> None:
        """Writes a line to the strategy's log."""
        report.log(level, message)

    def indicator(self, name: str, value: float) -> None:
        """Shows a number by name."""
        report.indicator(name, value)


class Strategy:
    """A strategy: override what it cares about."""

    @staticmethod
    def describe() -> Description:
        raise NotImplementedError

    def __init__(self, ctx: Context):
        pass

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        pass

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        pass

    def on_timer(self, ctx: Context, interval_ms: int) -> None:
        pass

    def on_status(self, ctx: Context, status: Status) -> None:
        pass

    def on_order(self, ctx: Context, update: types.OrderUpdate) -> None:
        pass

    def state(self) -> Dict[str, Any]:
        """What a restart or a newer version is to know, as JSON values: all that its
        decisions depend on. To be written together with `resume`; a strategy without
        both does not save, and after a restart the host tells it everything again."""
        return {}

    def resume(self, state: Dict[str, Any]) -> None:
        """Takes back what `state` gave."""


class _Held:
    """A started strategy with what it reads."""

    ctx: Optional[Context] = None
    strategy: Optional[Strategy] = None

    def running(self) -> Tuple[Context, Strategy]:
        if self.ctx is None or self.strategy is None:
            raise RuntimeError("the strategy has not been started")
        return self.ctx, self.strategy

    def handle(self, words: List[int]) -> int:
        ctx, strategy = self.running()
        ctx._sent = False
        at = consumed = 0
        while at < len(words) and not ctx._sent:
            at = _event(words, at, ctx, strategy)
            consumed += 1
        return consumed

    def on_order(self, update: types.OrderUpdate) -> None:
        ctx, strategy = self.running()
        ctx.cash, ctx.equity = update.cash, update.equity
        ctx._positions[update.symbol] = update.position
        ctx.ts_ns = max(ctx.ts_ns, update.ts_ns)
        strategy.on_order(ctx, update)


def guest(strategy: Type[Strategy]) -> type:
    """The class that the contract wants, around a strategy."""

    # Here and not in the object: the runtime makes a new object for each call.
    held: _Held = _Held()

    class Guest(_World):
        def describe(self) -> types.Descriptor:
            return _descriptor(strategy.describe())

        def start(self, info: types.StartInfo) -> None:
            try:
                held.ctx = Context(info)
                held.strategy = strategy(held.ctx)
            except Exception as error:
                raise Err(f"{type(error).__name__}: {error}")

        def handle(self, words: List[int]) -> int:
            return _said(lambda: held.handle(words))

        def on_order(self, update: types.OrderUpdate) -> None:
            _said(lambda: held.on_order(update))

        def stop(self) -> None:
            pass

        def save(self) -> bytes:
            if strategy.state is Strategy.state or strategy.resume is Strategy.resume:
                raise Err("it has no `state` and `resume` of its own")
            try:
                return json.dumps(held.running()[1].state(), sort_keys=True).encode()
            except Exception as error:
                raise Err(f"{type(error).__name__}: {error}")

        def load(self, state: bytes, from_version: str) -> None:
            try:
                held.running()[1].resume(json.loads(state))
            except Exception as error:
                raise Err(f"{type(error).__name__}: {error}")

    return Guest


_T = TypeVar("_T")


def _said(call: Callable[[], _T]) -> _T:
    """Makes a call and says in the log what it raised: what Python itself would
    print goes nowhere here, and the trap that follows tells nothing."""
    try:
        return call()
    except Exception as error:
        report.log(LogLevel.ERROR, f"{type(error).__name__}: {error}")
        raise


def _descriptor(description: Description) -> types.Descriptor:
    channels: List[Any] = []
    if description.trades:
        channels.append(types.Channel_Trades())
    channels += [types.Channel_Candles(interval) for interval in description.candles_s]
    channels += [types.Channel_Timer(interval) for interval in description.timers_ms]
    if description.status:
        channels.append(types.Channel_Status())
    return types.Descriptor(
        name=description.name,
        version=description.version,
        symbols=description.symbols,
        subscriptions=[types.Subscription(symbol=None, channel=c) for c in channels],
        parameters=[
            types.Parameter(
                name=p.name,
                description=p.description,
                default=_value(p.default),
                minimum=float(p.minimum),
                maximum=float(p.maximum),
            )
            for p in description.parameters
        ],
    )


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return types.Value_Flag(value)
    if isinstance(value, int):
        return types.Value_Integer(value)
    if isinstance(value, float):
        return types.Value_Number(value)
    return types.Value_Text(str(value))


def _floats(words: List[int]) -> List[float]:
    """The floats whose bits these words are."""
    count = len(words)
    return list(struct.unpack(f"<{count}d", struct.pack(f"<{count}Q", *words)))


def _event(words: List[int], at: int, ctx: Context, strategy: Strategy) -> int:
    """Tells a strategy the event at `at` and returns where the next one begins.
    The layout stands in the contract's own documentation."""
    header, ts_ns = words[at], words[at + 1]
    kind, flags, symbol = header & 0xFF, header >> 8 & 0xFF, header >> 16 & 0xFFFF
    ctx.ts_ns = ts_ns
    ctx._warm_up = False
    if kind == _TRADE:
        price, quantity = _floats(words[at + 2 : at + 4])
        sold = bool(flags & _TAKER_SOLD)
        strategy.on_trade(ctx, Trade(symbol, ts_ns, price, quantity, sold, words[at + 4]))
        return at + 5
    if kind == _CANDLE:
        ctx._warm_up = bool(flags & _WARM_UP)
        numbers = _floats(words[at + 4 : at + 10])
        candle = Candle(
            symbol, ts_ns, words[at + 2], words[at + 3], *numbers,
            ctx._warm_up, bool(flags & _EMPTY), bool(flags & _PARTIAL),
        )
        strategy.on_candle(ctx, candle)
        return at + 10
    if kind == _TIMER:
        strategy.on_timer(ctx, header >> 32)
        return at + 2
    if kind == _STATUS:
        strategy.on_status(ctx, Status(symbol, ts_ns, flags))
        return at + 2
    if kind == _BOOK:
        return at + 2 + 2 * ((header >> 32 & 0xFFFF) + (header >> 48))
    raise ValueError(f"unknown event kind {kind}")
