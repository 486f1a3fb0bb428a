//! The server's thread: it listens, accepts with limits, and ends in order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_socket_send_buffer_size;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::audit::{Audit, AuditError};
use super::doors::{Doors, Patient};
use super::guard::Peer;
use super::routes::router;
use super::{App, Hub, Settings};

/// How long a connection may take to send a whole request head, its first byte
/// included.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The largest request head, and what is buffered of a connection.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes that wait in the kernel for a client, at most.
const SEND_BYTES: usize = 128 * 1024;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// How long the end may take.
const END_MAX: Duration = Duration::from_millis(1_900);

/// Why the dashboard cannot be served.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody else listens there.
    #[error("{0} is in use by another program")]
    InUse(SocketAddr),
    /// Any other reason.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Nobody could tell later who did what.
    #[error("{0}")]
    Audit(#[from] AuditError),
}

/// A dashboard that is served until this is dropped.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens and serves on threads of its own.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(hub: Arc<Hub>, settings: Settings) -> Result<Self, StartError> {
        let bind = settings.bind;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::InUse(bind),
            _ => StartError::Listen(bind, error),
        };
        let listener = TcpListener::bind(bind).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let audit = settings.audit.clone().map(Audit::open).transpose()?.unwrap_or_default();
        let app = Arc::new(App::new(hub, settings, audit, format!("{scheme}://{address}")));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dashboard")
            .enable_all()
            .build()
            .map_err(failed)?;
        let served = Arc::clone(&app);
        let serve = move || {
            runtime.block_on(serve(served, listener));
            runtime.shutdown_timeout(Duration::from_millis(50));
        };
        let thread = std::thread::Builder::new().name("dashboard".into()).spawn(serve);
        Ok(Self { app, address, thread: Some(thread.map_err(failed)?) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its handlers have.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Takes leave of every client and ends, within two seconds whatever they
    /// do. Returns how many WebSockets there were.
    pub fn stop(&mut self) -> usize {
        let clients = self.app.counts.sockets.load(Ordering::SeqCst);
        self.app.ending.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            tracing::info!("dashboard: closed, {clients} connected");
        }
        clients
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(app: Arc<App>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("dashboard: cannot listen: {error}");
            return;
        }
    };
    let router = router(&app);
    let doors = Doors::new(app.settings.connections);
    let tls = app.settings.tls.as_ref().map(|tls| {
        tokio::spawn(Arc::clone(tls).follow());
        TlsAcceptor::from(Arc::clone(&tls.config))
    });
    let mut ending = app.ending.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: others must close before more are taken.
                tracing::warn!("dashboard: cannot accept: {error}");
                let mut pause = tokio::time::interval(Duration::from_millis(100));
                pause.tick().await;
                pause.tick().await;
                continue;
            }
        };
        let proxy = app.settings.trusted_proxies.iter().any(|net| net.contains(&peer.ip()));
        let Some(inside) = doors.enter(peer.ip(), proxy) else { continue };
        let _ = stream.set_nodelay(true);
        // What the kernel would hold for a client that does not read.
        let _ = set_socket_send_buffer_size(&stream, SEND_BYTES);
        let (router, tls) = (router.clone(), tls.clone());
        tokio::spawn(async move {
            let _inside = inside;
            match tls {
                None => connection(stream, peer, router).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        connection(stream, peer, router).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let closed = async {
        while app.counts.sockets.load(Ordering::SeqCst) > 0 {
            tick.tick().await;
        }
    };
    let _ = tokio::time::timeout(END_MAX, closed).await;
}

/// Serves one connection to its end.
pub(super) async fn connection<S>(stream: S, peer: SocketAddr, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::trace!("dashboard: {peer}: {error}");
    }
}
