"""The rules of the simulated venue and of the ledger, a second time.

Written from the rules alone (the numbered lists at the head of
`host/src/execution/`, `host/src/portfolio/` and `host/src/risk*`), in exact
fractions, without any of the host's code or number formats. It reads a stream of
market events and orders, and prints what must come of them: every acceptance,
refusal, fill, cancellation and charge, and, where the stream says `state`, cash,
positions, fees, charges, realized profit, equity and drawdown.

    oracle.py [--break RULE] < stream > outcome

`--break` changes one rule, so that a test can see that the comparison sees it.
"""

import sys
from fractions import Fraction as F

UNIT = 10**8
FOUR_HOURS = 4 * 3600 * 10**9
DAY = 86400 * 10**9
SPAN = 2 * 10**9
MINUTE = 60 * 10**9
MONTH = 30
CURRENCY = "USD"
ZERO = F(0)
BROKEN = sys.argv[2] if len(sys.argv) == 3 and sys.argv[1] == "--break" else None

TRADING, STALE, PAUSED, CANCEL_ONLY, POST_ONLY, LIMIT_ONLY, REDUCE_ONLY = range(7)
BUYS = {"buy": True, "cover": True, "sell": False, "short": False}
OPENS = {"buy": True, "short": True, "sell": False, "cover": False}


def floor_to(x, step):
    return x // step * step


