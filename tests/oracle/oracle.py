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


def show(x):
    return "-" if x is None else str(x)


class Refused(Exception):
    """An order that is refused, with its reason."""


class Symbol:
    def __init__(self, words):
        self.name = words[0]
        self.price_step, self.qty_unit, self.qty_step, self.qty_min, self.cost_min = map(F, words[1:6])
        self.may_short = words[6] == "1"
        self.bids, self.asks = {}, {}
        # what our own fills took of the levels, by side and price
        self.taken = {}
        self.last, self.last_at = ZERO, 0
        self.status = TRADING
        self.has_book = False
        self.mark = None
        # the position
        self.qty = self.cost = ZERO
        self.rolls_at = 0
        self.stop = self.target = self.closing = None

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
        levels = ((p, q - self.taken.get((buys, p), ZERO)) for p, q in self.levels(buys))
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
        # by how much the last book event lowered what is ahead, untold by prints
        self.untold = self.used = ZERO


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
        self.taker, self.maker, self.slippage = rate("taker"), rate("maker"), rate("slippage")
        self.extra = rate("extra")
        self.max_age = int(config["max_age"])
        self.leverage, self.from_start = rate("leverage"), config["base"] == "starting"
        self.short_open, self.short_roll = rate("short_open"), rate("short_roll")
        limit = lambda name: None if config[name] == "none" else F(config[name])
        self.max_order, self.max_position = limit("max_order"), limit("max_position")
        self.cash = self.start = self.peak = F(config["capital"])
        self.fees = self.carry = self.realized = self.fall = ZERO
        self.symbols, self.orders = [], []
        self.next_order = 1
        self.now = 0
        self.cause = (None, ZERO)

    def oldest(self):
        """A trade before this time is no price any more."""
        return self.now - self.max_age

    # What things are worth.

    def equity(self):
        return self.cash + sum(s.value() for s in self.symbols)

    def shorts(self):
        return -sum(s.value() for s in self.symbols if s.qty < 0)

    def sample(self):
        equity = self.equity()
        self.peak = max(self.peak, equity)
        self.fall = max(self.fall, (self.peak - equity) / self.peak)

    def with_fee(self, price, qty):
        """The most that a waiting buy can cost."""
        cost = ceil8(price * qty)
        return cost + ceil8(cost * max(self.taker, self.maker))

    def free(self):
        """Cash that no short owes and no waiting buy has reserved."""
        cash = self.cash if BROKEN == "spend-shorts" else self.cash - self.shorts()
        for order in self.orders:
            if order.action == "buy" and order.limit is not None:
                cash -= self.with_fee(order.limit, order.leaves)
        return cash

    def base(self):
        return self.start if self.from_start else self.equity()

    def short_room(self):
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
        elif kind == "book":
            if words[2] == "1":
                symbol.bids, symbol.asks, symbol.taken = {}, {}, {}
            symbol.has_book = True
            for word in words[3:]:
                side, price, qty = word.split(":")
                levels = symbol.bids if side == "b" else symbol.asks
                symbol.taken.pop((side == "a", F(price)), None)
                if qty == "0":
                    levels.pop(F(price), None)
                else:
                    levels[F(price)] = F(qty)
        else:
            symbol.status = int(words[2])
        self.accrue()
        fair = symbol.fair()
        if fair:
            symbol.mark = fair
        self.sample()
        acts = self.bracket(symbol)
        left = trade[2] if trade else ZERO
        self.is_book = kind == "book"
        for order in sorted((o for o in self.orders if o.symbol is symbol), key=turn):
            left = self.look(order, trade, left)
        if acts and symbol.qty:
            self.close(symbol, acts)

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
            self.charge(amount)
            self.sample()
            self.tell_charge(symbol, "rollover", amount)

    def charge(self, amount):
        self.cash -= amount
        self.carry += amount

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
        self.next_order += 1
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
        if self.equity() <= 0:
            raise Refused("risk-limit")
        mark = symbol.fair() or ZERO
        position = floor8(abs(symbol.qty) * mark) + amount
        for limit, worth in ((self.max_order, amount), (self.max_position, position)):
            if limit is not None and worth > limit:
                raise Refused("risk-limit")
        if action == "buy":
            if amount + fee > self.free():
                raise Refused("insufficient-cash")
        else:
            owed = max(floor8(qty * mark), amount)
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
        self.next_order = number + 1
        symbol = self.symbols[int(words[1])]
        action, size, kind = words[2], words[3], words[4]
        try:
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
        tif, post, reduce, stop, target = words[7:12]
        buys, opens = BUYS[action], OPENS[action]
        if post == "1" or (reduce == "1" and opens):
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
                    return self.free() + 1
                _, paid, fee = self.take(symbol, True, qty)
                return paid + fee

            asked = self.within(symbol, self.free(), cost)
        else:
            asked = self.affordable(symbol, self.short_room(), self.reference(symbol, buys))
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
        first, second, tif, post, reduce, stop, target = words[5:12]
        order = Order(number, symbol, action)
        buys, opens = order.buys, order.opens
        is_limit, post = kind == "limit", post == "1"
        immediate = tif in ("ioc", "fok")
        if (post and (not is_limit or immediate)) or (not is_limit and immediate):
            raise Refused("unsupported")
        if reduce == "1" and opens:
            raise Refused("unsupported")
        taken_anyway = symbol.status == LIMIT_ONLY or (symbol.status == POST_ONLY and post)
        if not (is_limit and taken_anyway):
            self.check_status(symbol, opens)
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
            qty = self.within(symbol, self.free(), lambda qty: self.with_fee(at, qty))
        else:
            qty = self.affordable(symbol, self.short_room(), at)
        self.check_held(action, symbol, qty)
        self.check_minimums(symbol, qty, at, not opens and qty == abs(symbol.qty))
        order.stop, order.target = self.levels_of(symbol, buys, stop, target)
        self.check_bracket(action, at, order.stop, order.target)
        order.qty = order.leaves = qty
        order.tif, order.post = tif, post
        if tif == "day":
            order.expires = (self.now // DAY + 1) * DAY
        self.check_limit_funds(order)
        return order

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
        if not order.opens:
            beyond = max(order.leaves - abs(symbol.qty), ZERO)
            order.qty -= beyond
            order.leaves -= beyond
        takes = symbol.status == TRADING or (symbol.status == REDUCE_ONLY and not order.opens)
        took = ZERO
        if takes and not order.post:
            taken = self.take(symbol, order.buys, order.leaves, order.limit)
            if taken and taken[0] and (order.tif != "fok" or taken[0] == order.leaves):
                took = taken[0]
                if not self.fill_waiting(order, taken, "taker"):
                    return
        if order.tif in ("gtc", "day") and order.limit is not None:
            order.ahead = symbol.shown(order.buys, order.limit)
            if BROKEN == "front-of-the-queue":
                order.ahead = ZERO
            order.untold, order.used = ZERO, took
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
        self.orders.remove(order)
        if not order.opens:
            try:
                self.check_direction(order.action, symbol)
            except Refused:
                self.cancel(order)
                return left
        if order.expires is not None and self.now >= order.expires:
            self.cancel(order)
            return left
        if symbol.status != TRADING and not (symbol.status == REDUCE_ONLY and not order.opens):
            self.put(order)
            return left
        if order.trigger is not None:
            if self.reached(order):
                order.trigger = order.distance = None
                self.meet(order)
            else:
                self.put(order)
            return left
        filled = min(self.passive(order, trade, left), order.leaves)
        if filled <= 0:
            self.put(order)
            return left
        if not order.opens:
            filled = min(filled, abs(symbol.qty))
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
            if price < limit if buys else price > limit:
                order.ahead = ZERO
                return left
            if not queues or price != limit or bought == buys or order.ahead is None:
                return ZERO
            told = min(left, order.untold)
            if BROKEN == "twice-told":
                told = ZERO
            order.untold -= told
            over = left - told - order.ahead
            order.ahead = max(order.ahead - (left - told), ZERO)
            return over
        if not queues:
            return ZERO
        shown = symbol.shown(buys, limit)
        if shown is not None:
            if self.is_book:
                order.untold = ZERO if order.ahead is None else max(order.ahead - shown, ZERO)
            order.ahead = shown if order.ahead is None else min(order.ahead, shown)
        levels = symbol.levels(buys)
        crossing = sum((q for p, q in levels if (p <= limit if buys else p >= limit)), ZERO)
        if not crossing:
            order.used = ZERO
            return ZERO
        there = sum((q for p, q in symbol.left(buys) if (p <= limit if buys else p >= limit)), ZERO)
        filled = max(min(crossing - order.used, there, order.leaves), ZERO)
        order.used += filled
        return filled

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
        else:
            self.amend(order, words[1], words[2])

    def amend(self, order, size, price):
        symbol = order.symbol
        before = (order.qty, order.leaves, order.limit)
        try:
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
        self.fees += fee
        self.cash += -amount - fee if order.buys else amount - fee
        if order.opens:
            s.cost += amount
            s.qty += qty if order.buys else -qty
        else:
            share = floor8(s.cost * qty / abs(s.qty))
            if BROKEN == "cost-share":
                share = ceil8(s.cost * qty / abs(s.qty))
            s.cost -= share
            self.realized += share - amount if order.buys else amount - share
            s.qty += qty if order.buys else -qty
        opening = ceil8(amount * self.short_open) if order.action == "short" else ZERO
        self.charge(opening)
        if not s.qty:
            s.stop = s.target = None
        order.leaves -= qty
        s.mark = s.fair() or s.mark
        self.sample()
        print("fill", order.number, self.symbols.index(s), order.action, qty, amount, fee, liquidity, cause)
        self.tell_charge(s, "opening", opening)

    def state(self):
        fall = -(-self.fall.numerator * 10**9 // self.fall.denominator)
        positions = " ".join(str(s.qty) for s in self.symbols)
        print("state", self.cash, positions, self.fees, self.carry, self.realized, self.equity(), fall)


def main():
    session = None
    for line in sys.stdin:
        kind, *words = line.split()
        if kind == "session":
            session = Session(words)
        elif kind == "symbol":
            session.symbols.append(Symbol(words))
        elif kind in ("trade", "book", "status"):
            session.event(kind, words)
        elif kind == "order":
            session.submit(words)
        elif kind in ("cancel", "cancel-all", "amend"):
            session.request(kind, words)
        elif kind == "state":
            session.state()
        elif kind == "end":
            print("end")
        else:
            sys.exit(f"a line that is none: {line}")


main()
