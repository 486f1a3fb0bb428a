//! Who may hold a connection, and for how long without taking what is sent.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::guard::network;

/// How long a client may take nothing of an answer.
const TAKES_NOTHING: Duration = Duration::from_secs(10);
/// An address may hold this part of all connections.
const PART: usize = 4;

/// Connections, in all and by address.
#[derive(Debug)]
pub(super) struct Doors {
    most: usize,
    inside: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Inside {
    doors: Arc<Doors>,
    address: IpAddr,
}

impl Doors {
    /// So many connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inside: Mutex::default() })
    }

    /// Lets one in, unless there are too many, or too many of this address. A proxy
    /// is many people.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, proxy: bool) -> Option<Inside> {
        let address = network(address);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = inside.values().sum();
        let own = inside.get(&address).copied().unwrap_or(0);
        if all >= self.most || (!proxy && own >= self.most.div_ceil(PART)) {
            return None;
        }
        inside.insert(address, own + 1);
        Some(Inside { doors: Arc::clone(self), address })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut inside = self.doors.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.address);
            }
        }
    }
}

/// A stream whose other end must take what is written to it: when it takes nothing for
/// a while, writing fails.
#[derive(Debug)]
pub(super) struct Patient<S> {
    inner: S,
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Patient<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, waits: None }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(TAKES_NOTHING)));
        match waits.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_holds_a_part_of_the_connections_and_gives_them_back() {
        let doors = Doors::new(8);
        let address = |number: u8| IpAddr::from([10, 0, 0, number]);
        let mut held: Vec<Inside> = (0..2).filter_map(|_| doors.enter(address(1), false)).collect();
        assert_eq!(held.len(), 2);
        assert!(doors.enter(address(1), false).is_none(), "a quarter is its part");
        let proxied: Vec<Inside> = (0..9).filter_map(|_| doors.enter(address(2), true)).collect();
        assert_eq!(proxied.len(), 6, "a proxy may have all that are left");
        assert!(doors.enter(address(3), false).is_none(), "there are no more");
        held.pop();
        assert!(doors.enter(address(3), false).is_some());
        drop((held, proxied));
        assert!(doors.inside.lock().unwrap().is_empty());
    }
}
