//! Compiled code that is kept from one start to the next.
//!
//! A strategy in Python takes half a minute to compile, each time that the program
//! starts. What this process compiled itself it therefore keeps in a folder inside
//! the private one, sealed with a key of this installation
//! ([`sandpaper_precompiled`]); what a child process compiled it never takes over. A
//! file is named after everything that its code depends on, and anything that is
//! wrong with it means that the module is compiled again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use sandpaper_precompiled::{Key, seal, unseal};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::RUNTIME_VERSION;
use super::runtime::Runtime;
use crate::lockfile::{PrivateFolder, Sha256, read_beneath};

/// Counts changes of what a file means; one of another number is none.
const POLICY: u32 = 1;
/// The folder inside the private one.
const FOLDER: &str = "code";
/// How its files' names end.
const ENDING: &str = "code";
/// The most files that the folder may hold.
const FILES_MAX: usize = 4_096;

/// Everything that the code of a component depends on.
pub(super) fn statement(runtime: &Runtime, component: &[u8]) -> String {
    format!(
        "compiled code\npolicy {POLICY}\nhost {}\nwasmtime {RUNTIME_VERSION} {:016x}\n{:?}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        runtime.fingerprint(),
        runtime.options,
        Sha256::of(component),
    )
}

/// A folder of compiled code.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    private: Arc<PrivateFolder>,
    bytes_max: u64,
    found: AtomicU64,
    compiled: AtomicU64,
}

impl CodeCache {
    /// The one in a private folder, which holds at most so many bytes.
    ///
    /// # Errors
    /// When there is something else in its place, or others may read or write it.
    pub fn of(private: &Arc<PrivateFolder>, bytes_max: u64) -> io::Result<Self> {
        let folder = private.path().join(FOLDER);
        PrivateFolder::check(&folder)?;
        let (found, compiled) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { folder, private: Arc::clone(private), bytes_max, found, compiled })
    }

    /// How many modules were found and how many were compiled since it was opened.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.found.load(Ordering::Relaxed), self.compiled.load(Ordering::Relaxed))
    }

    fn key(&self) -> Key {
        Key::derive(self.private.secret())
    }

    /// The code that was kept under this statement.
    pub(super) fn find(&self, engine: &Engine, statement: &str) -> Option<Component> {
        let name = name(statement);
        // Neither a link nor a pipe nor a file of somebody else.
        let file = read_beneath(&self.folder, Path::new(&name), self.bytes_max).ok()?;
        let component = unseal(&self.key(), statement, engine, file.bytes());
        if component.is_none() {
            tracing::warn!("{} is not what was kept there: compiling again", name);
            let _ = fs::remove_file(self.folder.join(&name));
            return None;
        }
        self.found.fetch_add(1, Ordering::Relaxed);
        self.used(&name);
        component
    }

    /// Keeps code. That it cannot be kept stops nobody.
    pub(super) fn keep(&self, statement: &str, component: &Component) {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let kept = seal(&self.key(), statement, component)
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|bytes| self.write(&name(statement), &bytes));
        if let Err(error) = kept {
            tracing::warn!("compiled code cannot be kept: {error}");
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        if len > self.bytes_max {
            return Ok(());
        }
        self.make_room(len)?;
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{name}.{}-{number}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        // Not synced: a file of which a power cut leaves a part is compiled again.
        let written = file.write_all(bytes);
        let placed = written.and_then(|()| fs::rename(&temporary, self.folder.join(name)));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        placed
    }

    /// Removes what was used longest ago until so many bytes fit, and what writers
    /// that were killed left behind.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let (path, Ok(found)) = (entry.path(), entry.metadata()) else { continue };
            kept.push((found.modified()?, found.len(), path));
        }
        kept.sort();
        let mut sum: u64 = kept.iter().map(|(_, len, _)| len).sum();
        let mut count = kept.len();
        for (_, len, path) in kept {
            if sum.saturating_add(bytes) <= self.bytes_max && count < FILES_MAX {
                break;
            }
            fs::remove_file(path)?;
            (sum, count) = (sum.saturating_sub(len), count - 1);
        }
        Ok(())
    }

    /// Notes that a file is still of use.
    fn used(&self, name: &str) {
        let at = |nsec| Timespec { tv_sec: 0, tv_nsec: nsec };
        let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
        if let Ok(file) = File::open(self.folder.join(name)) {
            let _ = futimens(&file, &times);
        }
    }
}

