//! Limits that an entry of the lock file sets for its strategy alone, in the
//! place of the configured ones.

use serde::{Deserialize, Serialize};

/// What a module may look like, and what it needs by its nature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// as compilers of Rust, C or Zig make them
    #[default]
    Native,
    /// as an interpreter with a script inside makes them
    Interpreter,
}

/// Declares the numbers once: as fields, as names for people, and as keys.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Limits of one strategy; what is missing is as configured.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct LimitOverride {
            /// what the module may look like
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub profile: Option<Profile>,
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<u64>,
            )*
        }

        impl LimitOverride {
            /// The names of all numbers.
            pub const NUMBERS: &'static [&'static str] = &[$(stringify!($name),)*];

            /// Sets the number of this name; false when there is none.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)*
                    _ => return false,
                }
                true
            }

            /// Leaves the number of this name to the configuration again; false when
            /// there is none.
            pub fn unset(&mut self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name = None,)*
                    _ => return false,
                }
                true
            }

            /// The numbers that are set, by name.
            pub fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

limits! {
    /// bytes of the file
    module_bytes,
    /// fuel to load it and to ask what it is
    fuel_describe,
    /// fuel to start it
    fuel_start,
    /// fuel per market event, and per order update
    fuel_per_event,
    /// fuel in each second of market time
    fuel_per_second,
    /// fuel to stop it, and to save or load its state
    fuel_per_call,
    /// bytes of all memories and tables together
    memory_bytes,
    /// elements of all tables together
    table_elements,
    /// bytes of its call stack
    stack_bytes,
    /// bytes that the host copies out of it in one call
    hostcall_bytes,
    /// milliseconds of one call on the wall
    deadline_ms,
    /// orders, cancels and changes for each event
    orders_per_event,
    /// log lines for each call
    log_lines,
    /// bytes of log text for each call
    log_bytes,
    /// different indicator names
    indicators,
    /// bytes of a reason or a metadata text
    text_bytes,
    /// bytes of a saved state
    state_bytes,
}

impl LimitOverride {
    /// True when nothing differs from the configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
