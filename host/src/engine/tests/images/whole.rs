//! What is put back is whole: it gives what an engine that was never interrupted gives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::keeper::{Habits, Keeper};
use super::market::{Input, Run, config, habits, input, pieces};
use crate::engine::{EngineConfig, Image, LaneOutput, LaneReport, LaneState, Output, Verdict};

/// A run to be interrupted.
#[derive(Clone, Debug)]
struct Case {
    inputs: Vec<Input>,
    habits: Vec<Habits>,
    config: EngineConfig,
    /// the image is taken behind this part of the pieces
    at: prop::sample::Index,
    /// what goes on calls its strategies with one event at a time
    strict: bool,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(input(), 10..160),
        prop::collection::vec(habits(), 1..5),
        config(),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(inputs, habits, config, at, strict)| Case {
            inputs,
            habits,
            config,
            at,
            strict,
        })
}

/// What a run has come to.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// by lane: what it told behind the image
    news: Vec<Vec<String>>,
    /// hashes of the state at the end
    hashes: (String, Vec<(String, Option<String>)>),
    /// what they are made of
    hashed: Vec<Vec<String>>,
    reports: Vec<Vec<String>>,
    verdicts: Vec<(u16, Verdict)>,
    unfulfilled: Vec<usize>,
}

impl Outcome {
    /// What differs from another one, if anything does.
    fn differs(&self, other: &Self) -> Option<String> {
        let lanes = |one: &Self| {
            let lists = one.news.iter().chain(&one.hashed).chain(&one.reports).cloned();
            let rest = [format!("{:?}", one.hashes), format!("{:?}", one.verdicts)];
            lists.chain([rest.to_vec(), vec![format!("{:?}", one.unfulfilled)]]).collect()
        };
        let (these, those): (Vec<Vec<String>>, Vec<Vec<String>>) = (lanes(self), lanes(other));
        first(&these, &those)
    }
}

/// The first text that differs in two lists of them.
fn first(these: &[Vec<String>], those: &[Vec<String>]) -> Option<String> {
    let (a, b) = these.iter().zip(those).find(|(a, b)| a != b)?;
    let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    Some(format!("at {at}: {:?}\nand {:?}", a.get(at), b.get(at)))
}

/// What must not depend on where a run was interrupted. How far a call that failed came
/// is not known; what calls cost, and what is shown meanwhile, depends on their size.
fn report(one: &LaneReport, sizes: bool) -> Vec<String> {
    let failed = matches!(one.state, LaneState::Quarantined(_));
    let counters = (one.counters.orders, one.counters.rejected, one.counters.dropped);
    let mut all = vec![
        format!("{:?}", std::mem::discriminant(&one.state)),
        format!("{} events", if failed { 0 } else { one.counters.events }),
        format!("{counters:?} {:?} {:?} {:?}", one.cash, one.equity, one.start_equity),
        format!("{:?} {:?} {:?}", one.realized_pnl, one.unrealized_pnl, one.assets),
        format!("{} {:?} {:?}", one.max_drawdown_pct, one.drawdown_pct, one.roi_pct),
        format!("{:?} {:?}", one.statistics, one.metrics),
        format!("{:?} {:?} {:?}", one.breakdown, one.curve, one.positions),
        one.chain.clone(),
        format!("{:?}", one.instruments),
    ];
    if sizes {
        all.push(format!("{:?} {:?} {:?}", one.usage, one.indicators, one.counters));
    }
    all
}

fn news(outputs: &[Output], lanes: usize) -> Vec<Vec<String>> {
    let of = |lane: usize| {
        let own = outputs.iter().filter(|one| usize::from(one.lane) == lane);
        let mut failed = false;
        let told = own.filter_map(|one| match &one.body {
            LaneOutput::Log { .. } => None,
            LaneOutput::Fault(fault) => {
                failed = true;
                Some(format!("fault {:?}", fault.kind))
            }
            // A call that failed has no place, and so has what it ended.
            other @ (LaneOutput::Canceled { .. } | LaneOutput::Reject { .. }) if failed => {
                Some(format!("{other:?}"))
            }
            other => {
                failed &= !matches!(other, LaneOutput::Restarted { .. });
                Some(format!("{} {other:?}", one.ts.0))
            }
        });
        told.collect()
    };
    (0..lanes).map(of).collect()
}

