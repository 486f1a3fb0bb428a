//! The newest of something under running numbers, so that a reader notices what it
//! missed.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

/// An item with its text, which the first reader makes for all.
#[derive(Debug)]
pub struct Kept<T> {
    item: T,
    text: OnceLock<String>,
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Serialize> Kept<T> {
    /// It in JSON.
    pub fn json(&self) -> &str {
        self.text.get_or_init(|| super::hub::json(&self.item))
    }
}

impl<T: Serialize> Serialize for Kept<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.item.serialize(serializer)
    }
}

/// The newest of something, each under a running number from 1.
#[derive(Debug)]
pub struct Ring<T> {
    items: VecDeque<Arc<Kept<T>>>,
    limit: usize,
    next: u64,
}

impl<T> Ring<T> {
    /// An empty one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { items: VecDeque::new(), limit, next: 1 }
    }

    /// The number that the next item gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Appends; the oldest makes room.
    pub fn push(&mut self, item: T) {
        if self.items.len() >= self.limit {
            self.items.pop_front();
        }
        self.items.push_back(Arc::new(Kept { item, text: OnceLock::new() }));
        self.next += 1;
    }

    /// Appends it, if there is one.
    pub fn extend(&mut self, item: Option<T>) {
        if let Some(item) = item {
            self.push(item);
        }
    }

    /// So many came that are not here: whoever follows learns that it missed
    /// something.
    pub fn miss(&mut self, count: u64) {
        self.items.clear();
        self.next += count;
    }

    /// Those after number `after`, at most `limit` of them and the oldest first,
    /// with the last one's number. None when some of them are gone.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> Option<(Vec<Arc<Kept<T>>>, u64)> {
        let first = self.next - self.items.len() as u64;
        let skip = usize::try_from(after.saturating_add(1).checked_sub(first)?).ok()?;
        let items: Vec<Arc<Kept<T>>> = self.items.iter().skip(skip).take(limit).cloned().collect();
        let last = after.min(self.next - 1) + items.len() as u64;
        Some((items, last))
    }

    /// The oldest `n` that are kept, with the last one's number.
    #[must_use]
    pub fn oldest(&self, n: usize) -> (Vec<Arc<Kept<T>>>, u64) {
        let before = self.next - self.items.len() as u64 - 1;
        let items: Vec<Arc<Kept<T>>> = self.items.iter().take(n).cloned().collect();
        let last = before + items.len() as u64;
        (items, last)
    }

    /// The newest `n`, oldest of them first, with the last one's number.
    #[must_use]
    pub fn newest(&self, n: usize) -> (Vec<Arc<Kept<T>>>, u64) {
        let skip = self.items.len().saturating_sub(n);
        (self.items.iter().skip(skip).cloned().collect(), self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(answer: Option<(Vec<Arc<Kept<i32>>>, u64)>) -> Option<(Vec<i32>, u64)> {
        answer.map(|(items, last)| (items.iter().map(|i| ***i).collect(), last))
    }

    #[test]
    fn a_ring_tells_when_something_was_missed() {
        let mut ring = Ring::new(3);
        for number in 1..=5 {
            ring.push(number);
        }
        assert_eq!(items(ring.after(2, 10)), Some((vec![3, 4, 5], 5)));
        assert_eq!(items(ring.after(2, 2)), Some((vec![3, 4], 4)));
        assert_eq!(items(ring.after(5, 10)), Some((vec![], 5)));
        assert_eq!(items(ring.after(99, 10)), Some((vec![], 5)), "a number of another run");
        assert_eq!(items(ring.after(1, 10)), None, "number 2 is gone");
        assert_eq!(ring.newest(2).1, 5);
    }

    #[test]
    fn what_never_came_is_missed_by_everybody() {
        let mut ring = Ring::new(3);
        ring.push(1);
        ring.miss(2);
        assert_eq!(items(ring.after(1, 10)), None);
        ring.push(4);
        assert_eq!(items(ring.after(3, 10)), Some((vec![4], 4)));
        assert_eq!(items(ring.after(1, 10)), None, "numbers 2 and 3 never came");
    }
}
