//! A value for each symbol of the run.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::types::Symbol;

/// A value for each symbol of the run, indexed by [`Symbol`], so that a strategy
/// that is given several never mixes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerSymbol<T>(Vec<T>);

impl<T> PerSymbol<T> {
    /// Makes the value of every symbol.
    pub fn new(ctx: &Context<'_>, mut make: impl FnMut(Symbol) -> T) -> Self {
        Self(ctx.symbols().map(&mut make).collect())
    }

    /// The values in the order of the symbols.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Symbol> for PerSymbol<T> {
    type Output = T;

    /// # Panics
    /// The symbol is not of this run; those that events carry always are.
    fn index(&self, symbol: Symbol) -> &T {
        &self.0[symbol.index()]
    }
}

impl<T> IndexMut<Symbol> for PerSymbol<T> {
    fn index_mut(&mut self, symbol: Symbol) -> &mut T {
        &mut self.0[symbol.index()]
    }
}