/// Takes the rest of a run, to its end.
fn end(mut run: Run, rest: &[super::market::Piece<'_>], sizes: bool) -> Outcome {
    rest.iter().for_each(|piece| run.take(piece));
    let lanes = run.habits.len();
    let image = run.engine.image().expect("no invariant breaks");
    run.engine.check().expect("every account adds up");
    run.engine.finish().expect("every account adds up");
    let outputs: Vec<Output> = run.engine.drain().collect();
    Outcome {
        news: news(&outputs, lanes),
        hashes: hashes(&image),
        hashed: image.hashed(),
        reports: run.engine.reports().iter().map(|one| report(one, sizes)).collect(),
        verdicts: run.verdicts(),
        unfulfilled: (0..lanes as u16).map(|lane| run.engine.unfulfilled(lane)).collect(),
    }
}

fn hashes(image: &Image) -> (String, Vec<(String, Option<String>)>) {
    (image.shared_hash().expect("a hash"), image.lane_hashes().expect("hashes"))
}

/// As it comes from a file.
fn through_bytes(image: &Image) -> Image {
    rmp_serde::from_slice(&rmp_serde::to_vec(image).expect("encoded")).expect("decoded")
}

/// An engine that begins anew and stands where `image` was taken.
fn put_back(case: &Case, image: &Image, builds: &[u64], told: &[(u16, Verdict)]) -> Run {
    let config = EngineConfig { strict: case.strict, ..case.config.clone() };
    let mut run = Run::begin(&config, &case.habits, told);
    let mut modules = BTreeMap::new();
    for (lane, &build) in (0_u16..).zip(builds).filter(|(_, build)| **build > 0) {
        modules.insert(lane, Keeper::build(&case.habits[usize::from(lane)], build));
    }
    run.builds = builds.to_vec();
    run.engine.restore(image, modules, told).expect("put back");
    run
}

/// What an engine that is never interrupted comes to, and one that goes on from the image
/// of it which `change` gives.
fn both(case: &Case, change: &dyn Fn(Image) -> Image) -> (Outcome, Outcome) {
    let pieces = pieces(&case.inputs);
    let (before, rest) = pieces.split_at(case.at.index(pieces.len() + 1));
    let mut run = Run::begin(&case.config, &case.habits, &[]);
    before.iter().for_each(|piece| run.take(piece));
    let image = run.engine.image().expect("no invariant breaks");
    run.engine.drain();
    let builds = run.builds.clone();
    // A call that the clock stopped is not made again.
    let by_clock = |one: &Habits| !one.traps && !one.fails_at.is_empty();
    let sizes = !case.strict && !case.habits.iter().any(by_clock);
    let whole = end(run, rest, sizes);
    let image = change(through_bytes(&image));
    let again = put_back(case, &image, &builds, &whole.verdicts);
    (whole, end(again, rest, sizes))
}

/// How many random runs; `SANDPAPER_IMAGES` asks for more.
fn cases() -> u32 {
    std::env::var("SANDPAPER_IMAGES").ok().and_then(|many| many.parse().ok()).unwrap_or(64)
}

/// News are all told when a block ends, and native strategies have no fuel of a second
/// and save when they are asked: the tests of the sandbox and of refusals see these.
const OTHERS: [&str; 3] = ["lane.updates", "lane.unsaved", "lane.second"];

/// The control of the test below: whichever field an image lacks, it shows.
#[test]
fn high_004_an_image_that_lacks_a_field_is_noticed() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (shared, lane) = Image::fields();
    let mut unnoticed: Vec<String> = shared.iter().map(|field| format!("shared.{field}")).collect();
    unnoticed.extend(lane.iter().map(|field| format!("lane.{field}")));
    unnoticed.retain(|field| !OTHERS.contains(&field.as_str()));
    for _ in 0..CONTROLS {
        let mut case = case().new_tree(&mut runner).expect("a run").current();
        case.strict = false;
        let mut begun = Run::begin(&case.config, &case.habits, &[]);
        let fresh = begun.engine.image().expect("all save");
        unnoticed.retain(|field| {
            let lacks = |image: Image| image.without(field, &fresh);
            // Where things do not fit together an engine stops, which is noticed too.
            let both = std::panic::catch_unwind(|| both(&case, &lacks));
            both.is_ok_and(|(whole, again)| again.differs(&whole).is_none())
        });
        if unnoticed.is_empty() {
            return;
        }
    }
    panic!("nobody notices that these are missing: {unnoticed:?}");
}

/// So many random runs notice all of them, and twice as many are tried.
const CONTROLS: u32 = 200;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn high_004_an_image_put_back_goes_on_as_if_nothing_had_been(case in case()) {
        let (whole, again) = both(&case, &|image| image);
        let differs = again.differs(&whole);
        prop_assert!(differs.is_none(), "{}", differs.unwrap_or_default());
    }

    #[test]
    fn high_004_a_state_has_the_same_hash_at_every_batch_size(case in case()) {
        let hashes_with = |told: &[(u16, Verdict)], strict: bool| {
            let config = EngineConfig { strict, ..case.config.clone() };
            let mut run = Run::begin(&config, &case.habits, told);
            let pieces = pieces(&case.inputs);
            pieces.iter().for_each(|piece| run.take(piece));
            let image = run.engine.image().expect("no invariant breaks");
            (image, run.verdicts())
        };
        let (many, told) = hashes_with(&[], false);
        let (one, again) = hashes_with(&told, true);
        let differs = first(&one.hashed(), &many.hashed());
        prop_assert!(differs.is_none(), "{}", differs.unwrap_or_default());
        prop_assert_eq!(hashes(&one), hashes(&many));
        prop_assert_eq!(again, told);
    }
}
