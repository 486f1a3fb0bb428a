//! Strategies in whose calls the program died.
//!
//! The sandbox turns what a strategy does into a fault, but a defect below it (of the
//! compiler, of the machine) can end the whole process, and a supervisor that starts
//! it again would have it die for ever. So a run marks, in a file of its own in the
//! private folder, which strategy is being called. A mark that outlives its process
//! is a strike against that module, and at two it does not run any more until it is
//! allowed anew.
//!
//! Marks are written and not synced: they are there after the process dies, and a
//! power cut is nobody's strike.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::config::Config;
use crate::lockfile::PrivateFolder;
use crate::strategy::{
    Descriptor, EffectLimits, Effects, Fault, HistoryRef, OrderUpdate, Spreads, StartInfo,
    Strategy, Usage,
};

use super::Failure;
use super::strategies::private_folder;

/// At so many a module does not run.
pub const STRIKES_MAX: u32 = 2;
/// The end of a mark file's name.
const SUFFIX: &str = "running";
/// The largest mark file that is read: a thousand modules.
const BYTES_MAX: u64 = 1 << 17;
/// Digits of the number that says who is called.
const DIGITS: usize = 8;

/// The strikes that this installation remembers.
pub struct Strikes(Option<PrivateFolder>);

impl Strikes {
    /// Those in the private folder; none where there is no such folder.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self(private_folder(config)?))
    }

    /// How many a module has.
    #[must_use]
    pub fn of(&self, sha256: &str) -> u32 {
        let note = self.0.as_ref().and_then(|folder| folder.note(&note_name(sha256)));
        note.and_then(|note| note.trim().parse().ok()).unwrap_or(0)
    }

    /// Forgets a module's.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn clear(&self, sha256: &str) -> io::Result<()> {
        if self.of(sha256) == 0 {
            return Ok(());
        }
        self.0.as_ref().map_or(Ok(()), |folder| folder.write(&note_name(sha256), "0\n"))
    }

    /// Turns marks that outlived their process into strikes, and gives the modules
    /// that got one.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn collect(&self) -> io::Result<Vec<String>> {
        let Some(folder) = &self.0 else { return Ok(Vec::new()) };
        let mut struck = Vec::new();
        for entry in fs::read_dir(folder.path())?.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != SUFFIX) {
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            // Whoever still runs holds it.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let mut text = String::new();
            let _ = file.take(BYTES_MAX).read_to_string(&mut text);
            if let Some(sha256) = called(&text) {
                let strikes = self.of(sha256).saturating_add(1);
                folder.write(&note_name(sha256), &format!("{strikes}\n"))?;
                struck.push(sha256.to_owned());
            }
            fs::remove_file(&path)?;
        }
        Ok(struck)
    }

    /// A file for the marks of a run; none where there is no private folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn marks(&self, run: &str) -> io::Result<Option<Arc<Marks>>> {
        let Some(folder) = &self.0 else { return Ok(None) };
        let path = folder.path().join(format!("{run}.{SUFFIX}"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&mark(0))?;
        file.write_all(b"\n")?;
        Ok(Some(Arc::new(Marks { file, path })))
    }
}

fn note_name(sha256: &str) -> String {
    format!("{sha256}.strikes")
}

fn mark(number: usize) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let text = number.to_string();
    let from = DIGITS.saturating_sub(text.len());
    digits[from..].copy_from_slice(&text.as_bytes()[text.len().saturating_sub(DIGITS)..]);
    digits
}

