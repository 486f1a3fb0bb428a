//! Every section of the configuration: its keys, their defaults and ranges.

use std::collections::BTreeMap;
use std::time::Duration;

use super::feed_kind::FeedKind;
use super::latency::Latency;
use super::schema::section;
use super::value::{ByteSize, Decimal, Interval, choice};
use crate::domain::{Money, Rate, Ts};
use crate::strategy::Value;

choice! {
    /// How orders become fills.
    pub enum ExecutionModel {
        /// a market order walks the book where there is one
        Book = "book",
        /// a market order fills at once, whole, at the price that caused it
        Instant = "instant",
    }
}

choice! {
    /// Where fees come from.
    pub enum FeeSchedule {
        /// the rates that are given
        Flat = "flat",
        /// Kraken's schedule for spot, by the volume of thirty days
        Kraken = "kraken",
    }
}

choice! {
    /// How far a strategy's results are the same.
    pub enum Determinism {
        /// on every machine of one processor family
        Native = "native",
        /// on every processor family, at nearly twice the cost of float code
        CrossArch = "cross-arch",
    }
}

choice! {
    /// What modules may look like before they are compiled.
    pub enum ModuleProfile {
        /// as compilers of Rust, C or Zig make them
        Native = "native",
        /// as an interpreter with a script inside makes them
        Interpreter = "interpreter",
    }
}

choice! {
    /// What becomes of a strategy that fails.
    pub enum OnFault {
        /// it is not called again
        Quarantine = "quarantine",
        /// it is started again from its last saved state
        Restart = "restart",
    }
}

choice! {
    /// What becomes of open positions when a strategy is halted.
    pub enum OnHalt {
        /// they stay, with their stops and targets
        Hold = "hold",
        /// they are closed at the market
        Flatten = "flatten",
    }
}

choice! {
    /// What a limit over all strategies does with them.
    pub enum OnTotal {
        /// no new orders until they are resumed
        Pause = "pause",
        /// likewise, and all positions are closed at the market
        Flatten = "flatten",
        /// all are ended for good
        Kill = "kill",
    }
}

choice! {
    /// What the leverage of shorts is a multiple of.
    pub enum ShortBase {
        /// the equity at the start
        Starting = "starting",
        /// the equity now
        Equity = "equity",
    }
}

choice! {
    /// The least important log line that is shown.
    pub enum LogLevel {
        /// what failed
        Error = "error",
        /// and what needs a look
        Warn = "warn",
        /// and what an operator wants to know
        Info = "info",
        /// and what an author wants to know
        Debug = "debug",
        /// everything
        Trace = "trace",
    }
}

choice! {
    /// How log lines look.
    pub enum LogFormat {
        /// for people
        Text = "text",
        /// one JSON object a line
        Json = "json",
    }
}

section! {
    /// What is run, and for how long.
    pub struct RunConfig at "run" {
        /// Start of everything random: the simulated market and each strategy's
        /// own random numbers.
        seed: u64 = 1,
        /// Symbols of the run. Empty: those that the strategies declare.
        symbols: Vec<String> = [],
        /// Symbols when neither this file nor any strategy names one; their use
        /// is warned of.
        default_symbols: Vec<String> = ["XRP/USD", "BTC/USD", "ETH/USD", "XRP/BTC"],
        /// Shortest time between two calls of one strategy, in milliseconds of
        /// market time. 0: a call for every event that it subscribed to.
        interval_ms: u32 = 0 to "3600000",
        /// How long to run. "0s": until stopped.
        duration: Duration = "0s" to "3650d",
        /// Time between two status lines.
        status_every: Duration = "30s" from "1s" to "1d",
    }
}

section! {
    /// Where market data comes from.
    pub struct FeedSourceConfig at "feed" {
        /// The source.
        kind: FeedKind = "sim",
        /// Address of the venue; "own" is the venue's own.
        url: String = "own",
        /// File with certificates in PEM that are trusted instead of those that
        /// browsers trust, or "none".
        ca_file: String = "none",
        /// Levels of each book, as the venue offers them; Kraken: 10, 25, 100, 500
        /// or 1000. A strategy that asks for more gets more.
        book_depth: u32 = 10 from "1" to "10000",
        /// Levels of the book of single symbols.
        depths: BTreeMap<String, u32> = {} from "1" to "10000",
        /// The venue's names of symbols that it calls otherwise.
        symbols: BTreeMap<String, String> = {},
        /// A book that has not changed for so long is stale and is asked for
        /// anew.
        stale_after: Duration = "60s" from "5s" to "1h",
        /// Where no trade of a symbol came for so long, its recent ones are asked
        /// for, to see whether any were missed.
        trades_checked_after: Duration = "10m" from "1m" to "24h",
        /// Attempts to connect in a minute, after the first five of an outage.
        connects_per_minute: u32 = 14 from "1" to "15",
        /// Attempts to connect in any ten minutes.
        connects_per_10m: u32 = 150 from "10" to "150",
    }
}

