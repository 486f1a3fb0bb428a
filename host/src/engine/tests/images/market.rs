//! Random runs: markets whose rules change, commands, exchanges of code, cut into blocks.

use proptest::prelude::*;

use super::super::properties::{self, BEGIN, Step, config_of, latency, step};
use super::super::support::*;
use super::keeper::{Habits, Keeper};
use crate::domain::{Price, Qty, Rate, Rules, SymbolId, Ts};
use crate::engine::{
    Command, CommandAction, Engine, EngineBuilder, EngineConfig, FaultPolicy, LaneSpec, Verdict,
};
use crate::input::{CandleInput, InputBlock};
use crate::risk::OnTotal;
use crate::strategy::Strategy as _;

/// Something that a run takes.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Market(Step),
    /// other increments and minimums
    Rules {
        symbol: u16,
        increment: i64,
        short: bool,
    },
    /// a candle of the venue, this many minutes ago
    History {
        symbol: u16,
        ago: i64,
        price: i64,
    },
    /// the source's block ends here
    Cut,
    Command {
        lane: Option<u16>,
        action: CommandAction,
    },
    /// the next build of this strategy
    Swap {
        lane: u16,
    },
}

pub(super) fn input() -> impl Strategy<Value = Input> {
    let actions = [
        CommandAction::Pause,
        CommandAction::Resume,
        CommandAction::Flatten,
        CommandAction::Kill,
        CommandAction::Revoke,
    ];
    let command = (prop::option::weighted(0.8, 0_u16..4), prop::sample::select(actions.to_vec()));
    prop_oneof![
        60 => step().prop_map(Input::Market),
        2 => (0_u16..2, 1_i64..40, any::<bool>())
            .prop_map(|(symbol, increment, short)| Input::Rules { symbol, increment, short }),
        2 => (0_u16..2, 1_i64..6, 9_000_i64..11_000)
            .prop_map(|(symbol, ago, price)| Input::History { symbol, ago, price }),
        6 => Just(Input::Cut),
        1 => command.prop_map(|(lane, action)| Input::Command { lane, action }),
        1 => (0_u16..4).prop_map(|lane| Input::Swap { lane }),
    ]
}

/// How a run's strategies behave.
pub(super) fn habits() -> impl Strategy<Value = Habits> {
    let fails = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(1_u64..80, 1..4),
    ];
    (any::<u64>(), fails, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(seed, fails_at, traps, overdraws)| Habits {
            seed,
            fails_at,
            traps,
            overdraws,
            ..Habits::default()
        },
    )
}

/// Settings that keep something over time.
pub(super) fn config() -> impl Strategy<Value = EngineConfig> {
    let policy = prop_oneof![
        2 => Just(FaultPolicy::default()),
        1 => (0_u32..4, 0_i64..20, 0_i64..20, any::<bool>()).prop_map(
            |(restarts, backoff, save_every, flatten)| FaultPolicy {
                restarts,
                backoff_ns: backoff * Ts::SECOND,
                save_every_ns: save_every * Ts::SECOND,
                flatten,
            }
        ),
    ];
    let batch = prop::sample::select(vec![1_usize, 7, 64, 1024]);
    let throttle = prop_oneof![3 => Just(0_i64), 1 => 1_i64..20];
    let total =
        (0..4_u8, prop::sample::select(vec![OnTotal::Pause, OnTotal::Flatten, OnTotal::Kill]));
    (batch, throttle, latency(), 0..properties::SETTINGS, policy, total).prop_map(
        |(batch, throttle, latency, setting, on_fault, (total, action))| {
            let mut config = EngineConfig {
                batch,
                interval_ns: throttle * Ts::SECOND,
                latency,
                on_fault,
                ..config_of(setting)
            };
            // So little that all of it is turned over.
            (config.market.candles, config.market.trades) = (4, 3);
            config.total.action = action;
            if total == 0 {
                config.total.max_daily_loss = Some(usd("60"));
                config.total.max_drawdown = Some(Rate(90_000_000));
                config.total.max_orders_per_minute = Some(60);
            }
            config
        },
    )
}

/// What a run takes at once.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// inputs, the first of them at or behind this time
    Block(&'a [Input], i64),
    Command(Option<u16>, CommandAction),
    Swap(u16),
}

