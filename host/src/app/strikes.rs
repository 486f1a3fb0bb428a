//! Strategies in whose calls the program died.
//!
//! The sandbox turns what a strategy does into a fault, but a defect below it (of the
//! compiler, of the machine) can end the whole process, and a supervisor that starts
//! it again would have it die for ever. So a run marks, in a file of its own in the
//! private folder, whose code it is about to call.
//!
//! 1. A mark that outlives its process is a suspicion and no more: a user may have
//!    killed the program, or the system, for want of memory.
//! 2. A suspicion is tried at the next start, in a process of its own ([`trial`]):
//!    the module does again what it did in the run. Only if that process dies too,
//!    by a signal that code can bring upon itself, is the module struck, and does
//!    not run any more until it is allowed anew.
//! 3. Marks are written when another module's turn comes and when a step of the
//!    engine is over, not around each call, and are not synced: they are there after
//!    the process dies, and a power cut is nobody's fault.
//!
//! [`trial`]: super::trial

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};

use crate::cli::Exit;
use crate::config::Config;
use crate::engine::{Engine, Output};
use crate::lockfile::PrivateFolder;
use crate::strategy::{
    Descriptor, Distributions, EffectLimits, Effects, Fault, HistoryRef, OrderUpdate, StartInfo,
    Strategy, Usage,
};

use super::Failure;
use super::replay::Identity;
use super::session::Watch;
use super::strategies::{Loaded, private_folder};
use super::trial::Outcome;

/// The end of a mark file's name.
const SUFFIX: &str = "running";
/// The largest mark file that is read: a thousand modules.
const BYTES_MAX: u64 = 1 << 17;
/// Digits of the number that says who is called.
const DIGITS: usize = 8;

/// The modules that this installation has struck.
pub struct Strikes(Option<PrivateFolder>);

impl Strikes {
    /// Those in the private folder; none where there is no such folder.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self(private_folder(config)?))
    }

    /// True when there is a folder to keep anything in.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.0.is_some()
    }

    /// What a module is struck for, if it is.
    #[must_use]
    pub fn of(&self, sha256: &str) -> Option<String> {
        let note = self.0.as_ref()?.note(&note_name(sha256))?;
        Some(note.trim().to_owned()).filter(|why| !why.is_empty())
    }

    /// Forgives a module.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn clear(&self, sha256: &str) -> io::Result<()> {
        match &self.0 {
            Some(folder) if self.of(sha256).is_some() => folder.write(&note_name(sha256), ""),
            _ => Ok(()),
        }
    }

    /// Tries every module on which a mark outlived its process, and strikes those
    /// in whose trial that process died as well.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn judge(&self, mut again: impl FnMut(&str) -> Outcome) -> io::Result<()> {
        let Some(folder) = &self.0 else { return Ok(()) };
        for entry in fs::read_dir(folder.path())?.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != SUFFIX) {
                continue;
            }
            let Ok(file) = File::open(&path) else { continue };
            // Whoever still runs holds it; and while it is held here, no other
            // program tries the same.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let mut text = String::new();
            let _ = (&file).take(BYTES_MAX).read_to_string(&mut text);
            if let Some(sha256) = called(&text).filter(|sha256| self.of(sha256).is_none()) {
                let name = &sha256[..12];
                tracing::warn!("the program ended while the strategy with SHA-256 {name}… ran");
                match again(sha256) {
                    Outcome::Waits => {
                        tracing::warn!("{name}… may not run, and so it is not tried now");
                        continue;
                    }
                    Outcome::Died(signal) => {
                        let why = format!("the program died of signal {signal} in its code, twice");
                        folder.write(&note_name(sha256), &format!("{why}\n"))?;
                    }
                    Outcome::Lived => tracing::warn!(
                        "{name}… was tried again in a process of its own and does no harm: the program was ended"
                    ),
                    Outcome::Open(why) => {
                        tracing::warn!(
                            "nothing is held against {name}…, and it is not cleared: {why}"
                        );
                    }
                }
            }
            fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// A file for the marks of a run; none where there is no private folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn marks(&self, run: &str) -> io::Result<Option<Arc<Marks>>> {
        let Some(folder) = &self.0 else { return Ok(None) };
        let path = folder.path().join(format!("{run}.{SUFFIX}"));
        // It gets its name once it is locked: before that, another program that
        // starts could take it for one that was left.
        let unnamed = folder.path().join(format!("{run}.tmp"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&unnamed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&mark(0))?;
        file.write_all(b"\n")?;
        fs::rename(&unnamed, &path)?;
        Ok(Some(Arc::new(Marks { file, path, shown: AtomicUsize::new(0) })))
    }
}