section! {
    /// The simulated market.
    pub struct SimConfig at "feed.sim" {
        /// Book changes a second and symbol.
        rate_hz: u32 = 10 from "1" to "10000",
        /// Trades a second and symbol, on average.
        trade_rate_hz: Rate = 3 from "0.05" to "10000",
        /// Volatility of the price a year, as a ratio: 0.8 is 80 %.
        volatility: Rate = 0.8 from "0" to "20",
        /// Mean distance of best bid and ask, as a ratio of the price.
        spread: Rate = 0.001 from "0.000001" to "0.1",
        /// Levels of the book on each side.
        levels: u32 = 10 from "1" to "1000",
        /// Market time of the first event.
        start: Ts = "2025-01-01T00:00:00Z" from "1970-01-02T00:00:00Z" to "2200-01-01T00:00:00Z",
        /// Market time a second of wall time. 0: as fast as it goes.
        speed: Rate = 1 from "0" to "1000000",
        /// Candles of each interval that strategies get before the first event.
        warm_up_candles: u32 = 200 to "100000",
        /// First price of each symbol that may be simulated.
        prices: BTreeMap<String, Decimal> = { "XRP/USD" = "2.35", "BTC/USD" = "104500", "ETH/USD" = "3900", "XRP/BTC" = "0.0000225" } above "0" to "1000000000",
    }
}

section! {
    /// Which strategies there are and which of them run.
    pub struct StrategiesConfig at "strategies" {
        /// Folder of the `.wasm` files, relative to the working directory.
        dir: String = "strategies",
        /// The list of allowed hashes. Keep it outside the folder above.
        lock: String = "strategies.lock",
        /// The minisign public key that the lock file must be signed by, in the file
        /// beside it whose name ends in `.minisig`. "none": it need not be signed.
        public_key: String = "none",
        /// Folder of this installation's private state: the newest lock file that
        /// was seen, and which modules a trial compilation has passed. "auto":
        /// `sandpaper` in `$XDG_STATE_HOME`, else in `~/.local/state`.
        state: String = "auto",
        /// Names of those that run. Empty: every allowed one.
        only: Vec<String> = [],
    }
}

