//! What a strategy says of itself.

use serde::{Deserialize, Serialize};

/// What kind of thing a strategy wants to be called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// public prints
    Trades,
    /// the book, to that many levels a side
    Book(u32),
    /// closed candles of that many seconds
    Candles(u32),
    /// a timer of that many milliseconds
    Timer(u32),
    /// changes of the trading status
    Status,
}

/// A channel of one symbol or of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// the symbol's name; none for each of the strategy's symbols
    pub symbol: Option<String>,
    /// what of it
    pub channel: Channel,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// yes or no
    Flag(bool),
    /// a whole number
    Integer(i64),
    /// a number
    Number(f64),
    /// text
    Text(String),
}

/// A parameter as a strategy declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// its name, as in `[strategy.NAME.params]`
    pub name: String,
    /// what it does
    pub description: String,
    /// its default, whose type is the parameter's
    pub default: Value,
    /// smallest value, inclusive
    pub minimum: Option<f64>,
    /// largest value, inclusive
    pub maximum: Option<f64>,
}

/// What a strategy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// its name, from its author: shown, never trusted
    pub name: String,
    /// its version
    pub version: String,
    /// the symbols it is made for
    pub symbols: Vec<String>,
    /// what it wants to be called for
    pub subscriptions: Vec<Subscription>,
    /// its parameters
    pub parameters: Vec<Parameter>,
}
