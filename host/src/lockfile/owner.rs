//! Who else may write what is trusted here.
//!
//! A hash says what a file holds, not who put it there; but whoever can write the
//! lock file decides what runs, and whoever can write the folder of modules can at
//! least stop what should. So neither may be open to others. A file that the group
//! may write is taken when the group is this user's own, as systems with a group for
//! each user make them; and the superuser takes files of any owner, as in a container
//! that mounts a user's checkout.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Owner, group and mode of a file or folder, as the system states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

impl From<&Metadata> for Access {
    fn from(found: &Metadata) -> Self {
        Self { uid: found.uid(), gid: found.gid(), mode: found.mode() }
    }
}

impl From<&rustix::fs::Stat> for Access {
    fn from(found: &rustix::fs::Stat) -> Self {
        #[allow(clippy::useless_conversion, reason = "the field's width differs between systems")]
        let mode = u32::from(found.st_mode);
        Self { uid: found.st_uid, gid: found.st_gid, mode }
    }
}

/// In such a folder everybody may write, and nobody may replace what is another's.
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

impl Access {
    /// Why a file is not this user's alone to write; nothing when it is.
    pub(super) fn others(self) -> Option<&'static str> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.others_than(uid, gid)
    }

    /// As [`Access::others`], for a folder.
    pub(super) fn others_in_folder(self) -> Option<&'static str> {
        if self.mode & STICKY != 0 {
            return None;
        }
        self.others()
    }

    fn others_than(self, uid: u32, gid: u32) -> Option<&'static str> {
        if self.uid != uid && self.uid != 0 && uid != 0 {
            return Some("belongs to another user");
        }
        if self.mode & ALL_WRITE != 0 {
            return Some("may be written by everybody: chmod o-w");
        }
        if self.mode & GROUP_WRITES != 0 && self.gid != gid {
            return Some("may be written by a group that is not yours: chmod g-w");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crit_001_what_others_may_write_is_named() {
        let told = |uid, gid, mode| Access { uid, gid, mode }.others_than(1_000, 1_000);
        for mode in [0o600, 0o644, 0o755, 0o664, 0o775] {
            assert_eq!(told(1_000, 1_000, mode), None, "{mode:o}");
        }
        assert_eq!(told(0, 0, 0o644), None, "the system's own");
        assert!(told(1_000, 50, 0o664).is_some_and(|why| why.contains("group")));
        assert!(told(1_000, 1_000, 0o666).is_some_and(|why| why.contains("everybody")));
        assert!(told(1_001, 1_000, 0o644).is_some_and(|why| why.contains("another user")));
        let as_root = |uid, mode| Access { uid, gid: 0, mode }.others_than(0, 0);
        assert_eq!(as_root(1_000, 0o644), None);
        assert!(as_root(1_000, 0o646).is_some());
        let folder = |mode| Access { uid: 0, gid: 0, mode }.others_in_folder();
        assert!(folder(0o777).is_some() && folder(0o1777).is_none());
    }
}
