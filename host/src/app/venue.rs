//! A run on a venue's live market.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time;

use crate::cli::Exit;
use crate::config::Config;
use crate::domain::{Instrument, InstrumentTable, SymbolId, Ts};
use crate::feed::live::{
    Attempts, Clock, Driver, Endpoint, Health, LinkSettings, Pump, history, listing,
};
use crate::input::{CandleInput, EventRef, InputBlock, TradingStatus};
use crate::market::candles::PART_S;
use crate::output;
use crate::venue::{Listing, Live, SessionPlan, Venue, Wanted};

use super::session::{Flow, Source};
use super::{Failure, Interrupt};

/// Blocks on their way to the engine. Each may be as large as the feed's bound,
/// so a few are enough to hide a slow step.
const BLOCKS_AHEAD: usize = 4;
/// How long the history of one candle interval may take.
const HISTORY_WAIT: Duration = Duration::from_secs(10);

/// How far behind the end of a record candles are told again: what the venue's clock may
/// differ by.
const RETOLD_NS: i64 = 60 * Ts::SECOND;

/// What a run wants of the venue.
pub struct Plan {
    /// the run's symbols, in order
    pub symbols: Vec<String>,
    /// levels that strategies ask for, by symbol
    pub depths: BTreeMap<String, u32>,
    /// candle intervals in seconds to have history of
    pub intervals: Vec<u32>,
    /// where the record ends that the run goes on from
    pub after: Option<Ts>,
}

/// A venue's market, from a connection on a thread of its own.
pub struct VenueSource {
    instruments: InstrumentTable,
    start: Ts,
    end: Option<Ts>,
    /// where the record ends that the run goes on from
    after: Option<Ts>,
    candles: Vec<CandleInput>,
    blocks: mpsc::Receiver<InputBlock>,
    health: watch::Receiver<Health>,
}

impl VenueSource {
    /// Learns what the venue trades, takes the history and begins to follow.
    /// Waits while there is no connection; `None` when the user ended that.
    ///
    /// # Errors
    /// An address that is none, symbols or depths that the venue does not have,
    /// or no connection within the run's duration.
    pub async fn open(
        venue: &'static dyn Venue,
        config: &Config,
        plan: &Plan,
        interrupt: &Interrupt,
    ) -> Result<Option<Self>, Failure> {
        let cause = RefCell::new(String::new());
        let opening = Self::connect(venue, config, plan, &cause);
        let length = config.run.duration;
        tokio::select! {
            biased;
            () = interrupt.asked() => Ok(None),
            opened = opening => opened.map(Some),
            () = time::sleep(length), if !length.is_zero() => {
                let url = address(venue, config);
                let cause = cause.borrow();
                let why = match cause.as_str() {
                    "" => "it has not answered",
                    why => why,
                };
                let message = format!("no connection to {url} within run.duration: {why}");
                Err(Failure::new(Exit::Feed, message)
                    .hint("a live run waits for its venue and never falls back to simulated prices"))
            }
        }
    }