/// Which module a mark file says is being called: its hash, if it is one.
fn called(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let number: usize = lines.next()?.parse().ok()?;
    let sha256 = lines.nth(number.checked_sub(1)?)?;
    (sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(sha256)
}

/// The marks of a run. The file goes when the run ends in order.
pub struct Marks {
    file: File,
    path: PathBuf,
}

impl Marks {
    /// The same strategy, marked while it is called.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn on(
        self: &Arc<Self>,
        strategy: Box<dyn Strategy>,
        sha256: &str,
    ) -> io::Result<Box<dyn Strategy>> {
        let number = self.listed()? + 1;
        (&self.file).write_all(format!("{sha256}\n").as_bytes())?;
        Ok(Box::new(Marked { strategy, marks: Arc::clone(self), number }))
    }

    /// How many modules stand in the file.
    fn listed(&self) -> io::Result<usize> {
        let bytes = self.file.metadata()?.len().saturating_sub(DIGITS as u64 + 1);
        Ok(usize::try_from(bytes / 65).unwrap_or(usize::MAX))
    }

    fn set(&self, number: usize) {
        // A mark that cannot be written is a strike that is not given.
        let _ = self.file.write_all_at(&mark(number), 0);
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A strategy whose calls are marked.
struct Marked {
    strategy: Box<dyn Strategy>,
    marks: Arc<Marks>,
    number: usize,
}

impl Marked {
    fn during<R>(&mut self, call: impl FnOnce(&mut dyn Strategy) -> R) -> R {
        self.marks.set(self.number);
        let result = call(&mut *self.strategy);
        self.marks.set(0);
        result
    }
}

impl Strategy for Marked {
    fn describe(&mut self) -> Result<Descriptor, Fault> {
        self.during(|strategy| strategy.describe())
    }

    fn start(
        &mut self,
        info: &StartInfo,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.during(|strategy| strategy.start(info, history, effects))
    }

    fn handle(&mut self, words: &[u64], events: u32, effects: &mut Effects) -> Result<u32, Fault> {
        self.during(|strategy| strategy.handle(words, events, effects))
    }

    fn on_order(
        &mut self,
        update: &OrderUpdate,
        history: HistoryRef,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        self.during(|strategy| strategy.on_order(update, history, effects))
    }

    fn stop(&mut self, effects: &mut Effects) -> Result<(), Fault> {
        self.during(|strategy| strategy.stop(effects))
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.during(|strategy| strategy.save())
    }

    fn load(&mut self, state: &[u8], from_version: &str) -> Result<(), Fault> {
        self.during(|strategy| strategy.load(state, from_version))
    }

    fn usage(&self) -> Usage {
        self.strategy.usage()
    }

    fn fresh(&self) -> Option<Result<Box<dyn Strategy>, Fault>> {
        let (marks, number) = (Arc::clone(&self.marks), self.number);
        let marked = |strategy| Box::new(Self { strategy, marks, number }) as Box<dyn Strategy>;
        self.strategy.fresh().map(|made| made.map(marked))
    }

    fn spreads(&self) -> Spreads {
        self.strategy.spreads()
    }

    fn effect_limits(&self) -> Option<EffectLimits> {
        self.strategy.effect_limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn x_exc_a_mark_that_outlives_its_process_is_a_strike() {
        let folder = tempfile::tempdir().expect("a folder");
        let private = PrivateFolder::open(&folder.path().join("state")).expect("made");
        let strikes = Strikes(Some(private));
        let left = |name: &str, text: String| {
            let path = folder.path().join("state").join(format!("{name}.running"));
            fs::write(path, text).expect("written");
        };
        let both = format!("{}\n{}\n", hash('a'), hash('b'));
        left("one", format!("00000002\n{both}"));
        // Between two calls it is nobody's, and so is what makes no sense.
        left("two", format!("00000000\n{both}"));
        left("three", "00000009\nrubbish\n".into());
        left("four", format!("00000001\n../{}\n", hash('c')));
        assert_eq!(strikes.collect().expect("read"), [hash('b')]);
        assert_eq!((strikes.of(&hash('a')), strikes.of(&hash('b'))), (0, 1));
        assert_eq!(strikes.collect().expect("read"), Vec::<String>::new(), "once");
        left("one", format!("00000002\n{both}"));
        strikes.collect().expect("read");
        assert_eq!(strikes.of(&hash('b')), STRIKES_MAX);
        strikes.clear(&hash('b')).expect("cleared");
        assert_eq!(strikes.of(&hash('b')), 0);
    }

    #[test]
    fn a_run_that_goes_on_or_ended_in_order_leaves_no_strike() {
        let folder = tempfile::tempdir().expect("a folder");
        let private = PrivateFolder::open(&folder.path().join("state")).expect("made");
        let strikes = Strikes(Some(private));
        let marks = strikes.marks("run").expect("made").expect("a folder");
        marks.set(1);
        let text = fs::read_to_string(marks.path()).expect("text");
        assert!(text.starts_with("00000001\n"), "{text}");
        assert_eq!(strikes.collect().expect("read"), Vec::<String>::new(), "it is held");
        assert!(marks.path().exists());
        let path = marks.path().to_owned();
        drop(marks);
        assert!(!path.exists());
    }
}
