//! Prices, quantities, money, time, instruments, orders and fills: integers
//! with checked arithmetic and named rounding.
//!
//! Floats appear in two places only: [`decimal::from_f64`] turns a strategy's
//! number into its exact decimal, and display helpers turn integers back.

pub mod decimal;
pub mod instrument;
pub mod money;
pub mod order;
pub mod text;
pub mod units;

pub use decimal::{DecimalError, Rounding};
pub use instrument::{Instrument, InstrumentTable, Rules};
pub use money::{Money, Rate};
pub use order::{Action, Cause, Fill, Liquidity, OrderStatus, RejectReason, Side, TimeInForce};
pub use units::{OrderId, Price, Qty, SymbolId, Ts};