    async fn connect(
        venue: &'static dyn Venue,
        config: &Config,
        plan: &Plan,
        cause: &RefCell<String>,
    ) -> Result<Self, Failure> {
        let (feed, url) = (&config.feed, address(venue, config));
        let endpoint = endpoint(&url, config)?;
        let depths = depths(venue, config, plan)?;
        let (settings, attempts) = (settings(config), Attempts::default());
        let mut clock = Clock::wall();
        if let Some(ahead) = plan.after.and_then(|after| clock.begin_at(after)) {
            let ahead = output::duration(Duration::from_nanos(ahead.unsigned_abs()));
            tracing::warn!(
                "this machine's clock is {ahead} behind the record: the run's clock goes on from there"
            );
        }
        let told = |link: &crate::feed::live::LinkStats, time: Duration| {
            let why = explained(link.last_loss.as_deref().unwrap_or_default());
            cause.replace(why.clone());
            let since = if time.is_zero() {
                String::new()
            } else {
                format!(" for {}", output::duration(time))
            };
            tracing::warn!("no connection to {url}{since} ({why}): waiting for it");
        };
        tracing::info!("asking {url} for what it trades");
        let tries = (&attempts, seed()?);
        let asked = venue.listing();
        let listed = listing(endpoint.clone(), asked, settings.clone(), clock, tries, told).await;
        let names: Vec<String> = plan
            .symbols
            .iter()
            .map(|symbol| feed.symbols.get(symbol).unwrap_or(symbol).clone())
            .collect();
        let instruments = instruments(venue, &*listed, &plan.symbols, &names)?;
        let session = |wanted: &[Wanted]| {
            venue.session(SessionPlan {
                instruments: instruments.clone(),
                names: names.clone(),
                wanted,
                silence_ns: Some(nanoseconds(feed.stale_after)),
                trade_silence_ns: Some(nanoseconds(feed.trades_checked_after)),
            })
        };
        let mut block = InputBlock::new(&instruments, 1);
        for minutes in plan.intervals.iter().filter(|s| *s % 60 == 0).map(|s| s / 60) {
            let Ok(session) = session(&wanted(&instruments, |_| (None, false, Some(minutes))))
            else {
                tracing::debug!("the venue has no candles of {minutes} minutes");
                continue;
            };
            let (times, tries) = ((clock, HISTORY_WAIT), (&attempts, seed()?));
            let (endpoint, settings) = (endpoint.clone(), settings.clone());
            if !history(endpoint, session, settings, times, tries, &mut block, &instruments).await {
                tracing::warn!(
                    "not all candles of {minutes} minutes came: indicators start colder"
                );
            }
        }
        let levels = |symbol: SymbolId| depths.get(symbol.index()).copied();
        let followed =
            |minutes| session(&wanted(&instruments, |symbol| (levels(symbol), true, minutes)));
        // Candles of a minute complete those of whole minutes behind an outage.
        let minute = plan.intervals.iter().any(|s| s.is_multiple_of(PART_S)).then_some(PART_S / 60);
        let session = followed(minute).or_else(|_| followed(None));
        let session = session.map_err(|error| Failure::new(Exit::Feed, error))?;
        let health = Health::new(venue.name(), &url, &instruments);
        // Before anything can come, so that no event is older than the start.
        let start = clock.now();
        let (blocks, health) =
            spawn(endpoint, session, (settings, clock, attempts), &instruments, health)?;
        let end = (!config.run.duration.is_zero())
            .then(|| Ts(start.0.saturating_add(nanoseconds(config.run.duration))));
        let (candles, after) = (in_order(&block), plan.after);
        Ok(Self { start, end, after, candles, blocks, health, instruments })
    }
}

/// Where the venue's market data is: as configured, or its own address.
#[must_use]
pub fn address(venue: &dyn Venue, config: &Config) -> String {
    match config.feed.url.as_str() {
        "own" => venue.url().to_owned(),
        url => url.to_owned(),
    }
}

/// A cause with what may help.
fn explained(why: &str) -> String {
    match why.contains("certificate") {
        true => format!("{why}; feed.ca_file names other certificates to trust"),
        false => why.to_owned(),
    }
}

fn endpoint(url: &str, config: &Config) -> Result<Endpoint, Failure> {
    let wrong = |error: String| Failure::new(Exit::Config, error);
    let authorities = match config.feed.ca_file.as_str() {
        "none" => None,
        path => Some(std::fs::read(path).map_err(|e| wrong(format!("feed.ca_file {path}: {e}")))?),
    };
    let endpoint = match authorities {
        None => Endpoint::parse(url),
        Some(pem) => Endpoint::trusting(url, &pem),
    };
    endpoint.map_err(|error| wrong(format!("feed.url: {error}")))
}

/// Starts the thread that the connection lives on.
fn spawn(
    endpoint: Endpoint,
    session: Box<dyn Live>,
    (settings, clock, attempts): (LinkSettings, Clock, Attempts),
    instruments: &InstrumentTable,
    health: Health,
) -> Result<(mpsc::Receiver<InputBlock>, watch::Receiver<Health>), Failure> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (pump, health) = {
        let _entered = runtime.enter();
        let seed = seed()?;
        let driver = Driver::new(endpoint, session, settings, clock, seed).sharing(&attempts, seed);
        Pump::new(driver, instruments.clone(), health)
    };
    std::thread::Builder::new().name("feed".into()).spawn(move || {
        runtime.block_on(pump.run(sender));
        // A name that is still being looked up must not hold anybody.
        runtime.shutdown_background();
    })?;
    Ok((receiver, health))
}

impl Source for VenueSource {
    fn instruments(&self) -> &InstrumentTable {
        &self.instruments
    }

    fn start(&self) -> Ts {
        self.start
    }

    fn health(&self) -> Option<watch::Receiver<Health>> {
        Some(self.health.clone())
    }

