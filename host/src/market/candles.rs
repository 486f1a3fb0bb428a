//! Candles of any interval, built from trades, and from a venue's own where trades
//! were missed.
//!
//! 1. A candle covers `[open, open + interval)` on the venue's clock, aligned to
//!    the Unix epoch.
//! 2. It closes at the first trade of a later interval, before that trade
//!    counts, or when the engine's clock has passed its end by [`GRACE_NS`].
//! 3. Intervals without trades are filled with flat candles at the last close
//!    (volume 0, marked empty), up to a limit in a row; a longer silence leaves
//!    a gap. Nothing is filled before the first trade.
//! 4. A trade that arrives after its candle has closed counts in the candle that
//!    is open then, so that no volume is lost and no closed candle changes.
//! 5. The venue's clock may be ahead of the engine's by [`AHEAD_MAX_NS`]. A time
//!    beyond that is not believed, and the engine's own taken instead: one trade of
//!    the year 2199 would end every candle there will be.
//! 6. While a symbol's data is stale the clock closes nothing: nobody knows whether
//!    trades fell into those intervals. What is told of them afterwards, by trades or
//!    as candles of the venue, counts where it belongs.
//! 7. A candle of the venue stands for its whole interval: it replaces what was seen
//!    of that interval, and trades from before its end that come later are in it. One
//!    of a minute also replaces that minute within the longer candle that is open.
//! 8. A candle is marked partial when it reaches into a time of which trades may be
//!    missing: before the first event; between two trades whose ids are not neighbors,
//!    or begin anew; between what was known when the data became stale and a candle of
//!    the venue that does not join it; and around a trade whose time is not believed.
//!    A candle of the venue closes its own interval of that, and nothing beside it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::gaps::Gaps;
use crate::domain::{Instrument, Price, Qty, Ts};
use crate::input::CandleInput;

pub use crate::input::AHEAD_MAX_NS;

/// How long the engine's clock waits past the end of a candle for trades that
/// are still on their way: more than a slow link needs, less than a person
/// notices.
pub const GRACE_NS: i64 = 2 * Ts::SECOND;

/// The interval in seconds of the venue's candles that complete longer ones, by rule 7.
pub const PART_S: u32 = 60;

const PART_NS: i64 = PART_S as i64 * Ts::SECOND;

/// How long before data becomes stale it may have been silent already. More than it takes
/// to notice that, less than what candles of an outage reach back before it.
const DARK_NS: i64 = 90 * Ts::SECOND;

/// The time at which a trade counts, by rule 5.
#[must_use]
pub fn trade_time(ts_exchange: Ts, now: Ts) -> i64 {
    if ts_exchange.since(now) > AHEAD_MAX_NS { now.0 } else { ts_exchange.0 }
}

/// A candle, in the instrument's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// start
    pub open_ts: i64,
    /// first price
    pub open: i64,
    /// highest price
    pub high: i64,
    /// lowest price
    pub low: i64,
    /// last price
    pub close: i64,
    /// traded quantity
    pub volume: i64,
    /// sum of price × quantity
    pub turnover: i128,
    /// number of trades
    pub trades: u32,
    /// whether trades may be missing from it
    pub partial: bool,
}

impl Candle {
    /// What a venue tells of an interval. Its average price stands for the turnover.
    #[allow(clippy::float_arithmetic, reason = "an indicator")]
    fn told(input: &CandleInput, instrument: &Instrument) -> Self {
        let average = input.vwap * crate::domain::decimal::power(instrument.price_decimals);
        Self {
            open_ts: input.open_ts.0,
            open: input.open.0,
            high: input.high.0,
            low: input.low.0,
            close: input.close.0,
            volume: input.volume.0,
            turnover: (average * input.volume.0 as f64) as i128,
            trades: u32::from(input.volume != Qty::ZERO),
            partial: false,
        }
    }

    /// Counts a later part of the same interval.
    fn absorb(&mut self, later: &Self) {
        if self.is_empty() {
            *self = Self { open_ts: self.open_ts, ..*later };
        } else if !later.is_empty() {
            self.high = self.high.max(later.high);
            self.low = self.low.min(later.low);
            self.close = later.close;
            self.volume = self.volume.saturating_add(later.volume);
            self.turnover = self.turnover.saturating_add(later.turnover);
            self.trades = self.trades.saturating_add(later.trades);
        }
    }