/// The pieces of these inputs, in order.
pub(super) fn pieces(inputs: &[Input]) -> Vec<Piece<'_>> {
    let (mut pieces, mut from, mut begin) = (Vec::new(), 0, BEGIN);
    let mut now = BEGIN;
    for (index, input) in inputs.iter().enumerate() {
        let piece = match input {
            Input::Market(step) => {
                step.push(&mut InputBlock::new(&instruments(), 1), &mut now);
                continue;
            }
            Input::Rules { .. } | Input::History { .. } => continue,
            Input::Cut => None,
            Input::Command { lane, action } => Some(Piece::Command(*lane, *action)),
            Input::Swap { lane } => Some(Piece::Swap(*lane)),
        };
        if from < index {
            pieces.push(Piece::Block(&inputs[from..index], begin));
        }
        (from, begin) = (index + 1, now);
        pieces.extend(piece);
    }
    if from < inputs.len() {
        pieces.push(Piece::Block(&inputs[from..], begin));
    }
    pieces
}

/// A run of these strategies.
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) habits: Vec<Habits>,
    /// by lane: the build that runs
    pub(super) builds: Vec<u64>,
}

impl Run {
    /// Begins it; `told` are the verdicts of an earlier one.
    pub(super) fn begin(config: &EngineConfig, habits: &[Habits], told: &[(u16, Verdict)]) -> Self {
        let mut builder = EngineBuilder::new(config.clone(), instruments()).expect("instruments");
        for (number, habits) in habits.iter().enumerate() {
            let mut strategy = Keeper::new(habits, 0);
            let descriptor = strategy.describe().expect("described");
            builder
                .add(LaneSpec {
                    name: format!("s{number}"),
                    strategy: Box::new(strategy),
                    descriptor,
                    symbols: vec!["X/USD".into(), "Y/USD".into()],
                    parameters: Vec::new(),
                    account: account("1000"),
                })
                .expect("a valid lane");
        }
        told.iter().for_each(|(lane, verdict)| builder.foretell(*lane, *verdict));
        let engine = builder.start(Ts(BEGIN));
        Self { engine, habits: habits.to_vec(), builds: vec![0; habits.len()] }
    }

    /// Takes one piece.
    pub(super) fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Block(inputs, begin) => {
                let first = self.engine.next_seq();
                let mut block = InputBlock::new(self.engine.instruments(), first);
                let mut now = *begin;
                inputs.iter().for_each(|input| push(input, &mut block, &mut now));
                self.engine.step(&block).expect("no invariant breaks");
            }
            Piece::Command(lane, action) => {
                let command = Command { lane: *lane, action: *action, reason: "so".into() };
                let now = self.engine.now();
                self.engine.command(now, &command).expect("no invariant breaks");
            }
            Piece::Swap(lane) => {
                let Some(habits) = self.habits.get(usize::from(*lane)) else { return };
                let build = self.builds[usize::from(*lane)] + 1;
                let now = self.engine.now();
                let new = Keeper::build(habits, build);
                self.engine.swap(now, *lane, new).expect("no invariant breaks");
                if self.engine.lane(*lane).version == (1 + build).to_string() {
                    self.builds[usize::from(*lane)] = build;
                }
            }
        }
    }

    /// All verdicts so far.
    pub(super) fn verdicts(&self) -> Vec<(u16, Verdict)> {
        let of = |lane| self.engine.verdicts(lane).iter().map(move |one| (lane, *one));
        (0..self.habits.len() as u16).flat_map(of).collect()
    }
}

fn push(input: &Input, block: &mut InputBlock, now: &mut i64) {
    match input {
        Input::Market(step) => step.push(block, now),
        Input::Rules { symbol, increment, short } => {
            let rules = Rules {
                price_increment: Price(1),
                qty_increment: Qty(*increment),
                qty_min: Qty(*increment),
                cost_min: usd("1"),
                short_allowed: *short,
            };
            block.push_rules(Ts(*now), SymbolId(*symbol), &rules);
        }
        Input::History { symbol, ago, price } => {
            let minute = 60 * Ts::SECOND;
            let open_ts = Ts((*now / minute - ago) * minute);
            let [open, high, low, close] = [*price, price + 5, price - 5, price + 1].map(Price);
            let candle = CandleInput {
                symbol: SymbolId(*symbol),
                interval_s: 60,
                open_ts,
                open,
                high,
                low,
                close,
                volume: Qty(100),
                vwap: 100.0,
            };
            block.push_candle(Ts(*now), &candle);
        }
        Input::Cut | Input::Command { .. } | Input::Swap { .. } => {}
    }
}