    fn warm_up(&mut self, _intervals: &[u32], block: &mut InputBlock) {
        // The first event is at the start, so that a recording begins there too.
        block.push_timer(self.start);
        for candle in std::mem::take(&mut self.candles) {
            block.push_candle(self.start, &candle);
        }
    }

    fn go_on(&mut self, _taken: u64, block: &mut InputBlock) {
        for (symbol, _) in self.instruments.iter() {
            block.push_status(self.start, symbol, TradingStatus::Stale);
        }
        // What the market did meanwhile, and the intervals that were open.
        let known = |candle: &CandleInput| {
            let end = closes(candle).saturating_add(RETOLD_NS);
            self.after.is_some_and(|after| end <= after.0)
        };
        for candle in self.candles.iter().filter(|candle| !known(candle)) {
            block.push_candle(self.start, candle);
        }
        self.candles.clear();
    }

    async fn next(&mut self, block: &mut InputBlock) -> Result<Flow, Failure> {
        let Some(received) = self.blocks.recv().await else {
            return Err(Failure::new(Exit::Runtime, "the feed's thread has ended"));
        };
        let seq = block.first_seq();
        *block = received;
        block.renumber(seq);
        let last = block.len().checked_sub(1).map(|last| block.ts(last));
        let ended = self.end.zip(last).is_some_and(|(end, last)| last >= end);
        Ok(if ended { Flow::End } else { Flow::More })
    }
}

/// The depth of each symbol's book: the largest that the configuration or a
/// strategy asks for, as the venue offers it.
fn depths(venue: &dyn Venue, config: &Config, plan: &Plan) -> Result<Vec<u32>, Failure> {
    let feed = &config.feed;
    let offered = offered(venue.depths());
    let configured =
        feed.depths.iter().map(|(symbol, depth)| (format!("feed.depths.\"{symbol}\""), *depth));
    for (key, depth) in configured.chain([("feed.book_depth".to_owned(), feed.book_depth)]) {
        if venue.depth_for(depth) != Some(depth) {
            let message = format!("{key} is {depth}; {} offers {offered}", venue.title());
            return Err(Failure::new(Exit::Config, message));
        }
    }
    let depth = |symbol: &String| {
        let configured = feed.depths.get(symbol).copied().unwrap_or(feed.book_depth);
        let asked = plan.depths.get(symbol).copied().unwrap_or(0);
        venue.depth_for(configured.max(asked)).ok_or_else(|| {
            let message = format!(
                "a strategy asks for {asked} levels of {symbol}; {} offers {offered}",
                venue.title()
            );
            Failure::new(Exit::Feed, message)
        })
    };
    plan.symbols.iter().map(depth).collect()
}

/// The venue's rules of these symbols, under the run's names.
fn instruments(
    venue: &dyn Venue,
    listed: &dyn Listing,
    symbols: &[String],
    names: &[String],
) -> Result<InstrumentTable, Failure> {
    let (mut table, mut unknown): (Vec<Instrument>, Vec<String>) = Default::default();
    for (at, (symbol, name)) in symbols.iter().zip(names).enumerate() {
        if let Some(other) = names.iter().take(at).position(|other| other == name) {
            let message =
                format!("{} and {symbol} are both {}'s {name}", symbols[other], venue.title());
            return Err(Failure::new(Exit::Config, message).hint(
                "leave out one of them, or give it another name of the venue in [feed.symbols]",
            ));
        }
        match listed.find(name) {
            Some(found) => table.push(Instrument { symbol: symbol.clone(), ..found }),
            None => unknown.push(no_symbol(venue, listed, name)),
        }
    }
    if !unknown.is_empty() {
        return Err(Failure::new(Exit::Feed, unknown.join("; ")).hint(
            "choose symbols with --symbols, or map a name to the venue's in [feed.symbols]",
        ));
    }
    Ok(InstrumentTable::new(table))
}

/// That the venue does not have this name, and which ones it may have been meant for.
fn no_symbol(venue: &dyn Venue, listed: &dyn Listing, name: &str) -> String {
    let near = listed.near(name);
    let near = match near.is_empty() {
        true => format!(", and none of its {} has a similar name", listed.count()),
        false => format!(" (did you mean {}?)", near.join(" or ")),
    };
    format!("{} has no symbol {name}{near}", venue.title())
}