section! {
    /// What a strategy may use. Fuel counts executed instructions, the same on
    /// every machine.
    pub struct SandboxConfig at "sandbox" {
        /// Fuel to load it and to ask what it is.
        fuel_describe: u64 = 50_000_000 from "1000" to "1000000000000",
        /// Fuel to start it.
        fuel_start: u64 = 200_000_000 from "1000" to "1000000000000",
        /// Fuel for each market event and each order update; a batch has this
        /// times its length.
        fuel_per_event: u64 = 5_000_000 from "1000" to "1000000000000",
        /// Fuel for all events and order updates of one second of market time.
        fuel_per_second: u64 = 500_000_000 from "1000" to "1000000000000000",
        /// Fuel to stop it, and to save or load its state.
        fuel_per_call: u64 = 50_000_000 from "1000" to "1000000000000",
        /// All memories of one strategy together.
        memory: ByteSize = "64MiB" from "64KiB" to "4GiB",
        /// Elements of all its tables together.
        table_elements: u64 = 10_000 from "1" to "10000000",
        /// Its call stack.
        stack: ByteSize = "512KiB" from "64KiB" to "2MiB",
        /// What the host copies out of it in one call.
        hostcall_bytes: ByteSize = "1MiB" from "4KiB" to "128MiB",
        /// Wall-clock backstop of one call, far above what the fuel allows.
        deadline: Duration = "5s" from "10ms" to "10m",
        /// What each event of a batch adds to the backstop.
        deadline_per_event: Duration = "20ms" to "1m",
        /// Orders, cancels and changes for each event or call.
        orders_per_event: u32 = 16 from "1" to "10000",
        /// Log lines for each call; the rest is counted and dropped.
        log_lines: u32 = 100 to "10000",
        /// Bytes of log text for each call.
        log_bytes: ByteSize = "16KiB" to "16MiB",
        /// Different indicator names of one strategy.
        indicators: u32 = 64 to "10000",
        /// Longest reason or metadata text of an order.
        text_bytes: ByteSize = "1KiB" from "16B" to "64KiB",
        /// Largest state that it may save.
        state: ByteSize = "1MiB" from "1KiB" to "64MiB",
        /// Largest file.
        module_size: ByteSize = "4MiB" from "1KiB" to "256MiB",
        /// What modules may look like before they are compiled.
        profile: ModuleProfile = "native",
        /// Memory of the child process that compiles a module first.
        compile_memory: ByteSize = "2GiB" from "256MiB" to "64GiB",
        /// CPU time of that process, in seconds.
        compile_cpu_s: u32 = 30 from "1" to "3600",
        /// How long it may take.
        compile_wall: Duration = "60s" from "1s" to "2h",
        /// Compiled code that is kept for the next start; 0 keeps none.
        code_cache: ByteSize = "512MiB" from "0B" to "64GiB",
        /// What becomes of a strategy that fails. With "restart" it is called with one
        /// event at a time.
        on_fault: OnFault = "quarantine",
        /// Restarts of one strategy in a run; the fault after the last is a
        /// quarantine.
        restarts: u32 = 3 from "1" to "1000",
        /// Market time from its first fault to its restart; doubles each time.
        restart_after: Duration = "1s" to "1d",
        /// Market time between two states that are saved for a restart.
        save_every: Duration = "1m" from "1s" to "1d",
        /// What becomes of open positions when a strategy fails. With "flatten" it is
        /// called with one event at a time.
        fault_positions: OnHalt = "hold",
        /// Where results must be the same.
        determinism: Determinism = "native",
    }
}

section! {
    /// What each strategy starts with.
    pub struct PortfolioConfig at "portfolio" {
        /// Starting cash of each strategy.
        capital: Money = "100" above "0" to "1000000000000",
        /// The asset that cash is counted in.
        currency: String = "USD",
        /// Assets that each strategy holds at the start, in their own units.
        assets: BTreeMap<String, Decimal> = {} above "0" to "1000000000000",
        /// Market time between two samples of the equity, which volatility, Sharpe
        /// and Sortino are computed from.
        sample_interval: Duration = "15m" from "1s" to "24h",
    }
}

section! {
    /// How orders become fills and what that costs.
    pub struct ExecutionConfig at "execution" {
        /// The matcher.
        model: ExecutionModel = "book",
        /// Where fees come from: the rates below, or a venue's schedule by volume.
        fee_schedule: FeeSchedule = "flat",
        /// Fee of each fill that takes, as a ratio of its amount.
        fee_rate: Rate = 0.001 from "0" to "0.1",
        /// Fee of each fill that waited. None: the same.
        maker_fee_rate: Option<Rate> = none from "0" to "0.1",
        /// Volume of thirty days, in US dollars, on top of what is traded here, for
        /// the tier of a venue's schedule.
        fee_volume: Money = "0" from "0" to "1000000000000",
        /// Charge on a short when it is opened or added to, as a ratio of what it
        /// fetches.
        short_open_fee: Rate = 0 from "0" to "0.1",
        /// Charge on an open short every four hours, as a ratio of what its open
        /// part fetched.
        short_rollover_fee: Rate = 0 from "0" to "0.1",
        /// How much worse than the price a market order fills, as a ratio, where
        /// there is no book to walk.
        slippage_rate: Rate = 0.0005 from "0" to "0.1",
        /// Where no book is known, how old the last trade may be to be traded at.
        max_trade_age: Duration = "1m" from "1ms" to "24h",
        /// How long a new order or a change takes to the venue; none with model
        /// "instant".
        latency: Latency = "50ms",
        /// How long a cancel takes.
        cancel_latency: Latency = "50ms",
        /// Nanoseconds of computing for each unit of fuel, by which what a strategy
        /// asks for leaves later. More than 0 calls it with one event at a time.
        ns_per_fuel: Rate = 0 from "0" to "1000",
        /// How much worse than the levels that it walks a market order fills, as a
        /// ratio.
        book_slippage_rate: Rate = 0 from "0" to "0.1",
        /// Most that a strategy may owe in shorts, as a multiple of its capital.
        max_short_leverage: Rate = 2 from "0" to "100",
        /// What that multiple is of.
        short_base: ShortBase = "starting",
    }
}

