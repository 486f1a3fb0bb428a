//! The corpus of hostile strategies. Each runs in the middle of ten good
//! neighbors, whose chains must be those of a run without it; its own end must be
//! the one that is stated here, and the host lives on.
//!
//! `KINDS` lists every kind of attack with the file or the maker of its members;
//! a kind that is no module names the test that shows it.

mod controls;
mod guests;
mod limits;
mod sinks;
mod smith;
mod swaps;

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use guests::{Member, members};
use sandpaper::app::{live, setup};
use sandpaper::config::{Config, Sources};
use sandpaper::domain::Money;
use sandpaper::engine::{
    Engine, EngineBuilder, EngineConfig, LaneReport, LaneSpec, LaneState, Output,
};
use sandpaper::feed::sim::Simulator;
use sandpaper::input::InputBlock;
use sandpaper::lockfile::{Approved, Candidate, Wasi};
use sandpaper::portfolio::AccountConfig;
use sandpaper::sandbox::{Caps, FuelLimits, Limits, LoadError, Module, Runtime, RuntimeOptions};
use sandpaper::strategy::{Channel, Descriptor, Fault, FaultKind, Strategy, Subscription};
use sandpaper_tests::repository;
use swaps::Held;

/// Events of the market that everybody trades on.
const EVENTS: usize = 250;
/// Fuel for each event; members that stay under a limit stay under this one.
const FUEL: u64 = 4_000_000;
/// A refused growth is counted before it is refused.
const WASM_PAGE: u64 = 64 << 10;
/// Where the hostile lane stands among the good ones.
const MIDDLE: usize = 5;

