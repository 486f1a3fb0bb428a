//! Orders that wait: limits in a queue, and stops that are not reached yet.

use serde::{Deserialize, Serialize};

use super::{Depleted, Model};
use crate::domain::{Action, OrderId, Price, Qty, Side, SymbolId, TimeInForce, Ts};
use crate::input::{Trade, TradingStatus};
use crate::market::{Book, Top};

/// The most orders of one lane that wait.
pub const OPEN_ORDERS_MAX: usize = 256;

/// Book events are counted in spans of two seconds: a print may come that long behind the
/// one that tells of the same trade, and up to twice that. Venues send both within some
/// hundred milliseconds.
const SPAN_NS: i64 = 2 * Ts::SECOND;

/// By how much book events lowered what is ahead of an order, as far as prints may still
/// tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// the number of the span of the last event
    span: i64,
    /// in the span before it, and in it
    fell: [i64; 2],
}

impl Untold {
    fn until(&mut self, ts: Ts) {
        let span = ts.0.div_euclid(SPAN_NS);
        self.fell = match span - self.span {
            0 => self.fell,
            1 => [self.fell[1], 0],
            _ => [0; 2],
        };
        self.span = span;
    }

    /// A book event at `ts` lowered it.
    fn add(&mut self, ts: Ts, fell: i64) {
        self.until(ts);
        self.fell[1] = self.fell[1].saturating_add(fell);
    }

    /// How much of a print at `ts` they have told already, the oldest first.
    fn take(&mut self, ts: Ts, printed: i64) -> i64 {
        self.until(ts);
        let mut told = 0;
        for fell in &mut self.fell {
            let part = (*fell).min(printed - told);
            *fell -= part;
            told += part;
        }
        told
    }
}

/// What wakes a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// the price that wakes it
    pub price: Price,
    /// for a trailing stop: how far it follows behind the best price seen
    pub distance: Option<Price>,
}

/// An order that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// its number in the lane
    pub id: OrderId,
    /// what it trades, in the lane's numbers
    pub symbol: SymbolId,
    /// what it does to the position
    pub action: Action,
    /// its whole quantity
    pub qty: Qty,
    /// what is not filled yet
    pub leaves: Qty,
    /// the worst price that it takes; none: the market's
    pub limit: Option<Price>,
    /// what it waits for; none once that has come
    pub trigger: Option<Trigger>,
    /// how long it waits
    pub time_in_force: TimeInForce,
    /// when it ends by itself
    pub expires: Option<Ts>,
    /// never takes liquidity
    pub post_only: bool,
    /// stop-loss of the position that it opens
    pub stop: Option<Price>,
    /// take-profit of the position that it opens
    pub target: Option<Price>,
    /// why, in the strategy's words
    pub reason: String,
    /// what is in front of it in the queue, `i64::MAX` while that is not known
    pub ahead: i64,
    /// by how much book events lowered that, which no print has told yet
    pub untold: Untold,
}

/// What an order does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// its stop is reached
    Wake,
    /// it is filled at its limit, up to this quantity
    Fill(i64),
    /// its time is over
    Expire,
}

/// What a waiting order sees of a moment of its symbol.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// the time
    pub ts: Ts,
    /// prices after it
    pub top: Top,
    /// a last trade before this time is no price any more
    pub oldest: Ts,
    /// the print, when the moment is one
    pub trade: Option<Trade>,
    /// true when the moment is a book event
    pub is_book: bool,
    /// the book after it
    pub book: &'a Book,
    /// what the lane has taken of that book
    pub depleted: &'a Depleted,
    /// the matcher
    pub model: Model,
}

impl Order {
    /// What has been filled.
    #[must_use]
    pub fn done(&self) -> Qty {
        Qty(self.qty.0 - self.leaves.0)
    }

    /// Joins the queue behind all that is displayed at its limit.
    pub fn join(&mut self, book: &Book) {
        let shown = self.limit.and_then(|limit| book.shown(self.action.side(), limit.0));
        self.ahead = shown.unwrap_or(i64::MAX);
        self.untold = Untold::default();
    }

