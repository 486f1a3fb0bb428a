//! What a run did, for other programs: its record is replayed, and what comes of it
//! is written as it comes. Nothing of it is kept in memory but one step's news.

mod ledger;
mod tables;

use std::io::{self, Write};

use crate::cli::{ExportFormat, ExportWhat};
use crate::engine::{Engine, Output};

use super::verify::Follow;

pub use ledger::Ledger;
pub use tables::Rows;

/// What an export writes.
pub trait Sheet {
    /// The engine is started; nothing has happened yet. These lanes are wanted.
    ///
    /// # Errors
    /// Whatever keeps it from writing.
    fn open(&mut self, engine: &Engine, lanes: &[u16], out: &mut dyn Write) -> io::Result<()>;

    /// This happened in one of them.
    ///
    /// # Errors
    /// As above.
    fn news(&mut self, engine: &Engine, news: &Output, out: &mut dyn Write) -> io::Result<()>;

    /// The run is over.
    ///
    /// # Errors
    /// As above.
    fn close(&mut self, engine: &Engine, lanes: &[u16], out: &mut dyn Write) -> io::Result<()>;
}

/// The sheet for what is asked for.
///
/// # Errors
/// A format that it does not have.
pub fn sheet(what: ExportWhat, format: Option<ExportFormat>) -> Result<Box<dyn Sheet>, String> {
    match (what, format) {
        (ExportWhat::Ledger, None | Some(ExportFormat::Hledger)) => Ok(Box::new(Ledger)),
        (ExportWhat::Ledger, Some(_)) => Err("the ledger is exported as hledger".into()),
        (_, Some(ExportFormat::Hledger)) => Err("only the ledger is exported as hledger".into()),
        (what, format) => Ok(Box::new(Rows::new(what, format == Some(ExportFormat::Json)))),
    }
}

/// Writes a sheet while a record is replayed.
pub struct Export<'a> {
    sheet: Box<dyn Sheet>,
    out: &'a mut dyn Write,
    /// the one strategy that is wanted
    only: Option<&'a str>,
    lanes: Vec<u16>,
}

impl<'a> Export<'a> {
    /// An export to `out`, of all strategies or of one.
    pub fn new(sheet: Box<dyn Sheet>, only: Option<&'a str>, out: &'a mut dyn Write) -> Self {
        Self { sheet, out, only, lanes: Vec::new() }
    }

    /// False when no strategy of that name was in the run.
    #[must_use]
    pub fn found(&self) -> bool {
        !self.lanes.is_empty()
    }
}

impl Follow for Export<'_> {
    fn opened(&mut self, engine: &Engine) -> io::Result<()> {
        self.lanes = match self.only {
            Some(name) => engine.find(name).into_iter().collect(),
            None => (0..engine.chains().count() as u16).collect(),
        };
        self.sheet.open(engine, &self.lanes, self.out)
    }

    fn stepped(&mut self, engine: &Engine, news: &[Output]) -> io::Result<()> {
        for one in news.iter().filter(|one| self.lanes.contains(&one.lane)) {
            self.sheet.news(engine, one, self.out)?;
        }
        Ok(())
    }

    fn closed(&mut self, engine: &Engine) -> io::Result<()> {
        self.sheet.close(engine, &self.lanes, self.out)?;
        self.out.flush()
    }
}