def ceil_to(x, step):
    return -(-x // step) * step


def floor8(x):
    return F(x.numerator * UNIT // x.denominator, UNIT)


def ceil8(x):
    return F(-(-x.numerator * UNIT // x.denominator), UNIT)


def against(buys, x):
    """What is paid rounds up, what is received rounds down."""
    if BROKEN == "round-for-the-trader":
        buys = not buys
    return ceil8(x) if buys else floor8(x)


# Kraken's schedule: from which volume of thirty days, maker and taker.
TIERS = [
    (F(volume), F(maker) / 10000, F(taker) / 10000)
    for volume, maker, taker in (
        (0, 25, 40), (10_000, 20, 35), (50_000, 14, 24), (100_000, 12, 22), (500_000, 8, 18), (10_000_000, 0, 10)
    )
]


def show(x):
    return "-" if x is None else str(x)


# What comes of order, change and cancel on their way, by what is sent.
KINDS = {"order": 1, "amend": 2, "cancel": 3, "cancel-all": 4}
SENT = {"order": "new"}
IN_FLIGHT_MAX = 256

BLAKE3_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
BLAKE3_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_THEN_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)


def blake3_first(message):
    """The first eight bytes of the BLAKE3 hash of at most 64 bytes, as a number."""
    block = message.ljust(64, b"\0")
    m = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]
    # One chunk of one block: start, end and root at once.
    v = list(BLAKE3_IV) + list(BLAKE3_IV[:4]) + [0, 0, len(message), 1 | 2 | 8]
    for _ in range(7):
        for step, (a, b, c, d) in enumerate(COLUMNS_THEN_DIAGONALS):
            for word, (first, second) in ((m[2 * step], (16, 12)), (m[2 * step + 1], (8, 7))):
                v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
                x = v[d] ^ v[a]
                v[d] = (x >> first | x << (32 - first)) & 0xFFFFFFFF
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                x = v[b] ^ v[c]
                v[b] = (x >> second | x << (32 - second)) & 0xFFFFFFFF
        m = [m[i] for i in BLAKE3_ORDER]
    return v[0] ^ v[8] | (v[1] ^ v[9]) << 32


def latencies(words):
    """One, each of a range, or as they were recorded."""
    kind, *numbers = words.replace(",", ":").split(":")
    numbers = list(map(int, numbers))
    return range(numbers[0], numbers[1] + 1) if kind == "uniform" else numbers


class Refused(Exception):
    """An order that is refused, with its reason."""


class Symbol:
    def __init__(self, words):
        self.name = words[0]
        self.base, _, self.quote = words[0].partition("/")
        self.qty_unit = F(words[2])
        self.rule(words[1:2] + words[3:])
        self.bids, self.asks = {}, {}
        # what our own fills took of the levels, and what prints took, by side and price
        self.taken, self.printed = {}, {}
        self.last, self.last_at = ZERO, 0
        self.status = TRADING
        self.has_book = False
        self.mark = None
        # the position
        self.qty = self.cost = ZERO
        # what the round trip has made, less its fees and charges
        self.net = ZERO
        self.rolls_at = 0
        self.stop = self.target = self.closing = None

    def rule(self, words):
        """Increments and minimums, from now on: what waits keeps what it was accepted with."""
        self.price_step, self.qty_step, self.qty_min, self.cost_min = map(F, words[:4])
        self.may_short = words[4] == "1"

    def bid(self):
        return max(self.bids, default=ZERO)

    def ask(self):
        return min(self.asks, default=ZERO)

    def levels(self, buys):
        """What an order of this side takes from, best first."""
        side = self.asks if buys else self.bids
        return sorted(side.items(), reverse=not buys)

    def left(self, buys):
        """The same, less what our fills have taken of it."""
        if BROKEN == "taken-twice":
            return self.levels(buys)
        printed = {} if BROKEN == "prints-are-forgotten" else self.printed
        gone = lambda key: self.taken.get(key, ZERO) + printed.get(key, ZERO)
        levels = ((p, q - gone((buys, p))) for p, q in self.levels(buys))
        return [(p, q) for p, q in levels if q > 0]

    def deplete(self, buys, qty):
        for price, there in self.left(buys):
            if not qty:
                break
            took = min(there, qty)
            self.taken[buys, price] = self.taken.get((buys, price), ZERO) + took
            qty -= took

    def fair(self):
        """The mid, else the last trade, else the one side that there is."""
        bid, ask = self.bid(), self.ask()
        if bid and ask:
            return (bid + ask) / 2
        return self.last or max(bid, ask) or None

    def value(self):
        if self.qty == 0:
            return ZERO
        return floor8(self.qty * (self.mark or ZERO))

    def meets(self, buys, oldest):
        """The price that an order of this side would meet; zero while unknown, or
        where it is only a trade of long ago."""
        if not self.has_book:
            return ZERO if self.last_at < oldest else self.last
        return self.ask() if buys else self.bid()

    def shown(self, buys, price):
        """What is displayed at a price; nothing inside, unknown beyond the worst."""
        side = self.bids if buys else self.asks
        if price in side:
            return side[price]
        if any((p < price) if buys else (p > price) for p in side):
            return ZERO
        return None


class Order:
    def __init__(self, number, symbol, action):
        self.number, self.symbol, self.action = number, symbol, action
        self.buys, self.opens = BUYS[action], OPENS[action]
        self.limit = self.trigger = self.distance = self.expires = None
        self.stop = self.target = self.ahead = None
        # when book events lowered what is ahead and by how much, untold by prints
        self.untold = []


def turn(order):
    """The best limit first, then the first number; those without a limit last."""
    if order.limit is None:
        return (1, ZERO, order.number)
    return (0, -order.limit if order.buys else order.limit, order.number)


class Session:
    def __init__(self, words):
        config = dict(word.split("=") for word in words)
        rate = lambda name: F(config[name])
        self.book_model = config["model"] == "book"
        self.flat, self.slippage = (rate("maker"), rate("taker")), rate("slippage")
        # what was traded, by day, where the venue's schedule counts that
        self.tiers, self.volume, self.days = config["schedule"] == "kraken", F(config["volume"]), {}
        self.extra = rate("extra")
        self.max_age = int(config["max_age"])
        self.leverage, self.from_start = rate("leverage"), config["base"] == "starting"
        self.short_open, self.short_roll = rate("short_open"), rate("short_roll")
        limit = lambda name: None if config[name] == "none" else F(config[name])
        self.max_order, self.max_position = limit("max_order"), limit("max_position")
        self.max_exposure = limit("max_exposure")
        self.drawdown, self.daily, self.margin = limit("drawdown"), limit("daily"), limit("margin")
        self.liquidation_fee, self.flattens = rate("liquidation_fee"), config["on_halt"] == "flatten"
        self.per_minute = limit("per_minute")
        self.considered = []
        self.day = self.opening = self.last_equity = None
        self.breached = self.halted = False
        # the number behind those that the strategy has given in its call
        self.given = 0
        self.cash = {CURRENCY: F(config["capital"])}
        if config["assets"] != "none":
            asset, amount = config["assets"].split(":")
            self.cash[asset] = F(amount)
        self.start = self.peak = None
        self.fees = self.carry = self.realized = self.net = self.fall = ZERO
        self.unconverted = self.trips = 0
        self.symbols, self.orders = [], []
        self.next_order = 1
        self.seed, self.lane = int(config["seed"]), config["lane"].encode()
        # All latencies that there are, of orders and of cancels.
        self.delays = [latencies(config[name]) for name in ("order", "cancel")]
        # when it arrives, what it is and its words
        self.flight = []
        self.now = 0
        self.cause = (None, ZERO)
        self.sample()

    def oldest(self):
        """A trade before this time is no price any more."""
        return self.now - self.max_age

    # What things are worth.

    def rates(self):
        """Maker and taker, by what was traded on this day and the 29 before it."""
        if not self.tiers:
            return self.flat
        first = self.now // DAY - MONTH
        counts = [v for day, v in self.days.items() if day > first or BROKEN == "volume-for-ever"]
        volume = self.volume + sum(counts, ZERO)
        if BROKEN == "first-tier-for-ever":
            volume = self.volume
        return next((maker, taker) for low, maker, taker in reversed(TIERS) if volume >= low)

    maker = property(lambda self: self.rates()[0])
    taker = property(lambda self: self.rates()[1])

    def convert(self, asset, amount):
        """In the account's currency, rounded down; unknown without a mark for the rate."""
        if asset == CURRENCY or not amount or BROKEN == "one-currency":
            return amount
        pair = next((s for s in self.symbols if s.base == asset and s.quote == CURRENCY), None)
        if pair is None or not pair.mark:
            return None
        return floor8(amount * pair.mark)

    def cost(self, asset, amount):
        """The same of a cost, rounded up."""
        if BROKEN == "costs-down":
            return self.convert(asset, amount)
        worth = self.convert(asset, -amount)
        return None if worth is None else -worth

    def total(self, parts):
        """The sum of amounts of assets, in the currency; unknown while one is."""
        worth = [self.convert(asset, amount) for asset, amount in parts]
        return None if None in worth else sum(worth, ZERO)

    def equity(self):
        sums = dict(self.cash)
        for s in self.symbols:
            if s.qty:
                sums[s.quote] = sums.get(s.quote, ZERO) + s.value()
        return self.total(sums.items())

    def shorts(self):
        worth = self.total((s.quote, s.value()) for s in self.symbols if s.qty < 0)
        return None if worth is None else -worth

    def sample(self):
        equity = self.equity()
        if equity is None:
            return
        if self.start is None:
            self.start = self.peak = equity
        self.peak = max(self.peak, equity)
        self.fall = max(self.fall, (self.peak - equity) / self.peak)

    def with_fee(self, price, qty):
        """The most that a waiting buy can cost."""
        cost = ceil8(price * qty)
        return cost + ceil8(cost * max(self.taker, self.maker))

    def free(self, asset):
        """Cash of an asset that no short owes and no waiting buy has reserved."""
        cash = self.cash.get(asset, ZERO)
        if BROKEN != "spend-shorts":
            cash += sum(s.value() for s in self.symbols if s.qty < 0 and s.quote == asset)
        for order in self.orders:
            if order.action == "buy" and order.limit is not None and order.symbol.quote == asset:
                cash -= self.with_fee(order.limit, order.leaves)
        return cash

    def base(self):
        return self.start if self.from_start else self.equity()

    def short_room(self, asset):
        if asset != CURRENCY or self.base() is None or self.shorts() is None:
            return ZERO
        return max(floor8(self.base() * self.leverage) - self.shorts(), ZERO)

    # The market moves, then accounts, orders and brackets follow.

    def event(self, kind, words):
        self.now = int(words[0])
        symbol = self.symbols[int(words[1])]
        self.cause = (symbol, ZERO)
        trade = None
        if kind == "trade":
            trade = (words[2] == "buy", F(words[3]), F(words[4]))
            symbol.last, symbol.last_at = trade[1], self.now
            self.cause = (symbol, trade[1])
            if trade[1] in (symbol.asks if trade[0] else symbol.bids):
                symbol.printed[trade[:2]] = symbol.printed.get(trade[:2], ZERO) + trade[2]
        elif kind == "book":
            if words[2] == "1":
                symbol.bids, symbol.asks, symbol.printed = {}, {}, {}
            symbol.has_book = True
            for word in words[3:]:
                side, price, qty = word.split(":")
                levels = symbol.bids if side == "b" else symbol.asks
                symbol.printed.pop((side == "a", F(price)), None)
                if BROKEN == "named-is-new":
                    symbol.taken.pop((side == "a", F(price)), None)
                if qty == "0":
                    levels.pop(F(price), None)
                else:
                    levels[F(price)] = F(qty)
            # What was taken is not there again where a level only changes.
            displayed = lambda asks, price: (symbol.asks if asks else symbol.bids).get(price, ZERO)
            taken = {key: min(was, displayed(*key)) for key, was in symbol.taken.items()}
            symbol.taken = {key: left for key, left in taken.items() if left}
        else:
            symbol.status = int(words[2])
        self.accrue()
        fair = symbol.fair()
        if fair:
            symbol.mark = fair
        self.sample()
        acts, trips = self.bracket(symbol), self.trips
        left = trade[2] if trade else ZERO
        self.is_book = kind == "book"
        for order in sorted((o for o in self.orders if o.symbol is symbol), key=turn):
            left = self.look(order, trade, left)
            self.police()
        # Where an order has closed the position first, what is held is another one.
        if acts and symbol.qty and self.trips == trips:
            self.close(symbol, acts)
        self.police()
        while self.flight and self.flight[0][0] <= self.now:
            _, what, words = self.flight.pop(0)
            self.arrive(what, words)
            self.police()

    # Limits that act by themselves.

    def admits(self):
        """No more than so many in any sixty seconds; what is refused does not count."""
        if self.per_minute is None:
            return True
        self.considered = [at for at in self.considered if self.now - at < MINUTE]
        room = len(self.considered) < self.per_minute
        if room:
            self.considered.append(self.now)
        return room

    def police(self):
        if self.drawdown is None and self.daily is None and self.margin is None:
            return
        equity = self.equity()
        if equity is None:
            return
        if self.now // DAY != self.day:
            self.day = self.now // DAY
            self.opening = self.peak if self.last_equity is None else self.last_equity
        self.last_equity = equity
        if not self.breached:
            peak = self.start if BROKEN == "drawdown-from-the-start" else self.peak
            fell = self.drawdown is not None and peak - equity > floor8(peak * self.drawdown)
            lost = self.daily is not None and self.opening - equity > self.daily
            if fell or lost:
                self.breached = True
                self.halt()
        if self.margin is not None and self.equity() < ceil8(self.shorts() * self.margin):
            self.close_all([s for s in self.symbols if s.qty < 0 and not s.closing], "liquidation")

    def halt(self):
        print("halted")
        self.halted = True
        self.cancel_all()
        for _, what, words in self.flight:
            if what == "order":
                print("reject", int(words[0]), "halted")
        self.flight = []
        if self.flattens:
            self.close_all([s for s in self.symbols if s.qty], "operator")

    def close_all(self, symbols, cause):
        """Closes them now where the market takes it, else as soon as it does."""
        if symbols:
            self.cancel_all()
        for symbol in symbols:
            symbol.closing = cause
            acts = self.bracket(symbol)
            if acts:
                self.close(symbol, acts)

    def cancel_all(self):
        for order in list(self.orders):
            self.orders.remove(order)
            self.cancel(order)

    # What is sent, and when it is there.

    def delay(self, what, number):
        delays = self.delays[what in ("cancel", "cancel-all")]
        if BROKEN == "cancels-at-once" and what in ("cancel", "cancel-all"):
            return 0
        if len(delays) == 1:
            return delays[0]
        message = self.seed.to_bytes(8, "little") + bytes([KINDS[what]])
        message += number.to_bytes(8, "little") + self.lane
        drawn = blake3_first(message) * len(delays) >> 64
        if BROKEN == "recorded-in-order" and not isinstance(delays, range):
            return sorted(delays)[drawn]
        return delays[drawn]

    def send(self, what, words):
        number = self.next_order if what == "cancel-all" else int(words[0])
        if what == "order":
            self.next_order = max(self.next_order, number + 1)
        if self.halted:
            reason = "halted" if what == "order" else "unknown-order"
            print("reject", 0 if what == "cancel-all" else number, reason)
            return
        arrives = self.now + self.delay(what, number)
        if self.flight and BROKEN != "overtaking":
            arrives = max(arrives, self.flight[-1][0])
        if arrives <= self.now:
            self.arrive(what, words)
            if BROKEN != "limits-wait-for-the-call":
                self.police()
            return
        if len(self.flight) >= IN_FLIGHT_MAX:
            print("reject", 0 if what == "cancel-all" else number, "too-many-orders")
            return
        if what in ("amend", "cancel"):
            carried = any(w == "order" and int(ws[0]) == number for _, w, ws in self.flight)
            if not carried and all(order.number != number for order in self.orders):
                print("reject", number, "unknown-order")
                return
        print("sent", SENT.get(what, what), 0 if what == "cancel-all" else number, arrives)
        self.flight.append((arrives, what, words))
        self.flight.sort(key=lambda sent: sent[0])

    def arrive(self, what, words):
        if what == "order":
            self.submit(words)
        else:
            self.request(what, words)

    def accrue(self):
        """Every four hours an open short is charged, at the first event behind."""
        for number, symbol in enumerate(self.symbols):
            if symbol.qty >= 0 or self.now < symbol.rolls_at or not self.short_roll:
                continue
            times = (self.now - symbol.rolls_at) // FOUR_HOURS + 1
            symbol.rolls_at += times * FOUR_HOURS
            amount = times * ceil8(symbol.cost * self.short_roll)
            if BROKEN == "charge-once":
                amount = ceil8(symbol.cost * self.short_roll)
            self.charge(symbol, amount)
            self.sample()
            self.tell_charge(symbol, "rollover", amount)

    def charge(self, symbol, amount):
        if not amount:
            return
        self.pay(symbol.quote, amount)
        symbol.net -= amount
        worth = self.cost(symbol.quote, amount)
        if worth is None:
            self.unconverted += 1
        else:
            self.carry += worth

    def pay(self, asset, amount):
        self.cash[asset] = self.cash.get(asset, ZERO) - amount

    def tell_charge(self, symbol, kind, amount):
        if amount:
            print("charge", self.symbols.index(symbol), kind, amount)

    # Brackets.

    def bracket(self, s):
        if s.status not in (TRADING, REDUCE_ONLY) or not s.qty:
            return None
        price = s.meets((s.qty > 0) if BROKEN == "entry-side" else s.qty < 0, self.oldest())
        if not price:
            return None
        if s.closing:
            return s.closing
        beyond = lambda level, falling: price <= level if falling else price >= level
        stop, target = ("stop-loss", s.stop, s.qty > 0), ("take-profit", s.target, s.qty < 0)
        for cause, level, falling in (stop, target):
            if level is not None and beyond(level, falling):
                return cause
        return None

    def close(self, symbol, cause):
        order = Order(self.next_order, symbol, "sell" if symbol.qty > 0 else "cover")
        order.qty = order.leaves = abs(symbol.qty)
        taken = self.take(symbol, order.buys, order.qty)
        if taken is None or not taken[0]:
            return
        if cause == "liquidation":
            extra = ceil8(taken[1] * self.liquidation_fee)
            taken = (taken[0], taken[1], taken[2] + extra)
        order.number = max(self.next_order, self.given)
        self.next_order = order.number + 1
        self.fill(order, taken, "taker", cause)
        if order.leaves:
            self.cancel(order)

    # What the market gives.

    def walks(self, symbol):
        return self.book_model and symbol.has_book

    def reference(self, symbol, buys):
        if self.walks(symbol):
            if not symbol.left(buys):
                raise Refused("no-liquidity")
            return symbol.left(buys)[0][0]
        best = symbol.ask() if buys else symbol.bid()
        caused = self.cause[1] if self.cause[0] is symbol else ZERO
        old = symbol.last_at < self.oldest() and BROKEN != "old-trades"
        price = None if self.book_model else (not old and caused) or best
        if not price and symbol.last and old:
            raise Refused("stale-data")
        price = price or symbol.last
        if not price:
            raise Refused("no-market-data")
        return price

    def take(self, symbol, buys, qty, limit=None):
        """Quantity, amount and fee of what is there; None where nothing is."""
        try:
            best = self.reference(symbol, buys)
        except Refused:
            return None
        within = lambda price: limit is None or (price <= limit if buys else price >= limit)
        if self.walks(symbol):
            left, total = qty, ZERO
            for price, depth in symbol.left(buys):
                if not left or not within(price):
                    break
                took = left if BROKEN == "endless-level" else min(left, depth)
                total += took * price
                left -= took
            qty -= left
            if limit is None:
                total *= 1 + self.extra if buys else 1 - self.extra
        else:
            slip = 1 + self.slippage if buys else 1 - self.slippage
            total = qty * best * slip
            if limit is not None:
                worst, got = against(buys, qty * limit), against(buys, total)
                if got > worst if buys else got < worst:
                    return (ZERO, ZERO, ZERO)
        amount = against(buys, total)
        return (qty, amount, self.fee(amount, self.taker))

    def fee(self, amount, rate):
        return floor8(amount * rate) if BROKEN == "round-fees-down" else ceil8(amount * rate)

    # Checks.

    def check_status(self, symbol, opens):
        if symbol.status == STALE:
            raise Refused("stale-data")
        if symbol.status == TRADING or (symbol.status == REDUCE_ONLY and not opens):
            return
        raise Refused("market-paused")

    def check_direction(self, action, symbol):
        if action == "buy" and symbol.qty < 0:
            raise Refused("opposite-position")
        if action == "short" and not symbol.may_short:
            raise Refused("short-not-allowed")
        if action == "short" and symbol.qty > 0:
            raise Refused("opposite-position")
        if action == "sell" and symbol.qty <= 0:
            raise Refused("insufficient-position")
        if action == "cover" and symbol.qty >= 0:
            raise Refused("no-short-position")

    def check_held(self, action, symbol, qty):
        if action == "sell" and qty > symbol.qty:
            raise Refused("insufficient-position")
        if action == "cover" and qty > -symbol.qty:
            raise Refused("no-short-position")

    def check_minimums(self, symbol, qty, price, exempt):
        if qty <= 0:
            raise Refused("below-minimum-quantity")
        if exempt:
            return
        if qty < symbol.qty_min:
            raise Refused("below-minimum-quantity")
        if floor8(qty * price) < symbol.cost_min:
            raise Refused("below-minimum-cost")

    def check_bracket(self, action, entry, stop, target):
        if stop is None and target is None:
            return
        below, above = (stop, target) if action == "buy" else (target, stop)
        fits = (below is None or below < entry) and (above is None or above > entry)
        if not OPENS[action] or not fits:
            raise Refused("wrong-side")

    def check_size(self, qty, amount):
        if qty and amount <= 0:
            raise Refused("below-minimum-cost")

    def check_funds(self, action, symbol, qty, amount, fee):
        if not OPENS[action]:
            return
        equity = self.equity()
        if equity is not None and equity <= 0:
            raise Refused("risk-limit")
        mark = symbol.fair() or ZERO
        order = self.cost(symbol.quote, amount)
        position = self.cost(symbol.quote, floor8(abs(symbol.qty) * mark) + amount)
        held = [self.convert(s.quote, s.value()) for s in self.symbols if s.qty]
        exposure = None if None in held or order is None else sum(map(abs, held), ZERO) + order
        limits = (self.max_order, self.max_position, self.max_exposure)
        for limit, worth in zip(limits, (order, position, exposure)):
            if limit is not None and (worth is None or worth > limit):
                raise Refused("risk-limit")
        if action == "buy":
            if amount + fee > self.free(symbol.quote):
                raise Refused("insufficient-cash")
        else:
            owed = self.cost(symbol.quote, max(floor8(qty * mark), amount))
            if None in (owed, self.shorts(), self.base()):
                raise Refused("no-market-data")
            if self.margin is not None and equity < ceil8((self.shorts() + owed) * self.margin):
                raise Refused("risk-limit")
            leverage = self.leverage + (1 if BROKEN == "more-leverage" else 0)
            if self.shorts() + owed > floor8(self.base() * leverage):
                raise Refused("leverage-exceeded")

    def levels_of(self, symbol, buys, stop, target):
        rounded = []
        for text in (stop, target):
            level = None
            if text != "-":
                level = (ceil_to if buys else floor_to)(F(text), symbol.price_step)
                if F(text) <= 0 or level <= 0:
                    raise Refused("invalid-number")
            rounded.append(level)
        return rounded

    def on_grid(self, symbol, text, up):
        price = (ceil_to if up else floor_to)(F(text), symbol.price_step)
        if F(text) <= 0 or price <= 0:
            raise Refused("invalid-number")
        return price

    # Orders.

    def submit(self, words):
        number = int(words[0])
        symbol = self.symbols[int(words[1])]
        action, size, kind = words[2], words[3], words[4]
        try:
            if not self.admits():
                raise Refused("risk-limit")
            if kind == "market":
                self.market(number, symbol, action, size, words)
            else:
                order = self.waiting(number, symbol, action, size, kind, words)
                self.work(order)
        except Refused as refused:
            print("reject", number, refused)

    def rounded_size(self, symbol, text):
        if F(text) <= 0:
            raise Refused("invalid-number")
        return floor_to(floor_to(F(text), symbol.qty_unit), symbol.qty_step)

    def affordable(self, symbol, money, price):
        return floor_to(money / price, symbol.qty_step) if money > 0 else ZERO

    def owing(self, symbol, price):
        """All that may be short, by what it fetches and by what it would owe."""
        return self.affordable(symbol, self.short_room(symbol.quote), max(price, symbol.fair() or ZERO))

    def within(self, symbol, money, cost):
        """The most whole steps whose cost stays within the money."""
        low, high = 0, 1
        while cost(high * symbol.qty_step) <= money:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if cost(middle * symbol.qty_step) <= money else (low, middle)
        return low * symbol.qty_step

    def market(self, number, symbol, action, size, words):
        tif, post, reduce, stop, target, till = words[7:13]
        buys, opens = BUYS[action], OPENS[action]
        if post == "1" or (reduce == "1" and opens) or till != "-":
            raise Refused("unsupported")
        self.check_status(symbol, opens)
        self.check_direction(action, symbol)
        unit, _, amount = size.partition(":")
        if unit == "base":
            asked = self.rounded_size(symbol, amount)
        elif unit == "quote":
            if F(amount) <= 0:
                raise Refused("invalid-number")
            asked = self.affordable(symbol, floor8(F(amount)), self.reference(symbol, buys))
        elif not opens:
            asked = abs(symbol.qty)
        elif action == "buy":
            self.reference(symbol, buys)
            deep = floor_to(sum(qty for _, qty in symbol.left(True)), symbol.qty_step)

            def cost(qty):
                if self.walks(symbol) and qty > deep:
                    return self.free(symbol.quote) + 1
                _, paid, fee = self.take(symbol, True, qty)
                return paid + fee

            asked = self.within(symbol, self.free(symbol.quote), cost)
        else:
            asked = self.owing(symbol, self.reference(symbol, buys))
        self.check_held(action, symbol, asked)
        best = self.reference(symbol, buys)
        exempt = not opens and asked == abs(symbol.qty)
        self.check_minimums(symbol, asked, best, exempt)
        stop, target = self.levels_of(symbol, buys, stop, target)
        self.check_bracket(action, best, stop, target)
        taken = self.take(symbol, buys, asked)
        if tif == "fok" and taken[0] < asked:
            raise Refused("no-liquidity")
        self.check_size(taken[0], taken[1])
        self.check_funds(action, symbol, *taken)
        order = Order(number, symbol, action)
        order.qty = order.leaves = asked
        order.stop, order.target = stop, target
        self.fill(order, taken, "taker", "strategy")
        self.arm(order)
        if order.leaves:
            self.cancel(order)

    def arm(self, order):
        """The last order that names a level sets it for the whole position."""
        if order.symbol.qty:
            if order.stop is not None:
                order.symbol.stop = order.stop
            if order.target is not None:
                order.symbol.target = order.target

    def waiting(self, number, symbol, action, size, kind, words):
        first, second, tif, post, reduce, stop, target, till = words[5:13]
        order = Order(number, symbol, action)
        buys, opens = order.buys, order.opens
        is_limit, post = kind == "limit", post == "1"
        immediate = tif in ("ioc", "fok")
        if (post and (not is_limit or immediate)) or ((not is_limit or till != "-") and immediate):
            raise Refused("unsupported")
        if reduce == "1" and opens:
            raise Refused("unsupported")
        self.check_open(symbol, opens, is_limit, post)
        self.check_direction(action, symbol)
        meets = symbol.meets(buys, self.oldest())
        if kind == "limit":
            order.limit = self.on_grid(symbol, first, not buys)
        elif kind == "stop":
            order.trigger = self.on_grid(symbol, first, not buys)
        elif kind == "stop-limit":
            order.limit = self.on_grid(symbol, second, not buys)
            order.trigger = self.on_grid(symbol, first, not buys)
        else:
            order.distance = self.on_grid(symbol, first, False)
            if not meets:
                raise Refused("no-market-data")
            order.trigger = meets + order.distance if buys else meets - order.distance
            if order.trigger <= 0:
                raise Refused("invalid-number")
        if post and meets and (meets <= order.limit if buys else meets >= order.limit):
            raise Refused("would-take")
        at = order.limit if order.limit is not None else order.trigger
        unit, _, amount = size.partition(":")
        if unit == "base":
            qty = self.rounded_size(symbol, amount)
        elif unit == "quote":
            if F(amount) <= 0:
                raise Refused("invalid-number")
            qty = self.affordable(symbol, floor8(F(amount)), at)
        elif not opens:
            qty = abs(symbol.qty)
        elif buys:
            qty = self.within(symbol, self.free(symbol.quote), lambda qty: self.with_fee(at, qty))
        else:
            qty = self.owing(symbol, at)
        self.check_held(action, symbol, qty)
        self.check_minimums(symbol, qty, at, not opens and qty == abs(symbol.qty))
        order.stop, order.target = self.levels_of(symbol, buys, stop, target)
        for entry in self.entries(order):
            self.check_bracket(action, entry, order.stop, order.target)
        order.qty = order.leaves = qty
        order.tif, order.post = tif, post
        ends = [(self.now // DAY + 1) * DAY] if tif == "day" else []
        if till != "-" and BROKEN != "good-for-ever":
            ends.append(int(till))
        order.expires = min(ends, default=None)
        if order.expires is not None and order.expires <= self.now:
            raise Refused("invalid-number")
        self.check_limit_funds(order)
        return order

    def entries(self, order):
        """Where it may fill, as far as that is known: limit, stop, what it meets now."""
        meets = order.symbol.meets(order.buys, self.oldest())
        prices = [order.limit, order.trigger]
        if order.trigger is not None:
            now = meets and (meets >= order.trigger if order.buys else meets <= order.trigger)
        else:
            now = meets and (meets <= order.limit if order.buys else meets >= order.limit)
        if BROKEN == "bracket-of-the-limit":
            return [order.limit if order.limit is not None else order.trigger]
        return [price for price in prices if price is not None] + ([meets] if now else [])

    def check_open(self, symbol, opens, is_limit, post):
        taken_anyway = symbol.status == LIMIT_ONLY or (symbol.status == POST_ONLY and post)
        if not (is_limit and taken_anyway):
            self.check_status(symbol, opens)

    def check_limit_funds(self, order):
        if order.limit is not None:
            amount = ceil8(order.limit * order.leaves)
            fee = ceil8(amount * max(self.taker, self.maker))
            self.check_funds(order.action, order.symbol, order.leaves, amount, fee)

    def work(self, order):
        self.accepted(order)
        if order.trigger is None:
            self.meet(order)
        else:
            self.put(order)

    def accepted(self, order):
        print("accept", order.number, order.leaves, show(order.limit), show(order.trigger))

    def put(self, order):
        self.orders.append(order)
        self.orders.sort(key=lambda o: o.number)

    def meet(self, order):
        """Takes what stands, as far as limit and position allow, then waits."""
        symbol = order.symbol
        takes = symbol.status == TRADING or (symbol.status == REDUCE_ONLY and not order.opens)
        if takes and not order.post:
            taken = self.take(symbol, order.buys, order.leaves, order.limit)
            if taken and taken[0] and (order.tif != "fok" or taken[0] == order.leaves):
                if not self.fill_waiting(order, taken, "taker"):
                    return
        if order.tif in ("gtc", "day") and order.limit is not None:
            order.ahead = symbol.shown(order.buys, order.limit)
            if BROKEN == "front-of-the-queue":
                order.ahead = ZERO
            order.untold = []
            self.put(order)
        else:
            self.cancel(order)

    def fill_waiting(self, order, taken, liquidity, displayed=True):
        """Fills an order that is in no list; true while some of it is left."""
        try:
            self.check_direction(order.action, order.symbol)
            self.check_size(taken[0], taken[1])
            self.check_funds(order.action, order.symbol, *taken)
        except Refused:
            self.cancel(order)
            return False
        self.fill(order, taken, liquidity, "strategy", displayed)
        if order.opens:
            self.arm(order)
        return bool(order.leaves)

    def look(self, order, trade, left):
        """A waiting order meets an event of its symbol. What is left of the print."""
        symbol = order.symbol
        # What came before it in this event may have ended it.
        if order not in self.orders:
            return left
        self.orders.remove(order)
        if order.expires is not None and self.now >= order.expires:
            print("expire", order.number, order.leaves)
            return left
        if symbol.status != TRADING and not (symbol.status == REDUCE_ONLY and not order.opens):
            self.put(order)
            return left
        if order.trigger is not None:
            if self.reached(order):
                order.trigger = order.distance = None
                self.accepted(order)
                self.meet(order)
            else:
                self.put(order)
            return left
        filled = min(self.passive(order, trade, left), order.leaves)
        if filled <= 0:
            self.put(order)
            return left
        amount = against(order.buys, order.limit * filled)
        taken = (filled, amount, self.fee(amount, self.maker))
        if self.fill_waiting(order, taken, "maker", trade is None):
            self.put(order)
        return max(left - filled, ZERO)

    def reached(self, order):
        meets = order.symbol.meets(order.buys, self.oldest())
        if not meets:
            return False
        if order.distance is not None:
            if order.buys:
                order.trigger = min(order.trigger, meets + order.distance)
            else:
                order.trigger = max(order.trigger, meets - order.distance)
        return meets >= order.trigger if order.buys else meets <= order.trigger

    def passive(self, order, trade, left):
        """What of a print, or of a quote that crosses, reaches a waiting order."""
        symbol, limit, buys = order.symbol, order.limit, order.buys
        queues = self.walks(symbol)
        if trade is not None:
            bought, price, _ = trade
            if queues and bought == buys and BROKEN != "own-side":
                return ZERO
            if price < limit if buys else price > limit:
                order.ahead = ZERO
                return left
            if not queues or price != limit or bought == buys or order.ahead is None:
                return ZERO
            told = self.told(order, left)
            over = left - told - order.ahead
            order.ahead = max(order.ahead - (left - told), ZERO)
            return over
        if not queues:
            return ZERO
        shown = symbol.shown(buys, limit)
        if shown is not None:
            if self.is_book and order.ahead is not None and order.ahead > shown:
                order.untold.append((self.now, order.ahead - shown))
            order.ahead = shown if order.ahead is None else min(order.ahead, shown)
        there = sum((q for p, q in symbol.left(buys) if (p <= limit if buys else p >= limit)), ZERO)
        return max(min(there, order.leaves), ZERO)

    def told(self, order, printed):
        """How much of a print book events of this span of two seconds, or of the one
        before it, have told already; the oldest tell first."""
        rest, told = [], ZERO
        for when, fell in order.untold:
            if self.now // SPAN - when // SPAN > 1 or BROKEN == "twice-told":
                continue
            part = min(fell, printed - told)
            told += part
            if fell > part:
                rest.append((when, fell - part))
        order.untold = rest
        return told

    def request(self, kind, words):
        if kind == "cancel-all":
            chosen = None if words[0] == "-" else self.symbols[int(words[0])]
            for order in list(self.orders):
                if chosen is None or order.symbol is chosen:
                    self.orders.remove(order)
                    self.cancel(order)
            return
        number = int(words[0])
        order = next((o for o in self.orders if o.number == number), None)
        if order is None:
            print("reject", number, "unknown-order")
            return
        self.orders.remove(order)
        if kind == "cancel":
            self.cancel(order)
        elif order.expires is not None and order.expires <= self.now:
            print("expire", order.number, order.leaves)
            print("reject", number, "unknown-order")
        else:
            self.amend(order, words[1], words[2])

    def amend(self, order, size, price):
        symbol = order.symbol
        before = (order.qty, order.leaves, order.limit)
        try:
            if not self.admits():
                raise Refused("risk-limit")
            if size != "-":
                done = order.qty - order.leaves
                order.qty = floor_to(floor_to(F(size), symbol.qty_unit), symbol.qty_step)
                order.leaves = order.qty - done
                if order.leaves <= 0 or order.qty < symbol.qty_min:
                    raise Refused("below-minimum-quantity")
            if price != "-":
                if order.limit is None:
                    raise Refused("unsupported")
                order.limit = self.on_grid(symbol, price, not order.buys)
            at = order.limit if order.limit is not None else order.trigger
            whole = not order.opens and order.leaves == abs(symbol.qty)
            self.check_minimums(symbol, order.leaves, at, whole or order.leaves < order.qty)
            is_limit = order.trigger is None
            self.check_open(symbol, order.opens, is_limit, order.post)
            meets = symbol.meets(order.buys, self.oldest())
            if order.post and is_limit and meets:
                if meets <= order.limit if order.buys else meets >= order.limit:
                    raise Refused("would-take")
            for entry in self.entries(order):
                self.check_bracket(order.action, entry, order.stop, order.target)
            self.check_held(order.action, symbol, order.leaves)
            self.check_limit_funds(order)
        except Refused as refused:
            order.qty, order.leaves, order.limit = before
            print("reject", order.number, refused)
            self.accepted(order)
            self.put(order)
            return
        if order.limit == before[2] and order.leaves <= before[1]:
            self.accepted(order)
            self.put(order)
        else:
            self.work(order)

    # Booking.

    def cancel(self, order):
        print("cancel", order.number, order.leaves)

    def fill(self, order, taken, liquidity, cause, displayed=True):
        qty, amount, fee = taken
        s = order.symbol
        if displayed and self.book_model:
            s.deplete(order.buys, qty)
        self.accrue()
        if not s.qty:
            s.cost, s.rolls_at = ZERO, self.now + FOUR_HOURS
        self.pay(s.quote, amount + fee if order.buys else fee - amount)
        realized = ZERO
        if order.opens:
            s.cost += amount
            s.qty += qty if order.buys else -qty
        else:
            share = s.cost * qty / abs(s.qty)
            share = ceil8(share) if s.qty > 0 and BROKEN != "cost-share" else floor8(share)
            s.cost -= share
            realized = share - amount if order.buys else amount - share
            s.qty += qty if order.buys else -qty
        opening = ceil8(amount * self.short_open) if order.action == "short" else ZERO
        worth = (self.convert(s.quote, amount), self.cost(s.quote, fee), self.convert(s.quote, realized))
        if None in worth:
            self.unconverted += 1
        else:
            self.fees += worth[1]
            self.realized += worth[2]
        s.net += realized - fee
        self.charge(s, opening)
        if not s.qty:
            worth = self.convert(s.quote, s.net)
            if worth is None:
                self.unconverted += 1
            self.net += worth or ZERO
            s.net = ZERO
            self.trips += 1
        if not s.qty:
            s.stop = s.target = s.closing = None
        order.leaves -= qty
        s.mark = s.fair() or s.mark
        self.sample()
        print("fill", order.number, self.symbols.index(s), order.action, qty, amount, fee, liquidity, cause)
        self.tell_charge(s, "opening", opening)
        if self.tiers:
            today = self.now // DAY
            self.days[today] = self.days.get(today, ZERO) + (self.convert(s.quote, amount) or ZERO)
        if not order.opens:
            self.shrink(s)

    def shrink(self, symbol):
        """What waits to reduce a position shrinks with it, and ends with it."""
        held = abs(symbol.qty)
        for order in list(self.orders):
            if order.symbol is not symbol or order.opens or order.leaves <= held:
                continue
            if not held or BROKEN == "shrink-to-nothing":
                self.orders.remove(order)
                self.cancel(order)
            else:
                order.qty -= order.leaves - held
                order.leaves = held
                self.accepted(order)

    def state(self):
        fall = -(-self.fall.numerator * 10**9 // self.fall.denominator)
        positions = " ".join(str(s.qty) for s in self.symbols)
        cash = " ".join(str(self.cash.get(asset, ZERO)) for asset in [CURRENCY] + sorted({s.quote for s in self.symbols} - {CURRENCY}))
        print(
            "state", cash, positions, self.fees, self.carry, self.realized, self.net, self.unconverted,
            show(self.equity()), fall,
        )


def main():
    session = None
    for line in sys.stdin:
        kind, *words = line.split()
        if kind == "session":
            session = Session(words)
        elif kind == "symbol":
            session.symbols.append(Symbol(words))
        elif kind == "rules":
            if BROKEN != "rules-of-the-start":
                session.symbols[int(words[1])].rule(words[2:])
        elif kind in ("trade", "book", "status"):
            session.event(kind, words)
        elif kind in KINDS:
            session.send(kind, words)
        elif kind == "given":
            session.given = int(words[0])
        elif kind == "called":
            session.given = 0
            session.police()
        elif kind == "state":
            session.state()
        elif kind == "end":
            print("end")
        else:
            sys.exit(f"a line that is none: {line}")


main()