/// Depths in words: `10, 25 and 100`.
fn offered(depths: &[u32]) -> String {
    let texts: Vec<String> = depths.iter().map(u32::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

fn wanted(
    instruments: &InstrumentTable,
    what: impl Fn(SymbolId) -> (Option<u32>, bool, Option<u32>),
) -> Vec<Wanted> {
    let wish = |symbol| {
        let (levels, trades, candle_minutes) = what(symbol);
        Wanted { symbol, levels, shown: None, trades, candle_minutes }
    };
    instruments.iter().map(|(symbol, _)| wish(symbol)).collect()
}

/// The candles of a block, in the order in which they closed.
fn in_order(block: &InputBlock) -> Vec<CandleInput> {
    let mut candles: Vec<CandleInput> = (0..block.len())
        .filter_map(|index| match block.get(index) {
            EventRef::Candle(candle) => Some(candle),
            _ => None,
        })
        .collect();
    candles.sort_by_key(|c| (closes(c), c.symbol.0, c.interval_s));
    candles
}

fn closes(candle: &CandleInput) -> i64 {
    candle.open_ts.0.saturating_add(i64::from(candle.interval_s) * Ts::SECOND)
}

fn settings(config: &Config) -> LinkSettings {
    LinkSettings {
        per_minute: config.feed.connects_per_minute,
        window: config.feed.connects_per_10m,
        ..LinkSettings::default()
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Where jitter starts: it must differ between hosts, so not from the run's seed.
fn seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Runtime, format!("no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::venue::Protocol as _;
    use crate::venue::kraken::{Kraken, PairListing};

    fn config(set: &[&str]) -> Config {
        let set = set.iter().map(|&s| s.to_owned()).collect();
        Config::load(&Sources { set, ..Sources::default() }).unwrap()
    }

    fn depths_of(set: &[&str], asked: &[(&str, u32)]) -> Result<Vec<u32>, String> {
        let plan = Plan {
            symbols: vec!["BTC/USD".into(), "ETH/USD".into()],
            depths: asked.iter().map(|(s, d)| ((*s).to_owned(), *d)).collect(),
            intervals: Vec::new(),
            after: None,
        };
        depths(&Kraken, &config(set), &plan).map_err(|failure| failure.message)
    }

    #[test]
    fn low_004_each_book_is_as_deep_as_the_most_that_is_asked_of_it() {
        assert_eq!(depths_of(&[], &[]), Ok(vec![10, 10]));
        assert_eq!(depths_of(&[], &[("ETH/USD", 11)]), Ok(vec![10, 25]));
        assert_eq!(depths_of(&["feed.book_depth=100"], &[("ETH/USD", 11)]), Ok(vec![100, 100]));
        let own = "feed.depths.BTC/USD=500";
        assert_eq!(depths_of(&[own], &[("BTC/USD", 1000)]), Ok(vec![1000, 10]));
        assert_eq!(depths_of(&[own], &[]), Ok(vec![500, 10]));
        assert!(depths_of(&[], &[("ETH/USD", 1001)]).unwrap_err().contains("ETH/USD"));
        assert!(depths_of(&["feed.depths.BTC/USD=50"], &[]).unwrap_err().contains("feed.depths"));
    }

    #[test]
    fn med_008_a_catalog_without_the_symbol_names_near_ones() {
        let row = |symbol: &str| {
            format!(
                r#"{{"symbol":"{symbol}","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":0.00000001,"qty_min":0.00005,"price_precision":1,"price_increment":0.1,"cost_precision":5,"cost_min":0.5,"marginable":true,"has_index":true}}"#
            )
        };
        let frame = format!(
            r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[],"pairs":[{}]}}}}"#,
            row("BTC/USD")
        );
        let mut listed = PairListing::default();
        listed.handle_text(&frame, Ts(0), &mut InputBlock::default()).unwrap();
        assert!(listed.is_complete());
        let find = |name: &str| {
            let names = [name.to_owned()];
            instruments(&Kraken, &listed, &["mine".to_owned()], &names)
                .map_err(|f| (f.exit, f.message))
        };
        let twice = ["BTC/USD".to_owned(), "BTC/USD".to_owned()];
        let ours = ["BTC/USD".to_owned(), "XBT/USD".to_owned()];
        let failure = instruments(&Kraken, &listed, &ours, &twice).err().unwrap();
        assert_eq!(failure.exit, Exit::Config);
        assert_eq!(failure.message, "BTC/USD and XBT/USD are both Kraken's BTC/USD");
        let table = find("BTC/USD").unwrap();
        assert_eq!(table.at(SymbolId(0)).symbol, "mine");
        let (exit, message) = find("btc/usd").unwrap_err();
        assert_eq!(exit, Exit::Feed);
        assert!(message.contains("did you mean BTC/USD?"), "{message}");
    }
}
