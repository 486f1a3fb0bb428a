//! `sandpaper runs`.

use std::path::Path;
use std::time::Duration;

use crate::app::Failure;
use crate::app::runs::{Listed, list};
use crate::cli::Exit;
use crate::output::{self, Align, Table};

use super::Context;

pub(super) fn runs(context: &Context) -> Result<Exit, Failure> {
    let (output, dir) = (&context.output, &context.config.record.dir);
    let runs = list(Path::new(dir))?;
    if output.json {
        output.print_json_list("sandpaper.runs/1", &runs, &[])?;
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        output.note(&format!("no runs in {dir}/: begin one with: sandpaper run"));
        return Ok(Exit::Done);
    }
    let mut columns = vec![("run", Align::Left), ("status", Align::Left), ("started", Align::Left)];
    columns.extend(["lasted", "events", "modules", "return"].map(|name| (name, Align::Right)));
    // A terminal has no room for a reason: there it follows the table.
    if !output.stdout_terminal {
        columns.push(("problem", Align::Left));
    }
    let mut table = Table::new(&columns);
    runs.iter().for_each(|run| table.row(cells(run, columns.len())));
    output.print_table(&table)?;
    if output.stdout_terminal {
        for (run, problem) in runs.iter().filter_map(|run| Some((run, run.problem.as_ref()?))) {
            output.note(&format!("{}: {problem}", run.run));
        }
    }
    Ok(Exit::Done)
}

/// Columns of the table that a terminal shows.
const NARROW: usize = 7;

/// A run's row, of so many cells. Its name begins with the year, so the time need not.
fn cells(run: &Listed, columns: usize) -> Vec<String> {
    let dash = || "–".to_owned();
    let name = &run.run;
    let name = output::printable(name, if name.chars().count() > 25 { 24 } else { 25 });
    let terminal = columns == NARROW;
    let events = |events: u64| match events {
        // A person compares sizes; who wants every digit reads the other forms.
        10_000_000.. if terminal => format!("{} M", output::count(events / 1_000_000)),
        _ => output::count(events),
    };
    let started = run.started.as_deref().and_then(|time| time.get(5..16));
    let mut cells = vec![
        name,
        run.status.to_owned(),
        started.map_or_else(dash, |time| time.replace('T', " ")),
        run.seconds.map_or_else(dash, |s| output::duration(Duration::from_secs_f64(s))),
        run.events.map_or_else(dash, events),
        if run.strategies.is_empty() { dash() } else { run.strategies.len().to_string() },
        output::percent(run.return_pct()),
        run.problem.clone().unwrap_or_default(),
    ];
    cells.truncate(columns);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::runs::ListedResult;

    #[test]
    fn the_table_fits_a_hundred_columns() {
        let run = Listed {
            run: "20251231T235959Z-1b2c3d4e-and-more-of-a-foreign-name".into(),
            status: "quarantined",
            started: Some("2025-12-31T23:59:59.123456789Z".into()),
            seconds: Some(59.0 * 60.0 + 59.0),
            events: Some(1_234_567_890),
            strategies: vec!["a".into(); 500],
            results: vec![ListedResult {
                name: "a".into(),
                equity: None,
                return_pct: Some(-1234.5),
            }],
            problem: Some("long ".repeat(40)),
            ..Listed::default()
        };
        let names: [&str; NARROW] =
            ["run", "status", "started", "lasted", "events", "modules", "return"];
        let mut table = Table::new(&names.map(|name| (name, Align::Left)));
        table.row(cells(&run, names.len()));
        let widest = table.drawn().lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= 100), "{widest:?}\n{}", table.drawn());
    }
}