    fn flat(open_ts: i64, price: i64) -> Self {
        Self {
            open_ts,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            turnover: 0,
            trades: 0,
            partial: false,
        }
    }

    fn add(&mut self, price: i64, qty: i64) {
        if self.trades == 0 {
            self.open = price;
            self.high = price;
            self.low = price;
        }
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.volume = self.volume.saturating_add(qty);
        self.turnover = self.turnover.saturating_add(i128::from(price) * i128::from(qty));
        self.trades = self.trades.saturating_add(1);
    }

    /// True when no trade fell into it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trades == 0
    }

    /// The volume-weighted average price; the close when nothing was traded.
    #[must_use]
    #[allow(clippy::float_arithmetic, reason = "an indicator")]
    pub fn vwap(&self, instrument: &Instrument) -> f64 {
        if self.volume == 0 {
            return instrument.price_f64(Price(self.close));
        }
        let units = self.turnover as f64 / self.volume as f64;
        units / crate::domain::decimal::power(instrument.price_decimals)
    }
}

/// A closed candle with the moment at which it became known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedCandle {
    /// the engine moment, for looking back from inside a batch
    pub moment: u64,
    /// the candle
    pub candle: Candle,
    /// its volume-weighted average price
    pub vwap: f64,
}

/// The candles of one symbol and interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandleSeries {
    interval_s: u32,
    interval_ns: i64,
    keep: usize,
    fill_gaps: u32,
    forming: Option<Candle>,
    /// the same without its latest part, which begins at `part`
    before_part: Option<Candle>,
    /// start of the latest minute that told something
    part: i64,
    /// until when candles of the venue have told everything
    told_until: i64,
    /// the last trade's id and time
    last_trade: Option<(u64, i64)>,
    /// until when everything is known that the venue told, by its word that it is current
    seen_until: i64,
    /// of which times trades may be missing
    missing: Gaps,
    /// start of the earliest candle that may still open
    next_open: i64,
    last_close: Option<i64>,
    closed: VecDeque<ClosedCandle>,
}

impl CandleSeries {
    /// An empty series.
    #[must_use]
    pub fn new(interval_s: u32, keep: usize, fill_gaps: u32) -> Self {
        Self {
            interval_s,
            interval_ns: i64::from(interval_s.max(1)) * Ts::SECOND,
            keep,
            fill_gaps,
            forming: None,
            before_part: None,
            part: i64::MIN,
            told_until: i64::MIN,
            last_trade: None,
            seen_until: i64::MIN,
            missing: Gaps::default(),
            next_open: i64::MIN,
            last_close: None,
            closed: VecDeque::new(),
        }
    }

    /// The interval in seconds.
    #[must_use]
    pub fn interval_s(&self) -> u32 {
        self.interval_s
    }

    /// The candle that is not closed yet.
    #[must_use]
    pub fn forming(&self) -> Option<&Candle> {
        self.forming.as_ref()
    }

    /// True when a trade at `ts_exchange` would close something first.
    #[must_use]
    pub fn closes_before(&self, ts_exchange: i64) -> bool {
        self.last_close.is_some() && ts_exchange >= self.end()
    }

    /// End of the candle that is open or would open next.
    fn end(&self) -> i64 {
        let open = self.forming.map_or(self.next_open, |candle| candle.open_ts);
        open.saturating_add(self.interval_ns)
    }

    /// When the clock closes the next candle; never before the first trade.
    #[must_use]
    pub fn deadline(&self) -> i64 {
        if self.last_close.is_none() { i64::MAX } else { self.end().saturating_add(GRACE_NS) }
    }

    /// Closes what a trade at `ts_exchange` ends: the open candle and the empty
    /// ones up to the trade's interval.
    pub fn close_before(&mut self, ts_exchange: i64, mut emit: impl FnMut(Candle)) {
        self.close_until(ts_exchange, &mut emit);
    }

    /// Closes what the engine's clock has left behind.
    pub fn close_by_clock(&mut self, now: i64, mut emit: impl FnMut(Candle)) {
        self.close_until(now.saturating_sub(GRACE_NS), &mut emit);
    }

