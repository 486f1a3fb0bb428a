//! The equity over time in a bounded number of buckets.

use serde::{Deserialize, Serialize};

use crate::domain::{Money, Ts};

/// The most buckets of a curve; a chart has about as many pixels.
pub(super) const POINTS_MAX: usize = 512;

/// What the equity did in one bucket. A bucket without a change is missing: the
/// last value before it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// when the bucket begins
    pub ts: Ts,
    /// lowest equity, so that a fall between two points stays visible
    pub min: Money,
    /// highest equity
    pub max: Money,
    /// the last one
    pub last: Money,
}

/// Buckets of equal width, which doubles whenever they would be too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    origin: i64,
    width: i64,
    /// end of the newest bucket
    end: i64,
    points: Vec<Point>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { origin: 0, width: Ts::SECOND, end: i64::MIN, points: Vec::new() }
    }
}

impl Curve {
    /// Takes an equity at `now`, which is never before the last one.
    pub fn push(&mut self, now: i64, equity: Money) {
        if now < self.end
            && let Some(point) = self.points.last_mut()
        {
            point.min = point.min.min(equity);
            point.max = point.max.max(equity);
            point.last = equity;
            return;
        }
        if self.points.is_empty() {
            self.origin = now;
        }
        let ts = self.bucket(now);
        self.points.push(Point { ts: Ts(ts), min: equity, max: equity, last: equity });
        self.end = ts.saturating_add(self.width);
        while self.points.len() > POINTS_MAX {
            self.widen();
        }
    }

    /// The points, oldest first.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The width of a bucket in nanoseconds.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    fn bucket(&self, ts: i64) -> i64 {
        let since = ts.saturating_sub(self.origin).max(0);
        self.origin.saturating_add(since / self.width * self.width)
    }

    /// Doubles the width and joins the buckets that fall together.
    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let mut joined: Vec<Point> = Vec::with_capacity(POINTS_MAX);
        for point in &self.points {
            let ts = Ts(self.bucket(point.ts.0));
            match joined.last_mut() {
                Some(last) if last.ts == ts => {
                    last.min = last.min.min(point.min);
                    last.max = last.max.max(point.max);
                    last.last = point.last;
                }
                _ => joined.push(Point { ts, ..*point }),
            }
        }
        self.end = joined.last().map_or(i64::MIN, |p| p.ts.0.saturating_add(self.width));
        self.points = joined;
    }
}
