//! Progress on standard error: a bar on a terminal, one line for every tenth of
//! the work elsewhere, so that a log of it stays short.

use std::io::{self, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far the work is.
#[derive(Debug)]
pub struct Progress(Display);

#[derive(Debug)]
enum Display {
    Hidden,
    Bar(ProgressBar),
    Lines { label: String, total: u64, tenths: Tenths },
}

/// Which tenths have been told.
#[derive(Debug, Default)]
struct Tenths {
    told: u64,
}

impl Tenths {
    /// The percentage to tell now, if a further tenth is done.
    fn reached(&mut self, done: u64, total: u64) -> Option<u64> {
        let whole = u128::from(total.max(1));
        let tenth = u64::try_from(u128::from(done) * 10 / whole).unwrap_or(10).min(10);
        (tenth > self.told).then(|| {
            self.told = tenth;
            tenth * 10
        })
    }
}

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self(Display::Hidden)
    }

    /// A bar with the time that is left.
    pub(super) fn bar(label: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
        let template = "{prefix} {bar:30} {percent:>3}% {elapsed} elapsed, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(label.to_owned());
        Self(Display::Bar(bar))
    }

    /// One line for every tenth.
    pub(super) fn lines(label: &str, total: u64) -> Self {
        Self(Display::Lines { label: label.to_owned(), total, tenths: Tenths::default() })
    }

    /// So much is done. That it cannot be shown is no reason to stop.
    pub fn set(&mut self, done: u64) {
        match &mut self.0 {
            Display::Hidden => {}
            Display::Bar(bar) => bar.set_position(done),
            Display::Lines { label, total, tenths } => {
                if let Some(percent) = tenths.reached(done, *total) {
                    let _ = writeln!(io::stderr().lock(), "{label}: {percent}%");
                }
            }
        }
    }

    /// All is done: the bar goes away, because a result follows.
    pub fn finish(self) {
        if let Display::Bar(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_is_told_once() {
        let mut tenths = Tenths::default();
        let told: Vec<u64> = (0..=1_000).filter_map(|done| tenths.reached(done, 1_000)).collect();
        assert_eq!(told, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_leap_is_told_as_one_line() {
        let mut tenths = Tenths::default();
        assert_eq!(tenths.reached(55, 100), Some(50));
        assert_eq!(tenths.reached(59, 100), None);
        assert_eq!(tenths.reached(200, 100), Some(100));
        assert_eq!(Tenths::default().reached(0, 0), None);
    }
}