    /// Closes every candle that ends at or before `time`.
    fn close_until(&mut self, time: i64, emit: &mut impl FnMut(Candle)) {
        let Some(mut close) = self.last_close else { return };
        if let Some(candle) = self.forming.take_if(|c| c.open_ts + self.interval_ns <= time) {
            self.next_open = candle.open_ts + self.interval_ns;
            close = candle.close;
            emit(self.marked(candle));
        }
        if let Some(candle) = &self.forming {
            self.missing.forget_before(candle.open_ts);
            return;
        }
        self.close_empty(time, close, emit);
        self.missing.forget_before(self.next_open);
    }

    /// Closes candles without trades up to `time`, all at the last close.
    fn close_empty(&mut self, time: i64, close: i64, emit: &mut impl FnMut(Candle)) {
        let missing = time.saturating_sub(self.next_open).div_euclid(self.interval_ns);
        if missing > i64::from(self.fill_gaps) {
            self.next_open =
                self.next_open.saturating_add(missing.saturating_mul(self.interval_ns));
            return;
        }
        for _ in 0..missing.max(0) {
            emit(self.marked(Candle::flat(self.next_open, close)));
            self.next_open += self.interval_ns;
        }
    }

    fn marked(&self, candle: Candle) -> Candle {
        let end = candle.open_ts.saturating_add(self.interval_ns);
        Candle { partial: self.missing.touch(candle.open_ts, end), ..candle }
    }

    /// Notes that nothing was seen before this moment.
    pub fn begin(&mut self, now: i64) {
        // At the very moment of an interval's start nothing of it is missing.
        self.missing.add(i64::MIN, now.saturating_sub(1));
        self.seen_until = now;
    }

    /// Notes that the data becomes stale at `now`: what came long enough before has come
    /// whole.
    pub fn darken(&mut self, now: i64) {
        self.seen_until = self.seen_until.max(now.saturating_sub(DARK_NS));
    }

    /// Notes a trade that is about to come: whether any are missing before it. Ids that
    /// do not count, as those of simulated ones may, say nothing.
    pub fn expect(&mut self, id: u64, ts_exchange: i64) {
        let last = self.last_trade.replace((id, ts_exchange));
        let is_next = |last: u64| id == last || id == last.saturating_add(1);
        let skipped = last.filter(|(last, _)| *last > 0 && id > 0 && !is_next(*last));
        if let Some((_, since)) = skipped {
            let from = since.max(self.told_until);
            self.missing.add(from, ts_exchange.max(since));
        }
    }

    /// Notes that the trade that counts at this time belongs elsewhere, nobody knows
    /// where.
    pub fn doubt(&mut self, time: i64) {
        self.missing.add(time, time);
    }

    /// Counts a trade. What it ends was closed before.
    pub fn add(&mut self, ts_exchange: i64, price: i64, qty: i64) {
        if ts_exchange < self.told_until {
            return;
        }
        self.begin_part(ts_exchange.div_euclid(PART_NS).saturating_mul(PART_NS));
        let candle = self.open(ts_exchange, price);
        candle.add(price, qty);
        self.last_close = Some(price);
    }

    /// The candle that is open, which begins with this moment where there is none.
    fn open(&mut self, ts_exchange: i64, price: i64) -> &mut Candle {
        let own = ts_exchange.div_euclid(self.interval_ns).saturating_mul(self.interval_ns);
        let next_open = self.next_open;
        self.forming.get_or_insert_with(|| Candle::flat(own.max(next_open), price))
    }

    fn begin_part(&mut self, part: i64) {
        if part > self.part || self.forming.is_none() {
            self.before_part = self.forming;
            self.part = self.part.max(part);
        }
    }

    /// Takes a candle of the venue, of this interval or of a minute of it, by rule 7, and
    /// closes what that ends: candles before it, or it itself. What is older than all
    /// that is open is known already and ignored.
    pub fn tell(
        &mut self,
        input: &CandleInput,
        instrument: &Instrument,
        mut emit: impl FnMut(Candle),
    ) {
        let told = Candle::told(input, instrument);
        if input.interval_s == self.interval_s {
            self.tell_whole(told, &mut emit);
        } else if input.interval_s == PART_S && self.interval_s.is_multiple_of(PART_S) {
            self.tell_part(&told, &mut emit);
        }
    }

