//! What strategies publish by name, over time, in bounded room.
//!
//! 1. A moment is kept when the engine's clock has gone on by the width since the
//!    last one, with the newest value of every name.
//! 2. When the moments are too many, every other one goes and the width doubles: the
//!    whole run stays, ever coarser.
//! 3. Only the first names are kept; the newest value of all is told elsewhere.

use std::sync::Arc;

use crate::output::printable;

use super::model::{Plot, Plots};

/// Moments kept; a chart has about as many pixels.
const MOMENTS_MAX: usize = 512;
/// Names kept of one strategy.
const NAMES_MAX: usize = 16;
/// Longest name that is shown.
const NAME_MAX: usize = 64;
/// The width at first, in nanoseconds.
const WIDTH: i64 = 1_000_000_000;

/// What one strategy has published.
#[derive(Debug)]
pub(super) struct Published {
    width: i64,
    /// from when on the next moment is kept
    due: i64,
    kept: Arc<Plots>,
}

impl Default for Published {
    fn default() -> Self {
        Self { width: WIDTH, due: i64::MIN, kept: Arc::default() }
    }
}

impl Published {
    /// Takes the newest values at `now`, which is never before the last one.
    pub(super) fn take(&mut self, now: i64, newest: &[(String, f64)]) {
        if now < self.due || newest.is_empty() {
            return;
        }
        let kept = Arc::make_mut(&mut self.kept);
        kept.width_s = self.width as f64 / 1e9;
        for (name, _) in newest.iter().skip(kept.series.len()).take(NAMES_MAX) {
            if kept.series.len() < NAMES_MAX {
                let values = vec![f64::NAN; kept.ms.len()];
                kept.series.push(Plot { name: printable(name, NAME_MAX), values });
            }
        }
        kept.ms.push((now / 1_000_000) as f64);
        // The engine only ever adds names, so a name's place stays.
        for (plot, (_, value)) in kept.series.iter_mut().zip(newest) {
            plot.values.push(*value);
        }
        if kept.ms.len() > MOMENTS_MAX {
            self.width = self.width.saturating_mul(2);
            thin(&mut kept.ms);
            kept.series.iter_mut().for_each(|plot| thin(&mut plot.values));
            kept.width_s = self.width as f64 / 1e9;
        }
        self.due = now.saturating_add(self.width);
    }

    /// All of it.
    pub(super) fn all(&self) -> Arc<Plots> {
        Arc::clone(&self.kept)
    }
}

/// Keeps the first, the third and so on.
fn thin(values: &mut Vec<f64>) {
    let mut place = 0;
    values.retain(|_| {
        place += 1;
        place % 2 == 1
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_moment_is_kept_a_second_and_a_late_name_has_no_past() {
        let mut published = Published::default();
        published.take(0, &[]);
        assert_eq!(published.all().ms.len(), 0, "nothing was published");
        published.take(5, &values(&[("fast", 1.0)]));
        published.take(WIDTH, &values(&[("fast", 2.0)]));
        published.take(WIDTH + 5, &values(&[("fast", 3.0), ("slow\u{7}", 9.0)]));
        let all = published.all();
        assert_eq!(all.ms, [0.0, 1_000.0], "the second came within the first's second");
        assert_eq!(all.series[0].values, [1.0, 3.0]);
        assert_eq!(all.series[1].values[1], 9.0);
        assert!(all.series[1].values[0].is_nan());
        assert!(!all.series[1].name.contains('\u{7}'));
        let json = serde_json::to_value(&*all).unwrap();
        assert_eq!(json["series"][1]["values"], serde_json::json!([null, 9.0]));
    }

    #[test]
    fn room_is_bounded_and_the_whole_run_stays() {
        let mut published = Published::default();
        let names: Vec<String> = (0..40).map(|number| format!("name {number}")).collect();
        let seconds = 20 * MOMENTS_MAX as i64;
        for second in 0..seconds {
            let newest: Vec<_> = names.iter().map(|name| (name.clone(), second as f64)).collect();
            published.take(second * WIDTH, &newest);
        }
        let all = published.all();
        assert_eq!(all.series.len(), NAMES_MAX);
        assert!(all.ms.len() <= MOMENTS_MAX && all.ms.len() > MOMENTS_MAX / 4, "{}", all.ms.len());
        assert_eq!(all.ms[0], 0.0);
        let (newest, width_ms) = (all.ms.last().unwrap(), all.width_s * 1e3);
        assert!(seconds as f64 * 1e3 - newest <= 2.0 * width_ms, "{newest} at {width_ms}");
        for (at, value) in all.ms.iter().zip(&all.series[3].values) {
            assert_eq!(at / 1e3, *value, "values and moments stay together");
        }
        assert!(all.ms.windows(2).all(|two| two[0] < two[1]));
    }
}
