//! `sandpaper export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::app::export::{Export, sheet};
use crate::app::strategies::Selection;
use crate::app::{Failure, verify};
use crate::cli::{Exit, ExportArgs, ExportFormat, ExportWhat};

use super::Context;

pub(super) fn export(context: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    let json = context.output.json && args.what != ExportWhat::Ledger;
    let format = args.format.or(json.then_some(ExportFormat::Json));
    let sheet = sheet(args.what, format).map_err(|what| Failure::new(Exit::Usage, what))?;
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(BufWriter::new(File::create_new(path).map_err(|error| {
            Failure::new(Exit::Runtime, format!("{} cannot be made: {error}", path.display()))
        })?)),
        None => Box::new(BufWriter::new(Reader { gone: false })),
    };
    let mut export = Export::new(sheet, args.strategy.as_deref(), &mut out);
    let given = Selection { files: args.wasm.clone(), unsigned: args.unsigned };
    let verified = verify::follow(&context.config, &args.run, &given, &mut export)?;
    if !export.found() {
        let name = args.strategy.as_deref().unwrap_or_default();
        return Err(Failure::new(Exit::Usage, format!("no strategy '{name}' was in this run")));
    }
    for finding in &verified.findings {
        let who = finding.strategy.as_deref().unwrap_or("the run");
        context.output.note(&format!(
            "record {}: {who}: {}; what is exported is the replay's",
            finding.record, finding.what
        ));
    }
    if let Some(damage) = &verified.damage {
        context.output.note(&format!("damaged: {damage}; what is exported ends there"));
    }
    Ok(verified.exit())
}

/// Standard output, as long as somebody reads it: one that has gone away, such as
/// `head`, is no error.
struct Reader {
    gone: bool,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
