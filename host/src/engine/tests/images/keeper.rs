//! A gambler that can be asked for its state: all that it decides by is in what it
//! saves, how often it has failed included.

use super::super::properties::{answer_news, channels_of, gamble, seeds_of};
use super::super::support::*;
use crate::engine::Replacement;
use crate::strategy::{
    Descriptor, Effects, Fault, FaultKind, HistoryRef, OrderUpdate, StartInfo, Strategy,
    Subscription, Usage,
};
use crate::words::Header;

/// How a strategy answers when it is asked for its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Saves {
    /// with its state
    #[default]
    Well,
    /// that it does not save
    Never,
    /// it fails
    Fails(FaultKind),
}

/// How one strategy behaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Habits {
    pub(super) seed: u64,
    /// fails at these events, counted from 1, over all its instances
    pub(super) fails_at: Vec<u64>,
    /// fails so, by the machine's clock else
    pub(super) traps: bool,
    /// shares the fuel of a call among its events once in a while
    pub(super) overdraws: bool,
    pub(super) saves: Saves,
}

/// The strategy.
pub(super) struct Keeper {
    habits: Habits,
    /// counts the builds of its code
    build: u64,
    /// of events, of news, events seen
    memory: [u64; 3],
    calls: u64,
    /// saves at which it failed
    traps: u64,
    overdrew: bool,
}

impl Keeper {
    pub(super) fn new(habits: &Habits, build: u64) -> Self {
        let (events, news) = seeds_of(habits.seed ^ (build << 40));
        let memory = [events, news, 0];
        Self { habits: habits.clone(), build, memory, calls: 0, traps: 0, overdrew: false }
    }

    /// The next build of it, to be put in its place.
    pub(super) fn build(habits: &Habits, build: u64) -> Replacement {
        let mut strategy = Self::new(habits, build);
        Replacement {
            descriptor: strategy.describe().expect("described"),
            strategy: Box::new(strategy),
            parameters: Vec::new(),
            from: format!("{:064}", build - 1),
            to: format!("{build:064}"),
        }
    }

    fn event(&mut self, event: &Event<'_>, effects: &mut Effects) -> Result<(), Fault> {
        self.memory[2] += 1;
        if self.habits.fails_at.contains(&self.memory[2]) {
            let kind = if self.habits.traps { FaultKind::Trap } else { FaultKind::Deadline };
            return Err(Fault::new(kind, "as told"));
        }
        // A later build decides otherwise from the same state.
        self.memory[0] = self.memory[0].rotate_left(self.build as u32);
        gamble(&mut self.memory[0], event, effects);
        effects.indicator("seen", self.memory[2] as f64);
        Ok(())
    }
}

impl Strategy for Keeper {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        let channels = channels_of(self.habits.seed);
        let subscription = |channel| Subscription { symbol: None, channel };
        Ok(Descriptor {
            name: "keeper".into(),
            version: (1 + self.build).to_string(),
            subscriptions: channels.into_iter().map(subscription).collect(),
            ..Descriptor::default()
        })
    }

    fn start(&mut self, info: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
        // An instance that begins later is another one, unless it loads.
        self.memory[0] ^= info.account.cash.to_bits();
        Ok(())
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        self.calls += 1;
        self.overdrew = false;
        let mut rest = words;
        for consumed in 1..=events {
            let header = Header(rest[0]);
            let (event, tail) = rest.split_at(header.words().expect("a known event"));
            rest = tail;
            let asked = effects.intents.len();
            self.event(&Event { header, ts: event[1], payload: &event[2..] }, effects)?;
            if effects.intents.len() > asked || consumed == events {
                let rarely = self.habits.overdraws && self.memory[0].is_multiple_of(7);
                self.overdrew = rarely && consumed > 1;
                return Ok(consumed);
            }
        }
        Ok(events)
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        answer_news(&mut self.memory[1], update, &history, effects);
        Ok(())
    }

    fn stop(&mut self, _: &mut Effects) -> Result<(), Fault> {
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        match self.habits.saves {
            Saves::Well => Ok(self.memory.iter().flat_map(|word| word.to_le_bytes()).collect()),
            Saves::Never => Err(Fault::new(FaultKind::Refused, "it has no state")),
            Saves::Fails(kind) => {
                self.traps += 1;
                Err(Fault::new(kind, "while it saved"))
            }
        }
    }

    fn load(&mut self, state: &[u8], _: &str) -> Result<(), Fault> {
        let words = state.chunks_exact(8).map(|word| word.try_into().expect("eight bytes"));
        for (held, word) in self.memory.iter_mut().zip(words.map(u64::from_le_bytes)) {
            *held = word;
        }
        Ok(())
    }

    fn usage(&self) -> Usage {
        // A call takes its time: half a second for each, where fuel is time.
        let fuel = self.calls * (self.habits.seed % 2) * 500_000_000;
        Usage { calls: self.calls, fuel, traps: self.traps, ..Usage::default() }
    }

    fn fresh(&self) -> Option<Result<Box<dyn Strategy>, Fault>> {
        Some(Ok(Box::new(Self::new(&self.habits, self.build))))
    }

    fn overdrew(&self) -> bool {
        self.overdrew
    }
}
