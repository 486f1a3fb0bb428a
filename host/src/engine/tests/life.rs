//! The life of an order, as its strategy is told of it, against the table at the head of
//! `execution`: what happens is in the table, and what the table says happens.

use std::collections::{BTreeMap, BTreeSet};

use super::properties::{Step, block, gambler};
use super::support::*;
use crate::domain::{OrderStatus, RejectReason};
use crate::engine::EngineConfig;
use crate::execution::Delay;
use crate::strategy::OrderUpdate;

type Change = (&'static str, &'static str);

const STATES: [&str; 11] = [
    "asked",
    "pending change",
    "pending cancel",
    "pending",
    "rejected",
    "accepted",
    "woken",
    "partially filled",
    "filled",
    "canceled",
    "expired",
];

/// The states that a cell names: longer names first, so that none is found within another.
fn named(cell: &str) -> Vec<&'static str> {
    // `and` leads to a change that has a row of its own.
    cell.split(", ")
        .filter_map(|part| part.split(" and ").next())
        .map(|part| part.trim().trim_start_matches("or "))
        .map(|part| *STATES.iter().find(|state| **state == part).expect("a state of this list"))
        .collect()
}

/// The table's rows as changes. A stop that wakes is told as accepted.
fn table() -> BTreeSet<Change> {
    let text = include_str!("../../execution/mod.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut changes = BTreeSet::new();
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.split(" | ").collect();
        for from in named(cells[0]) {
            for to in named(cells[1]) {
                changes.insert((from, if to == "woken" { "accepted" } else { to }));
            }
        }
    }
    changes
}

/// What the news say of each order, as changes; what is none of the table is an error.
fn follow(news: &[OrderUpdate], seen: &mut BTreeSet<Change>) -> Result<(), String> {
    let table = table();
    let mut states: BTreeMap<u64, &'static str> = BTreeMap::new();
    for update in news {
        let now = states.get(&update.order).copied().unwrap_or("asked");
        let to = match update.status {
            // A request about an order that is not open, or a change that is refused:
            // the order stands as it did.
            OrderStatus::Rejected if update.reject == Some(RejectReason::UnknownOrder) => {
                if matches!(now, "accepted" | "partially filled") {
                    return Err(format!("{now}, and not known: {update:?}"));
                }
                continue;
            }
            OrderStatus::Rejected if matches!(now, "accepted" | "partially filled") => continue,
            OrderStatus::Rejected => "rejected",
            OrderStatus::Accepted => "accepted",
            OrderStatus::PartiallyFilled => "partially filled",
            OrderStatus::Filled => "filled",
            OrderStatus::Canceled => "canceled",
            OrderStatus::Expired => "expired",
            OrderStatus::PendingNew => "pending",
            OrderStatus::PendingAmend => "pending change",
            OrderStatus::PendingCancel => "pending cancel",
        };
        if update.order == 0 {
            continue;
        }
        if !table.contains(&(now, to)) {
            return Err(format!("{now} became {to}: {update:?}"));
        }
        seen.insert((now, to));
        // A request on its way is told, and the order goes on meanwhile.
        if !to.starts_with("pending ") {
            states.insert(update.order, to);
        }
    }
    Ok(())
}

/// Prices that jump, with books around them.
fn market(seed: u64) -> Vec<Step> {
    let mut state = seed | 1;
    let mut draw = |most: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state) * u128::from(most)) >> 64) as i64
    };
    let mut step = || {
        let (symbol, price, gap_ms) = (draw(2) as u16, 9_300 + draw(1_400), draw(4_000));
        if draw(3) == 0 {
            let bids = vec![(price - 10, 20 + draw(300)), (price - 40, 20 + draw(300))];
            let asks = vec![(price + 10, 20 + draw(300)), (price + 40, 20 + draw(300))];
            Step::Book { symbol, snapshot: true, bids, asks, gap_ms }
        } else {
            Step::Trade { symbol, price, qty: 1 + draw(500), sell: draw(2) == 0, gap_ms }
        }
    };
    (0..200).map(|_| step()).collect()
}

fn news(seed: u64) -> Vec<OrderUpdate> {
    let seconds = |low: i64, high: i64| Delay::Uniform(low * 1_000_000_000, high * 1_000_000_000);
    let mut config = EngineConfig::default();
    if seed.is_multiple_of(2) {
        (config.latency.order, config.latency.cancel) = (seconds(0, 4), seconds(0, 9));
    }
    let (strategy, news) = listening(gambler(seed));
    let mut engine = engine(&config, vec![(strategy, "1000")]);
    engine.step(&block(&market(seed))).expect("no invariant breaks");
    let news = news.lock().expect("one thread");
    news.clone()
}

#[test]
fn an_order_lives_as_its_table_says() {
    let mut seen = BTreeSet::new();
    for seed in 1..=300 {
        let followed = follow(&news(seed), &mut seen);
        assert_eq!(followed, Ok(()), "seed {seed}");
    }
    let unseen: Vec<Change> = table().difference(&seen).copied().collect();
    // Nothing of these runs has a date (`resting` has tests of that), and a change on its
    // way is not followed as a state.
    let other =
        [("accepted", "expired"), ("partially filled", "expired"), ("pending change", "accepted")];
    assert_eq!(unseen, other, "the table says more than happens");
}

#[test]
fn control_a_life_that_is_not_in_the_table_is_seen() {
    let mut seen = BTreeSet::new();
    let all = (1..=60).map(news).find(|news| {
        news.iter().any(|update| update.status == OrderStatus::Filled)
            && news.iter().any(|update| update.status == OrderStatus::Accepted)
    });
    let mut all = all.expect("some trade");
    assert_eq!(follow(&all, &mut seen), Ok(()));
    // An order that was filled comes back to life.
    let filled = all.iter().find(|update| update.status == OrderStatus::Filled).expect("one");
    all.push(OrderUpdate { status: OrderStatus::Accepted, ..filled.clone() });
    assert!(follow(&all, &mut seen).expect_err("not in the table").contains("filled became"));
}
