//! `sandpaper inspect`.

use serde::Serialize;

use crate::app::Failure;
use crate::app::given::{Runtimes, file_bytes_max, given};
use crate::app::strategies::read_lock;
use crate::cli::{Exit, InspectArgs};
use crate::lockfile::{self, Approved, Wasi};
use crate::output;
use crate::sandbox::{self, Inspection, Kind, Module};
use crate::strategy::{Descriptor, Strategy as _};

use super::Context;

#[derive(Serialize)]
struct Inspected {
    file: String,
    #[serde(flatten)]
    inspection: Inspection,
    /// how much of WASI its entry in the lock file grants it
    wasi: Wasi,
    /// what it says of itself; missing when it cannot be asked
    descriptor: Option<Descriptor>,
}

pub(super) fn inspect(context: &Context, args: &InspectArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    let lock = read_lock(config)?;
    let candidate = lockfile::read_named(&args.file, file_bytes_max(config, &lock))?;
    let (wasi, own) = (lock.wasi(&candidate.sha256()), lock.limits(&candidate.sha256()));
    let approved = Approved::unsigned(candidate, wasi).limited(own);
    let given = given(config, &own);
    let runtime = Runtimes::new(config)?.of(&given)?;
    let inspection = sandbox::inspect_vetted(&runtime, &approved, &given.caps);
    // Asking runs the module's code, in the sandbox and for this once: looking
    // at a file must not need trust in it.
    let descriptor = inspection.loadable.then(|| {
        let module = Module::load(&runtime, &approved, &given.caps).ok()?;
        module.instantiate(given.limits).ok()?.describe().ok()
    });
    let fits = inspection.loadable;
    let inspected = Inspected {
        file: args.file.display().to_string(),
        inspection,
        wasi,
        descriptor: descriptor.flatten(),
    };
    if context.output.json {
        context.output.print_json("sandpaper.inspect/1", &inspected)?;
    } else {
        context.output.print(&text(&inspected))?;
    }
    Ok(if fits { Exit::Done } else { Exit::Incompatible })
}

fn text(inspected: &Inspected) -> String {
    let Inspected { file, inspection, wasi, descriptor } = inspected;
    let mut lines = vec![
        ("file", output::printable(file, 1_000)),
        ("sha256", inspection.sha256.to_string()),
        ("size", output::bytes(inspection.size)),
        ("kind", inspection.kind.name().to_owned()),
    ];
    let listed =
        |names: &[String]| names.iter().map(|n| output::printable(n, 200)).collect::<Vec<_>>();
    lines.extend(listed(&inspection.imports).into_iter().map(|name| ("imports", name)));
    if inspection.kind == Kind::WasiComponent {
        lines.push(("wasi", wasi.name().to_owned()));
    }
    lines.extend(listed(&inspection.exports).into_iter().map(|name| ("exports", name)));
    for memory in &inspection.memories {
        let max = memory.max_bytes.map_or_else(|| "no maximum".to_owned(), output::bytes);
        lines.push(("memory", format!("{} to {max}", output::bytes(memory.min_bytes))));
    }
    lines.push(("functions", output::count(u64::from(inspection.functions))));
    if let Some(descriptor) = descriptor {
        describe(descriptor, &mut lines);
    }
    let verdict = inspection.problem.as_ref().map_or_else(
        || "a strategy that this host can run".to_owned(),
        |why| format!("refused: {}", output::printable(why, 1_000)),
    );
    lines.push(("verdict", verdict));
    lines.iter().map(|(key, value)| format!("{key:<11}{value}\n")).collect()
}

fn describe(descriptor: &Descriptor, lines: &mut Vec<(&'static str, String)>) {
    let clean = |text: &str| output::printable(text, 200);
    lines.push(("strategy", format!("{} {}", clean(&descriptor.name), clean(&descriptor.version))));
    if !descriptor.symbols.is_empty() {
        lines.push(("symbols", clean(&descriptor.symbols.join(", "))));
    }
    for subscription in &descriptor.subscriptions {
        let symbol = subscription.symbol.as_deref().unwrap_or("every symbol");
        lines.push(("wants", format!("{:?} of {}", subscription.channel, clean(symbol))));
    }
    for parameter in &descriptor.parameters {
        let number = |n: Option<f64>| n.map_or_else(|| "…".to_owned(), |n| n.to_string());
        let range = match (parameter.minimum, parameter.maximum) {
            (None, None) => String::new(),
            (low, high) => format!(" ({} to {})", number(low), number(high)),
        };
        let default = match &parameter.default {
            crate::strategy::Value::Flag(value) => value.to_string(),
            crate::strategy::Value::Integer(value) => value.to_string(),
            crate::strategy::Value::Number(value) => value.to_string(),
            crate::strategy::Value::Text(value) => format!("{value:?}"),
        };
        lines.push((
            "parameter",
            format!(
                "{} = {default}{range}  {}",
                clean(&parameter.name),
                clean(&parameter.description)
            ),
        ));
    }
}
