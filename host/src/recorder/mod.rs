//! Keeps a journal on a disk: when it is written, synced, and continued in a new
//! segment.
//!
//! 1. An error of a write or a sync is final. A sync is never tried again: after
//!    a failed one the kernel may hold the pages for written.
//! 2. What [`Recorder::sync`] returned well for is durable: the file's data, and
//!    its name in the folder. A record behind it says so, which tells damage from
//!    what a crash left half written.

mod lock;
mod storage;
#[cfg(test)]
mod tests;

use std::io;

use crate::journal::{Chain, HEADER_LEN, Header, Kind, Record, RunId};

pub use lock::Lock;
pub use storage::{Folder, Storage, segment_name, segments};

/// A segment that has reached this size is sealed.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Bytes that are gathered before they are handed to the disk.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a journal ends that is to go on.
#[derive(Clone, Debug)]
pub struct Place {
    /// whose it is
    pub run: RunId,
    /// number of the last segment that holds a record
    pub segment: u64,
    /// the sound bytes of that segment
    pub bytes: Vec<u8>,
    /// its last record is a seal
    pub sealed: bool,
    /// number of the last record
    pub seq: u64,
    /// the chain after it
    pub chain: Chain,
}

/// Writes one run's journal.
pub struct Recorder<S> {
    storage: S,
    run: RunId,
    segment: u64,
    size: u64,
    digest: blake3::Hasher,
    seq: u64,
    chain: Chain,
    synced: u64,
    /// the last record that the word about a sync follows
    told: u64,
    /// times of the last record
    last: (i64, i64),
    buffer: Vec<u8>,
    failed: bool,
    limit: u64,
}

impl<S: Storage> Recorder<S> {
    /// Begins a journal in an empty folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn create(storage: S, run: RunId) -> io::Result<Self> {
        Self::with_limit(storage, run, SEGMENT_BYTES)
    }

    fn with_limit(storage: S, run: RunId, limit: u64) -> io::Result<Self> {
        let mut recorder = Self {
            storage,
            run,
            segment: 0,
            size: 0,
            digest: blake3::Hasher::new(),
            seq: 0,
            chain: [0; 16],
            synced: 0,
            told: 0,
            last: (0, 0),
            buffer: Vec::new(),
            failed: false,
            limit,
        };
        recorder.guarded(|recorder| {
            recorder.announce()?;
            recorder.begin([0; 16])
        })?;
        Ok(recorder)
    }

    /// Goes on with a journal that was read up to `place`; all of it is durable.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn resume(storage: S, place: &Place) -> io::Result<Self> {
        let mut digest = blake3::Hasher::new();
        digest.update(&place.bytes);
        let mut recorder = Self {
            storage,
            run: place.run,
            segment: place.segment,
            size: place.bytes.len() as u64,
            digest,
            seq: place.seq,
            chain: place.chain,
            synced: place.seq,
            told: place.seq,
            last: (0, 0),
            buffer: Vec::new(),
            failed: false,
            limit: SEGMENT_BYTES,
        };
        // The next segment's file is there already.
        if place.sealed {
            recorder.guarded(Self::begin_next)?;
        }
        Ok(recorder)
    }

    /// Appends a record and returns its number. It is durable after the next
    /// [`Recorder::sync`].
    ///
    /// # Errors
    /// Those of the disk; all later calls then fail too.
    pub fn append(
        &mut self,
        kind: Kind,
        flags: u16,
        event_ns: i64,
        wall_ns: i64,
        payload: Vec<u8>,
    ) -> io::Result<u64> {
        self.guarded(|recorder| {
            if recorder.size >= recorder.limit {
                recorder.roll(event_ns, wall_ns)?;
            }
            recorder.put(kind, flags, event_ns, wall_ns, payload)?;
            if recorder.buffer.len() >= BUFFER_BYTES {
                recorder.flush()?;
            }
            Ok(recorder.seq)
        })
    }

    /// Makes everything durable that was appended.
    ///
    /// # Errors
    /// Those of the disk; all later calls then fail too.
    pub fn sync(&mut self) -> io::Result<()> {
        self.guarded(|recorder| {
            if recorder.told == recorder.seq {
                return Ok(());
            }
            recorder.write_through()?;
            // Not synced itself: what it says of the records before it is true
            // whenever it can be read.
            let (event_ns, wall_ns) = recorder.last;
            recorder.put(Kind::Synced, 0, event_ns, wall_ns, Vec::new())?;
            recorder.told = recorder.seq;
            recorder.flush()
        })
    }

    /// The number of the last record that is durable.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Runs something that must never be tried again once it failed.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(io::Error::other("the record has failed before"));
        }
        self.failed = true;
        let done = work(self)?;
        self.failed = false;
        Ok(done)
    }

    /// Makes the next segment's file, whose name is durable before a seal says that
    /// it follows.
    fn announce(&mut self) -> io::Result<()> {
        self.storage.create(&segment_name(self.segment + 1))?;
        self.storage.sync_folder()
    }

    /// Begins the next segment: its header is durable before a record follows it.
    fn begin(&mut self, before: Chain) -> io::Result<()> {
        self.segment += 1;
        let header =
            Header { run: self.run, segment: self.segment, first_seq: self.seq + 1, before };
        let name = segment_name(self.segment);
        self.digest = blake3::Hasher::new();
        self.size = HEADER_LEN as u64;
        self.buffer.extend(header.encode());
        self.flush()?;
        self.storage.sync(&name)
    }

    /// Seals this segment and begins the next.
    fn roll(&mut self, event_ns: i64, wall_ns: i64) -> io::Result<()> {
        self.announce()?;
        self.put(Kind::Sealed, 0, event_ns, wall_ns, Vec::new())?;
        self.write_through()?;
        self.begin_next()
    }

    /// Begins the segment behind one that is sealed.
    fn begin_next(&mut self) -> io::Result<()> {
        let mut before = [0; 16];
        before.copy_from_slice(&self.digest.finalize().as_bytes()[..16]);
        self.begin(before)
    }

    fn put(
        &mut self,
        kind: Kind,
        flags: u16,
        event_ns: i64,
        wall_ns: i64,
        payload: Vec<u8>,
    ) -> io::Result<()> {
        let (seq, synced_upto) = (self.seq + 1, self.synced);
        let record =
            Record { kind, schema: 1, flags, seq, event_ns, wall_ns, synced_upto, payload };
        let length = self.buffer.len();
        self.chain = record.write(self.segment, self.chain, &mut self.buffer);
        self.size += (self.buffer.len() - length) as u64;
        (self.seq, self.last) = (seq, (event_ns, wall_ns));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.storage.append(&segment_name(self.segment), &self.buffer)?;
            self.digest.update(&self.buffer);
            self.buffer.clear();
        }
        Ok(())
    }

    fn write_through(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.synced < self.seq {
            self.storage.sync(&segment_name(self.segment))?;
            self.synced = self.seq;
        }
        Ok(())
    }
}
