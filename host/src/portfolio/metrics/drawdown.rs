//! When the largest fall from a peak began, was deepest, and was made good.

use serde::{Deserialize, Serialize};

use crate::domain::{Money, Ts};

/// The largest fall so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// the last moment at the peak
    pub start: Ts,
    /// the lowest moment
    pub trough: Ts,
    /// when the peak was reached again
    pub recovery: Option<Ts>,
}

/// Follows the equity against its peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawdown {
    /// the last moment at the peak
    peak_at: i64,
    at_peak: bool,
    /// the largest fall and the peak that it fell from
    worst: Option<(Span, Money)>,
}

impl Drawdown {
    /// The equity stood until `now`.
    pub fn advance(&mut self, now: i64) {
        if self.at_peak {
            self.peak_at = now;
        }
    }

    /// Takes a new equity; see [`Metrics::follow`](super::Metrics::follow).
    pub fn follow(&mut self, now: i64, equity: Money, peak: Money, deeper: bool) {
        self.at_peak = equity == peak;
        if self.at_peak {
            self.peak_at = now;
        }
        match &mut self.worst {
            _ if deeper => {
                let span = Span { start: Ts(self.peak_at), trough: Ts(now), recovery: None };
                self.worst = Some((span, peak));
            }
            Some((span, from)) if span.recovery.is_none() && equity >= *from => {
                span.recovery = Some(Ts(now));
            }
            _ => {}
        }
    }

    /// The largest fall; `None` while the equity never fell.
    #[must_use]
    pub fn worst(&self) -> Option<Span> {
        self.worst.map(|(span, _)| span)
    }
}
