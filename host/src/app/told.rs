//! What the result beside a record says, against the record. Nothing is proved by a
//! result, but the dashboard shows it, and it tells of an end that the record lost.

use std::path::Path;

use serde_json::{Map, Value};

use crate::dashboard::runs::{self, RunDetail, RunStrategy};
use crate::engine::Engine;

/// The result that an orderly end of this run left in its folder; none where there is
/// none or the run did not end in order.
pub(super) fn of_end(folder: &Path, run: &str) -> Option<RunDetail> {
    runs::read_in(folder).filter(|found| found.row.state == "ended" && found.row.run == run)
}

/// What it says of strategies that a replay of the whole record does not: each with
/// its name.
pub(super) fn differs(told: &RunDetail, engine: &Engine) -> Vec<(String, String)> {
    let reports = engine.reports();
    let mut wrong = Vec::new();
    for told in &told.row.strategies {
        let Some(report) = reports.iter().find(|report| *report.name == told.name) else {
            wrong.push((told.name.clone(), "result.json names it, the record does not".into()));
            continue;
        };
        let earlier = told.earlier.clone();
        // What it used is of its batches and of that machine; a replay, which calls it
        // with one event at a time, uses something else.
        let sandbox = told.sandbox.clone();
        let of = RunStrategy::of(report, &told.sha256);
        let again = read_back(RunStrategy { earlier, sandbox, ..of });
        if let Some((key, said, found)) = first(told, &again) {
            let what = format!("result.json says {key} {said}, and a replay comes to {found}");
            wrong.push((told.name.clone(), what));
        }
    }
    wrong
}

/// As it is when it was written and read, which is not always the same number.
fn read_back(one: RunStrategy) -> RunStrategy {
    serde_json::to_string(&one).and_then(|text| serde_json::from_str(&text)).unwrap_or(one)
}

/// The first key in which two differ, with both values.
fn first(told: &RunStrategy, again: &RunStrategy) -> Option<(String, Value, Value)> {
    let object = |one| match serde_json::to_value(one) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (told, again) = (object(told), object(again));
    let other = |key: &String| again.get(key).cloned().unwrap_or_default();
    let differs = |(key, said): &(String, Value)| *said != other(key);
    told.into_iter().find(differs).map(|(key, said)| (key.clone(), said, other(&key)))
}
