//! What is done with the record of a run.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What `verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder of the run, such as runs/20250101T000000Z-1b2c3d4e
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Take the run's modules from these files; may be given several times
    #[arg(long, value_name = "FILE")]
    pub wasm: Vec<PathBuf>,
    /// Run modules of a run that bypassed the lock file; the result says UNSIGNED
    #[arg(long)]
    pub unsigned: bool,
}

/// What `export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// every transaction, as a journal of hledger
    Ledger,
    /// every fill
    Fills,
    /// closed round trips
    Trades,
    /// every change of every order
    Orders,
    /// the equity over time
    Equity,
}

impl ExportWhat {
    /// The name used in files and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Fills => "fills",
            Self::Trades => "trades",
            Self::Orders => "orders",
            Self::Equity => "equity",
        }
    }
}

/// How `export` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// rows with a header
    Csv,
    /// one document
    Json,
    /// for `hledger`: the ledger alone
    Hledger,
}

/// What `export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to write
    pub what: ExportWhat,
    /// The folder of the run, such as runs/20250101T000000Z-1b2c3d4e
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// How: csv unless --json says otherwise, and hledger for the ledger
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only this strategy
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Take the run's modules from these files; may be given several times
    #[arg(long, value_name = "FILE")]
    pub wasm: Vec<PathBuf>,
    /// Run modules of a run that bypassed the lock file
    #[arg(long)]
    pub unsigned: bool,
}
