//! One connection from the several addresses that a name has ("Happy Eyeballs",
//! RFC 8305).
//!
//! Kinds of addresses take turns, and the next one is tried as soon as one fails or
//! has not answered for a moment: a network that loses all packets of IPv6 must not
//! use up the time of every attempt.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time;

/// How long an address has for itself, as the RFC recommends.
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses that are tried at most.
const ADDRESSES_MAX: usize = 8;

/// What the first address gives that answers.
///
/// # Errors
/// The last error, when all have failed.
pub(super) async fn first<S, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let mut waiting = in_turns(addresses).into_iter();
    let mut tried = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "no address for this name");
    loop {
        tried.extend(waiting.next().map(&connect));
        if tried.is_empty() {
            return Err(failed);
        }
        tokio::select! {
            biased;
            Some(result) = tried.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            },
            () = time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// Both kinds of addresses in turns, beginning with the kind of the first.
fn in_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<SocketAddr> = addresses.into_iter().collect();
    let is_first =
        |address: &SocketAddr| all.first().map(SocketAddr::is_ipv4) == Some(address.is_ipv4());
    let (one, other): (Vec<SocketAddr>, Vec<SocketAddr>) = all.iter().copied().partition(is_first);
    let longest = one.len().max(other.len());
    let both = (0..longest).flat_map(|at| [one.get(at), other.get(at)]);
    both.flatten().copied().take(ADDRESSES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Connects in 10 ms, is refused at once on port 2, is never answered on port 1.
    async fn network(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => std::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => {
                time::sleep(Duration::from_millis(10)).await;
                Ok(address)
            }
        }
    }

    async fn dialed(texts: &[&str]) -> (Option<String>, u128) {
        let began = Instant::now();
        let dialed = first(addresses(texts), network);
        let result = time::timeout(Duration::from_secs(60), dialed).await.expect("an end");
        (result.ok().map(|address| address.to_string()), began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn high_005_an_address_whose_packets_are_lost_keeps_no_other_waiting() {
        let lost = ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:9"];
        assert_eq!(dialed(&lost).await, (Some("10.0.0.1:9".into()), 260));
        let refused = ["[::1]:2", "10.0.0.1:2", "10.0.0.2:9"];
        assert_eq!(dialed(&refused).await, (Some("10.0.0.2:9".into()), 10));
        let first = ["10.0.0.1:9", "[::1]:9"];
        assert_eq!(dialed(&first).await, (Some("10.0.0.1:9".into()), 10));
        assert_eq!(dialed(&["[::1]:2", "10.0.0.1:2"]).await, (None, 0));
        assert_eq!(dialed(&[]).await, (None, 0));
    }

    #[test]
    fn kinds_of_addresses_take_turns_and_are_few() {
        let all = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let ports = |all: &[SocketAddr]| all.iter().map(SocketAddr::is_ipv4).collect::<Vec<_>>();
        assert_eq!(ports(&in_turns(all.clone())), [false, true, false, true, false]);
        assert_eq!(in_turns(all.repeat(9)).len(), ADDRESSES_MAX);
    }
}