    fn tell_whole(&mut self, told: Candle, emit: &mut impl FnMut(Candle)) {
        self.joins(told.open_ts);
        self.close_until(told.open_ts, emit);
        let open = self.forming.map_or(self.next_open, |candle| candle.open_ts);
        if told.open_ts < open {
            return;
        }
        self.forming = None;
        self.next_open = told.open_ts.saturating_add(self.interval_ns);
        self.last_close = Some(told.close);
        self.was_told(told.open_ts, self.next_open);
        emit(told);
    }

    fn tell_part(&mut self, told: &Candle, emit: &mut impl FnMut(Candle)) {
        let (minute, end) = (told.open_ts, told.open_ts.saturating_add(PART_NS));
        self.joins(minute);
        self.close_until(minute, emit);
        let open = self.forming.map_or(self.next_open, |candle| candle.open_ts);
        if minute < open || (self.forming.is_some() && minute < self.part) {
            return;
        }
        self.begin_part(minute);
        let before = self.before_part;
        let candle = self.open(minute, told.open);
        *candle = before.unwrap_or(Candle::flat(candle.open_ts, told.open));
        candle.absorb(told);
        self.last_close = Some(told.close);
        self.was_told(minute, end);
    }

    /// A candle of the venue begins at `from`: what lies between that and what was known
    /// before nobody has told.
    fn joins(&mut self, from: i64) {
        let last_trade = self.last_trade.map_or(i64::MIN, |(_, ts)| ts);
        let known = last_trade.max(self.told_until).max(self.seen_until);
        if known > i64::MIN {
            self.missing.add(known, from.saturating_sub(1));
        }
    }

    /// A candle of the venue tells everything from `from` until before `until`.
    fn was_told(&mut self, from: i64, until: i64) {
        self.missing.close(from, until);
        self.told_until = self.told_until.max(until);
    }

    /// Adds a closed candle to the history.
    pub fn remember(&mut self, closed: ClosedCandle) {
        self.closed.push_back(closed);
    }

    /// Lets go of what is older than the history that is kept. Within a batch
    /// nothing goes, so that a look back finds the same at every batch size.
    pub fn trim(&mut self) {
        let excess = self.closed.len().saturating_sub(self.keep);
        self.closed.drain(..excess);
    }

