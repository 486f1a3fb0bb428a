//! `sandpaper verify`.

use crate::app::strategies::Selection;
use crate::app::{Failure, verify as check};
use crate::cli::{Exit, VerifyArgs};
use crate::output::plural;

use super::Context;

pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<Exit, Failure> {
    let given = Selection { files: args.wasm.clone(), unsigned: args.unsigned };
    let verified = check::verify(&context.config, &args.run, &given)?;
    if context.output.json {
        context.output.print_json("sandpaper.verify/1", &verified)?;
    } else {
        let records = plural(verified.records, "record");
        let (events, fills) = (plural(verified.events, "event"), plural(verified.fills, "fill"));
        let ended = match verified.status {
            "ended" => "ended in order",
            "running" => "is running, and this is as far as it was written",
            _ => "was cut short",
        };
        let mut text = format!("{}: {records}, {events}, {fills}; it {ended}\n", verified.run);
        for name in &verified.unsigned {
            text.push_str(&format!("UNSIGNED: the lock file was bypassed for {name}\n"));
        }
        if verified.told > 0 {
            let told = plural(verified.told, "verdict");
            text.push_str(&format!("taken from the record: {told} on the wall clock or on fuel\n"));
        }
        for finding in &verified.findings {
            let who = finding.strategy.as_deref().unwrap_or("the run");
            text.push_str(&format!("record {}: {who}: {}\n", finding.record, finding.what));
        }
        if let Some(torn) = &verified.torn {
            text.push_str(&format!("never wholly written: {torn}\n"));
        }
        if let Some(damage) = &verified.damage {
            text.push_str(&format!("damaged: {damage}\n"));
        } else if verified.findings.is_empty() {
            text.push_str("every record is sound, and a replay decides the same\n");
        }
        for line in text.lines() {
            context.output.print(&crate::output::printable(line, 4_000))?;
        }
    }
    Ok(verified.exit())
}