/// How a member must end.
pub enum End {
    /// refused at load, with these words
    Refused(&'static str),
    /// it loads, and fails before the run with this kind
    NotStarted(FaultKind, &'static str),
    /// it is quarantined with this kind and these words
    Fault(FaultKind, &'static str),
    /// it runs to the end, and what it did is this
    Inert(fn(&Ended)),
}

/// A lane that ran to its end, with what it told.
pub struct Ended {
    /// where it stands
    pub report: LaneReport,
    /// its news
    pub news: Vec<Output>,
}

/// Every kind of attack, by the number of the list, with where it is shown: a
/// member's name, or `test:` and the name of a test.
const KINDS: &[(u32, &str, &[&str])] = &[
    (1, "endless loop in an event", &["loop_in_handle"]),
    (2, "endless loop in the start section", &["loop_in_start_section"]),
    (3, "endless loop in start", &["loop_in_start", "loop_in_describe"]),
    (4, "just under the limit at every event", &["burns_nearly_all_fuel"]),
    (5, "slow operators", &["square_roots", "divisions", "walks_pages"]),
    (6, "grows memory for ever", &["memory_grow_loop"]),
    (7, "huge memories", &["four_gib_memory", "memory64", "many_memories"]),
    (8, "huge tables", &["table_grow_loop", "ten_million_elements"]),
    (
        9,
        "too many of everything",
        &["many_globals", "many_types", "many_functions", "many_segments"],
    ),
    (10, "fills memory in a loop", &["fills_memory"]),
    (11, "deep recursion", &["deep_recursion"]),
    (12, "calls the host while the host calls it", &["enters_again"]),
    (13, "traps in start", &["traps_in_start"]),
    (14, "traps in an event", &["panic_in_handle", "divides_by_zero", "reads_out_of_bounds"]),
    (15, "traps on its fill", &["traps_on_fill"]),
    (16, "traps at the end", &["traps_in_stop"]),
    (17, "a length or a pointer out of range", &["log_out_of_bounds", "log_of_two_gib"]),
    (18, "aliases one text many times", &["amplified_metadata"]),
    (19, "floods orders", &["order_flood", "endless_order_flood"]),
    (20, "a huge text", &["one_huge_log_line", "huge_reason"]),
    (21, "an empty reason", &["orders_then_returns"]),
    (22, "malformed UTF-8", &["log_not_utf8"]),
    (23, "control characters", &["prints_controls"]),
    (24, "markup, formulas and forged lines", &["prints_markup"]),
    (25, "numbers that are none", &["orders_without_numbers"]),
    (26, "orders that make no sense", &["senseless_orders"]),
    (27, "floods logs", &["log_flood"]),
    (28, "one huge log line", &["one_huge_log_line"]),
    (29, "imports outside of the contract", &["imports_env", "foreign_component"]),
    (30, "wrong signatures", &["exports_wrong_types", "imports_wrong_types", "without_handle"]),
    (31, "imports what is no function", &["imports_a_memory"]),
    (32, "WASI: files", &["wasi_filesystem", "imports_preview1"]),
    (33, "WASI: sockets", &["imports_sockets"]),
    (34, "WASI: environment", &["wasi_environment"]),
    (35, "WASI: clocks", &["wasi_clocks"]),
    (36, "WASI: random numbers", &["wasi_random"]),
    (37, "measures time", &["wasi_clocks", "test:wasi_the_clock_is_the_events"]),
    // The processor's caches are shared. A strategy has no clock to read them by.
    (38, "side channels", &["wasi_clocks"]),
    (
        39,
        "what differs from run to run",
        &["nan_payloads", "simd", "test:crit_003_replays_are_identical"],
    ),
    (
        40,
        "state that is not its own",
        &[
            "test:x_exc_too_much_data_for_the_host_is_an_output_fault",
            "test:x_exc_a_state_that_is_too_large_is_not_handed_over",
        ],
    ),
    (41, "compile bomb: a huge function", &["bomb_of_size"]),
    (42, "compile bomb: parameters", &["bomb_of_parameters"]),
    (43, "compile bomb: blocks and branch tables", &["bomb_of_blocks", "bomb_of_branches"]),
    (44, "compile bomb: locals", &["bomb_of_locals"]),
    (
        45,
        "huge and disguised files",
        &["gzip", "padding", "test:crit_001_a_sparse_file_is_not_read"],
    ),
    (46, "one byte changed", &["test:crit_001_one_changed_byte_is_refused"]),
    (47, "swapped while it is loaded", &["test:crit_001_a_storm_of_swaps_runs_nothing_else"]),
    (48, "links, pipes and paths", &["test:crit_001_no_path_leads_out_of_the_folder"]),
    (49, "shorter while it is read", &["test:crit_001_a_file_that_changes_while_it_is_read"]),
    (50, "precompiled code", &["precompiled"]),
    (51, "a thousand strategies at once", &["test:crit_001_a_folder_of_too_many_files_is_refused"]),
    (
        52,
        "reads ahead in its batch",
        &[
            "test:x_exc_who_reads_ahead_is_told_by_strict_calls",
            "test:a_strategy_that_reads_ahead_in_its_batch_is_found_out",
        ],
    ),
    (
        53,
        "answers outside of the contract",
        &[
            "consumes_nothing",
            "consumes_too_much",
            "invalid_log_level",
            "test:x_exc_a_look_back_inside_handle_is_refused",
        ],
    ),
];

/// A market, decoded once.
struct Arena {
    config: EngineConfig,
    warm_up: InputBlock,
    block: InputBlock,
    instruments: sandpaper::domain::InstrumentTable,
    start: sandpaper::domain::Ts,
    runtime: Runtime,
    /// what a hostile one is given
    limits: Limits,
    caps: Caps,
    neighbors: OnceCell<Vec<Module>>,
}

impl Arena {
    fn new() -> Self {
        let mut config = Config::load(&Sources::default()).expect("built in");
        config.sim.trade_rate_hz = sandpaper::domain::Rate(10_000_000_000);
        let simulated = live::sim_config(&config, &["BTC/USD".to_owned()]).expect("a market");
        let mut simulator = Simulator::new(simulated).expect("a market");
        let warm_up = simulator.warm_up(&[60], 20);
        let mut block = InputBlock::new(simulator.instruments(), warm_up.next_seq());
        while block.len() < EVENTS {
            let next = simulator.next_ts();
            simulator.advance(next, &mut block);
        }
        Self {
            instruments: simulator.instruments().clone(),
            start: config.sim.start,
            config: setup::engine_config(&config, "corpus").expect("no file to read"),
            warm_up,
            block,
            runtime: Runtime::new(RuntimeOptions::default()).expect("an engine"),
            limits: Limits {
                fuel: FuelLimits { event: FUEL, ..FuelLimits::default() },
                ..Limits::default()
            },
            caps: Caps::native(),
            neighbors: OnceCell::new(),
        }
    }

    fn load(&self, bytes: Vec<u8>) -> Result<Module, LoadError> {
        let candidate = Candidate::from_bytes(bytes, "hostile.wasm");
        let approved = Approved::unsigned(candidate, Wasi::Refused);
        Module::load(&self.runtime, &approved, &self.caps)
    }

    /// Loads, instantiates and describes, as the host does before a run.
    fn guest(&self, bytes: Vec<u8>) -> Result<Box<dyn Strategy>, Fault> {
        let mut guest = self.load(bytes).expect("loaded").instantiate(self.limits)?;
        guest.describe()?;
        Ok(Box::new(guest))
    }

    /// Ten that mean well, each in a store of its own of the same sandbox.
    fn good(&self) -> Vec<Box<dyn Strategy>> {
        let instance = |module: &Module| {
            let guest = module.instantiate(Limits::default()).expect("a good one");
            Box::new(guest) as Box<dyn Strategy>
        };
        let compiled = || {
            let load = |bytes| self.load(bytes).expect("a good one");
            guests::neighbors().into_iter().map(load).collect()
        };
        self.neighbors.get_or_init(compiled).iter().map(instance).collect()
    }

    /// An engine with these strategies that has heard of nothing yet.
    fn engine(&self, config: &EngineConfig, strategies: Vec<Box<dyn Strategy>>) -> Engine {
        let mut builder = EngineBuilder::new(config.clone(), self.instruments.clone()).expect("ok");
        for (number, mut strategy) in strategies.into_iter().enumerate() {
            let described = strategy.describe().unwrap_or_default();
            builder
                .add(LaneSpec {
                    name: format!("s{number}"),
                    strategy,
                    descriptor: everything(described),
                    symbols: vec!["BTC/USD".to_owned()],
                    parameters: Vec::new(),
                    account: AccountConfig {
                        currency: "USD".to_owned(),
                        capital: Money::parse("1000000").expect("money"),
                        assets: Vec::new(),
                        fills_kept: 100,
                        trips_kept: 100,
                    },
                })
                .expect("a lane");
        }
        builder.start(self.start)
    }

    /// Runs strategies over the market in the given way.
    fn run(&self, config: &EngineConfig, strategies: Vec<Box<dyn Strategy>>) -> Vec<Ended> {
        let mut engine = self.engine(config, strategies);
        let mut news: Vec<Output> = engine.drain().collect();
        for block in [&self.warm_up, &self.block] {
            engine.step(block).expect("the invariants hold");
            news.extend(engine.drain());
        }
        engine.finish().expect("the accounts add up");
        news.extend(engine.drain());
        let of = |lane: usize| news.iter().filter(move |n| usize::from(n.lane) == lane).cloned();
        let reports = engine.reports().into_iter().enumerate();
        reports.map(|(lane, report)| Ended { report, news: of(lane).collect() }).collect()
    }

    fn chains(&self) -> Vec<String> {
        self.run(&self.config, self.good()).into_iter().map(|ended| ended.report.chain).collect()
    }

    /// Runs a hostile one in the middle of the good ones, which must not notice.
    fn run_among(&self, hostile: Box<dyn Strategy>, chains: &[String], name: &str) -> Ended {
        let mut strategies = self.good();
        strategies.insert(MIDDLE, hostile);
        let mut ended = self.run(&self.config, strategies);
        let hostile = ended.remove(MIDDLE);
        for (neighbor, chain) in ended.iter().zip(chains) {
            assert_eq!(neighbor.report.chain, *chain, "{name} changed {}", neighbor.report.name);
            assert_eq!(neighbor.report.state, LaneState::Stopped, "{name}");
        }
        self.holds_up_no_longer_than_it_may(&hostile.report, name);
        hostile
    }

    /// All lanes share a thread, so what one of them may use is how long the others
    /// wait for it. Fuel is counted, time is not: it would be of this machine.
    fn holds_up_no_longer_than_it_may(&self, report: &LaneReport, name: &str) {
        let (fuel, usage) = (&self.limits.fuel, report.usage);
        let once = fuel.instantiate + 2 * fuel.describe + fuel.start + fuel.stop;
        let told = (self.warm_up.len() + self.block.len()) as u64;
        let calls = told.saturating_mul(fuel.event);
        let most = once.saturating_add(calls) + usage.order_calls * fuel.on_order;
        let used = usage.fuel + usage.fuel_failed;
        assert!(used <= most, "{name} used {used} of {most} fuel");
        assert!(usage.event_calls <= told, "{name} was called {} times", usage.event_calls);
        assert!(usage.memory_peak_bytes <= self.limits.memory_bytes + WASM_PAGE, "{name}");
    }
}

/// Whatever it says of itself: it hears of trades and of the book.
fn everything(described: Descriptor) -> Descriptor {
    let wanted = |channel| Subscription { channel, symbol: None };
    let mut subscriptions = described.subscriptions;
    if subscriptions.is_empty() {
        subscriptions = vec![wanted(Channel::Trades), wanted(Channel::Book(5))];
    }
    Descriptor { name: "x".to_owned(), version: "1".to_owned(), subscriptions, ..described }
}

fn check(arena: &Arena, chains: &[String], member: &Member) {
    let name = member.name;
    match &member.end {
        End::Refused(words) => {
            let error = arena.load(member.bytes.clone()).err();
            let error = error.unwrap_or_else(|| panic!("{name} was loaded")).to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
        End::NotStarted(kind, words) => {
            let fault = arena.guest(member.bytes.clone()).err();
            let fault = fault.unwrap_or_else(|| panic!("{name} can be started"));
            assert_eq!(fault.kind, *kind, "{name}: {fault}");
            assert!(fault.detail.contains(words), "{name}: {fault}");
        }
        End::Fault(kind, words) => {
            let guest = arena.guest(member.bytes.clone()).expect(name);
            let ended = arena.run_among(guest, chains, name);
            let LaneState::Quarantined(fault) = &ended.report.state else {
                panic!("{name} is {:?}", ended.report.state)
            };
            assert_eq!(fault.kind, *kind, "{name}: {fault}");
            assert!(fault.detail.contains(words), "{name}: {fault}");
        }
        End::Inert(look) => {
            let guest = arena.guest(member.bytes.clone()).expect(name);
            let ended = arena.run_among(guest, chains, name);
            assert_eq!(ended.report.state, LaneState::Stopped, "{name}");
            look(&ended);
        }
    }
}

#[test]
fn x_exc_every_hostile_strategy_ends_as_stated_and_no_neighbor_notices() {
    let arena = Arena::new();
    let chains = arena.chains();
    // Every member is tried, whatever became of the one before it.
    let tried = |member: &Member| {
        std::panic::catch_unwind(AssertUnwindSafe(|| check(&arena, &chains, member))).is_err()
    };
    let wrong = |step: usize| -> Vec<&str> {
        let some = members().into_iter().step_by(step);
        some.filter(|member| tried(member)).map(|member| member.name).collect()
    };
    // What a process takes once and keeps, it has taken after some of them.
    assert_eq!(wrong(4), [""; 0]);
    let before = Held::now();
    assert_eq!(wrong(1), [""; 0]);
    // The host is alive, and nothing has stuck to it.
    assert_eq!(arena.chains(), chains);
    assert_eq!(Held::now().leaked_since(before, 32 << 10), [""; 0]);
}

/// The control: what is compared would show a neighbor that was disturbed.
#[test]
fn x_exc_a_neighbor_that_is_disturbed_would_be_seen() {
    let arena = Arena::new();
    let chains = arena.chains();
    assert_eq!(chains.len(), 10);
    let mut fewer = arena.good();
    fewer.swap(0, 1);
    let swapped = arena.run(&arena.config, fewer);
    assert_ne!(swapped[0].report.chain, chains[0]);
    let fills = |lane: usize| swapped[lane].report.statistics.fill_count;
    assert!(fills(6) > 0 && fills(7) > 0, "the neighbors trade");
}

#[test]
fn x_exc_eight_hostile_strategies_at_once_disturb_nobody() {
    let arena = Arena::new();
    let chains = arena.chains();
    let mut strategies = arena.good();
    let eight: Vec<Member> =
        members().into_iter().filter(|m| matches!(m.end, End::Fault(..))).take(8).collect();
    assert_eq!(eight.len(), 8);
    for (at, member) in eight.into_iter().enumerate() {
        strategies.insert(2 * at, arena.guest(member.bytes).expect("a guest"));
    }
    let ended = arena.run(&arena.config, strategies);
    let (hostile, good): (Vec<_>, Vec<_>) =
        ended.into_iter().enumerate().partition(|(at, _)| *at < 16 && at % 2 == 0);
    assert!(hostile.iter().all(|(_, e)| matches!(e.report.state, LaneState::Quarantined(_))));
    let after: Vec<String> = good.into_iter().map(|(_, ended)| ended.report.chain).collect();
    assert_eq!(after, chains);
}

#[test]
fn x_exc_who_reads_ahead_is_told_by_strict_calls() {
    let arena = Arena::new();
    let run = |strict: bool, name: &str| {
        // Small batches, so that it sees the end of many of them.
        let config = EngineConfig { strict, batch: 16, ..arena.config.clone() };
        let guest = arena.guest(guests::made(name)).expect("a guest");
        arena.run(&config, vec![guest]).remove(0).report
    };
    let (batched, strict) = (run(false, "reads_ahead"), run(true, "reads_ahead"));
    assert!(batched.counters.orders > 0, "it traded on what was to come");
    assert_ne!(batched.chain, strict.chain);
    // The control: who does the same with its own event alone is the same.
    assert_eq!(run(false, "reads_in_order").chain, run(true, "reads_in_order").chain);
    assert!(run(true, "reads_in_order").counters.orders > 0);
}

/// `SANDPAPER_REPLAYS=1000` is the long form.
#[test]
fn crit_003_replays_are_identical() {
    let times = std::env::var("SANDPAPER_REPLAYS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let arena = Arena::new();
    let run = || {
        let mut strategies = arena.good();
        strategies.push(arena.guest(guests::made("nan_payloads")).expect("a guest"));
        let ended = arena.run(&arena.config, strategies);
        let of = |e: Ended| (e.report.chain, e.report.usage.fuel, e.news.len());
        ended.into_iter().map(of).collect::<Vec<_>>()
    };
    let first = run();
    for time in 1..times {
        assert_eq!(run(), first, "replay {time}");
    }
}

#[test]
fn every_kind_of_attack_has_a_member_or_a_test() {
    assert!(KINDS.iter().map(|(number, ..)| *number).eq(1..=53));
    let members: Vec<&str> = members().iter().map(|member| member.name).collect();
    let texts: Vec<String> = repository::files(&repository::root(), ".rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    for (number, what, shown) in KINDS {
        for name in *shown {
            let there = match name.strip_prefix("test:") {
                Some(test) => texts.iter().any(|text| text.contains(&format!("fn {test}"))),
                None => members.contains(name),
            };
            assert!(there, "{number} {what}: there is no {name}");
        }
    }
    let named = |name: &&&str| KINDS.iter().any(|(.., shown)| shown.contains(*name));
    assert!(members.iter().all(|name| named(&name)), "a member of no kind");
    let files = repository::files(&repository::root().join("tests/guests"), ".wat");
    assert!(files.len() >= 35 && files.iter().all(|path| Path::new(path).is_file()));
}
