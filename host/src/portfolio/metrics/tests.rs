//! Hand-computed figures, and every streaming one against a plain one over the
//! whole history.

use proptest::prelude::*;

use super::*;
use crate::portfolio::Statistics;

const HOUR: i64 = 3_600 * Ts::SECOND;

fn usd(whole: i64) -> Money {
    Money(i128::from(whole) * 100_000_000)
}

/// Runs an equity path of (time, equity) through the metrics, as an account
/// does, and returns them with the largest drawdown.
fn follow(path: &[(i64, Money)], sample_ns: i64) -> (Metrics, f64) {
    let mut metrics = Metrics::new(sample_ns);
    let (mut equity, mut peak, mut worst) = (path[0].1, path[0].1, 0.0);
    for &(now, next) in path {
        metrics.advance(Ts(now), Some(equity));
        equity = next;
        peak = peak.max(equity);
        let fall = (peak - equity).to_f64() / peak.to_f64();
        metrics.follow(equity, peak, fall > worst);
        worst = worst.max(fall);
    }
    (metrics, 100.0 * worst)
}

fn summary(path: &[(i64, Money)], sample_ns: i64, now: i64) -> Summary {
    let (metrics, max_drawdown_pct) = follow(path, sample_ns);
    let statistics = Statistics::new(0, 0);
    let facts = Facts {
        statistics: &statistics,
        start: path.first().map(|p| p.1),
        equity: path.last().map(|p| p.1),
        max_drawdown_pct,
        buy_and_hold_pct: None,
    };
    metrics.summary(Ts(now), &facts)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn ratios_are_those_computed_by_hand() {
    // Up 1 % and down 1 % by turns, an hour each, over 40 hours: the equity
    // changes half an hour after each sample.
    let mut path = vec![(0, usd(1_000_000))];
    for hour in 0..40 {
        let last = path.last().unwrap().1;
        let part = Money(last.0 / 100);
        let next = if hour % 2 == 0 { last + part } else { last - part };
        path.push((hour * HOUR + HOUR / 2, next));
    }
    let got = summary(&path, HOUR, 40 * HOUR);
    assert_eq!(got.samples, 40);
    // Mean 0, deviation 0.01 × √(40/39), 8760 hours a year.
    let expected = 1.0 * (40.0_f64 / 39.0).sqrt() * 8_760.0_f64.sqrt();
    assert!((got.volatility_pct.unwrap() - expected).abs() < 1e-6);
    assert!(got.sharpe.unwrap().abs() < 1e-6);
    assert!(got.sortino.unwrap().abs() < 1e-6);
    // 20 times (1.01 × 0.99) over 40 hours.
    let end = (1.01_f64 * 0.99).powi(20);
    let cagr = end.powf(8_760.0 / 40.0) - 1.0;
    assert!((got.cagr_pct.unwrap() / 100.0 - cagr).abs() < 1e-6);
    assert!((got.calmar.unwrap() - cagr / (got.max_drawdown_pct / 100.0)).abs() < 1e-6);
}

#[test]
fn figures_do_not_depend_on_when_a_history_begins() {
    let path = |begin: i64| -> Vec<(i64, Money)> {
        (0..40).map(|hour| (begin + hour * HOUR, usd(1_000 + (hour * 37) % 50))).collect()
    };
    let from = |begin: i64| {
        let got = summary(&path(begin), HOUR, begin + 40 * HOUR);
        (got.span_s, got.sample_s, got.samples, got.cagr_pct, got.sharpe, got.drawdown_s)
    };
    assert_eq!(from(0), from(1_700_000_000 * Ts::SECOND));
    let (span, sample, ..) = from(5 * HOUR);
    assert_eq!((span, sample), (Some(40.0 * 3_600.0), 3_600.0));
}

#[test]
fn what_is_unknown_is_none_and_never_zero() {
    let flat: Vec<(i64, Money)> = (0..100).map(|h| (h * HOUR, usd(100))).collect();
    let got = summary(&flat, HOUR, 99 * HOUR);
    assert_eq!((got.volatility_pct, got.return_pct), (Some(0.0), Some(0.0)));
    assert_eq!((got.sharpe, got.sortino, got.calmar), (None, None, None), "nothing to divide by");
    assert_eq!((got.profit_factor, got.expectancy, got.sqn), (None, None, None));
    assert_eq!((got.best, got.payoff, got.win_rate_pct), (None, None, None));
    assert_eq!(got.drawdown_start_ns, None);
    let rising = |samples: i64, step: i64| -> Vec<(i64, Money)> {
        (0..=samples).map(|n| (n * step, usd(100 + n * n % 7 + n))).collect()
    };
    let short = summary(&rising(29, HOUR), HOUR, 29 * HOUR);
    assert_eq!((short.samples, short.sharpe), (29, None), "a sample too few");
    assert!(summary(&rising(31, HOUR), HOUR, 31 * HOUR).sharpe.is_some());
    let hasty = summary(&rising(1_000, Ts::SECOND), Ts::SECOND, 1_000 * Ts::SECOND);
    assert_eq!((hasty.sharpe, hasty.cagr_pct), (None, None), "not yet a day");
    let ruined = vec![(0, usd(100)), (HOUR, usd(-1)), (50 * HOUR, usd(-1))];
    let got = summary(&ruined, HOUR, 60 * HOUR);
    assert_eq!((got.sharpe, got.volatility_pct, got.cagr_pct), (None, None, None));
    assert!(got.return_pct.unwrap() < -100.0);
}

#[test]
fn a_drawdown_has_its_dates() {
    let path: Vec<(i64, Money)> = [(0, 100), (5, 120), (9, 120), (10, 110), (20, 90), (30, 119)]
        .map(|(s, e)| (s * Ts::SECOND, usd(e)))
        .to_vec();
    let got = summary(&path, HOUR, 40 * Ts::SECOND);
    let dates = |s: &Summary| {
        [s.drawdown_start_ns, s.drawdown_trough_ns, s.drawdown_recovery_ns]
            .map(|ts| ts.map(|ts| ts / Ts::SECOND))
    };
    // It stood at 120 until the event of second 10.
    assert_eq!(dates(&got), [Some(10), Some(20), None]);
    assert_eq!(got.drawdown_s, Some(30.0), "until now");
    assert!((got.max_drawdown_pct - 25.0).abs() < 1e-9);
    let mut longer = path.clone();
    longer.extend([(41, 120), (42, 100), (60, 300)].map(|(s, e)| (s * Ts::SECOND, usd(e))));
    let got = summary(&longer, HOUR, 99 * Ts::SECOND);
    assert_eq!(dates(&got), [Some(10), Some(20), Some(41)], "a smaller fall later changes nothing");
    assert_eq!(got.drawdown_s, Some(31.0));
}

#[test]
fn exposure_is_the_share_of_time_with_a_position() {
    let mut metrics = Metrics::new(HOUR);
    for (second, exposed) in [(0, false), (10, true), (20, true), (30, false), (50, true)] {
        metrics.advance(Ts(second * Ts::SECOND), Some(usd(1)));
        metrics.expose(exposed);
    }
    assert_eq!(metrics.exposure_pct(100 * Ts::SECOND), Some(70.0));
    assert_eq!(Metrics::new(HOUR).exposure_pct(5), None);
}

#[test]
fn sqn_grows_with_the_root_of_at_most_a_hundred_trips() {
    let sqn = |trips: i64| {
        let mut metrics = Metrics::new(HOUR);
        (0..trips).for_each(|n| metrics.on_round_trip(usd(if n % 2 == 0 { 3 } else { -1 })));
        metrics.sqn()
    };
    assert_eq!(sqn(29), None);
    // Mean 1, deviation 2 × √(n/(n−1)).
    let expected = |n: f64| n.min(100.0).sqrt() / (2.0 * (n / (n - 1.0)).sqrt());
    assert!(close(sqn(30).unwrap(), expected(30.0)));
    assert!(close(sqn(1_000).unwrap(), expected(1_000.0)));
}

/// Random times and equities, with silences of many samples.
fn path() -> impl Strategy<Value = Vec<(i64, Money)>> {
    let gap = prop_oneof![4 => 0_i64..HOUR, 1 => 0..30 * HOUR];
    prop::collection::vec((gap, 50_000_i64..150_000), 2..400).prop_map(|steps| {
        let mut now = 1_700_000_000 * Ts::SECOND;
        let step = |(gap, cents): (i64, i64)| {
            now += gap;
            (now, Money(i128::from(cents) * 1_000_000))
        };
        steps.into_iter().map(step).collect()
    })
}

/// The equity that stood just before `at`.
fn stood(path: &[(i64, Money)], at: i64) -> Money {
    path.iter().rev().find(|(ts, _)| *ts < at).unwrap_or(&path[0]).1
}

proptest! {
    #[test]
    fn streaming_equals_the_plain_computation(path in path(), tail in 0_i64..100 * HOUR) {
        let (first, last) = (path[0].0, path[path.len() - 1].0);
        let now = last + tail;
        let got = summary(&path, HOUR, now);
        let samples: Vec<f64> = (0..=(now - first) / HOUR)
            .map(|n| if n == 0 { path[0].1 } else { stood(&path, first + n * HOUR) }.to_f64())
            .collect();
        let returns: Vec<f64> = samples.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
        let count = returns.len() as f64;
        prop_assert_eq!(got.samples, returns.len() as u64);
        if returns.len() >= 30 {
            let mean = returns.iter().sum::<f64>() / count;
            let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let down = returns.iter().map(|r| r.min(0.0).powi(2)).sum::<f64>() / count;
            let year = 8_760.0_f64.sqrt();
            prop_assert!(close(got.volatility_pct.unwrap(), 100.0 * variance.sqrt() * year));
            prop_assert_eq!(got.sharpe.is_some(), variance > 0.0);
            if let Some(sharpe) = got.sharpe {
                prop_assert!((sharpe - mean / variance.sqrt() * year).abs() < 1e-6);
            }
            prop_assert_eq!(got.sortino.is_some(), down > 0.0);
            if let Some(sortino) = got.sortino {
                prop_assert!((sortino - mean / down.sqrt() * year).abs() < 1e-6);
            }
        } else {
            prop_assert_eq!(got.sharpe, None);
        }
    }

    #[test]
    fn a_curve_is_bounded_and_hides_no_extreme(path in path(), more in 1_usize..6) {
        let mut curve = Curve::default();
        let span = path[path.len() - 1].0 - path[0].0 + Ts::SECOND;
        let mut pushed: Vec<(i64, Money)> = Vec::new();
        for round in 0..more as i64 {
            pushed.extend(path.iter().map(|(ts, e)| (ts + round * span, *e)));
        }
        for (ts, equity) in &pushed {
            curve.push(*ts, *equity);
        }
        prop_assert!(curve.points().len() <= 512);
        let points = curve.points();
        prop_assert_eq!(points.iter().map(|p| p.min).min(), pushed.iter().map(|p| p.1).min());
        prop_assert_eq!(points.iter().map(|p| p.max).max(), pushed.iter().map(|p| p.1).max());
        prop_assert_eq!(points.last().map(|p| p.last), pushed.last().map(|p| p.1));
        for point in points {
            let (from, to) = (point.ts.0, point.ts.0 + curve.width());
            let inside: Vec<Money> =
                pushed.iter().filter(|(ts, _)| (from..to).contains(ts)).map(|p| p.1).collect();
            prop_assert_eq!(Some(&point.min), inside.iter().min());
            prop_assert_eq!(Some(&point.max), inside.iter().max());
            prop_assert_eq!(Some(&point.last), inside.last());
        }
    }
}

#[test]
fn one_value_has_a_mean_and_no_deviation() {
    let mut moments = Moments::default();
    assert_eq!((moments.mean(), moments.deviation()), (None, None));
    moments.add(3.0, 1);
    assert_eq!((moments.mean(), moments.deviation()), (Some(3.0), None));
    moments.add(5.0, 1);
    assert_eq!((moments.mean(), moments.deviation()), (Some(4.0), Some(2.0_f64.sqrt())));
}

#[test]
fn a_curve_keeps_as_many_points_as_it_may() {
    let mut curve = Curve::default();
    let most = curve::POINTS_MAX as i64;
    (0..most).for_each(|second| curve.push(second * Ts::SECOND, usd(second)));
    assert_eq!((curve.points().len() as i64, curve.width()), (most, Ts::SECOND));
    curve.push(most * Ts::SECOND, usd(0));
    assert_eq!((curve.points().len() as i64, curve.width()), (most / 2 + 1, 2 * Ts::SECOND));
}
