//! What a strategy says about itself: its symbols, subscriptions and parameters.

use std::ops::RangeInclusive;

use crate::types::Value;

/// Trades that the SDK keeps per subscribed symbol unless told otherwise.
///
/// Large enough for the usual look-backs; 48 KB a symbol.
pub const TRADES_KEPT_DEFAULT: usize = 1_000;

/// Closed candles that the SDK keeps per subscribed symbol and interval unless
/// told otherwise.
pub const CANDLES_KEPT_DEFAULT: usize = 500;

/// A stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Public trades.
    Trades,
    /// The book, to this many levels a side.
    Book(u32),
    /// Closed candles of this interval in seconds.
    Candles(u32),
    /// A timer of this interval in milliseconds.
    Timer(u32),
    /// Changes of the market's status.
    Status,
}

/// A channel that a strategy wants; without a symbol, for each of its symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The instrument's name.
    pub symbol: Option<String>,
    /// The stream.
    pub channel: Channel,
}

/// A parameter as a strategy declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name, the key in the configuration.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// The default, whose type is the parameter's type.
    pub default: Value,
    /// Least allowed value, itself included.
    pub minimum: Option<f64>,
    /// Greatest allowed value, itself included.
    pub maximum: Option<f64>,
}

/// What a strategy is and what it wants, built step by step.
///
/// ```
/// use strategy_sdk::Description;
/// let description = Description::new("breakout")
///     .version("1.2.0")
///     .symbol("XRP/USD")
///     .trades()
///     .candles(300)
///     .parameter("lookback", 20, 2..=500, "candles to look back on");
/// assert_eq!(description.parameters.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The strategy's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Symbols it is made for; used when the operator names none.
    pub symbols: Vec<String>,
    /// What it wants to be called for.
    pub subscriptions: Vec<Subscription>,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Trades that the SDK keeps per symbol.
    pub trades_kept: usize,
    /// Closed candles that the SDK keeps per symbol and interval.
    pub candles_kept: usize,
}

impl Description {
    /// A strategy of this name that subscribes to nothing yet.
    ///
    /// The macro [`description!`](crate::description) takes name and version
    /// from the package instead.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "0.0.0".to_owned(),
            symbols: Vec::new(),
            subscriptions: Vec::new(),
            parameters: Vec::new(),
            trades_kept: TRADES_KEPT_DEFAULT,
            candles_kept: CANDLES_KEPT_DEFAULT,
        }
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Adds a symbol that the strategy is made for.
    #[must_use]
    pub fn symbol(mut self, symbol: &str) -> Self {
        self.symbols.push(symbol.to_owned());
        self
    }

    /// Subscribes to the trades of every symbol.
    #[must_use]
    pub fn trades(self) -> Self {
        self.subscribe(None, Channel::Trades)
    }

    /// Subscribes to the book of every symbol, to `depth` levels a side.
    #[must_use]
    pub fn book(self, depth: u32) -> Self {
        self.subscribe(None, Channel::Book(depth))
    }

    /// Subscribes to closed candles of every symbol; the interval is in seconds.
    #[must_use]
    pub fn candles(self, interval_s: u32) -> Self {
        self.subscribe(None, Channel::Candles(interval_s))
    }

    /// Asks for a timer; the interval is in milliseconds.
    #[must_use]
    pub fn timer_ms(self, interval_ms: u32) -> Self {
        self.subscribe(None, Channel::Timer(interval_ms))
    }

    /// Subscribes to changes of the market status of every symbol.
    #[must_use]
    pub fn status(self) -> Self {
        self.subscribe(None, Channel::Status)
    }

    /// Subscribes to a channel of one symbol, or of every symbol.
    #[must_use]
    pub fn subscribe(mut self, symbol: Option<&str>, channel: Channel) -> Self {
        self.subscriptions.push(Subscription { symbol: symbol.map(str::to_owned), channel });
        self
    }

    /// Sets how many trades the SDK keeps per symbol; 0 keeps none, which is
    /// fastest for a strategy that needs only the trade it is given.
    #[must_use]
    pub fn keep_trades(mut self, newest: usize) -> Self {
        self.trades_kept = newest;
        self
    }

    /// Sets how many closed candles the SDK keeps per symbol and interval.
    #[must_use]
    pub fn keep_candles(mut self, newest: usize) -> Self {
        self.candles_kept = newest;
        self
    }

    /// Declares a numeric parameter with its default and inclusive range.
    #[must_use]
    pub fn parameter<T: Numeric>(
        mut self,
        name: &str,
        default: T,
        range: RangeInclusive<T>,
        description: &str,
    ) -> Self {
        self.parameters.push(Parameter {
            name: name.to_owned(),
            description: description.to_owned(),
            default: default.into_value(),
            minimum: Some(range.start().as_f64()),
            maximum: Some(range.end().as_f64()),
        });
        self
    }

    /// Declares a parameter that is true or false.
    #[must_use]
    pub fn flag(self, name: &str, default: bool, description: &str) -> Self {
        self.unbounded(name, Value::Flag(default), description)
    }

    /// Declares a parameter that is text.
    #[must_use]
    pub fn text(self, name: &str, default: &str, description: &str) -> Self {
        self.unbounded(name, Value::Text(default.to_owned()), description)
    }

    fn unbounded(mut self, name: &str, default: Value, description: &str) -> Self {
        self.parameters.push(Parameter {
            name: name.to_owned(),
            description: description.to_owned(),
            default,
            minimum: None,
            maximum: None,
        });
        self
    }
}

impl Parameter {
    /// The value as this parameter's type, if it is of it and in range.
    ///
    /// A whole number is accepted where a number is declared, because `20` and
    /// `20.0` mean the same to whoever writes a configuration.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let value = match (&self.default, value) {
            (Value::Number(_), Value::Integer(given)) => Value::Number(*given as f64),
            (Value::Integer(_), Value::Integer(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::Flag(_), Value::Flag(_))
            | (Value::Text(_), Value::Text(_)) => value.clone(),
            _ => return Err(format!("parameter {}: {value:?} is of the wrong type", self.name)),
        };
        let number = match value {
            Value::Integer(given) => given as f64,
            Value::Number(given) => given,
            Value::Flag(_) | Value::Text(_) => return Ok(value),
        };
        let low = self.minimum.is_none_or(|minimum| number >= minimum);
        let high = self.maximum.is_none_or(|maximum| number <= maximum);
        if number.is_finite() && low && high {
            return Ok(value);
        }
        let bound = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |b| b.to_string());
        Err(format!(
            "parameter {}: {number} is outside {} to {}",
            self.name,
            bound(self.minimum),
            bound(self.maximum)
        ))
    }
}

/// A type that a numeric parameter can have.
pub trait Numeric: Copy {
    /// The value in the contract's terms.
    fn into_value(self) -> Value;
    /// The value as a bound.
    fn as_f64(self) -> f64;
}

impl Numeric for i32 {
    fn into_value(self) -> Value {
        Value::Integer(i64::from(self))
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Numeric for i64 {
    fn into_value(self) -> Value {
        Value::Integer(self)
    }
    fn as_f64(self) -> f64 {
        self as f64
    }
}

impl Numeric for f64 {
    fn into_value(self) -> Value {
        Value::Number(self)
    }
    fn as_f64(self) -> f64 {
        self
    }
}

/// A type that a parameter can be read as.
pub trait FromValue: Sized {
    /// The value, or nothing when it is of another type or out of range.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Flag(_) | Value::Text(_) => None,
        }
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => { $(
        impl FromValue for $kind {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }
        }
    )* };
}

whole_numbers!(i64, i32, u64, u32, usize);

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}
