//! Controls of the corpus: with a protection lifted, the members that it stops end
//! otherwise than they must, and the corpus says so. `limits` has the same for every limit
//! by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandpaper::sandbox::{Caps, DeadlineLimits, Limits};
use sandpaper::strategy::{
    Descriptor, Effects, Fault, FaultKind, HistoryRef, OrderUpdate, StartInfo, Strategy, Usage,
};

use super::guests::{self, members};
use super::{Arena, MIDDLE, check};

/// A protection: a member that it stops, how it is lifted, and what is said then.
type Case = (&'static str, fn(&mut Limits, &mut Caps), &'static str);

const ENOUGH: u64 = 1 << 50;
/// So that a loop without end ends all the same, as a fault of another kind.
const SOON: DeadlineLimits = DeadlineLimits { call_ms: 50, event_ms: 0 };

const CASES: &[Case] = &[
    (
        "loop_in_handle",
        |limits, _| {
            (limits.fuel.event, limits.fuel.second, limits.deadline) = (ENOUGH, ENOUGH, SOON);
        },
        "deadline",
    ),
    (
        "loop_in_describe",
        |limits, _| (limits.fuel.describe, limits.deadline) = (ENOUGH, SOON),
        "deadline",
    ),
    (
        "loop_in_start_section",
        |limits, _| (limits.fuel.instantiate, limits.deadline) = (ENOUGH, SOON),
        "deadline",
    ),
    (
        "loop_in_start",
        |limits, _| (limits.fuel.start, limits.deadline) = (ENOUGH, SOON),
        "deadline",
    ),
    ("table_grow_loop", |limits, _| limits.table_elements = ENOUGH, "memory bytes"),
    ("memory_grow_loop", |limits, _| limits.memory_bytes = ENOUGH, "memory_grow_loop"),
    ("one_huge_log_line", |limits, _| limits.hostcall_bytes = 64 << 20, "protocol: invalid utf-8"),
    ("many_globals", |_, caps| caps.globals = u32::MAX, "many_globals"),
    ("many_functions", |_, caps| caps.functions = u32::MAX, "many_functions"),
    ("many_segments", |_, caps| caps.segments = u32::MAX, "many_segments"),
    ("ten_million_elements", |_, caps| caps.table_elements = u64::MAX, "ten_million_elements"),
    ("padding", |_, caps| caps.file_bytes = u64::MAX, "padding"),
];

/// What `check` says of a member that does not end as it must.
fn said(arena: &Arena, chains: &[String], name: &str) -> Option<String> {
    let all = members();
    let member = all.iter().find(|member| member.name == name).expect(name);
    let failed = catch_unwind(AssertUnwindSafe(|| check(arena, chains, member))).err()?;
    let text = failed.downcast_ref::<String>().cloned();
    Some(text.or(failed.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default())
}

#[test]
fn x_exc_the_corpus_finds_each_protection_that_is_lifted() {
    let mut arena = Arena::new();
    let chains = arena.chains();
    let (limits, caps) = (arena.limits, arena.caps);
    for (name, lift, words) in CASES {
        assert_eq!(said(&arena, &chains, name), None, "{name} under its protection");
        lift(&mut arena.limits, &mut arena.caps);
        let told = said(&arena, &chains, name).unwrap_or_else(|| panic!("{name} is not found"));
        assert!(told.contains(words), "{name}: {told}");
        (arena.limits, arena.caps) = (limits, caps);
    }
}

/// A strategy whose events are counted together with those of another one: once both
/// have had too many, it fails, as it would if they shared their fuel.
struct Sharing {
    strategy: Box<dyn Strategy>,
    used: Arc<AtomicU64>,
    /// events of both that this one stands
    most: u64,
}

impl Strategy for Sharing {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        self.strategy.describe()
    }

    fn start(
        &mut self,
        info: &StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.strategy.start(info, history, effects)
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        if self.used.load(Ordering::Relaxed) > self.most {
            return Err(Fault::new(FaultKind::OutOfFuel, "another one has used it"));
        }
        let consumed = self.strategy.handle(words, events, effects)?;
        self.used.fetch_add(u64::from(consumed), Ordering::Relaxed);
        Ok(consumed)
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.strategy.on_order(update, history, effects)
    }

    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault> {
        self.strategy.stop(effects)
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.strategy.save()
    }

    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault> {
        self.strategy.load(state, from_version)
    }

    fn usage(&self) -> Usage {
        self.strategy.usage()
    }
}

#[test]
fn x_exc_the_corpus_finds_a_neighbor_that_shares_anything() {
    let arena = Arena::new();
    let run = |shared: bool| {
        let (used, own) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let guest = arena.guest(guests::made("burns_nearly_all_fuel")).expect("a guest");
        let hostile = Sharing { strategy: guest, used: Arc::clone(&used), most: u64::MAX };
        let mut strategies = arena.good();
        let victim = strategies.remove(MIDDLE);
        // As many as there are for it alone.
        let most = super::EVENTS as u64 + arena.warm_up.len() as u64;
        let used = if shared { used } else { own };
        strategies.insert(MIDDLE, Box::new(Sharing { strategy: victim, used, most }));
        strategies.insert(MIDDLE, Box::new(hostile));
        let mut ended = arena.run(&arena.config, strategies);
        ended.remove(MIDDLE + 1).report.chain
    };
    let chains = arena.chains();
    assert_eq!(run(false), chains[MIDDLE], "each for itself");
    assert_ne!(run(true), chains[MIDDLE]);
}
