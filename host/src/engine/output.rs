//! What the engine says while it steps: news for logs, the screen and files.

use serde::{Deserialize, Serialize};

use crate::domain::{Action, Fill, OrderId, Price, Qty, RejectReason, SymbolId, Ts};
use crate::execution::latency::Sent;
use crate::portfolio::{Charge, RoundTrip};
use crate::strategy::{Fault, LogLevel, OrderRequest};

use super::command::CommandAction;

/// News of one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// the lane's number
    pub lane: u16,
    /// when, on the engine's clock
    pub ts: Ts,
    /// what
    pub body: LaneOutput,
}

/// What happened in a lane. Symbols are the lane's own numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneOutput {
    /// the strategy asked for an order; the chain has it, so the record does not
    Asked {
        /// under which number
        order: OrderId,
        /// in its own words and numbers
        request: Box<OrderRequest>,
    },
    /// an order was filled
    Fill {
        /// the fill
        fill: Fill,
        /// why, in the strategy's words
        reason: String,
        /// the position after it
        position: Qty,
        /// the round trip that it closed
        closed: Option<Box<RoundTrip>>,
    },
    /// an order was refused
    Reject {
        /// which
        order: OrderId,
        /// in what, when that is known
        symbol: Option<SymbolId>,
        /// why
        reason: RejectReason,
        /// the particulars
        detail: String,
        /// what was asked, where an order was refused and not a change of one
        #[serde(skip)]
        asked: Option<Box<OrderRequest>>,
    },
    /// an order waits, or stands differently now
    Accepted {
        /// which
        order: OrderId,
        /// in what
        symbol: SymbolId,
        /// what it does
        action: Action,
        /// what is not filled yet
        leaves: Qty,
        /// its limit
        limit: Option<Price>,
        /// the price that wakes it
        stop: Option<Price>,
    },
    /// the unfilled rest of an order ended
    Canceled {
        /// which
        order: OrderId,
        /// in what
        symbol: SymbolId,
        /// how much was left
        leaves: Qty,
    },
    /// the time of an order that waited is over
    Expired {
        /// which
        order: OrderId,
        /// in what
        symbol: SymbolId,
        /// how much was left
        leaves: Qty,
    },
    /// an order, a change or a cancel is on its way to the venue
    Sent {
        /// which of them
        what: Sent,
        /// of which order; none: of all
        order: Option<OrderId>,
        /// in what, when that is known
        symbol: Option<SymbolId>,
        /// when it arrives; it acts at the first event at or after that
        arrives: Ts,
        /// what a new order asks for
        #[serde(skip)]
        asked: Option<Box<OrderRequest>>,
    },
    /// a short was charged for being opened or staying open
    Charge(Charge),
    /// requests beyond what one event may ask for were dropped
    Dropped {
        /// how many
        orders: u32,
    },
    /// the strategy wrote a line
    Log {
        /// how important
        level: LogLevel,
        /// the line, cleaned
        text: String,
    },
    /// the strategy failed
    Fault(Fault),
    /// an operator's command was carried out
    Command {
        /// the command's number among the inputs
        seq: u64,
        /// what was commanded
        action: CommandAction,
        /// why, in the operator's words
        reason: String,
    },
    /// it is started again later
    Restarting {
        /// counts the restarts of the run
        attempt: u32,
        /// at its first event from then on
        until: Ts,
    },
    /// it was started again
    Restarted {
        /// counts the restarts of the run
        attempt: u32,
        /// with a state that was saved before
        state: bool,
    },
    /// its code was swapped, or could not be
    Swapped {
        /// the swap's number among the inputs
        seq: u64,
        /// SHA-256 of the module before, in hex
        from: String,
        /// SHA-256 of the new module, in hex
        to: String,
        /// the version of what runs now, in its own words
        version: String,
        /// why everything stays as it was
        refused: Option<String>,
    },
    /// the lane was halted: no order of it gets through any more
    Halted {
        /// why
        reason: String,
    },
}
