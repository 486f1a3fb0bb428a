//! Another venue than those that the program has: what a folder and a line in
//! `VENUES` would bring, and nothing else. Listing, connection, pump, health and the
//! composition root take it as it is.

use std::collections::BTreeMap;

use futures_util::{SinkExt as _, StreamExt as _};
use sandpaper::app::Interrupt;
use sandpaper::app::session::Source as _;
use sandpaper::app::venue::{Plan, VenueSource};
use sandpaper::config::{Config, Sources};
use sandpaper::domain::{Instrument, InstrumentTable, Price, Qty, Side, SymbolId, Ts};
use sandpaper::input::{EventRef, InputBlock, Trade, TradingStatus};
use sandpaper::venue::{
    FrameError, Listing, Live, News, Protocol, Request, SessionPlan, Tally, Venue, Wanted,
};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// A venue whose frames are words: `pairs A/B C/D`, `book A/B 99 101`, `trade A/B 100`.
struct Plain;

impl Venue for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn title(&self) -> &'static str {
        "Plain"
    }

    fn url(&self) -> &'static str {
        "wss://plain.test"
    }

    fn depths(&self) -> &'static [u32] {
        &[5, 20]
    }

    fn listing(&self) -> Box<dyn Listing> {
        Box::new(Pairs::default())
    }

    fn session(&self, plan: SessionPlan<'_>) -> Result<Box<dyn Live>, String> {
        let depth = |wanted: &Wanted| wanted.levels.and_then(|levels| self.depth_for(levels));
        Ok(Box::new(Follower {
            depths: plan.wanted.iter().map(depth).collect(),
            names: plan.names,
            table: plan.instruments,
            ask: false,
            fresh: true,
            trades: 0,
        }))
    }
}

#[derive(Default)]
struct Pairs {
    names: Vec<String>,
    ask: bool,
}

impl Protocol for Pairs {
    fn handle_connected(&mut self, _: Ts, _: &mut InputBlock) {
        self.ask = true;
    }

    fn handle_disconnected(&mut self, _: Ts, _: &mut InputBlock) {}

    fn handle_text(&mut self, text: &str, _: Ts, _: &mut InputBlock) -> Result<(), FrameError> {
        if let Some(names) = text.strip_prefix("pairs ") {
            self.names = names.split(' ').map(str::to_owned).collect();
        }
        Ok(())
    }

    fn poll_frame(&mut self) -> Option<String> {
        std::mem::take(&mut self.ask).then(|| "list".to_owned())
    }

    fn poll_request(&mut self) -> Option<Request> {
        None
    }
}

impl Listing for Pairs {
    fn is_complete(&self) -> bool {
        !self.names.is_empty()
    }

    fn find(&self, name: &str) -> Option<Instrument> {
        self.names.iter().find(|known| *known == name).map(|name| Instrument::plain(name, 0, 0))
    }

    fn near(&self, _: &str) -> Vec<String> {
        self.names.clone()
    }

    fn count(&self) -> usize {
        self.names.len()
    }
}

struct Follower {
    table: InstrumentTable,
    names: Vec<String>,
    depths: Vec<Option<u32>>,
    ask: bool,
    fresh: bool,
    trades: u64,
}

impl Protocol for Follower {
    fn handle_connected(&mut self, _: Ts, _: &mut InputBlock) {
        self.ask = true;
    }

    fn handle_disconnected(&mut self, now: Ts, out: &mut InputBlock) {
        if std::mem::take(&mut self.fresh) {
            for (symbol, _) in self.table.iter() {
                out.push_status(now, symbol, TradingStatus::Stale);
            }
        }
    }

