//! A stream that delays, drips, slices, stalls, resets or half closes.
//!
//! It stands on the client's side, so that it needs no second task, and works
//! on tokio's clock.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Instant, Sleep};

/// What the link does to what comes from the exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// nothing
    #[default]
    Clear,
    /// it comes this much later
    Delay(Duration),
    /// one byte a second
    Drip,
    /// a few bytes at a time
    Slice,
    /// nothing comes any more, and nobody says so
    Stall,
    /// the connection is reset
    Reset,
    /// the exchange has closed its direction without a word
    HalfClose,
}

/// Changes what a link does, at any time.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    mode: Mode,
    waker: Option<Waker>,
}

impl Control {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        let mut shared = self.shared();
        shared.mode = mode;
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

/// Bytes that wait in the link at most.
const WAITING_MAX: usize = 1 << 18;

/// A stream behind a link.
pub struct Link<S> {
    inner: S,
    control: Control,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
    drip_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S> Link<S> {
    /// A link that `control` changes.
    pub fn new(inner: S, control: Control) -> Self {
        let now = Instant::now();
        Self {
            inner,
            control,
            waiting: VecDeque::new(),
            bytes: 0,
            ended: false,
            drip_at: now,
            timer: Box::pin(time::sleep_until(now)),
        }
    }
}

impl<S: AsyncRead + Unpin> Link<S> {
    /// Takes what has come.
    fn fill(&mut self, cx: &mut Context<'_>, delay: Duration) -> io::Result<()> {
        let mut space = [0_u8; 8_192];
        while !self.ended && self.bytes < WAITING_MAX {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(result) => result?,
            }
            let filled = buffer.filled();
            self.ended = filled.is_empty();
            self.bytes += filled.len();
            if !filled.is_empty() {
                self.waiting.push_back((Instant::now() + delay, filled.to_vec()));
            }
        }
        Ok(())
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>, most: usize) {
        let Some((_, bytes)) = self.waiting.front_mut() else { return };
        let count = bytes.len().min(most).min(buffer.remaining());
        buffer.put_slice(&bytes[..count]);
        bytes.drain(..count);
        self.bytes -= count;
        if bytes.is_empty() {
            self.waiting.pop_front();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Link<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        let mode = {
            let mut shared = link.control.shared();
            shared.waker = Some(cx.waker().clone());
            shared.mode
        };
        let (delay, most) = match mode {
            Mode::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Mode::HalfClose => return Poll::Ready(Ok(())),
            Mode::Stall => return Poll::Pending,
            Mode::Delay(delay) => (delay, usize::MAX),
            Mode::Drip => (Duration::ZERO, 1),
            Mode::Slice => (Duration::ZERO, 7),
            Mode::Clear => (Duration::ZERO, usize::MAX),
        };
        link.fill(cx, delay)?;
        let Some(&(due, _)) = link.waiting.front() else {
            return if link.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = if mode == Mode::Drip { due.max(link.drip_at) } else { due };
        if due > Instant::now() {
            link.timer.as_mut().reset(due);
            if link.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        link.drip_at = Instant::now() + Duration::from_secs(1);
        link.give(buffer, most);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Link<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = self.get_mut();
        let mode = link.control.shared().mode;
        match mode {
            Mode::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            // Into the buffers of a system that will never get an answer.
            Mode::Stall => Poll::Ready(Ok(bytes.len())),
            _ => Pin::new(&mut link.inner).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
