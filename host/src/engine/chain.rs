//! A lane's hash chain: every decision and its outcome, in order.
//!
//! `head' = BLAKE3(head ‖ record)`. A record is a kind, the input's sequence
//! number and phase, and its fields as little-endian integers, floats as their
//! bits (every NaN as one), texts with their length. Nothing in it depends on
//! batch size, on other lanes, or on where the strategy's code ran.

use serde::{Deserialize, Serialize};

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// the lane began
    Start = 1,
    /// a strategy asked for an order
    Order = 2,
    /// an order was refused
    Reject = 3,
    /// an order was filled
    Fill = 4,
    /// an order ended unfilled
    Cancel = 5,
    /// a strategy asked for something that is no order
    Request = 6,
    /// the lane was quarantined
    Fault = 7,
    /// the lane ended
    End = 8,
    /// an operator commanded
    Command = 9,
    /// the lane was halted
    Halt = 10,
    /// an order waits, or was changed
    Accept = 11,
    /// a stop was reached
    Wake = 12,
    /// something is on its way to the venue
    Sent = 13,
    /// after a fault: a restart is set, it succeeded, or it failed
    Restart = 14,
    /// another module took the strategy's place, or could not
    Swap = 15,
    /// a short was charged
    Charge = 20,
}

/// A record under construction.
#[derive(Clone, Debug)]
pub struct Record(Vec<u8>);

impl Record {
    /// A record at a place in the input.
    #[must_use]
    pub fn new(kind: RecordKind, seq: u64, phase: u32) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(kind as u8);
        bytes.extend(seq.to_le_bytes());
        bytes.extend(phase.to_le_bytes());
        Self(bytes)
    }

    /// Adds a small number.
    #[must_use]
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Adds a whole number.
    #[must_use]
    pub fn int(mut self, value: i128) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a float by its bits.
    #[must_use]
    pub fn float(mut self, value: f64) -> Self {
        let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        self.0.extend(bits.to_le_bytes());
        self
    }

    /// Adds a float that may be missing.
    #[must_use]
    pub fn maybe(self, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.byte(1).float(value),
            None => self.byte(0),
        }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        self.0.extend((value.len() as u64).to_le_bytes());
        self.0.extend(value.as_bytes());
        self
    }
}

/// The chain's head and length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    head: [u8; 32],
    records: u64,
}

impl Chain {
    /// Appends a record.
    pub fn absorb(&mut self, record: &Record) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head);
        hasher.update(&record.0);
        self.head = *hasher.finalize().as_bytes();
        self.records += 1;
    }

    /// How many records it holds.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        self.head
    }

    /// The head in hex.
    #[must_use]
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.head).to_hex().to_string()
    }
}