section! {
    /// Limits of each strategy, and what a halted one leaves behind.
    pub struct RiskConfig at "risk" {
        /// What becomes of open positions when a strategy is halted.
        on_halt: OnHalt = "hold",
        /// Most that one order that opens may be worth, in the account currency.
        max_order: Option<Money> = none above "0" to "1000000000000",
        /// Most that a position may be worth after an order that opens.
        max_position: Option<Money> = none above "0" to "1000000000000",
        /// Most that all positions of a strategy may be worth after an order that opens.
        max_exposure: Option<Money> = none above "0" to "1000000000000",
        /// Most orders in any sixty seconds of market time.
        max_orders_per_minute: Option<u32> = none from "1" to "100000",
        /// Most that the equity may fall within a UTC day, in the account currency;
        /// beyond it the strategy is halted.
        max_daily_loss: Option<Money> = none above "0" to "1000000000000",
        /// Most that the equity may fall from its peak, as a ratio of the peak; beyond
        /// it the strategy is halted.
        max_drawdown: Option<Rate> = none above "0" to "1",
        /// Least equity, as a ratio of what all shorts are worth; below it all shorts
        /// are closed at the market.
        maintenance_margin: Option<Rate> = none above "0" to "1",
        /// Fee of such a close on top of the other, as a ratio of its amount.
        liquidation_fee_rate: Rate = 0 from "0" to "0.1",
        /// What becomes of all strategies when one of the total limits is passed.
        on_total: OnTotal = "kill",
        /// Most that the equity of all strategies may fall within a UTC day.
        total_daily_loss: Option<Money> = none above "0" to "1000000000000",
        /// Most that it may fall from its peak, as a ratio of the peak.
        total_drawdown: Option<Rate> = none above "0" to "1",
        /// Most that all positions of all strategies may be worth.
        total_exposure: Option<Money> = none above "0" to "1000000000000",
        /// Most that all shorts of all strategies may be worth, as a multiple of the
        /// sum of their bases.
        total_short_leverage: Option<Rate> = none from "0" to "100",
        /// Least equity of all strategies, as a ratio of what all their shorts are worth.
        total_maintenance_margin: Option<Rate> = none above "0" to "1",
        /// Most orders of all strategies in sixty seconds of market time.
        total_orders_per_minute: Option<u32> = none from "1" to "1000000",
    }
}

section! {
    /// What the host keeps of each symbol.
    pub struct MarketConfig at "market" {
        /// Candles made of the trades, beside those that strategies ask for.
        candle_intervals: Vec<Interval> = ["1m", "5m"],
        /// Closed candles kept of each symbol and interval.
        candle_history: u32 = 500 from "1" to "100000",
        /// Trades kept of each symbol.
        trade_history: u32 = 1000 from "1" to "1000000",
        /// Most candles without a trade that are filled in, in a row; a longer
        /// silence leaves a gap.
        fill_candle_gaps: u32 = 1440 to "100000",
    }
}

section! {
    /// How the engine works.
    pub struct EngineConfig at "engine" {
        /// Most events in one call of a strategy. A result does not depend on it.
        batch: u32 = 256 from "1" to "4096",
        /// One event a call, so that no strategy can read ahead in its batch.
        strict: bool = false,
    }
}

section! {
    /// How much of the past stays in memory. Totals and statistics cover
    /// everything whatever stands here.
    pub struct HistoryConfig at "history" {
        /// Fills kept of each strategy.
        fills: u32 = 1000 from "1" to "1000000",
        /// Closed round trips kept of each strategy.
        trades: u32 = 1000 from "1" to "1000000",
    }
}

