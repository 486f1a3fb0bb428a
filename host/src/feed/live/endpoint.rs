//! A venue's address, and the real connection to it.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::http::Uri;

use super::{Connect, dial};

/// `ws://` or `wss://` and what is behind it.
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// It has another form.
    #[error("'{0}' is not an address such as wss://ws.kraken.com/v2")]
    Form(String),
    /// Its scheme is not that of a websocket.
    #[error("'{0}' begins with neither wss:// nor ws://")]
    Scheme(String),
    /// The certificates' rules cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Endpoint {
    /// Reads an address. TLS trusts the root certificates that browsers do, and
    /// names the host, without which the venue refuses.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        Self::with_roots(url, webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// Reads an address. TLS trusts these certificates alone.
    ///
    /// # Errors
    /// What is wrong with it or with them.
    pub fn trusting(url: &str, pem: &[u8]) -> Result<Self, EndpointError> {
        let wrong = |what: String| EndpointError::Tls(what);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("no certificate to trust".into()));
        }
        Self::with_roots(url, roots)
    }

    fn with_roots(url: &str, roots: RootCertStore) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| form())?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            Some(_) => return Err(EndpointError::Scheme(url.chars().take(200).collect())),
            None => return Err(form()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(form)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = match secure {
            true => {
                let name = ServerName::try_from(host.clone()).map_err(|_| form())?;
                Some((TlsConnector::from(client_config(roots)?), name))
            }
            false => None,
        };
        Ok(Self { url: url.to_owned(), host, port, tls })
    }
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, EndpointError> {
    // Named, because a process may hold several providers.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EndpointError::Tls(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

impl Connect for Endpoint {
    type Stream = MaybeTlsStream<TcpStream>;

    fn url(&self) -> &str {
        &self.url
    }

    fn connect(&mut self) -> BoxFuture<'static, io::Result<Self::Stream>> {
        let Self { host, port, tls, .. } = self.clone();
        Box::pin(async move {
            let addresses = lookup_host((host.as_str(), port)).await;
            let addresses = addresses.map_err(|error| no_address(&host, &error))?;
            let tcp = dial::first(addresses, TcpStream::connect::<std::net::SocketAddr>).await?;
            // Subscriptions and pings are small and must not wait for more.
            tcp.set_nodelay(true)?;
            Ok(match tls {
                Some((connector, name)) => {
                    let secured = connector.connect(name, tcp).await;
                    MaybeTlsStream::Rustls(secured.map_err(no_tls)?)
                }
                None => MaybeTlsStream::Plain(tcp),
            })
        })
    }
}

fn no_address(host: &str, error: &io::Error) -> io::Error {
    // The system says twice that it is about a name.
    let why = error.to_string();
    let why = why.rsplit(": ").next().unwrap_or_default();
    io::Error::new(error.kind(), format!("the name {host} cannot be looked up: {why}"))
}

/// Whoever does not speak TLS ends the handshake, or answers in another language.
fn no_tls(error: io::Error) -> io::Error {
    let is_other = error.kind() == io::ErrorKind::UnexpectedEof
        || error.to_string().contains("InvalidContentType");
    match is_other {
        true => io::Error::new(error.kind(), "no TLS is spoken there, which ws:// goes without"),
        false => error,
    }
}