fn name(statement: &str) -> String {
    format!("{}.{ENDING}", Sha256::of(statement.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::lockfile::{Approved, Candidate, Wasi};
    use crate::sandbox::{Caps, Module, RuntimeOptions};

    /// A component of its own for each number.
    fn load(cache: &Arc<CodeCache>, number: usize) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests/well_behaved.wat");
        let source = fs::read_to_string(path).expect("a guest");
        let source = source.trim_end();
        let more = format!("(func (result i32) (i32.const {number})))");
        let bytes = wat::parse_str(source[..source.len() - 1].to_owned() + &more).expect("wat");
        let runtime = Runtime::new(RuntimeOptions::default()).expect("an engine");
        let runtime = runtime.cached(Some(Arc::clone(cache)));
        let candidate = Candidate::from_bytes(bytes, "x.wasm");
        let approved = Approved::unsigned(candidate, Wasi::Refused);
        let module = Module::load(&runtime, &approved, &Caps::native()).expect("loaded");
        module.instantiate(super::super::Limits::default()).expect("it runs");
    }

    fn opened(folder: &Path, bytes_max: u64) -> Arc<CodeCache> {
        let private = Arc::new(PrivateFolder::open(&folder.join("state")).expect("private"));
        Arc::new(CodeCache::of(&private, bytes_max).expect("a cache"))
    }

    fn files(cache: &CodeCache) -> Vec<PathBuf> {
        let entries = fs::read_dir(&cache.folder).expect("a folder").flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    #[test]
    fn crit_001_code_is_compiled_once_and_found_by_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = opened(folder.path(), 1 << 30);
        load(&cache, 1);
        load(&cache, 1);
        load(&cache, 2);
        assert_eq!(cache.counts(), (1, 2));
        let again = opened(folder.path(), 1 << 30);
        load(&again, 2);
        assert_eq!(again.counts(), (1, 0));
        // Another installation's key opens nothing of it, and its own takes the place.
        fs::remove_file(folder.path().join("state/install.key")).expect("removed");
        let other = opened(folder.path(), 1 << 30);
        load(&other, 1);
        load(&other, 1);
        assert_eq!(other.counts(), (1, 1));
        for path in files(&other) {
            let found = fs::metadata(&path).expect("there");
            assert_eq!(found.mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn crit_001_what_is_not_what_was_kept_is_compiled_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = opened(folder.path(), 1 << 30);
        load(&cache, 1);
        let path = files(&cache).remove(0);
        let sound = fs::read(&path).expect("code");
        let put = |bytes: &[u8]| fs::write(&path, bytes).expect("written");
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        let other = folder.path().join("other");
        fs::write(&other, &sound).expect("written");
        let changes: [(&str, &dyn Fn()); 6] = [
            ("one bit", &|| put(&flipped)),
            ("cut", &|| put(&sound[..sound.len() / 2])),
            ("empty", &|| put(&[])),
            ("a link", &|| {
                fs::remove_file(&path).expect("removed");
                symlink(&other, &path).expect("linked");
            }),
            ("a second name", &|| {
                fs::remove_file(&path).expect("removed");
                fs::hard_link(&other, &path).expect("linked");
            }),
            ("open to others", &|| {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
            }),
        ];
        for (number, (what, change)) in changes.into_iter().enumerate() {
            change();
            load(&cache, 1);
            assert_eq!(cache.counts(), (number as u64, number as u64 + 2), "{what}");
            // It was made anew, and is sound.
            load(&cache, 1);
            assert_eq!(cache.counts(), (number as u64 + 1, number as u64 + 2), "{what}");
        }
        assert_eq!(files(&cache).len(), 1);
    }

    #[test]
    fn crit_001_the_folder_of_code_stays_small_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = opened(folder.path(), 1 << 30);
        load(&cache, 0);
        let one = fs::metadata(&files(&cache)[0]).expect("there").len();
        // Room for two and a half.
        let small = opened(folder.path(), one * 5 / 2);
        fs::write(small.folder.join("left behind.tmp"), b"by a writer").expect("written");
        let back = |path: &Path, seconds| {
            let file = File::options().write(true).open(path).expect("opened");
            let time = file.metadata().and_then(|found| found.modified()).expect("a time");
            file.set_modified(time - std::time::Duration::from_secs(seconds)).expect("set");
        };
        for path in files(&small) {
            back(&path, 500);
        }
        for number in 1..5_u64 {
            load(&small, number as usize);
            let sum: u64 =
                files(&small).iter().map(|p| fs::metadata(p).expect("there").len()).sum();
            assert!(sum <= small.bytes_max, "{sum} bytes");
            // The first one is used each time, and so it stays.
            for path in files(&small) {
                back(&path, 100 - number);
            }
            load(&small, 1);
        }
        assert_eq!(small.counts(), (4, 4), "what is used is not compiled again");
        // What can never fit is not kept, and nothing is removed for it.
        let tiny = opened(folder.path(), one / 2);
        load(&tiny, 9);
        assert_eq!((tiny.counts(), files(&tiny).len()), ((0, 1), 2));
        let wide = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&small.folder, wide).expect("changed");
        let private = PrivateFolder::open(&folder.path().join("state")).expect("private");
        let error = CodeCache::of(&Arc::new(private), 1).expect_err("refused");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}
