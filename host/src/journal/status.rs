//! What became of a run, from what its record tells. Pure: who looks at the disk
//! gathers the facts.

/// What a record tells of its run, and whether a program writes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// a program holds the folder's lock, and this is the run that it writes
    pub held: bool,
    /// the word of an orderly end is there
    pub ended: bool,
    /// how often another process went on with it
    pub restarts: u64,
    /// strategies of the run
    pub strategies: usize,
    /// those of them that a fault ended for good
    pub quarantined: usize,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// it is on
    Running,
    /// it was cut short, and nobody has gone on with it yet
    Cut,
    /// it ended in order, and no strategy lived to see that
    Quarantined,
    /// it ended in order, after a process that was cut short
    CrashedRecovered,
    /// it ended in order
    Ended,
}

impl Status {
    /// What the facts come to. An end that is written counts before everything else: a
    /// program that still holds the folder has nothing to add to that run.
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        match facts {
            Facts { ended: false, held: true, .. } => Self::Running,
            Facts { ended: false, .. } => Self::Cut,
            Facts { strategies: 1.., .. } if facts.quarantined >= facts.strategies => {
                Self::Quarantined
            }
            Facts { restarts: 1.., .. } => Self::CrashedRecovered,
            _ => Self::Ended,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cut => "cut",
            Self::Quarantined => "quarantined",
            Self::CrashedRecovered => "recovered",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_facts_has_its_status() {
        // held, ended, restarts, strategies, quarantined
        let cases = [
            ((true, false, 0, 2, 0), "running"),
            ((true, false, 3, 2, 0), "running"),
            ((true, false, 0, 2, 2), "running"),
            ((false, false, 0, 2, 0), "cut"),
            ((false, false, 3, 2, 2), "cut"),
            ((false, true, 0, 2, 0), "ended"),
            // The program that ended it has not let go of the folder yet.
            ((true, true, 0, 2, 0), "ended"),
            ((false, true, 0, 2, 1), "ended"),
            ((false, true, 0, 2, 2), "quarantined"),
            ((false, true, 1, 1, 1), "quarantined"),
            ((false, true, 1, 2, 1), "recovered"),
            ((true, true, 2, 2, 0), "recovered"),
            ((false, true, 0, 0, 0), "ended"),
            ((false, true, 1, 0, 0), "recovered"),
        ];
        for ((held, ended, restarts, strategies, quarantined), expected) in cases {
            let facts = Facts { held, ended, restarts, strategies, quarantined };
            assert_eq!(Status::of(facts).name(), expected, "{facts:?}");
        }
    }
}
