//! `sandpaper record`.

use crate::app::capture::{self, Recorder};
use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, RecordArgs};
use crate::output;

use super::Context;

pub(super) fn record(context: &Context, args: &RecordArgs) -> Result<Exit, Failure> {
    super::has_venue(&context.config, &args.feed)?;
    let recorder = Recorder::new(&context.config, &args.out, args.force)?;
    let interrupt = Interrupt::listen()?;
    let summary = capture::record(&context.config, recorder, &interrupt)?;
    if context.output.json {
        context.output.print_json("sandpaper.record/1", &summary)?;
    } else {
        context.output.print(&format!(
            "{}: {}\nsha256 {}\n",
            summary.path.display(),
            output::plural(summary.totals.events, "event"),
            summary.sha256,
        ))?;
    }
    Ok(Exit::Done)
}
