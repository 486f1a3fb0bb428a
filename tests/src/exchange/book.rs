//! What a subscriber of a book sees, and what turns one view into the next.

use super::random::Random;

/// Price and quantity in units of their pair.
pub type Level = (i64, i64);

/// Levels that the checksum covers on each side, whatever the depth.
pub const CHECKED: usize = 10;

/// Both sides of a book to a depth, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// highest first
    pub bids: Vec<Level>,
    /// lowest first
    pub asks: Vec<Level>,
}

impl View {
    /// The venue's checksum, written down as its guide states it: the digits of
    /// the ten best asks, then of the ten best bids, without point and leading
    /// zeros. It shares no code with the host's.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let sides = self.asks.iter().take(CHECKED).chain(self.bids.iter().take(CHECKED));
        let text: String = sides.map(|(price, qty)| format!("{price}{qty}")).collect();
        crc32fast::hash(text.as_bytes())
    }

    /// The best levels of both sides, at most so many.
    #[must_use]
    pub fn top(&self, levels: usize) -> (&[Level], &[Level]) {
        let cut = |side: &'_ Vec<Level>| side.len().min(levels);
        (&self.bids[..cut(&self.bids)], &self.asks[..cut(&self.asks)])
    }

    /// Sets a level or, with quantity 0, removes it, on the side of the bids or
    /// of the asks.
    pub fn set(&mut self, bid: bool, (price, qty): Level) {
        let side = if bid { &mut self.bids } else { &mut self.asks };
        let found = side
            .binary_search_by(|level| if bid { price.cmp(&level.0) } else { level.0.cmp(&price) });
        match found {
            Ok(at) if qty == 0 => drop(side.remove(at)),
            Ok(at) => side[at].1 = qty,
            Err(at) if qty != 0 => side.insert(at, (price, qty)),
            Err(_) => {}
        }
    }
}

/// The levels of a message that leads a subscriber from one view to the next:
/// what is new or changed, also when it only comes back into view, and a delete
/// of what is gone. What fell out of the depth is left to the subscriber. In no
/// order, as the venue sends it, and now and then with a price twice.
pub fn changes(
    old: &[Level],
    new: &[Level],
    still_there: impl Fn(i64) -> bool,
    random: &mut Random,
) -> Vec<Level> {
    let quantity = |side: &[Level], price| side.iter().find(|level| level.0 == price).map(|l| l.1);
    let gone = old
        .iter()
        .filter(|level| quantity(new, level.0).is_none() && !still_there(level.0))
        .map(|level| (level.0, 0));
    let set = new.iter().copied().filter(|level| quantity(old, level.0) != Some(level.1));
    let mut levels: Vec<Level> = gone.chain(set).collect();
    random.shuffle(&mut levels);
    if random.chance(50)
        && let Some(&(price, qty)) = levels.iter().find(|level| level.1 != 0)
    {
        // The same price twice in one message: the last one holds.
        levels.insert(0, (price, qty + 1));
    }
    levels
}
