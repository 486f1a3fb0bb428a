//! The venue's checksum over a book's best levels.
//!
//! CRC-32 (IEEE) over the ten best asks, best first, then the ten best bids,
//! best first; of each level the price and then the quantity as text at the
//! pair's full precision, without the point and without leading zeros (Kraken,
//! guide "Spot Websockets v2 book checksum"). A number scaled by ten to the
//! precision prints as exactly that text, so no formatting can lose a zero.

use crate::domain::{Price, Qty, decimal};
use crate::venue::depth::Level;

/// Levels a side that the checksum covers, whatever the book's depth.
pub(super) const LEVELS: usize = 10;

/// Converts units of the instrument table to the venue's precision, which is
/// the same unless the venue changed it or a recording had to be guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// the venue's decimals of a price
    pub price: u8,
    /// the venue's decimals of a quantity
    pub qty: u8,
}

/// The decimals of the units in which a book's levels are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) price: u8,
    pub(super) qty: u8,
}

/// The checksum of a book with both sides best first; `None` when a level has
/// more decimals than the venue's precision, or too many digits for it.
pub(super) fn checksum(
    asks: &[Level],
    bids: &[Level],
    units: Units,
    precision: Precision,
) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    for &(Price(price), Qty(qty)) in asks.iter().take(LEVELS).chain(bids.iter().take(LEVELS)) {
        hash_digits(&mut hasher, rescale(price, units.price, precision.price)?);
        hash_digits(&mut hasher, rescale(qty, units.qty, precision.qty)?);
    }
    Some(hasher.finalize())
}

fn rescale(value: i64, from: u8, to: u8) -> Option<u128> {
    let value = u128::try_from(value).ok()?;
    let factor = u128::try_from(decimal::pow10(u32::from(from.abs_diff(to)))?).ok()?;
    if to >= from {
        return value.checked_mul(factor);
    }
    value.is_multiple_of(factor).then(|| value / factor)
}

fn hash_digits(hasher: &mut crc32fast::Hasher, value: u128) {
    // The most digits that a u128 has.
    let mut digits = [0_u8; 39];
    let mut start = digits.len();
    let mut rest = value;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = place;
        if rest == 0 {
            break;
        }
    }
    hasher.update(digits.get(start..).unwrap_or_default());
}

/// The precision under which a snapshot has its checksum, for recordings that
/// do not say what it is; the text's own decimals are tried first.
///
/// All numbers are text with as many decimals as `units` or fewer.
pub(crate) fn snapshot_precision(
    asks: &[Level],
    bids: &[Level],
    written: Precision,
    expected: u32,
) -> Option<Precision> {
    let units = Units { price: written.price, qty: written.qty };
    let fits = |precision: &Precision| checksum(asks, bids, units, *precision) == Some(expected);
    let all = (0..=PRECISION_MAX)
        .flat_map(|price| (0..=PRECISION_MAX).map(move |qty| Precision { price, qty }));
    std::iter::once(written).chain(all).find(fits)
}

/// The most decimals that any pair of the venue has.
const PRECISION_MAX: u8 = 10;