    /// The newest `n` candles that were known at `moment`, oldest of them first.
    pub fn newest_at(&self, moment: u64, n: usize) -> impl Iterator<Item = &ClosedCandle> {
        let known = self.closed.partition_point(|c| c.moment <= moment);
        self.closed.range(known.saturating_sub(n)..known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = Ts::SECOND;

    /// Feeds trades `(second, price, quantity)` and returns the closed candles
    /// as `(open second, open, high, low, close, volume)`.
    fn closed(trades: &[(i64, i64, i64)], fill: u32) -> Vec<(i64, i64, i64, i64, i64, i64)> {
        let mut series = CandleSeries::new(60, 10, fill);
        let mut out = Vec::new();
        for &(second, price, qty) in trades {
            series.close_before(second * S, |c| {
                out.push((c.open_ts / S, c.open, c.high, c.low, c.close, c.volume));
            });
            series.add(second * S, price, qty);
        }
        out
    }

    #[test]
    fn a_candle_closes_at_the_first_trade_of_a_later_interval() {
        let trades = [(0, 10, 1), (30, 12, 2), (59, 9, 1), (60, 11, 5), (121, 8, 1)];
        assert_eq!(closed(&trades, 10), [(0, 10, 12, 9, 9, 4), (60, 11, 11, 11, 11, 5)]);
    }

    #[test]
    fn empty_intervals_are_filled_up_to_a_limit() {
        let trades = [(0, 10, 1), (200, 12, 2), (260, 13, 1)];
        let expected = [
            (0, 10, 10, 10, 10, 1),
            (60, 10, 10, 10, 10, 0),
            (120, 10, 10, 10, 10, 0),
            (180, 12, 12, 12, 12, 2),
        ];
        assert_eq!(closed(&trades, 2), expected);
        assert_eq!(closed(&trades, 1), [expected[0], expected[3]], "a longer silence is a gap");
    }

    #[test]
    fn a_late_trade_counts_in_the_open_candle() {
        let trades = [(0, 10, 1), (61, 11, 1), (59, 7, 2), (120, 12, 1)];
        assert_eq!(closed(&trades, 10), [(0, 10, 10, 10, 10, 1), (60, 11, 11, 7, 7, 3)]);
    }

    #[test]
    fn the_clock_closes_after_a_grace_and_a_late_trade_opens_the_next() {
        let mut series = CandleSeries::new(60, 10, 10);
        assert_eq!(series.deadline(), i64::MAX, "nothing closes before the first trade");
        series.add(5 * S, 10, 1);
        assert_eq!(series.deadline(), 62 * S);
        let mut count = 0;
        series.close_by_clock(62 * S - 1, |_| count += 1);
        assert_eq!(count, 0);
        series.close_by_clock(62 * S, |c| {
            assert_eq!((c.open_ts, c.volume), (0, 1));
            count += 1;
        });
        assert_eq!(count, 1);
        series.add(59 * S, 11, 4);
        assert_eq!(series.forming().map(|c| (c.open_ts, c.volume)), Some((60 * S, 4)));
    }

    /// All trades at once: grouped by interval, with what the rules put between.
    fn definition(trades: &[(i64, i64, i64)], interval: i64, fill: i64) -> Vec<Candle> {
        let mut groups: std::collections::BTreeMap<i64, Vec<(i64, i64)>> = Default::default();
        for &(ts, price, qty) in trades {
            groups.entry(ts.div_euclid(interval) * interval).or_default().push((price, qty));
        }
        let mut all: Vec<Candle> = Vec::new();
        for (open_ts, group) in groups {
            if let Some(last) = all.last().copied() {
                let silent = (open_ts - last.open_ts) / interval - 1;
                if silent <= fill {
                    let opens = (1..=silent).map(|n| last.open_ts + n * interval);
                    all.extend(opens.map(|open_ts| Candle::flat(open_ts, last.close)));
                }
            }
            let prices = || group.iter().map(|(price, _)| *price);
            all.push(Candle {
                open_ts,
                open: group[0].0,
                high: prices().max().unwrap(),
                low: prices().min().unwrap(),
                close: group[group.len() - 1].0,
                volume: group.iter().map(|(_, qty)| qty).sum(),
                turnover: group.iter().map(|(p, q)| i128::from(*p) * i128::from(*q)).sum(),
                trades: group.len() as u32,
                partial: false,
            });
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn a18_candles_are_what_all_trades_at_once_give(
            trades in proptest::collection::vec((0_i64..200_000, 1_i64..1_000, 0_i64..50), 1..120),
            interval_s in proptest::sample::select(vec![1_u32, 7, 60, 300]),
            fill in 0_u32..20,
        ) {
            let mut now = -100 * S;
            let trades: Vec<_> = trades
                .into_iter()
                .map(|(gap_ms, price, qty)| {
                    now += gap_ms * gap_ms / 200_000 * 1_000_000;
                    (now, price, qty)
                })
                .collect();
            let mut series = CandleSeries::new(interval_s, 10, fill);
            let mut got = Vec::new();
            for &(ts, price, qty) in &trades {
                let (closes, before) = (series.closes_before(ts), got.len());
                series.close_before(ts, |candle| got.push(candle));
                proptest::prop_assert_eq!(closes, got.len() > before);
                series.add(ts, price, qty);
            }
            got.extend(series.forming().copied());
            let expected = definition(&trades, i64::from(interval_s) * S, i64::from(fill));
            proptest::prop_assert_eq!(&got, &expected);
            let instrument = Instrument::plain("X/USD", 0, 0);
            for candle in got.iter().filter(|candle| candle.volume > 0) {
                let vwap = candle.turnover as f64 / candle.volume as f64;
                proptest::prop_assert_eq!(candle.vwap(&instrument), vwap);
                proptest::prop_assert!(vwap >= candle.low as f64 && vwap <= candle.high as f64);
            }
        }
    }

    #[test]
    fn a18_control_a_trade_in_another_interval_is_another_candle() {
        let with = |second: i64| definition(&[(0, 10, 1), (second * S, 11, 2)], 60 * S, 5);
        assert_ne!(with(59), with(60));
        assert_eq!(
            (with(59).len(), with(60).len(), with(200).len(), with(2_000).len()),
            (1, 2, 4, 2)
        );
    }
}
