//! What people and scripts see: data on standard output, everything else on
//! standard error.
//!
//! A table is drawn for a terminal and becomes tab-separated lines for anything
//! else; `--json` prints one document with a schema tag instead. Text that comes
//! from a strategy or a file passes [`printable`] first.

mod format;
mod lines;
mod progress;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub use format::{
    bytes, count, duration, money, money_short, percent, plural, printable, signed_money,
};
pub use lines::Lines;
pub use progress::Progress;
pub use table::{Align, Table};

use crate::cli::ColorChoice;

/// The longest line of a note.
const NOTE_CHARS_MAX: usize = 4_000;

/// The environment variables that decide on color.
#[derive(Clone, Debug, Default)]
pub struct ColorEnv {
    /// `NO_COLOR`, see <https://no-color.org>
    pub no_color: Option<String>,
    /// `CLICOLOR_FORCE`
    pub clicolor_force: Option<String>,
    /// `TERM`
    pub term: Option<String>,
}

impl ColorEnv {
    /// As this process has them.
    #[must_use]
    pub fn of_process() -> Self {
        let var = |name| std::env::var(name).ok();
        Self { no_color: var("NO_COLOR"), clicolor_force: var("CLICOLOR_FORCE"), term: var("TERM") }
    }
}

/// Whether a stream gets color: the flag decides, then `NO_COLOR`, then
/// `CLICOLOR_FORCE`, then whether it is a terminal that can show it.
#[must_use]
pub fn use_color(choice: ColorChoice, is_terminal: bool, env: &ColorEnv) -> bool {
    let set = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set(&env.no_color) => false,
        ColorChoice::Auto
            if set(&env.clicolor_force) && env.clicolor_force.as_deref() != Some("0") =>
        {
            true
        }
        ColorChoice::Auto => is_terminal && env.term.as_deref() != Some("dumb"),
    }
}

/// Where output goes and how it looks.
#[derive(Clone, Debug)]
pub struct Output {
    /// print JSON instead of text
    pub json: bool,
    /// show no progress
    pub quiet: bool,
    /// standard output is a terminal
    pub stdout_terminal: bool,
    /// standard error is a terminal
    pub stderr_terminal: bool,
    /// standard output gets color
    pub stdout_color: bool,
    /// standard error gets color
    pub stderr_color: bool,
}

impl Output {
    /// For the streams of this process.
    #[must_use]
    pub fn of_process(json: bool, quiet: bool, color: ColorChoice) -> Self {
        let env = ColorEnv::of_process();
        let stdout_terminal = io::stdout().is_terminal();
        let stderr_terminal = io::stderr().is_terminal();
        Self {
            json,
            quiet,
            stdout_terminal,
            stderr_terminal,
            stdout_color: use_color(color, stdout_terminal, &env),
            stderr_color: use_color(color, stderr_terminal, &env),
        }
    }

    /// Prints data on standard output and ends the line.
    ///
    /// # Errors
    /// When standard output cannot be written. A reader that has gone away, such
    /// as `head`, is not an error: nobody is left to tell.
    pub fn print(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") })
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Prints a table as this output shows it.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub fn print_table(&self, table: &Table) -> io::Result<()> {
        self.print(&if self.stdout_terminal { table.drawn() } else { table.tab_separated() })
    }

    /// Prints one JSON document: `{"schema":"sandpaper.list/1", …}` with the
    /// fields of `body`, which must be a struct or a map, beside the schema.
    ///
    /// # Errors
    /// When standard output cannot be written or `body` is neither.
    pub fn print_json(&self, schema: &str, body: &impl Serialize) -> io::Result<()> {
        self.print(&document(schema, body)?)
    }

    /// Prints one JSON document of a list: its entries under `data`, and what a
    /// person should know under `warnings`.
    ///
    /// # Errors
    /// As [`Output::print_json`].
    pub fn print_json_list(
        &self,
        schema: &str,
        data: &impl Serialize,
        warnings: &[String],
    ) -> io::Result<()> {
        self.print_json(schema, &Listing { data, warnings })
    }

    /// Says something on standard error. That it cannot be said is no reason to
    /// stop.
    ///
    /// It often names a file or quotes a stranger, so each line is made safe.
    pub fn note(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        for line in text.split('\n') {
            let _ = writeln!(stderr, "{}", printable(line, NOTE_CHARS_MAX));
        }
    }

    /// A progress display on standard error for `total` units of work.
    #[must_use]
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        if self.quiet {
            return Progress::hidden();
        }
        if self.stderr_terminal {
            Progress::bar(label, total)
        } else {
            Progress::lines(label, total)
        }
    }
}

/// A document with its schema beside its own fields.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

/// The body of a document that lists things.
#[derive(Serialize)]
struct Listing<'a, T> {
    data: &'a T,
    warnings: &'a [String],
}

/// The text of a JSON document with a schema tag such as `sandpaper.list/1`.
///
/// # Errors
/// When `body` is neither a struct nor a map.
pub fn document(schema: &str, body: &impl Serialize) -> io::Result<String> {
    serde_json::to_string(&Document { schema, body }).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_follows_flag_then_environment_then_terminal() {
        let env = |no_color: &str, force: &str, term: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            ColorEnv { no_color: some(no_color), clicolor_force: some(force), term: some(term) }
        };
        let auto = ColorChoice::Auto;
        let cases = [
            ("flag always", ColorChoice::Always, false, env("1", "", "dumb"), true),
            ("flag never", ColorChoice::Never, true, env("", "1", ""), false),
            ("terminal", auto, true, env("", "", "xterm"), true),
            ("pipe", auto, false, env("", "", "xterm"), false),
            ("NO_COLOR", auto, true, env("1", "", "xterm"), false),
            ("NO_COLOR beats force", auto, true, env("1", "1", "xterm"), false),
            ("forced", auto, false, env("", "1", "xterm"), true),
            ("force is 0", auto, false, env("", "0", "xterm"), false),
            ("dumb", auto, true, env("", "", "dumb"), false),
        ];
        for (name, choice, terminal, env, expected) in cases {
            assert_eq!(use_color(choice, terminal, &env), expected, "{name}");
        }
    }

    #[test]
    fn documents_carry_their_schema_first() {
        #[derive(Serialize)]
        struct Body {
            events: u64,
        }
        let text = document("sandpaper.replay/1", &Body { events: 3 }).unwrap();
        assert_eq!(text, r#"{"schema":"sandpaper.replay/1","events":3}"#);
        let list = Listing { data: &["a"], warnings: &["b".to_owned()] };
        let text = document("sandpaper.list/1", &list).unwrap();
        assert_eq!(text, r#"{"schema":"sandpaper.list/1","data":["a"],"warnings":["b"]}"#);
        assert!(document("sandpaper.list/1", &5).is_err());
    }
}
