//! `sandpaper import`.

use std::ops::ControlFlow;

use crate::app::{Failure, Interrupt};
use crate::cli::{Exit, ImportArgs, ImportFormat};
use crate::feed::import::{Format, ImportError, ImportOptions, import as import_recording};
use crate::output;

use super::Context;

pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<Exit, Failure> {
    let same = |a: &std::path::Path, b: &std::path::Path| {
        a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
    };
    if same(&args.file, &args.out) {
        let message = format!("{} is both the recording and the tape", args.out.display());
        return Err(Failure::new(Exit::Usage, message).hint("--out another file"));
    }
    let options = ImportOptions {
        format: args.format.map(|format| match format {
            ImportFormat::Binance => Format::Binance,
            ImportFormat::Csv => Format::Csv,
            ImportFormat::Kraken => Format::Kraken,
        }),
        depth: args.depth,
        note: format!("imported from {}", file_name(&args.file)),
    };
    let interrupt = Interrupt::listen()?;
    let mut progress = None;
    let mut watch = |at: crate::feed::import::Progress| {
        let progress = progress.get_or_insert_with(|| context.output.progress("import", at.total));
        progress.set(at.done);
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let summary = import_recording(&args.file, &args.out, &options, &mut watch).map_err(failure)?;
    if let Some(progress) = progress {
        progress.finish();
    }
    if context.output.json {
        context.output.print_json("sandpaper.import/1", &summary)?;
        return Ok(Exit::Done);
    }
    let symbols: Vec<String> = summary
        .instruments
        .iter()
        .map(|i| {
            let symbol = output::printable(&i.symbol, 40);
            let (price, qty) = (i.price_decimals, i.qty_decimals);
            format!("{symbol} (price to {price} decimals, quantity to {qty})")
        })
        .collect();
    let mut text = format!(
        "{} from {} of {}: {}",
        output::plural(summary.tape.totals.events, "event"),
        output::plural(summary.lines, "line"),
        summary.format,
        symbols.join(", ")
    );
    if let Some(counts) = &summary.binance {
        text.push_str(&format!(
            "\n{}, {}, {}; {}, {} in trade ids; best prices equal to the recording's own in {} of {} comparisons",
            output::plural(counts.trades, "trade"),
            output::plural(counts.deltas_applied, "book change"),
            output::plural(counts.snapshots, "snapshot"),
            output::plural(counts.gaps, "book gap"),
            output::plural(counts.trade_id_gaps, "gap"),
            output::count(counts.tickers_equal),
            output::count(counts.tickers_compared),
        ));
    }
    if summary.out_of_order > 0 {
        text.push_str(&format!(
            "\n{} recorded before the one above: the engine takes them at its time",
            output::plural(summary.out_of_order, "event")
        ));
    }
    if let Some(counts) = &summary.kraken {
        text.push_str(&format!(
            "\n{}, {}, {}, {}; {} verified, {} failed; {} in trade ids",
            output::plural(counts.trades, "trade"),
            output::plural(counts.updates, "book change"),
            output::plural(counts.snapshots, "snapshot"),
            output::plural(counts.candles, "candle"),
            output::plural(counts.checksums_verified, "checksum"),
            output::count(counts.checksums_failed),
            output::plural(counts.trade_id_gaps, "gap"),
        ));
    }
    text.push_str(&format!("\n{} ({})", args.out.display(), output::bytes(summary.tape.bytes)));
    context.output.print(&text)?;
    Ok(Exit::Done)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn failure(error: ImportError) -> Failure {
    let exit = match &error {
        ImportError::Io { .. } | ImportError::UnknownFormat { .. } => Exit::Feed,
        ImportError::Line { .. } | ImportError::Content { .. } => Exit::DataDamaged,
        ImportError::Tape(_) | ImportError::Canceled => Exit::Runtime,
    };
    Failure::new(exit, error.to_string())
}