    fn handle_text(&mut self, text: &str, now: Ts, out: &mut InputBlock) -> Result<(), FrameError> {
        let mut words = text.split(' ');
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let unknown = || FrameError::UnknownSymbol(text.to_owned());
        let at = self.names.iter().position(|known| known == name).ok_or_else(unknown)?;
        let symbol = SymbolId(u16::try_from(at).map_err(|_| unknown())?);
        let prices: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
        match (kind, prices.as_slice()) {
            ("book", &[bid, ask]) => {
                let level = |price| [(Price(price), Qty(1))];
                out.push_book(now, now, symbol, true, &level(bid), &level(ask));
                out.push_status(now, symbol, TradingStatus::Trading);
                self.fresh = true;
            }
            ("trade", &[price]) => {
                self.trades += 1;
                let (side, id) = (Side::Buy, self.trades);
                let trade = Trade { symbol, side, price: Price(price), qty: Qty(1), id };
                out.push_trade(now, now, &trade);
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }

    fn poll_frame(&mut self) -> Option<String> {
        let depths: Vec<String> = self.depths.iter().map(|d| d.unwrap_or(0).to_string()).collect();
        let frame = || format!("follow {} {}", self.names.join(","), depths.join(","));
        std::mem::take(&mut self.ask).then(frame)
    }

    fn poll_request(&mut self) -> Option<Request> {
        None
    }
}

impl Live for Follower {
    fn poll_news(&mut self) -> Option<News> {
        None
    }

    fn tally(&self) -> Tally {
        Tally::default()
    }

    fn is_warm(&self) -> bool {
        true
    }
}

/// Serves the venue; what its clients asked for goes into `asked`.
async fn serve(listener: TcpListener, asked: tokio::sync::mpsc::UnboundedSender<String>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let asked = asked.clone();
        tokio::spawn(async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                let Ok(text) = message.to_text() else { return };
                let _ = asked.send(text.to_owned());
                let answers: &[&str] = match text.split(' ').next() {
                    Some("list") => &["pairs ONE/X TWO/X"],
                    Some("follow") => &["book ONE/X 99 101", "trade ONE/X 100", "nonsense"],
                    _ => &[],
                };
                for answer in answers {
                    let _ = socket.send(Message::text(*answer)).await;
                }
            }
        });
    }
}

fn config(url: &str, more: &[&str]) -> Config {
    let set = [format!("feed.url={url}"), "feed.symbols.MINE=ONE/X".to_owned()];
    let set = set.into_iter().chain(more.iter().map(|&one| one.to_owned())).collect();
    Config::load(&Sources { set, ..Sources::default() }).expect("a configuration")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn med_008_a_venue_is_a_folder_and_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(serve(listener, sender));
    let plan = |symbol: &str| Plan {
        symbols: vec![symbol.to_owned()],
        depths: BTreeMap::from([("MINE".to_owned(), 6)]),
        intervals: vec![60],
        after: None,
    };
    let interrupt = Interrupt::default();
    // What it does not have is refused in its own words.
    let failure = VenueSource::open(&Plain, &config(&url, &[]), &plan("MINE"), &interrupt).await;
    let message = failure.err().expect("no such depth").message;
    assert_eq!(message, "feed.book_depth is 10; Plain offers 5 and 20");
    let five = ["feed.book_depth=5"];
    let failure = VenueSource::open(&Plain, &config(&url, &five), &plan("ELSE"), &interrupt).await;
    let message = failure.err().expect("no such symbol").message;
    assert_eq!(message, "Plain has no symbol ELSE (did you mean ONE/X or TWO/X?)");

    let source = VenueSource::open(&Plain, &config(&url, &five), &plan("MINE"), &interrupt).await;
    let mut source = source.ok().flatten().expect("a source");
    assert_eq!(source.instruments().at(SymbolId(0)).symbol, "MINE");
    let mut seen = Vec::new();
    let mut block = InputBlock::new(source.instruments(), 1);
    while !seen.iter().any(|text| text == "trade 100") {
        block.reset(1);
        source.next(&mut block).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        for index in 0..block.len() {
            match block.get(index) {
                EventRef::Trade(trade) => seen.push(format!("trade {}", trade.price.0)),
                EventRef::Book { snapshot, .. } => seen.push(format!("book {snapshot}")),
                EventRef::Status { status, .. } => seen.push(format!("{status:?}")),
                _ => {}
            }
        }
    }
    assert_eq!(seen, ["Stale", "book true", "Trading", "trade 100"]);
    let mut health = source.health().expect("a connection");
    let health = health.wait_for(|health| health.link.refused == 1).await.expect("a report");
    assert_eq!((health.venue, health.symbols[0].symbol.as_str()), ("plain", "MINE"));
    assert_eq!((health.symbols[0].messages, health.link.losses), (2, 0));
    let mut last = String::new();
    while let Ok(text) = asked.try_recv() {
        last = text;
    }
    assert_eq!(last, "follow ONE/X 20", "as deep as a strategy asks");
}
