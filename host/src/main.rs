//! The binary: parses the command line, carries it out, prints a failure once.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use sandpaper::cli::Cli;
use sandpaper::commands;
use sandpaper::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = &cli.global;
    let output = Output::of_process(global.json, global.quiet, global.color);
    match commands::dispatch(cli, output.clone()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.note(&format!("error: {failure}"));
            if let Some(hint) = &failure.hint {
                output.note(&format!("  try: {hint}"));
            }
            failure.exit.into()
        }
    }
}
