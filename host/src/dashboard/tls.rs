//! The certificate, and its renewal while the dashboard is served.
//!
//! Whoever renews a certificate writes two files. They are looked at every few
//! seconds; when both together are usable, connections that begin from then on get the
//! new one. Until then the old one stays. (SIGHUP ends a run in order, as a terminal that
//! closes does.)

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why there is no certificate: which of the two files, and what is wrong with it.
#[derive(Debug)]
pub struct Wrong {
    /// true when it is the private key's file
    pub key: bool,
    /// what is wrong
    pub what: String,
}

/// A certificate that may be renewed.
#[derive(Debug)]
pub struct Tls {
    /// what connections are accepted with
    pub config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
    chain: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// When the files were written, as far as one can see.
type Seen = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads the chain and the private key, both in PEM.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's.
    pub fn open(chain: &Path, key: &Path) -> Result<Self, Wrong> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let read = read(chain, key, &provider)?;
        let certificate = Arc::new(Certificate(RwLock::new(Arc::new(read))));
        let resolver: Arc<dyn ResolvesServerCert> = certificate.clone();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Wrong { key: false, what: error.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (config, chain, key) = (Arc::new(config), chain.to_owned(), key.to_owned());
        Ok(Self { config, certificate, chain, key })
    }

    /// Reads both files anew.
    ///
    /// # Errors
    /// As at the start; the old certificate then stays.
    pub fn renew(&self) -> Result<(), Wrong> {
        let read = read(&self.chain, &self.key, self.config.crypto_provider())?;
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(())
    }

    fn seen(&self) -> Seen {
        [&self.chain, &self.key].map(|path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
    }

    /// Renews it whenever the files change. Never ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut seen = self.seen();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let now = self.seen();
            if now == seen {
                continue;
            }
            match self.renew() {
                Ok(()) => {
                    seen = now;
                    tracing::info!("dashboard: the certificate was read anew");
                }
                // Perhaps only one of the two is written yet: it is tried again.
                Err(wrong) => {
                    tracing::warn!("dashboard: the old certificate stays: {}", wrong.what);
                }
            }
        }
    }
}

fn read(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Wrong> {
    let wrong = |key: bool, what: String| Wrong { key, what };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(false, error.to_string()))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(true, error.to_string()))?;
    CertifiedKey::from_der(certificates, private, provider)
        .map_err(|error| wrong(true, error.to_string()))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio::io::duplex;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A new self-signed certificate in those files.
    fn issue(chain: &Path, key: &Path) -> CertificateDer<'static> {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(chain, issued.cert.pem()).unwrap();
        std::fs::write(key, issued.signing_key.serialize_pem()).unwrap();
        issued.cert.der().clone()
    }

    /// Whether a client that trusts `root` alone is served.
    async fn served(tls: &Tls, root: &CertificateDer<'static>) -> bool {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (ours, theirs) = duplex(1 << 16);
        let accepted = TlsAcceptor::from(Arc::clone(&tls.config)).accept(theirs);
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, ours);
        let (accepted, connected) = tokio::join!(accepted, connected);
        accepted.is_ok() && connected.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let first = issue(&chain, &key);
        let tls = Arc::new(Tls::open(&chain, &key).unwrap());
        let follower = tokio::spawn(Arc::clone(&tls).follow());
        tokio::task::yield_now().await;
        assert!(served(&tls, &first).await);
        // Half of a renewal: the key is not the certificate's.
        let whole = std::fs::read(&key).unwrap();
        let second = issue(&chain, &key);
        let fitting = std::fs::read(&key).unwrap();
        std::fs::write(&key, whole).unwrap();
        tokio::time::advance(LOOK_EVERY * 2).await;
        tokio::task::yield_now().await;
        assert!(served(&tls, &first).await, "the old one stays");
        assert!(!served(&tls, &second).await);
        // The other half.
        std::fs::write(&key, fitting).unwrap();
        tokio::time::advance(LOOK_EVERY * 2).await;
        tokio::task::yield_now().await;
        assert!(served(&tls, &second).await, "the new one");
        assert!(!served(&tls, &first).await, "the control: who knows only the old one sees it");
        follower.abort();
        assert!(Tls::open(&folder.path().join("none"), &key).is_err_and(|wrong| !wrong.key));
    }
}
