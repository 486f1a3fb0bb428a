//! Where market data comes from.

use toml::Value;

use super::value::{Limits, Setting};
use crate::venue::{VENUES, Venue};

/// Where market data comes from.
#[derive(Clone, Copy, Debug)]
pub enum FeedKind {
    /// the seeded simulator
    Sim,
    /// the live market of this venue
    Live(&'static dyn Venue),
}

impl FeedKind {
    /// The name in configuration and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Live(venue) => venue.name(),
        }
    }
}

impl PartialEq for FeedKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for FeedKind {}

impl Setting for FeedKind {
    fn kind() -> String {
        let names = std::iter::once("sim").chain(VENUES.iter().map(|venue| venue.name()));
        names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ")
    }

    fn from_toml(value: &Value) -> Option<Self> {
        let name = value.as_str()?;
        if name == "sim" {
            return Some(Self::Sim);
        }
        VENUES.iter().copied().find(|venue| venue.name() == name).map(Self::Live)
    }

    fn to_toml(&self) -> Value {
        Value::String(self.name().into())
    }

    fn within(&self, _limits: &Limits) -> bool {
        true
    }
}
