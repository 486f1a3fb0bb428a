//! The audit log: who did what, in JSON Lines that nobody can change unnoticed.
//!
//! 1. Each line holds the hash of the line before and ends with its own: SHA-256
//!    of the line without that last field. The chain goes on across files and
//!    runs. Changed, removed, added and reordered lines break it; of lines that
//!    were cut off at the end only a copy of the last hash can tell.
//! 2. A line is in the operating system's hands when the call returns. What cannot
//!    be written down is not carried out: see [`super::operate`].
//! 3. A key, a code or a ticket is never written, not even hashed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::Role;
use super::auth::Principal;
use crate::output::printable;

/// What stands before the hash at the end of a line.
const HASH_FIELD: &str = ",\"hash\":\"";
/// What the first line has for the hash before it.
const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The longest line that is read back.
const LINE_MAX: u64 = 16 << 10;

/// What is noted.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// from where
    pub address: Option<IpAddr>,
    /// as what
    pub role: Option<Role>,
    /// by what kind of credential; for a session the beginning of its hash
    pub by: String,
    /// what
    pub action: &'a str,
    /// to what
    pub subject: Option<&'a str>,
    /// why, or the particulars
    pub detail: Option<&'a str>,
    /// how it ended
    pub result: &'a str,
}

impl<'a> Entry<'a> {
    /// Something that the program did itself.
    #[must_use]
    pub fn of(action: &'a str) -> Self {
        Self {
            address: None,
            role: None,
            by: "host".into(),
            action,
            subject: None,
            detail: None,
            result: "ok",
        }
    }

    /// Something that somebody did.
    #[must_use]
    pub fn by(action: &'a str, address: IpAddr, who: &Principal) -> Self {
        let by = who.label();
        Self { address: Some(address), role: Some(who.role), by, ..Self::of(action) }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    ts: String,
    address: Option<String>,
    role: Option<&'static str>,
    by: &'a str,
    action: &'a str,
    subject: Option<String>,
    detail: Option<String>,
    result: &'a str,
    prev: &'a str,
}

/// Where and how much.
#[derive(Clone, Debug)]
pub struct Place {
    /// the file; older ones stand beside it
    pub file: PathBuf,
    /// it is put aside before it grows beyond so many bytes
    pub rotate: u64,
    /// so many that were put aside are kept
    pub keep: usize,
}

/// Why there is no audit log.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The file cannot be used.
    #[error("the audit log {0}: {1}")]
    File(PathBuf, io::Error),
    /// Two chains in one file would be none.
    #[error("another run writes the audit log {0}")]
    Locked(PathBuf),
}

/// How a chain is broken.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{file}, line {line}: {what}")]
pub struct Broken {
    /// in which file
    pub file: String,
    /// at which line of it, from 1
    pub line: u64,
    /// what does not fit
    pub what: &'static str,
}

/// The log of one run; without a place it keeps nothing.
#[derive(Debug, Default)]
pub struct Audit(Option<Mutex<Writer>>);

#[derive(Debug)]
struct Writer {
    place: Place,
    file: File,
    bytes: u64,
    first: u64,
    next: u64,
    last: String,
}

impl Audit {
    /// Opens or begins the log. A chain that is broken is said, in the program's
    /// log and as a line of this one, and continued.
    ///
    /// # Errors
    /// A file that cannot be written, or that another run writes.
    pub fn open(place: Place) -> Result<Self, AuditError> {
        let path = place.file.clone();
        let wrong = |error| AuditError::File(path.clone(), error);
        if let Some(folder) = place.file.parent() {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let file = append_to(&place.file).map_err(wrong)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(AuditError::Locked(path)),
            Err(error) => return Err(wrong(error.into())),
        }
        let bytes = cut_torn(&file).map_err(wrong)?;
        let read = verify_newest(&place.file).map_err(wrong)?;
        let (end, broken) = match read {
            Ok(end) => (end, None),
            Err(broken) => (last_line(&place.file).map_err(wrong)?, Some(broken)),
        };
        let mut writer =
            Writer { place, file, bytes, first: end.first, next: end.next, last: end.last };
        if let Some(broken) = broken {
            tracing::error!("the audit log was changed: {broken}");
            let text = broken.to_string();
            let entry = Entry { detail: Some(&text), ..Entry::of("chain-broken") };
            writer.append(&entry).map_err(wrong)?;
        }
        Ok(Self(Some(Mutex::new(writer))))
    }

    /// Notes what was done. A line that cannot be written is said in the
    /// program's log.
    pub fn note(&self, entry: &Entry<'_>) {
        if let Err(error) = self.write(entry) {
            tracing::error!("the audit log cannot be written: {error}");
        }
    }

    /// Notes what is about to be done.
    ///
    /// # Errors
    /// Those of the disk: it must then not be done.
    pub fn write(&self, entry: &Entry<'_>) -> io::Result<()> {
        tracing::info!(
            target: "audit",
            address = entry.address.map(tracing::field::display),
            role = entry.role.map(Role::name),
            by = entry.by,
            subject = entry.subject,
            result = entry.result,
            "{}", entry.action
        );
        let Some(writer) = &self.0 else { return Ok(()) };
        writer.lock().unwrap_or_else(PoisonError::into_inner).append(entry)
    }
}

