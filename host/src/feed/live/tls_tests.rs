//! The real connection over TLS, against a server on loopback whose certificate
//! an authority of the test has signed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::input::InputBlock;
use crate::venue::Listing as _;
use crate::venue::kraken::PairListing;

/// An authority: its certificate in PEM, and what signs.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// A server for this name; gives its port, and the name that clients ask for.
async fn serve(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
) -> (u16, mpsc::UnboundedReceiver<Option<String>>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (names, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(tls) = acceptor.accept(tcp).await else { continue };
            let _ = names.send(tls.get_ref().1.server_name().map(str::to_owned));
            let Ok(mut socket) = tokio_tungstenite::accept_async(tls).await else { continue };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    let list = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[]}}"#;
                    let _ = socket.send(Message::text(list)).await;
                }
            }
        }
    });
    (port, asked)
}

/// Whether a driver gets the list from there, and why not.
async fn lists(endpoint: Endpoint) -> Result<(), String> {
    // The real clock: a machine that is busy must not look like a venue that is.
    let settings = LinkSettings { connect_ns: 60_000_000_000, ..LinkSettings::default() };
    let clock = Clock::start_at(crate::domain::Ts(1));
    let mut driver = Driver::new(endpoint, PairListing::default(), settings, clock, 1);
    let mut block = InputBlock::default();
    let whole = async {
        while !driver.protocol().is_complete() && driver.link().last_loss.is_none() {
            driver.next(&mut block).await;
        }
    };
    timeout(Duration::from_secs(90), whole).await.map_err(|_| "too slow".to_owned())?;
    match &driver.link().last_loss {
        Some(loss) => Err(loss.clone()),
        None => Ok(()),
    }
}

#[tokio::test]
async fn high_005_a_connection_over_tls_trusts_its_authorities_and_names_the_host() {
    let (pem, issuer) = authority();
    let (port, mut asked) = serve(&issuer, "localhost").await;
    let url = format!("wss://localhost:{port}/v2");
    lists(Endpoint::trusting(&url, pem.as_bytes()).unwrap()).await.unwrap();
    assert_eq!(asked.recv().await, Some(Some("localhost".into())), "SNI");
    // Controls: another authority, those of browsers, a certificate of another
    // name, and no TLS at all.
    let (other, _) = authority();
    let stranger = lists(Endpoint::trusting(&url, other.as_bytes()).unwrap()).await;
    assert!(stranger.unwrap_err().contains("certificate"));
    let browser = lists(Endpoint::parse(&url).unwrap()).await;
    assert!(browser.unwrap_err().contains("certificate"));
    let (port, _asked) = serve(&issuer, "exchange.test").await;
    let url = format!("wss://localhost:{port}/v2");
    let wrong = lists(Endpoint::trusting(&url, pem.as_bytes()).unwrap()).await;
    assert!(wrong.unwrap_err().contains("certificate"));
    let plain = Endpoint::parse(&format!("ws://localhost:{port}/v2")).unwrap();
    assert!(lists(plain).await.is_err());
}

#[test]
fn authorities_that_are_none_are_refused() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Endpoint::trusting("wss://localhost", pem.as_bytes()).is_err(), "{pem}");
    }
}
