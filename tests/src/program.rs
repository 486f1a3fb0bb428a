//! Runs the built program in an empty folder, with nothing of this machine's
//! environment that could change what it does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::repository;

/// A working folder for the program; removed when it is dropped.
#[derive(Debug)]
pub struct Folder(TempDir);

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// its exit code; none when a signal ended it
    pub code: Option<i32>,
    /// its standard output
    pub stdout: String,
    /// its standard error
    pub stderr: String,
}

/// The program beside this test binary: `target/release/sandpaper`.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests stand below their profile");
    let program = profile.join(format!("sandpaper{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is not built: run make host", program.display());
    program
}

impl Folder {
    /// An empty folder.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "making a folder is more than a default")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A path within it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Puts a guest into the strategies folder under a name of this folder's, and allows
    /// it. None when the guests are not built.
    ///
    /// # Panics
    /// When it is not allowed.
    #[must_use]
    pub fn allow_guest(&self, guest: &str, name: &str) -> Option<()> {
        let module = std::fs::read(repository::guest(guest)?).expect("readable");
        let file = format!("strategies/{name}.wasm");
        self.write(&file, module);
        let _ = self.run(&["allow", &file, "--yes"]).expect(0);
        Some(())
    }

    /// A run of what is allowed on a lively simulated market, as fast as it goes, with
    /// more settings: its result and its record.
    ///
    /// # Panics
    /// When it does not end well.
    #[must_use]
    pub fn lively_run(&self, duration: &str, settings: &[&str]) -> (Value, String) {
        let mut arguments = vec!["run", "--duration", duration, "--json", "--no-dashboard"];
        let lively = ["feed.sim.speed=0", "feed.sim.volatility=2"];
        for setting in lively.iter().chain(settings) {
            arguments.extend(["--set", setting]);
        }
        let finished = self.run(&arguments).expect(0);
        let result = serde_json::from_str(&finished.stdout).expect("JSON");
        (result, self.only_record())
    }

    /// The records of its runs, oldest first.
    ///
    /// # Panics
    /// When there is a folder of them that cannot be read.
    #[must_use]
    pub fn runs(&self) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(self.path("runs")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => panic!("the runs: {error}"),
        };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut runs: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
        runs.sort();
        runs
    }

    /// The record of its only run.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn only_run(&self) -> PathBuf {
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }

    /// The same as an argument.
    ///
    /// # Panics
    /// As [`Folder::only_run`].
    #[must_use]
    #[track_caller]
    pub fn only_record(&self) -> String {
        self.only_run().to_str().expect("a plain path").to_owned()
    }

    /// The program with these arguments, working in this folder.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(path());
        command.args(arguments).current_dir(self.0.path()).env_clear().env("LC_ALL", "C");
        command.env("XDG_STATE_HOME", self.0.path().join(".state"));
        // Tests run side by side: none of them serves a dashboard unless it asks.
        command.env("SANDPAPER__WEB__ENABLED", "false");
        command
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let Output { status, stdout, stderr } =
            self.command(arguments).output().expect("the program starts");
        Finished {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Finished {
    /// This, if it ended with that code.
    ///
    /// # Panics
    /// With both outputs, if it did not.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