/// Admits modules to a run: none that is struck, and each marked from the first
/// instruction of it that is executed.
pub struct Gate {
    strikes: Strikes,
    marks: Option<Arc<Marks>>,
}

impl Gate {
    /// For the run of this name.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn new(strikes: Strikes, run: &str) -> io::Result<Self> {
        let marks = strikes.marks(run)?;
        Ok(Self { strikes, marks })
    }

    /// The marks of the run, where there is a place for them.
    #[must_use]
    pub fn marks(&self) -> Option<&Arc<Marks>> {
        self.marks.as_ref()
    }

    /// Takes the marks back, whatever may still be running.
    pub fn close(&self) {
        if let Some(marks) = &self.marks {
            let _ = fs::remove_file(&marks.path);
        }
    }

    /// Makes a module of these bytes, unless it is struck.
    ///
    /// # Errors
    /// [`Exit::NotAllowed`] for a struck one, and what `make` says.
    pub fn admit(
        &self,
        name: &str,
        sha256: &str,
        make: impl FnOnce() -> Result<Loaded, Failure>,
    ) -> Result<Loaded, Failure> {
        if let Some(why) = self.strikes.of(sha256) {
            let message = format!("'{name}' (sha256 {sha256}) does not run: {why}");
            let again = format!("sandpaper allow sha256:{sha256} --name {name}");
            return Err(Failure::new(Exit::NotAllowed, message).hint(again));
        }
        let Some(marks) = &self.marks else { return make() };
        let number = marks.list(sha256)?;
        marks.set(number);
        let made = make();
        marks.set(0);
        made.map(|one| {
            let (strategy, marks) = (one.guest, Arc::clone(marks));
            Loaded { guest: Box::new(Marked { strategy, marks, number }), ..one }
        })
    }
}

fn note_name(sha256: &str) -> String {
    format!("{sha256}.struck")
}

fn mark(number: usize) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    let text = number.to_string();
    let from = DIGITS.saturating_sub(text.len());
    digits[from..].copy_from_slice(&text.as_bytes()[text.len().saturating_sub(DIGITS)..]);
    digits
}

