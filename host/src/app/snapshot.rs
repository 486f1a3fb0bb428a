//! Snapshots of a run's state, in files beside its record.
//!
//! 1. The record has the state's hashes and the hash of the file; a file that is not
//!    just that is as good as none.
//! 2. A file only makes a restart shorter. Where there is none, all inputs are taken
//!    again. So it is written behind the record, and failing to write it ends no run.
//! 3. The last three are kept: a restart goes on from the last but one, or the one
//!    before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::Image;
use crate::journal::StrategyRecord;
use crate::sandbox::RUNTIME_VERSION;

use super::cut_run::SNAPSHOTS;

/// What every file begins with; the last byte is the layout's number.
const MAGIC: &[u8; 8] = b"SNDPSNP\x02";
/// The most bytes of a state; five hundred strategies with all their history take a
/// fiftieth.
const STATE_BYTES_MAX: u64 = 1 << 30;
/// What a file is called while it is written.
const TEMPORARY: &str = "tmp";
/// Fast: the state of a run is mostly small numbers.
const COMPRESSION: i32 = 1;

/// A state, and who ran in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    host: String,
    runtime: String,
    /// who ran in each lane
    pub running: Vec<StrategyRecord>,
    /// by lane: decisions in its chain
    pub lengths: Vec<u64>,
    /// the engine's
    pub image: Image,
}

/// A state as the bytes of its file.
pub struct Packed {
    bytes: Vec<u8>,
    /// BLAKE3 of these, in hex
    pub hash: String,
}

impl State {
    /// A state of this program.
    #[must_use]
    pub fn new(running: Vec<StrategyRecord>, lengths: Vec<u64>, image: Image) -> Self {
        let (host, runtime) = (env!("CARGO_PKG_VERSION").into(), RUNTIME_VERSION.into());
        Self { host, runtime, running, lengths, image }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// A state beyond any size.
    pub fn pack(&self) -> io::Result<Packed> {
        let plain = rmp_serde::to_vec(self).map_err(io::Error::other)?;
        if plain.len() as u64 > STATE_BYTES_MAX {
            return Err(io::Error::other(format!("a state of {} bytes is too large", plain.len())));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(zstd::bulk::compress(&plain, COMPRESSION)?);
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(Packed { bytes, hash })
    }

    /// The state of record `seq` in a run's folder.
    ///
    /// # Errors
    /// A file that is missing, is not the one that the record tells of, or is of
    /// another version.
    pub fn read(run: &Path, seq: u64, hash: &str) -> io::Result<Self> {
        let bytes = fs::read(path(run, seq))?;
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if blake3::hash(&bytes).to_hex().as_str() != hash {
            return Err(wrong("it is not the file that was written"));
        }
        let packed = bytes.strip_prefix(MAGIC).ok_or_else(|| wrong("it is of another layout"))?;
        let mut plain = Vec::new();
        zstd::Decoder::new(packed)?.take(STATE_BYTES_MAX).read_to_end(&mut plain)?;
        let state: Self =
            rmp_serde::from_slice(&plain).map_err(|error| wrong(&error.to_string()))?;
        if (state.host.as_str(), state.runtime.as_str())
            != (env!("CARGO_PKG_VERSION"), RUNTIME_VERSION)
        {
            return Err(wrong("it is of another version of this program"));
        }
        Ok(state)
    }
}

impl Packed {
    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&self.bytes)?;
        file.sync_all()
    }

    /// Writes the file of record `seq` into a run's folder, durably and whole or not at
    /// all, and lets go of those before the last three.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, run: &Path, seq: u64) -> io::Result<()> {
        let path = path(run, seq);
        let temporary = path.with_extension(TEMPORARY);
        let written = self.write_to(&temporary).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            // It would fill a disk that is full already. Why it was not written matters more.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        File::open(run)?.sync_all()?;
        let mut all = files(run, "snapshot")?;
        all.sort();
        // Whatever is called later lies in a part of the record that was cut off.
        let later = all.split_off(all.partition_point(|one| *one <= path));
        all.truncate(all.len().saturating_sub(SNAPSHOTS));
        all.iter().chain(&later).try_for_each(fs::remove_file)
    }
}

/// Removes what a process that was killed while it wrote has left.
///
/// # Errors
/// Those of the disk.
pub fn tidy(run: &Path) -> io::Result<()> {
    files(run, TEMPORARY)?.iter().try_for_each(fs::remove_file)
}

/// Names sort as their numbers do.
fn path(run: &Path, seq: u64) -> PathBuf {
    run.join(format!("{seq:020}.snapshot"))
}

/// The snapshots of a run, or what was to become one.
fn files(run: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(run)? {
        let path = entry?.path();
        let named = path.file_stem().and_then(|stem| stem.to_str());
        let numbered = named.is_some_and(|stem| stem.len() == 20 && stem.parse::<u64>().is_ok());
        if numbered && path.extension().is_some_and(|one| one == extension) {
            all.push(path);
        }
    }
    Ok(all)
}