    /// Takes notice of a moment of its symbol. Where orders before it have
    /// already filled from the print, `left` says what is left of that.
    pub fn look(&mut self, look: &Look<'_>, left: i64) -> Option<Deed> {
        if self.expires.is_some_and(|end| look.ts >= end) {
            return Some(Deed::Expire);
        }
        let reduces = look.top.status == TradingStatus::ReduceOnly && !self.action.opens();
        if look.top.status != TradingStatus::Trading && !reduces {
            return None;
        }
        if let Some(trigger) = &mut self.trigger {
            let meets = look.top.meets(self.action.side(), look.oldest);
            return trigger.meets(self.action.side(), meets).then_some(Deed::Wake);
        }
        let limit = self.limit?;
        let has_book = look.top.has_book && look.model == Model::Book;
        let fill = match look.trade {
            Some(trade) => self.at_print(limit, &trade, look.ts, left, has_book),
            None if has_book => self.at_book(limit, look),
            None => 0,
        };
        let fill = fill.min(self.leaves.0);
        (fill > 0).then_some(Deed::Fill(fill))
    }

    /// A print beyond the limit fills it, one at the limit first those ahead. Only a
    /// taker of the other side meets this queue: one of this side took what the order
    /// could have taken, or has. Without a book the price alone tells.
    fn at_print(&mut self, limit: Price, trade: &Trade, ts: Ts, left: i64, has_book: bool) -> i64 {
        let buys = self.action.side() == Side::Buy;
        if has_book && trade.side == self.action.side() {
            return 0;
        }
        let beyond = if buys { trade.price < limit } else { trade.price > limit };
        if beyond {
            self.ahead = 0;
            return left;
        }
        if !has_book || trade.price != limit || self.ahead == i64::MAX {
            return 0;
        }
        // What book events have taken away already may be this very print.
        let new = left - self.untold.take(ts, left);
        let over = new - self.ahead;
        self.ahead = (self.ahead - new).max(0);
        over.max(0)
    }

    /// Those ahead are at most what the level still shows; whether the rest was
    /// canceled or filled, the prints of the next seconds tell. An opposite quote at the
    /// limit or beyond has met the order, with what the lane has not taken of it.
    fn at_book(&mut self, limit: Price, look: &Look<'_>) -> i64 {
        let (book, depleted) = (look.book, look.depleted);
        if let Some(shown) = book.shown(self.action.side(), limit.0) {
            let fell = self.ahead.saturating_sub(shown).max(0);
            if look.is_book && self.ahead != i64::MAX {
                self.untold.add(look.ts, fell);
            }
            self.ahead = self.ahead.min(shown);
        }
        depleted.within(book, self.action.side(), limit).clamp(0, self.leaves.0)
    }
}

/// The lower, the sooner an order with this limit is filled.
fn rank(side: Side, limit: Price) -> i64 {
    match side {
        Side::Buy => limit.0.saturating_neg(),
        Side::Sell => limit.0,
    }
}

impl Trigger {
    /// Whether a price that the order would meet is at it or beyond.
    #[must_use]
    pub fn reached(&self, side: Side, meets: i64) -> bool {
        match side {
            Side::Buy => meets >= self.price.0,
            Side::Sell => meets <= self.price.0,
        }
    }

    /// The same at the next price. A trailing one follows the price first.
    fn meets(&mut self, side: Side, meets: i64) -> bool {
        if meets <= 0 {
            return false;
        }
        if let Some(distance) = self.distance {
            let follows = match side {
                Side::Sell => self.price.0.max(meets.saturating_sub(distance.0)),
                Side::Buy => self.price.0.min(meets.saturating_add(distance.0)),
            };
            self.price = Price(follows);
        }
        self.reached(side, meets)
    }
}

/// The orders of a lane that wait, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    orders: Vec<Order>,
}