/// Whose turn a mark file says it is: the module's hash, if it is one.
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
    /// what stands in the file
    shown: AtomicUsize,
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
        let number = self.list(sha256)?;
        Ok(Box::new(Marked { strategy, marks: Arc::clone(self), number }))
    }

    /// Writes a module into the file, and gives its number there, from 1.
    fn list(&self, sha256: &str) -> io::Result<usize> {
        let bytes = self.file.metadata()?.len().saturating_sub(DIGITS as u64 + 1);
        (&self.file).write_all(format!("{sha256}\n").as_bytes())?;
        Ok(usize::try_from(bytes / 65).unwrap_or(usize::MAX).saturating_add(1))
    }

    fn set(&self, number: usize) {
        if self.shown.swap(number, Ordering::Relaxed) != number {
            // A mark that cannot be written is a suspicion less.
            let _ = self.file.write_all_at(&mark(number), 0);
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Nobody's turn, once a step is over.
impl Watch for Arc<Marks> {
    fn started(&mut self, _engine: &Engine, _identities: &[Identity]) -> Result<(), Failure> {
        self.set(0);
        Ok(())
    }

    fn stepped(&mut self, _engine: &Engine, _news: &[Output]) -> Result<(), Failure> {
        self.set(0);
        Ok(())
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
        call(&mut *self.strategy)
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

    fn overdrew(&self) -> bool {
        self.strategy.overdrew()
    }

    fn grant(&mut self, events: u32) {
        self.strategy.grant(events);
    }

    fn keeps_back(&self) -> Option<&'static str> {
        self.strategy.keeps_back()
    }

    fn second(&self) -> (u64, u64) {
        self.strategy.second()
    }

    fn resume_second(&mut self, second: (u64, u64)) {
        self.strategy.resume_second(second);
    }

    fn distributions(&self) -> Option<&Distributions> {
        self.strategy.distributions()
    }

    fn effect_limits(&self) -> Option<EffectLimits> {
        self.strategy.effect_limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::FaultKind;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn place() -> (tempfile::TempDir, Strikes) {
        let folder = tempfile::tempdir().expect("a folder");
        let private = PrivateFolder::open(&folder.path().join("state")).expect("made");
        (folder, Strikes(Some(private)))
    }

    /// Whom `judge` tries, with this outcome.
    fn tried(strikes: &Strikes, outcome: Outcome) -> Vec<String> {
        let mut tried = Vec::new();
        let again = |sha256: &str| {
            tried.push(sha256.to_owned());
            outcome.clone()
        };
        strikes.judge(again).expect("read");
        tried
    }

    /// A strategy that has something to tell wherever the trait has an answer of its own.
    #[derive(Default)]
    struct Telling(u64);

    impl Strategy for Telling {
        fn describe(&mut self) -> Result<Descriptor, Fault> {
            Err(Fault::new(FaultKind::Trap, "not asked"))
        }

        fn start(&mut self, _: &StartInfo, _: HistoryRef, _: &mut Effects) -> Result<(), Fault> {
            Ok(())
        }

        fn handle(&mut self, _: &[u64], events: u32, _: &mut Effects) -> Result<u32, Fault> {
            Ok(events)
        }

        fn on_order(
            &mut self,
            _: &OrderUpdate,
            _: HistoryRef,
            _: &mut Effects,
        ) -> Result<(), Fault> {
            Ok(())
        }

        fn stop(&mut self, _: &mut Effects) -> Result<(), Fault> {
            Ok(())
        }

        fn save(&mut self) -> Result<Vec<u8>, Fault> {
            Ok(Vec::new())
        }

        fn load(&mut self, _: &[u8], _: &str) -> Result<(), Fault> {
            Ok(())
        }

        fn usage(&self) -> Usage {
            Usage::default()
        }

        fn keeps_back(&self) -> Option<&'static str> {
            Some("its random numbers")
        }

        fn second(&self) -> (u64, u64) {
            (7, self.0)
        }

        fn resume_second(&mut self, second: (u64, u64)) {
            self.0 = second.1;
        }
    }

    #[test]
    fn high_004_a_marked_strategy_tells_what_an_image_lacks_and_takes_its_second() {
        let (_folder, strikes) = place();
        let marks = strikes.marks("run").expect("a file").expect("a private folder");
        let mut marked = marks.on(Box::new(Telling::default()), &hash('a')).expect("listed");
        assert_eq!(marked.keeps_back(), Some("its random numbers"));
        marked.resume_second((7, 1_000));
        assert_eq!(marked.second(), (7, 1_000));
    }

    #[test]
    fn x_exc_only_who_ends_the_program_again_is_struck() {
        let (folder, strikes) = place();
        let left = |name: &str, text: String| {
            let path = folder.path().join("state").join(format!("{name}.running"));
            fs::write(path, text).expect("written");
        };
        let both = format!("{}\n{}\n", hash('a'), hash('b'));
        // Between two steps it is nobody's turn, and what makes no sense is nobody's.
        left("two", format!("00000000\n{both}"));
        left("three", "00000009\nrubbish\n".into());
        left("four", format!("00000001\n../{}\n", hash('c')));
        assert_eq!(tried(&strikes, Outcome::Died(11)), Vec::<String>::new());
        // However often somebody kills it, who does no harm is not struck.
        for outcome in [Outcome::Lived, Outcome::Open("late".into()), Outcome::Lived] {
            left("one", format!("00000002\n{both}"));
            assert_eq!(tried(&strikes, outcome), [hash('b')]);
            assert_eq!(strikes.of(&hash('b')), None);
        }
        assert_eq!(tried(&strikes, Outcome::Died(11)), Vec::<String>::new(), "once");
        // The control: the same mark, and the trial dies.
        left("one", format!("00000002\n{both}"));
        assert_eq!(tried(&strikes, Outcome::Died(11)), [hash('b')]);
        assert!(strikes.of(&hash('b')).is_some_and(|why| why.contains("signal 11")));
        assert_eq!(strikes.of(&hash('a')), None);
        // Nobody is tried twice for the same.
        left("one", format!("00000002\n{both}"));
        assert_eq!(tried(&strikes, Outcome::Lived), Vec::<String>::new());
        strikes.clear(&hash('b')).expect("cleared");
        assert_eq!(strikes.of(&hash('b')), None);
    }

    #[test]
    fn a_run_that_goes_on_or_ended_in_order_leaves_no_suspicion() {
        let (_folder, strikes) = place();
        let marks = strikes.marks("run").expect("made").expect("a folder");
        marks.set(1);
        let text = fs::read_to_string(marks.path()).expect("text");
        assert!(text.starts_with("00000001\n"), "{text}");
        assert_eq!(tried(&strikes, Outcome::Died(11)), Vec::<String>::new(), "it is held");
        assert!(marks.path().exists());
        let path = marks.path().to_owned();
        drop(marks);
        assert!(!path.exists());
    }
}
