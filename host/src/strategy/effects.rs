//! What one call of a strategy asks for, gathered until it has returned well.

use serde::{Deserialize, Serialize};

use crate::domain::text;
use crate::domain::{Action, RejectReason, TimeInForce};

/// A size in a stated unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Size {
    /// base units
    Base(f64),
    /// quote units
    Quote(f64),
    /// the whole position, or everything affordable
    All,
}

/// What kind of order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum OrderKind {
    /// at once, at the market
    Market,
    /// at this price or better
    Limit(f64),
    /// a market order once this price is reached
    Stop(f64),
    /// stop price, limit price
    StopLimit(f64, f64),
    /// distance from the best price seen, in quote
    TrailingStop(f64),
}

/// An order as a strategy asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRequest {
    /// what it does to the position
    pub action: Action,
    /// index into the strategy's instruments
    pub symbol: u16,
    /// how much
    pub size: Size,
    /// which kind
    pub kind: OrderKind,
    /// how long it waits
    pub time_in_force: TimeInForce,
    /// must not take liquidity
    pub post_only: bool,
    /// must not open or add
    pub reduce_only: bool,
    /// closes the position at a loss
    pub stop_loss: Option<f64>,
    /// closes the position at a gain
    pub take_profit: Option<f64>,
    /// why, in words
    pub reason: String,
    /// further facts
    pub metadata: Vec<(String, String)>,
    /// ends one that waits at this time, nanoseconds since the Unix epoch
    pub good_till_ns: Option<u64>,
}

impl OrderKind {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Limit(_) => "limit",
            Self::Stop(_) => "stop",
            Self::StopLimit(..) => "stop-limit",
            Self::TrailingStop(_) => "trailing-stop",
        }
    }

    /// Its limit and its stop, where it has them.
    #[must_use]
    pub fn prices(self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Market | Self::TrailingStop(_) => (None, None),
            Self::Limit(limit) => (Some(limit), None),
            Self::Stop(stop) => (None, Some(stop)),
            Self::StopLimit(stop, limit) => (Some(limit), Some(stop)),
        }
    }
}

impl OrderRequest {
    /// What is asked for, in words, without the reason.
    #[must_use]
    pub fn words(&self, symbol: &str) -> String {
        let mut text = match self.size {
            Size::Base(size) => format!("{} {size} {symbol}", self.action.name()),
            Size::Quote(size) => format!("{} {symbol} for {size}", self.action.name()),
            Size::All => format!("{} all {symbol}", self.action.name()),
        };
        text.push_str(&format!(", {}", self.kind.name()));
        let (limit, stop) = self.kind.prices();
        for price in [stop, limit].into_iter().flatten() {
            text.push_str(&format!(" {price}"));
        }
        if let OrderKind::TrailingStop(distance) = self.kind {
            text.push_str(&format!(" {distance} behind"));
        }
        text.push_str(&format!(", {}", self.time_in_force.name()));
        for (name, price) in [("stop-loss", self.stop_loss), ("take-profit", self.take_profit)] {
            if let Some(price) = price {
                text.push_str(&format!(", {name} {price}"));
            }
        }
        for (name, set) in [("post-only", self.post_only), ("reduce-only", self.reduce_only)] {
            if set {
                text.push_str(&format!(", {name}"));
            }
        }
        text
    }
}

/// One thing that a strategy asked for during a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Intent {
    /// a new order under the number that `submit` returned
    Submit {
        /// the order's number in its lane
        order: u64,
        /// what was asked
        request: Box<OrderRequest>,
    },
    /// end an order
    Cancel {
        /// which
        order: u64,
    },
    /// end all orders, of one symbol or of all
    CancelAll {
        /// index into the strategy's instruments
        symbol: Option<u16>,
    },
    /// change a resting order
    Amend {
        /// which
        order: u64,
        /// new quantity in base units
        size: Option<f64>,
        /// new limit price
        price: Option<f64>,
    },
}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// finest
    Trace,
    /// for the author
    Debug,
    /// for the operator
    Info,
    /// needs a look
    Warn,
    /// something failed
    Error,
}

