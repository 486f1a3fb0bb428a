//! Double entry: every transaction's entries sum to zero in every unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::InvariantBroken;
use crate::domain::SymbolId;

/// A unit of account: a quote asset in 10^-8, or a symbol's base asset in that
/// symbol's quantity units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// a quote asset, by its number in the account
    Asset(u8),
    /// the base asset of a symbol
    Base(SymbolId),
}

/// Whose balance it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// the strategy: cash, or the position when the unit is a base asset
    Strategy,
    /// the simulated venue, the other side of every trade
    Venue,
    /// fees paid
    Fees,
    /// charges on shorts
    Carry,
    /// where the starting capital came from
    Capital,
}

/// One line of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// whose balance changes
    pub owner: Owner,
    /// in which unit
    pub unit: Unit,
    /// by how much
    pub amount: i128,
}

impl Entry {
    /// An entry.
    #[must_use]
    pub fn new(owner: Owner, unit: Unit, amount: i128) -> Self {
        Self { owner, unit, amount }
    }
}

/// Balances by owner and unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    balances: BTreeMap<(Owner, Unit), i128>,
    transactions: u64,
}

impl Ledger {
    /// Applies a transaction, whole or not at all.
    ///
    /// # Errors
    /// A transaction that does not balance, or a balance that would overflow.
    pub fn post(&mut self, entries: &[Entry]) -> Result<(), InvariantBroken> {
        for entry in entries {
            let sum: Option<i128> = entries
                .iter()
                .filter(|e| e.unit == entry.unit)
                .try_fold(0_i128, |sum, e| sum.checked_add(e.amount));
            if sum != Some(0) {
                return Err(InvariantBroken(format!("unbalanced transaction {entries:?}")));
            }
        }
        let mut next = self.clone_touched(entries)?;
        self.balances.append(&mut next);
        self.transactions += 1;
        Ok(())
    }

    /// The balances after `entries`, of the accounts that they touch.
    fn clone_touched(
        &self,
        entries: &[Entry],
    ) -> Result<BTreeMap<(Owner, Unit), i128>, InvariantBroken> {
        let mut touched = BTreeMap::new();
        for entry in entries {
            let key = (entry.owner, entry.unit);
            let before = touched.get(&key).copied().unwrap_or_else(|| self.balance(key.0, key.1));
            let after = i128::checked_add(before, entry.amount)
                .ok_or_else(|| InvariantBroken(format!("balance of {key:?} overflows")))?;
            touched.insert(key, after);
        }
        Ok(touched)
    }

    /// A balance; zero when nothing was ever posted.
    #[must_use]
    pub fn balance(&self, owner: Owner, unit: Unit) -> i128 {
        self.balances.get(&(owner, unit)).copied().unwrap_or(0)
    }

    /// How many transactions were posted.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Checks that value is conserved: all balances of each unit sum to zero.
    ///
    /// # Errors
    /// Names the unit that does not.
    pub fn check(&self) -> Result<(), InvariantBroken> {
        let mut sums: BTreeMap<Unit, i128> = BTreeMap::new();
        for (&(_, unit), &amount) in &self.balances {
            *sums.entry(unit).or_default() += amount;
        }
        match sums.into_iter().find(|&(_, sum)| sum != 0) {
            Some((unit, sum)) => Err(InvariantBroken(format!("{unit:?} is off by {sum}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a01_control_an_unbalanced_transaction_changes_nothing() {
        let mut ledger = Ledger::default();
        let usd = Unit::Asset(0);
        let bad = [Entry::new(Owner::Strategy, usd, 5), Entry::new(Owner::Venue, usd, -4)];
        assert!(ledger.post(&bad).is_err());
        assert_eq!(ledger, Ledger::default());
        let good = [Entry::new(Owner::Strategy, usd, 5), Entry::new(Owner::Venue, usd, -5)];
        assert_eq!(ledger.post(&good), Ok(()));
        assert_eq!(ledger.balance(Owner::Strategy, usd), 5);
        assert_eq!(ledger.check(), Ok(()));
    }

    #[test]
    fn a02_control_a_balance_that_changes_by_itself_is_seen() {
        let (mut ledger, usd) = (Ledger::default(), Unit::Asset(0));
        let deposit = [Entry::new(Owner::Strategy, usd, 5), Entry::new(Owner::Capital, usd, -5)];
        assert_eq!(ledger.post(&deposit), Ok(()));
        assert_eq!(ledger.check(), Ok(()));
        *ledger.balances.entry((Owner::Fees, usd)).or_default() += 1;
        assert!(ledger.check().is_err());
    }

    #[test]
    fn a01_control_units_do_not_balance_each_other() {
        let mut ledger = Ledger::default();
        let entries = [
            Entry::new(Owner::Strategy, Unit::Asset(0), 5),
            Entry::new(Owner::Venue, Unit::Asset(1), -5),
        ];
        assert!(ledger.post(&entries).is_err());
    }
}
