//! What a strategy owns and owes: ledger, positions, equity, statistics.
//!
//! 1. Every change of value is a balanced transaction in the [`ledger`]; a
//!    transaction that does not balance is an [`InvariantBroken`] and ends the run.
//! 2. Holdings are kept per symbol: what was bought on one symbol backs only
//!    that symbol. Cash is kept per quote asset.
//! 3. Equity is cash plus positions at their marks, in the account currency. It is
//!    sampled, for its peak and its falls, at every mark while anything is held and
//!    after every fill and charge.
//!    Sums over symbols of different quotes are in the account currency: each part is
//!    converted at the marks of the moment at which it is booked, profits rounded
//!    down and costs up. A part without a rate makes the sums unknown, never smaller.
//!    What each asset did by itself is kept exactly, in [`Account::by_asset`].
//! 4. A round trip runs from flat to flat; its net profit is exactly the change
//!    of cash that its fills, fees and charges made.
//! 5. A reduction takes its share of the position's cost, rounded down; the last
//!    one takes what is left, so that the sum is exact.
//! 6. A fill is booked once: one whose number is not above the last one's changes
//!    nothing.

pub mod account;
pub mod breakdown;
pub mod ledger;
pub mod metrics;
mod over_time;
pub mod position;
pub mod round_trip;
pub mod statistics;
pub mod totals;
mod valuation;

use thiserror::Error;

pub use account::{Account, AccountConfig, StartError};
pub use breakdown::Breakdown;
pub use ledger::Ledger;
pub use metrics::{Metrics, Summary, Terms};
pub use over_time::{Charge, ChargeKind};
pub use position::Position;
pub use round_trip::RoundTrip;
pub use statistics::Statistics;
pub use totals::{AssetTotals, Booked, Totals};

/// Something that cannot be true. The run ends; nothing goes on from a state
/// that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invariant broken: {0}")]
pub struct InvariantBroken(pub String);

#[cfg(test)]
mod figures_tests;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
