//! Full files, packed on a thread of their own and kept in a bounded number.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::at;

/// How many full files may wait to be packed; then writing waits for packing,
/// so that a slow disk cannot fill it with plain files.
const WAITING_MAX: usize = 16;

/// How long dropping it waits for packing.
const DROP_MAX: Duration = Duration::from_secs(1);

/// A packing thread and the next number of each stream.
#[derive(Debug)]
pub(super) struct Archive {
    dir: PathBuf,
    next: BTreeMap<String, u64>,
    work: Option<SyncSender<Work>>,
    packed: Option<Receiver<io::Result<()>>>,
}

/// A stream with a file to pack, and how many to keep.
#[derive(Debug)]
struct Work {
    stem: String,
    plain: PathBuf,
    keep: usize,
}

impl Archive {
    /// Opens the folder, removes what was half packed, and packs what an
    /// earlier run left plain.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let (work, queue) = sync_channel(WAITING_MAX);
        let folder = dir.to_owned();
        let (done, packed) = sync_channel(1);
        std::thread::Builder::new()
            .name("log archive".into())
            .spawn(move || drop(done.send(pack_all(&folder, &queue))))?;
        let mut archive = Self {
            dir: dir.to_owned(),
            next: BTreeMap::new(),
            work: Some(work),
            packed: Some(packed),
        };
        // Before anything is packed: the packer makes files of the same names.
        let (unfinished, names): (Vec<_>, Vec<_>) =
            names(dir)?.into_iter().partition(|name| name.ends_with(".tmp"));
        for name in unfinished {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(|error| at(&path, &error))?;
        }
        for name in names {
            let Some((stem, number)) = parse(&name) else { continue };
            let next = archive.next.entry(stem.to_owned()).or_insert(0);
            *next = (*next).max(number);
            if name.ends_with(".jsonl") {
                // How many to keep is known when the stream rotates next.
                archive.send(stem, dir.join(&name), usize::MAX)?;
            }
        }
        Ok(archive)
    }

    /// Where the next full file of a stream goes.
    pub(super) fn next_path(&mut self, stem: &str) -> PathBuf {
        let number = self.next.entry(stem.to_owned()).or_insert(0);
        *number += 1;
        self.dir.join(format!("{stem}-{number:08}.jsonl"))
    }

    /// Packs the newest file of a stream and drops its oldest beyond `keep`.
    pub(super) fn pack(&mut self, stem: &str, keep: usize) -> io::Result<()> {
        let number = self.next.get(stem).copied().unwrap_or_default();
        self.send(stem, self.dir.join(format!("{stem}-{number:08}.jsonl")), keep)
    }

    fn send(&mut self, stem: &str, plain: PathBuf, keep: usize) -> io::Result<()> {
        let work = Work { stem: stem.to_owned(), plain, keep };
        let sent = self.work.as_ref().map(|queue| queue.send(work));
        match sent {
            Some(Ok(())) => Ok(()),
            // The thread ended with an error: that error is the answer.
            _ => self.finish(DROP_MAX).and(Err(io::Error::other("the log archive has stopped"))),
        }
    }

    /// Waits until everything is packed, for so long: what then still is plain is packed
    /// at the next start.
    pub(super) fn finish(&mut self, patience: Duration) -> io::Result<()> {
        self.work = None;
        match self.packed.take().map(|packed| packed.recv_timeout(patience)) {
            Some(Ok(result)) => result,
            Some(Err(RecvTimeoutError::Disconnected)) => {
                Err(io::Error::other("the log archive panicked"))
            }
            Some(Err(RecvTimeoutError::Timeout)) | None => Ok(()),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // Whoever wants to know of errors has called `finish`.
        let _ = self.finish(DROP_MAX);
    }
}

fn pack_all(dir: &Path, queue: &Receiver<Work>) -> io::Result<()> {
    while let Ok(work) = queue.recv() {
        pack(&work.plain)?;
        retain(dir, &work.stem, work.keep)?;
    }
    Ok(())
}

/// Packs a file beside itself and removes it once the packed one is proved.
pub(super) fn pack(plain: &Path) -> io::Result<()> {
    let packed = plain.with_extension("jsonl.gz");
    let unfinished = plain.with_extension("jsonl.gz.tmp");
    let named = |error: io::Error| at(plain, &error);
    compress(plain, &unfinished).map_err(named)?;
    if !same(plain, &unfinished).map_err(named)? {
        return Err(at(plain, &io::Error::other("the packed file is not equal to it")));
    }
    fs::rename(&unfinished, &packed).map_err(named)?;
    let folder = plain.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(named)?;
    fs::remove_file(plain).map_err(named)
}

fn compress(plain: &Path, packed: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(packed)?, Compression::default());
    io::copy(&mut BufReader::new(File::open(plain)?), &mut encoder)?;
    let mut file = encoder.finish()?;
    file.flush()?;
    file.sync_all()
}

/// True when a packed file holds exactly the bytes of a plain one.
fn same(plain: &Path, packed: &Path) -> io::Result<bool> {
    let hash = |reader: &mut dyn Read| {
        let mut hasher = blake3::Hasher::new();
        io::copy(reader, &mut hasher).map(|length| (length, hasher.finalize()))
    };
    let plain = hash(&mut BufReader::new(File::open(plain)?))?;
    // A file that does not unpack is a difference, not an error of the disk.
    let unpacked = hash(&mut GzDecoder::new(BufReader::new(File::open(packed)?)));
    Ok(unpacked.is_ok_and(|unpacked| unpacked == plain))
}

/// Removes a stream's oldest packed files beyond `keep`.
fn retain(dir: &Path, stem: &str, keep: usize) -> io::Result<()> {
    let mut packed: Vec<String> = names(dir)?
        .into_iter()
        .filter(|name| name.ends_with(".gz") && parse(name).is_some_and(|(own, _)| own == stem))
        .collect();
    packed.sort();
    for name in &packed[..packed.len().saturating_sub(keep)] {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(|error| at(&path, &error))?;
    }
    Ok(())
}

/// The stream and the number of an archived file's name.
fn parse(name: &str) -> Option<(&str, u64)> {
    let stem = name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".jsonl.gz"))?;
    let (stem, number) = stem.rsplit_once('-')?;
    Some((stem, number.parse().ok()?))
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| at(dir, &error))? {
        let entry = entry.map_err(|error| at(dir, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
