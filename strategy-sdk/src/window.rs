//! The newest so many values of anything, in one block of memory.

use serde::{Deserialize, Serialize};

/// The newest `size` values, the oldest leaving as a new one comes.
///
/// Nothing is allocated once it is full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window<T> {
    items: Vec<T>,
    /// Where the oldest value stands once the window is full.
    oldest: usize,
    size: usize,
}

impl<T: Copy> Window<T> {
    /// An empty window; a size of 0 is taken as 1.
    pub fn new(size: usize) -> Self {
        Self { items: Vec::new(), oldest: 0, size: size.max(1) }
    }

    /// Takes in a value and returns the one that left for it.
    #[inline]
    pub fn push(&mut self, value: T) -> Option<T> {
        if self.items.len() < self.size {
            self.items.push(value);
            return None;
        }
        let slot = self.items.get_mut(self.oldest)?;
        let left = std::mem::replace(slot, value);
        self.oldest = if self.oldest + 1 >= self.size { 0 } else { self.oldest + 1 };
        Some(left)
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many values it can hold.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the next value makes the oldest leave.
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.size
    }

    /// Whether it is full and its values stand in order of age, which comes once
    /// in `size` values: the moment to recompute what is kept incrementally.
    pub fn has_turned(&self) -> bool {
        self.is_full() && self.oldest == 0
    }

    /// The newest value.
    pub fn newest(&self) -> Option<&T> {
        self.items
            .get(if self.oldest == 0 { self.items.len() } else { self.oldest }.wrapping_sub(1))
    }

    /// All values, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.last(self.items.len())
    }

    /// The newest `count` values (or all, if it holds fewer), oldest of them first.
    pub fn last(&self, count: usize) -> impl DoubleEndedIterator<Item = &T> + Clone {
        let (newer, older) = self.items.split_at(self.oldest.min(self.items.len()));
        let skip = self.items.len().saturating_sub(count);
        let older_part = older.get(skip..).unwrap_or_default();
        let newer_part = newer.get(skip.saturating_sub(older.len())..).unwrap_or_default();
        older_part.iter().chain(newer_part)
    }

    /// Forgets every value.
    pub fn clear(&mut self) {
        self.items.clear();
        self.oldest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_07_last_n_returns_the_newest_n() {
        for size in [1, 2, 5, 7] {
            let mut window = Window::new(size);
            let mut all = Vec::new();
            for value in 0..23_u32 {
                let left = window.push(value);
                assert_eq!(left, value.checked_sub(size as u32), "size {size}");
                all.push(value);
                assert_eq!(window.newest(), all.last());
                for count in 0..size + 3 {
                    let expect = &all[all.len() - count.min(size).min(all.len())..];
                    let got: Vec<u32> = window.last(count).copied().collect();
                    assert_eq!(got, expect, "size {size}, last {count} of {}", all.len());
                }
            }
        }
    }

    #[test]
    fn empty_window_has_nothing() {
        let mut window = Window::<u8>::new(0);
        assert!(window.is_empty() && window.newest().is_none() && window.size() == 1);
        window.push(1);
        window.clear();
        assert_eq!(window.iter().count(), 0);
    }
}