impl Writer {
    fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let line = Line {
            n: self.next,
            ts: jiff::Timestamp::now().to_string(),
            address: entry.address.map(|address| address.to_string()),
            role: entry.role.map(Role::name),
            by: &entry.by,
            action: entry.action,
            subject: entry.subject.map(|text| printable(text, 200)),
            detail: entry.detail.map(|text| printable(text, 500)),
            result: entry.result,
            prev: &self.last,
        };
        let body = serde_json::to_string(&line)?;
        let hash = hash(&body);
        let body = body.strip_suffix('}').unwrap_or(&body);
        let text = format!("{body}{HASH_FIELD}{hash}\"}}\n");
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.place.rotate {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        self.next += 1;
        self.last = hash;
        Ok(())
    }

    /// Puts the file aside under the number of its first line.
    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.place.file, aside(&self.place.file, self.first))?;
        let file = append_to(&self.place.file)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        (self.file, self.bytes, self.first) = (file, 0, self.next);
        let kept = put_aside(&self.place.file)?;
        for (_, old) in kept.iter().take(kept.len().saturating_sub(self.place.keep)) {
            fs::remove_file(old)?;
        }
        Ok(())
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// The name under which a file is put aside: `audit.jsonl` as
/// `audit-000000000001.jsonl`.
fn aside(path: &Path, first: u64) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{first:012}{ending}"))
}

/// The files that were put aside, oldest first, by the number of their first line.
fn put_aside(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let one = entry?.path();
        let stem = one.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let number = stem.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
        if let Some(number) = number
            && aside(path, number).file_name() == one.file_name()
        {
            found.push((number, one));
        }
    }
    found.sort();
    Ok(found)
}

/// Cuts off half a line that a crash left; gives the length.
fn cut_torn(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut reader = file;
    let from = length.saturating_sub(LINE_MAX);
    reader.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    reader.take(LINE_MAX).read_to_end(&mut tail)?;
    let whole = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => from + end as u64 + 1,
        None => from,
    };
    if whole < length {
        tracing::warn!("the audit log ended in half a line, which was cut off");
        file.set_len(whole)?;
    }
    Ok(whole)
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// number of the first line of the newest file
    pub first: u64,
    /// number of the next line
    pub next: u64,
    /// hash of the last line
    pub last: String,
    /// lines that were looked at
    pub lines: u64,
}

/// Checks all lines that are kept, those that were put aside first.
///
/// # Errors
/// Files that cannot be read; inside, the first line that does not fit.
pub fn verify(path: &Path) -> io::Result<Result<End, Broken>> {
    let mut files = put_aside(path)?;
    if path.exists() {
        files.push((u64::MAX, path.to_owned()));
    }
    check_files(&files)
}

/// Checks what a run begins with: the file that is written, and the one before it. All
/// of them may be more than a start should wait for.
fn verify_newest(path: &Path) -> io::Result<Result<End, Broken>> {
    let mut files = put_aside(path)?;
    files.drain(..files.len().saturating_sub(1));
    files.push((u64::MAX, path.to_owned()));
    check_files(&files)
}

fn check_files(files: &[(u64, PathBuf)]) -> io::Result<Result<End, Broken>> {
    let mut end = End { first: 1, next: 1, last: ORIGIN.into(), lines: 0 };
    let mut begun = false;
    for (_, file) in files {
        let name = file.display().to_string();
        let mut reader = BufReader::new(File::open(file)?);
        let (mut number, mut bytes) = (0, Vec::new());
        while {
            bytes.clear();
            reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes)? > 0
        } {
            number += 1;
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let text = std::str::from_utf8(line).map_err(|_| "it is no text");
            let fits = text.and_then(|text| check(text, begun.then_some(&end)));
            let (n, hash) = match fits {
                Ok(found) => found,
                Err(what) => return Ok(Err(Broken { file: name, line: number, what })),
            };
            if number == 1 {
                end.first = n;
            }
            (end.next, end.last, begun) = (n + 1, hash, true);
            end.lines += 1;
        }
        if number == 0 {
            end.first = end.next;
        }
    }
    Ok(Ok(end))
}

/// The number and the hash of a line that follows on `before`.
fn check(line: &str, before: Option<&End>) -> Result<(u64, String), &'static str> {
    let (body, rest) = line.rsplit_once(HASH_FIELD).ok_or("no hash at its end")?;
    let own = rest.strip_suffix("\"}").ok_or("no hash at its end")?;
    if hash(&format!("{body}}}")) != own {
        return Err("it was changed");
    }
    let parsed: serde_json::Value = serde_json::from_str(line).map_err(|_| "no JSON")?;
    let n = parsed["n"].as_u64().ok_or("no number")?;
    // Where the oldest files are gone, the chain begins with what is kept.
    if let Some(before) = before {
        if n != before.next {
            return Err("a line is missing or out of order");
        }
        if parsed["prev"] != *before.last {
            return Err("it does not follow on the line before");
        }
    }
    Ok((n, own.to_owned()))
}

/// The end of a chain that is broken somewhere: what its last line says.
fn last_line(path: &Path) -> io::Result<End> {
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let mut end = End { first: 1, next: 1, last: ORIGIN.into(), lines: 0 };
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["n"].as_u64();
    end.first = text.lines().next().and_then(number).unwrap_or(1);
    if let Some(line) = text.lines().next_back() {
        end.next = number(line).map_or(1, |n| n.saturating_add(1));
        end.last = hash(line);
        if let Ok((_, own)) = check(line, None) {
            end.last = own;
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