impl LogLevel {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How much a call may ask for; beyond it, requests are refused and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectLimits {
    /// orders, cancels and amends in one call
    pub intents: u32,
    /// log lines in one call
    pub log_lines: u32,
    /// bytes of log text in one call
    pub log_bytes: u32,
    /// different indicator names of one strategy
    pub indicators: u32,
    /// bytes of a reason, an indicator's name or a metadata entry
    pub text_bytes: u32,
}

impl Default for EffectLimits {
    fn default() -> Self {
        Self { intents: 16, log_lines: 100, log_bytes: 16 << 10, indicators: 64, text_bytes: 1024 }
    }
}

/// What one call asked for. It gathers while the call runs and is applied only
/// when the call returned well; after a trap the engine drops it.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    limits: EffectLimits,
    next_order: u64,
    log_bytes: u32,
    /// orders, cancels and amends in the order asked
    pub intents: Vec<Intent>,
    /// log lines
    pub logs: Vec<(LogLevel, String)>,
    /// indicator values, the last of a name counts
    pub indicators: Vec<(String, f64)>,
    /// requests refused because the buffer was full
    pub dropped_intents: u32,
    /// log lines dropped or cut
    pub dropped_logs: u32,
}

impl Effects {
    /// An empty buffer with these limits.
    #[must_use]
    pub fn new(limits: EffectLimits) -> Self {
        Self { limits, next_order: 1, ..Self::default() }
    }

    /// Empties the buffer for the next call, whose first order gets this number
    /// and which may ask for at most `intents` things.
    pub fn begin(&mut self, next_order: u64, intents: u32) {
        self.next_order = next_order;
        self.limits.intents = intents;
        self.log_bytes = 0;
        self.dropped_intents = 0;
        self.dropped_logs = 0;
        self.intents.clear();
        self.logs.clear();
        self.indicators.clear();
    }

    /// Takes back what a call that failed asked for and said. What was dropped of it
    /// stays counted.
    pub fn forget(&mut self) {
        self.intents.clear();
        self.logs.clear();
        self.indicators.clear();
    }

    /// True when nothing was asked for, logged or dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty()
            && self.logs.is_empty()
            && self.indicators.is_empty()
            && self.dropped_intents == 0
            && self.dropped_logs == 0
    }

    /// Takes an order and numbers it.
    ///
    /// # Errors
    /// [`RejectReason::TooManyOrders`] when the buffer is full.
    pub fn submit(&mut self, mut request: OrderRequest) -> Result<u64, RejectReason> {
        if !self.has_room() {
            return Err(RejectReason::TooManyOrders);
        }
        let limit = self.limits.text_bytes as usize;
        request.reason = clean_text(&request.reason, limit);
        request.metadata.truncate(16);
        for (key, value) in &mut request.metadata {
            *key = clean_text(key, limit);
            *value = clean_text(value, limit);
        }
        let order = self.next_order;
        self.next_order += 1;
        self.intents.push(Intent::Submit { order, request: Box::new(request) });
        Ok(order)
    }

    /// Takes a cancel, an amend or a cancel-all; false when the buffer is full.
    pub fn request(&mut self, intent: Intent) -> bool {
        let room = self.has_room();
        if room {
            self.intents.push(intent);
        }
        room
    }

    /// Takes a log line, cut to what is left of the call's allowance.
    pub fn log(&mut self, level: LogLevel, message: &str) {
        let left = self.limits.log_bytes.saturating_sub(self.log_bytes) as usize;
        if self.logs.len() >= self.limits.log_lines as usize || left == 0 {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
            return;
        }
        let text = clean_text(message, left);
        if text.is_empty() && !message.is_empty() {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
            return;
        }
        if text.len() < message.len() && message.len() > left {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
        }
        self.log_bytes = self.log_bytes.saturating_add(text.len() as u32);
        self.logs.push((level, text));
    }

    /// Takes an indicator value. Values that are not finite are passed on: the
    /// reader decides how to show them.
    pub fn indicator(&mut self, name: &str, value: f64) {
        let name = clean_text(name, self.limits.text_bytes.min(64) as usize);
        if let Some(slot) = self.indicators.iter_mut().find(|(known, _)| *known == name) {
            slot.1 = value;
        } else if self.indicators.len() < self.limits.indicators as usize {
            self.indicators.push((name, value));
        } else {
            self.dropped_logs = self.dropped_logs.saturating_add(1);
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.intents.len() < self.limits.intents as usize;
        if !room {
            self.dropped_intents = self.dropped_intents.saturating_add(1);
        }
        room
    }
}

/// Makes a string from a strategy safe for every place it may be shown in:
/// control characters (with the escape that starts terminal sequences) and
/// direction overrides become the replacement character, and it is cut to
/// `limit` bytes at a character.
#[must_use]
pub fn clean_text(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let hidden = text::is_hidden(character);
        let shown = if character.is_control() || hidden { '\u{fffd}' } else { character };
        if clean.len() + shown.len_utf8() > limit {
            break;
        }
        clean.push(shown);
    }
    clean
}
