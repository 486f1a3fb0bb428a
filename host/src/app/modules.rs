//! The modules of a run, kept in the folder of its record under their hashes: a file
//! that has changed since could not prove the run that it was part of.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::Exit;
use crate::lockfile::{Candidate, Sha256, read_beneath};

use super::Failure;

/// The folder of a run's modules.
pub struct Kept(PathBuf);

impl Kept {
    /// The folder in that of a run's record.
    #[must_use]
    pub fn of_run(run: &Path) -> Self {
        Self(run.join("modules"))
    }

    /// Keeps these bytes.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn keep(&self, candidate: &Candidate) -> Result<(), Failure> {
        self.write(candidate).map_err(|error| {
            let message = format!("a module cannot be kept in {}: {error}", self.0.display());
            Failure::new(Exit::Runtime, message)
        })
    }

    fn write(&self, candidate: &Candidate) -> io::Result<()> {
        let sha256 = candidate.sha256();
        let path = self.0.join(name(&sha256));
        // What is there was renamed into place whole, and reading checks it.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        if !self.0.is_dir() {
            DirBuilder::new().mode(0o700).create(&self.0)?;
            // A record that is durable without its modules proves nothing.
            self.0.parent().map_or(Ok(()), |run| File::open(run)?.sync_all())?;
        }
        let temporary = self.0.join(format!("{sha256}.{}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(candidate.bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.0)?.sync_all()
    }

    /// The bytes of this hash, if they are there and are what they are called.
    #[must_use]
    pub fn find(&self, sha256: &Sha256, cap: u64) -> Option<Candidate> {
        let found = read_beneath(&self.0, Path::new(&name(sha256)), cap).ok()?;
        (found.sha256() == *sha256).then_some(found)
    }
}

impl Kept {
    /// True when something else lies in the place of these bytes.
    #[must_use]
    pub fn is_another(&self, sha256: &Sha256) -> bool {
        let there = fs::symlink_metadata(self.0.join(name(sha256))).is_ok();
        there && self.find(sha256, u64::MAX).is_none()
    }
}

fn name(sha256: &Sha256) -> String {
    format!("{sha256}.wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_001_a_kept_module_is_found_by_its_hash_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::of_run(folder.path());
        let module = Candidate::from_bytes(b"module".to_vec(), "x.wasm");
        kept.write(&module).expect("kept");
        kept.write(&module).expect("kept twice");
        let sha256 = module.sha256();
        assert_eq!(kept.find(&sha256, 100).map(|c| c.bytes().to_vec()), Some(b"module".to_vec()));
        assert!(kept.find(&sha256, 3).is_none(), "larger than allowed");
        assert!(kept.find(&Sha256::of(b"other"), 100).is_none());
        // Other bytes under its name are not it.
        fs::write(kept.0.join(name(&sha256)), b"evil!!").expect("written");
        assert!(kept.find(&sha256, 100).is_none());
    }
}