impl Orders {
    /// True without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// True when no more may wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.orders.len() >= OPEN_ORDERS_MAX
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter()
    }

    /// True when one waits for this symbol.
    #[must_use]
    pub fn any(&self, symbol: SymbolId) -> bool {
        self.orders.iter().any(|order| order.symbol == symbol)
    }

    /// The numbers of those of a symbol, or of all.
    #[must_use]
    pub fn ids(&self, symbol: Option<SymbolId>) -> Vec<OrderId> {
        let chosen = self.orders.iter().filter(|o| symbol.is_none_or(|s| o.symbol == s));
        chosen.map(|order| order.id).collect()
    }

    /// The numbers of those of a symbol in the order in which they meet a print or a
    /// quote: the best limit first, as a venue fills them.
    #[must_use]
    pub fn turns(&self, symbol: SymbolId) -> Vec<OrderId> {
        let of = |order: &&Order| order.symbol == symbol;
        let mut turns: Vec<(i64, OrderId)> = self
            .orders
            .iter()
            .filter(of)
            .map(|order| (order.limit.map_or(i64::MAX, |l| rank(order.action.side(), l)), order.id))
            .collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, id)| id).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    /// Takes one out.
    pub fn take(&mut self, id: OrderId) -> Option<Order> {
        let at = self.orders.iter().position(|order| order.id == id)?;
        Some(self.orders.remove(at))
    }

    /// Puts one in its place.
    pub fn put(&mut self, order: Order) {
        let at = self.orders.partition_point(|other| other.id < order.id);
        self.orders.insert(at, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &Depleted = &Depleted::new();

    fn limit_buy(limit: i64, qty: i64) -> Order {
        Order {
            id: OrderId(1),
            symbol: SymbolId(0),
            action: Action::Buy,
            qty: Qty(qty),
            leaves: Qty(qty),
            limit: Some(Price(limit)),
            trigger: None,
            time_in_force: TimeInForce::Gtc,
            expires: None,
            post_only: false,
            stop: None,
            target: None,
            reason: String::new(),
            ahead: 0,
            untold: Untold::default(),
        }
    }

    fn book(bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Book {
        let mut book = Book::default();
        for &(price, qty) in bids {
            book.set(Side::Buy, price, qty);
        }
        for &(price, qty) in asks {
            book.set(Side::Sell, price, qty);
        }
        book
    }

    fn print(side: Side, price: i64, qty: i64) -> Option<Trade> {
        Some(Trade { symbol: SymbolId(0), side, price: Price(price), qty: Qty(qty), id: 0 })
    }

    #[test]
    fn the_queue_ahead_is_filled_first_and_shrinks_only_to_what_is_shown() {
        let full = book(&[(100, 50), (99, 10)], &[(102, 10)]);
        let top = Top { bid: 100, ask: 102, last: 101, has_book: true, ..Top::default() };
        let mut order = limit_buy(100, 30);
        order.join(&full);
        assert_eq!(order.ahead, 50, "behind all that is displayed");
        let sees = |book, trade| Look {
            ts: Ts(0),
            oldest: Ts(0),
            top,
            trade,
            is_book: trade.is_none(),
            book,
            depleted: WHOLE,
            model: Model::Book,
        };
        let cases = [
            ("a buyer's print does not meet bids", print(Side::Buy, 100, 90), None, 50),
            ("20 of those ahead are filled", print(Side::Sell, 100, 20), None, 30),
            ("the level shows more: nobody new is ahead", None, None, 30),
            ("the rest of them and 5 of ours", print(Side::Sell, 100, 35), Some(Deed::Fill(5)), 0),
        ];
        for (name, trade, expected, ahead) in cases {
            let left = trade.map_or(0, |t| t.qty.0);
            assert_eq!(order.look(&sees(&full, trade), left), expected, "{name}");
            assert_eq!(order.ahead, ahead, "{name}");
        }
        let mut order = limit_buy(100, 30);
        order.join(&full);
        let thin = book(&[(100, 7), (99, 10)], &[(102, 10)]);
        assert_eq!(order.look(&sees(&thin, None), 0), None);
        assert_eq!(order.ahead, 7, "at most what the level still shows");
        let mut deep = limit_buy(90, 30);
        deep.join(&full);
        assert_eq!(deep.look(&sees(&full, print(Side::Sell, 90, 99)), 99), None);
        assert_eq!(deep.ahead, i64::MAX, "below what is displayed the queue is not known");
        assert_eq!(deep.look(&sees(&full, print(Side::Sell, 89, 9)), 9), Some(Deed::Fill(9)));
    }

    #[test]
    fn a_trade_told_twice_counts_once_for_some_seconds() {
        let at = |seconds: i64| Ts(seconds * Ts::SECOND);
        let mut untold = Untold::default();
        untold.add(at(10), 5);
        untold.add(at(11), 3);
        untold.add(at(12), 4);
        assert_eq!(untold.take(at(13), 6), 6, "the oldest first");
        assert_eq!(untold.take(at(14), 9), 4, "those of two to four seconds ago");
        untold.add(at(20), 5);
        assert_eq!(untold.take(at(23), 3), 3);
        assert_eq!(untold.take(at(24), 3), 0, "too late");
    }

    #[test]
    fn a_taker_of_its_own_side_sells_nothing_to_it() {
        let shows = book(&[(99, 10)], &[(102, 10)]);
        let none = Book::default();
        for (side, has_book, expected) in [
            (Side::Buy, true, None),
            (Side::Sell, true, Some(Deed::Fill(10))),
            (Side::Buy, false, Some(Deed::Fill(10))),
        ] {
            let look = Look {
                ts: Ts(0),
                oldest: Ts(0),
                top: Top { bid: 99, ask: 102, last: 99, has_book, ..Top::default() },
                trade: print(side, 99, 10),
                is_book: false,
                book: if has_book { &shows } else { &none },
                depleted: WHOLE,
                model: Model::Book,
            };
            assert_eq!(limit_buy(100, 30).look(&look, 10), expected, "{side:?} {has_book}");
        }
    }

    #[test]
    fn orders_stand_in_the_order_of_their_numbers() {
        let mut orders = Orders::default();
        let numbered = |id| Order { id: OrderId(id), ..limit_buy(100, 1) };
        [1, 2, 3, 5].into_iter().for_each(|id| orders.put(numbered(id)));
        let second = orders.take(OrderId(2)).expect("it waits");
        orders.put(second);
        orders.put(numbered(4));
        assert_eq!(orders.ids(None), [1, 2, 3, 4, 5].map(OrderId));
    }

    #[test]
    fn a_crossing_quote_fills_once() {
        let top = Top { bid: 99, ask: 100, last: 101, has_book: true, ..Top::default() };
        let crossed = book(&[(99, 5)], &[(100, 8), (101, 50)]);
        let look = Look {
            ts: Ts(0),
            oldest: Ts(0),
            top,
            trade: None,
            is_book: true,
            book: &crossed,
            depleted: WHOLE,
            model: Model::Book,
        };
        let mut order = limit_buy(100, 30);
        assert_eq!(order.look(&look, 0), Some(Deed::Fill(8)));
        // The lane notes what it took: neither this order nor another has it again.
        let mut depleted = Depleted::new();
        depleted.take(&crossed, Side::Buy, 8);
        let look = Look { depleted: &depleted, ..look };
        order.leaves = Qty(22);
        assert_eq!(order.look(&look, 0), None, "the same quote is not there twice");
        assert_eq!(limit_buy(100, 30).look(&look, 0), None);
    }

    #[test]
    fn without_a_book_only_a_print_beyond_the_limit_fills() {
        let (top, none) = (Top { last: 101, ..Top::default() }, Book::default());
        let mut order = limit_buy(100, 30);
        for (price, expected) in [(101, None), (100, None), (99, Some(Deed::Fill(10)))] {
            let trade = print(Side::Sell, price, 10);
            let look = Look {
                ts: Ts(0),
                oldest: Ts(0),
                top,
                trade,
                is_book: true,
                book: &none,
                depleted: WHOLE,
                model: Model::Book,
            };
            assert_eq!(order.look(&look, 10), expected, "{price}");
        }
        let stale = Top { status: TradingStatus::Stale, ..top };
        let trade = print(Side::Sell, 90, 10);
        let look = Look {
            ts: Ts(0),
            oldest: Ts(0),
            top: stale,
            trade,
            is_book: true,
            book: &none,
            depleted: WHOLE,
            model: Model::Book,
        };
        assert_eq!(order.look(&look, 10), None, "nothing fills on stale data");
    }

    #[test]
    fn an_order_fills_while_its_symbol_trades_or_may_be_reduced() {
        let none = Book::default();
        for number in 0..8 {
            let Some(status) = TradingStatus::from_u8(number) else { continue };
            for (action, side, price) in
                [(Action::Buy, Side::Sell, 99), (Action::Sell, Side::Buy, 101)]
            {
                let mut order = Order { action, ..limit_buy(100, 30) };
                let look = Look {
                    ts: Ts(0),
                    oldest: Ts(0),
                    top: Top { last: 100, status, ..Top::default() },
                    trade: print(side, price, 10),
                    is_book: false,
                    book: &none,
                    depleted: WHOLE,
                    model: Model::Book,
                };
                let reduces = status == TradingStatus::ReduceOnly && action == Action::Sell;
                let fills = status == TradingStatus::Trading || reduces;
                let expected = fills.then_some(Deed::Fill(10));
                assert_eq!(order.look(&look, 10), expected, "{status:?} {action:?}");
            }
        }
    }

    #[test]
    fn a_trailing_stop_follows_and_never_goes_back() {
        let none = Book::default();
        let mut order = limit_buy(0, 30);
        (order.action, order.limit) = (Action::Sell, None);
        order.trigger = Some(Trigger { price: Price(95), distance: Some(Price(5)) });
        for (last, expected, trigger) in
            [(100, None, 95), (110, None, 105), (106, None, 105), (105, Some(Deed::Wake), 105)]
        {
            let top = Top { last, ..Top::default() };
            let look = Look {
                ts: Ts(0),
                oldest: Ts(0),
                top,
                trade: None,
                is_book: true,
                book: &none,
                depleted: WHOLE,
                model: Model::Book,
            };
            assert_eq!(order.look(&look, 0), expected, "{last}");
            assert_eq!(order.trigger.unwrap().price, Price(trigger), "{last}");
        }
    }
}
