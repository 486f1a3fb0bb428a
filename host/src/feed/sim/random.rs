//! Random numbers from a seed and a name.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// One for normal numbers and for prices finer than their unit: 2^16.
pub(super) const ONE: i64 = 1 << 16;

/// A stream of random numbers.
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of this seed, name and purpose. Names are hashed with blake3
    /// so that similar ones have unrelated streams.
    pub(super) fn new(seed: u64, name: &str, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(&[0]);
        hasher.update(name.as_bytes());
        Self(Xoshiro256PlusPlus::from_seed(*hasher.finalize().as_bytes()))
    }

    /// All 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, by the high half of a product. Its bias is below
    /// `bound` / 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True `permille` times out of 1,000.
    pub(super) fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// A nearly normal number, mean 0 and deviation [`ONE`], within ±6 of it:
    /// the sum of twelve uniform numbers of 16 bits.
    pub(super) fn normal(&mut self) -> i64 {
        let mut sum = 0;
        for _ in 0..3 {
            let bits = self.bits();
            sum += (0..4).map(|part| (bits >> (16 * part) & 0xffff) as i64).sum::<i64>();
        }
        sum - 6 * (ONE - 1)
    }
}
