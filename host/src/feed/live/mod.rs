//! A venue's live connection: the socket under a protocol, kept alive.
//!
//! ```text
//!   Connect ──► Driver (websocket, reconnect) ──► Protocol ──► InputBlock
//!                 └ one thread of its own: Pump ══ bounded channel ══► engine
//! ```
//!
//! 1. Whatever ends a connection reaches the engine as a status before any
//!    further data: nothing fills on a book that is not current.
//! 2. Attempts to connect keep to the venue's limits, whatever happens.
//! 3. The socket never waits for the engine. What the engine has not taken is
//!    held up to a bound; at the bound the connection is closed, which the
//!    engine learns in order, and made anew when it has caught up. Nothing that
//!    was received is dropped, and what was missed in between shows as a gap in
//!    the trades' ids.
//! 4. A connection that fails is waited for. There is no other source to fall
//!    back to.

mod backoff;
mod clock;
mod dial;
mod discover;
mod driver;
mod endpoint;
mod health;
mod pump;
mod reminder;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub use backoff::{Attempts, Backoff};
pub use clock::Clock;
pub use discover::{history, listing};
pub use driver::{Driver, LinkSettings, LinkState, LinkStats};
pub use endpoint::{Endpoint, EndpointError};
pub use health::{Health, HealthNews, Outage, SymbolHealth};
pub use pump::Pump;

/// Makes the transport below the websocket.
pub trait Connect: Send {
    /// What carries the websocket: TCP, or TLS over it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The address that the websocket's handshake names, `ws://` or `wss://`.
    fn url(&self) -> &str;

    /// Begins a connection. The future owns what it needs, so that it can be
    /// kept while others are polled.
    fn connect(&mut self) -> BoxFuture<'static, io::Result<Self::Stream>>;
}