section! {
    /// The dashboard.
    pub struct WebConfig at "web" {
        /// False leaves it out.
        enabled: bool = true,
        /// Where it listens. Port 0 takes a free one.
        bind: String = "127.0.0.1:7878",
        /// Names under which browsers may reach it, beside localhost and the
        /// address above.
        allowed_hosts: Vec<String> = [],
        /// Networks that may connect. Empty: all that can reach the address.
        allow_ips: Vec<String> = [],
        /// Proxies whose word on the client's address is taken.
        trusted_proxies: Vec<String> = [],
        /// File with the administrator's key. `SANDPAPER_API_KEY` is another way.
        api_key_file: String = "none",
        /// File with a key that may only look.
        viewer_key_file: String = "none",
        /// File with a key that may only read the metrics.
        metrics_key_file: String = "none",
        /// A login ends when it is idle for so long.
        session_idle: Duration = "12h" from "1s" to "365d",
        /// And in any case after so long.
        session_max: Duration = "7d" from "1s" to "365d",
        /// Certificate chain and private key, in PEM. "none": no TLS.
        tls_cert: String = "none",
        /// The key of that certificate.
        tls_key: String = "none",
        /// True serves other machines without TLS, for a proxy that adds it.
        insecure_http: bool = false,
        /// Requests a second of one key or session, or of one address without either.
        rate_per_second: u32 = 50 from "1" to "1000000",
        /// Requests of one of them at once.
        rate_burst: u32 = 200 from "1" to "1000000",
        /// Failed logins of one address a minute; past it, it waits twice as long each time.
        logins_per_minute: u32 = 5 from "1" to "10000",
        /// Connections at once.
        connections: u32 = 2048 from "1" to "100000",
        /// WebSockets at once.
        websockets: u32 = 1024 from "1" to "100000",
        /// Who did what, in JSON Lines with a chain of hashes. "none": nowhere.
        audit_file: String = "logs/audit.jsonl",
        /// It is put aside before it grows beyond this.
        audit_rotate_size: ByteSize = "16MiB" from "1KiB" to "1GiB",
        /// So many that were put aside are kept.
        audit_keep: u32 = 100 to "100000",
    }
}

choice! {
    /// What a webhook is told.
    pub enum NotifyRule {
        /// a strategy failed
        Trap = "trap",
        /// there is no market data, and again when there is
        FeedDown = "feed-down",
        /// a strategy is far below its peak
        Drawdown = "drawdown",
        /// a strategy was halted, by the operator or a limit
        Kill = "kill",
    }
}

section! {
    /// Notices to a webhook.
    pub struct NotifyConfig at "notify" {
        /// File with the webhook's address. "none": nobody is told.
        webhook_url_file: String = "none",
        /// What it is told.
        on: Vec<NotifyRule> = ["trap", "feed-down", "drawdown", "kill"],
        /// A fall from the peak by this part of it is told.
        drawdown: Rate = 0.2 from "0.0001" to "1",
        /// Market data must be missing for so long.
        feed_down_after: Duration = "30s" to "1d",
        /// The longest that one try takes.
        timeout: Duration = "10s" from "1s" to "60s",
    }
}

section! {
    /// The log on the error stream.
    pub struct LogConfig at "log" {
        /// The least important line that is shown.
        level: LogLevel = "info",
        /// How lines look.
        format: LogFormat = "text",
    }
}

section! {
    /// The logs of a run as JSON Lines.
    pub struct LogFilesConfig at "log.files" {
        /// Whether a run writes them.
        enabled: bool = true,
        /// Their folder.
        dir: String = "logs",
        /// A file that would grow beyond this goes to the archive.
        rotate_size: ByteSize = "16MiB" from "1KiB" to "1GiB",
        /// Archives kept of the host's own log.
        keep_system: u32 = 10 to "100000",
        /// Archives kept of each strategy's log.
        keep_strategies: u32 = 10 to "100000",
        /// Archives kept of the fills.
        keep_trades: u32 = 100 to "100000",
        /// Archives kept of everything together.
        keep_aggregated: u32 = 20 to "100000",
    }
}

section! {
    /// The record of a run: every input and every decision, to prove it by.
    pub struct RecordConfig at "record" {
        /// Whether a run keeps one.
        enabled: bool = true,
        /// The folder with a folder for each run.
        dir: String = "runs",
        /// Inputs from one snapshot of the state to the next. A run that was cut short
        /// goes on from there, if every strategy saves its own. 0 makes none.
        snapshot_every: u32 = 0 to "1000000000",
    }
}

section! {
    /// One strategy, by its name in the lock file.
    pub struct StrategyConfig at "strategy.NAME" {
        /// False keeps it from running.
        enabled: bool = true,
        /// Its symbols. Empty: those of the run, else those that it declares.
        symbols: Vec<String> = [],
        /// Its starting cash, when it differs from `portfolio.capital`.
        capital: Option<Money> = none above "0" to "1000000000000",
        /// Its parameters; `sandpaper inspect FILE` lists them.
        params: BTreeMap<String, Value> = {},
    }
}
