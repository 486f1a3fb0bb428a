//! Reading a journal back: every check, segment by segment.

use super::record::{Framed, half};
use super::{Chain, HEADER_LEN, Header, Kind, Record, RunId};

/// Bytes that are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// number of the segment
    pub segment: u64,
    /// where in it
    pub offset: usize,
    /// sequence number of the last sound record before it
    pub after_seq: u64,
    /// what is wrong
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { segment, offset, after_seq, what } = self;
        write!(f, "segment {segment}, byte {offset}, after record {after_seq}: {what}")
    }
}

/// How the last segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// with a sound record
    Clean,
    /// with a seal: the segment that should follow is not there
    Sealed,
    /// with bytes that were never wholly written: nothing says that they were
    /// durable
    Torn(Damage),
}

/// Walks segments in order. Each is given whole.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    run: Option<RunId>,
    segment: u64,
    seq: u64,
    chain: Chain,
    before: Chain,
    sealed: bool,
}

impl Scanner {
    /// The run, once a segment was read.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// The chain's head after the last sound record.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Sequence number of the last sound record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// True when the last sound record is a seal.
    #[must_use]
    pub fn sealed(&self) -> bool {
        self.sealed
    }

    /// Reads the next segment and hands out its records. Only the last segment
    /// may be torn.
    ///
    /// # Errors
    /// Damage: a bad record with a sound one behind it, or anything but the next
    /// whole segment of the same run.
    pub fn segment(
        &mut self,
        bytes: &[u8],
        last: bool,
        mut each: impl FnMut(Record),
    ) -> Result<End, Damage> {
        self.segment += 1;
        self.sealed = false;
        if let Err(what) = self.header(bytes) {
            let damage = self.damage(0, what);
            // A header is durable before a record follows it: without either, the
            // segment was about to be begun.
            let begun = last && self.segment > 1 && Header::decode(bytes).is_err();
            let followed = || self.framed_in(bytes).next().is_some();
            return if begun && !followed() { Ok(End::Torn(damage)) } else { Err(damage) };
        }
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            match self.next(&bytes[at..]) {
                Ok((record, length)) => {
                    at += length;
                    (self.seq, self.sealed) = (record.seq, record.kind == Kind::Sealed);
                    each(record);
                }
                Err(what) => return self.bad(bytes, at, what, last),
            }
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes);
        self.before = half(&hasher);
        match (last, self.sealed) {
            (_, true) => Ok(End::Sealed),
            (true, false) => Ok(End::Clean),
            (false, false) => Err(self.damage(at, "it ends without its seal")),
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let header = Header::decode(bytes)?;
        if self.run.is_some_and(|run| run != header.run) {
            return Err("it belongs to another run");
        }
        if header.segment != self.segment {
            return Err("it is another segment");
        }
        if header.before != self.before || header.first_seq != self.seq + 1 {
            return Err("it does not follow the segment before it");
        }
        self.run = Some(header.run);
        Ok(())
    }

    fn next(&mut self, bytes: &[u8]) -> Result<(Record, usize), &'static str> {
        if self.sealed {
            return Err("bytes follow the seal");
        }
        let framed = Framed::read(self.segment, bytes)?;
        if framed.seq() != self.seq + 1 {
            return Err("its sequence number is not the next");
        }
        if !framed.follows(self.chain) {
            return Err("it does not follow the record before it");
        }
        let record = framed.record()?;
        self.chain = framed.chain;
        Ok((record, framed.length))
    }

    /// A bad record: torn unless one behind it says that it was durable. Without a
    /// sync, blocks reach a disk in any order, so that what merely stands behind it
    /// proves nothing.
    fn bad(&self, bytes: &[u8], at: usize, what: &str, last: bool) -> Result<End, Damage> {
        let damage = self.damage(at, what);
        let known = || self.framed_in(&bytes[at..]).any(|one| one.synced_upto() > self.seq);
        if last && !self.sealed && !known() { Ok(End::Torn(damage)) } else { Err(damage) }
    }

    /// The whole and sound records of this segment anywhere in these bytes.
    fn framed_in<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Framed<'a>> {
        let segment = self.segment;
        (0..bytes.len()).filter_map(move |from| Framed::read(segment, &bytes[from..]).ok())
    }

    fn damage(&self, offset: usize, what: &str) -> Damage {
        Damage { segment: self.segment, offset, after_seq: self.seq, what: what.to_owned() }
    }
}
