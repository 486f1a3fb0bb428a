//! What the engine tells, in the oracle's words: amounts as reduced fractions.

use std::fmt::Write as _;

use sandpaper::domain::{Instrument, InstrumentTable, Liquidity, Money, Price, Qty};
use sandpaper::engine::{Engine, LaneOutput, Output};

/// `units` of 10^-`decimals` as a reduced fraction.
fn fraction(units: i128, decimals: u8) -> String {
    let (mut top, mut bottom) = (units, 10_i128.pow(u32::from(decimals)));
    for prime in [2, 5] {
        while top % prime == 0 && bottom % prime == 0 {
            (top, bottom) = (top / prime, bottom / prime);
        }
    }
    if bottom == 1 { top.to_string() } else { format!("{top}/{bottom}") }
}

fn money(amount: Money) -> String {
    fraction(amount.0, Money::DECIMALS)
}

fn quantity(instrument: &Instrument, qty: Qty) -> String {
    fraction(i128::from(qty.0), instrument.qty_decimals)
}

fn price(instrument: &Instrument, price: Option<Price>) -> String {
    price.map_or("-".into(), |p| fraction(i128::from(p.0), instrument.price_decimals))
}

/// Appends the news in the order in which it came; returns how many fills.
pub fn tell(news: &[Output], instruments: &InstrumentTable, out: &mut String) -> u64 {
    let mut fills = 0;
    for one in news {
        let _ = match &one.body {
            LaneOutput::Fill { fill, .. } => {
                fills += 1;
                let maker = fill.liquidity == Liquidity::Maker;
                writeln!(
                    out,
                    "fill {} {} {} {} {} {} {} {}",
                    fill.order.0,
                    fill.symbol.0,
                    fill.action.name(),
                    quantity(instruments.at(fill.symbol), fill.qty),
                    money(fill.amount),
                    money(fill.fee),
                    if maker { "maker" } else { "taker" },
                    fill.cause.name(),
                )
            }
            LaneOutput::Asked { .. } => Ok(()),
            LaneOutput::Halted { .. } => writeln!(out, "halted"),
            LaneOutput::Reject { order, reason, .. } => {
                writeln!(out, "reject {} {}", order.0, reason.name())
            }
            LaneOutput::Accepted { order, symbol, leaves, limit, stop, .. } => {
                let instrument = instruments.at(*symbol);
                writeln!(
                    out,
                    "accept {} {} {} {}",
                    order.0,
                    quantity(instrument, *leaves),
                    price(instrument, *limit),
                    price(instrument, *stop),
                )
            }
            LaneOutput::Canceled { order, symbol, leaves } => {
                writeln!(out, "cancel {} {}", order.0, quantity(instruments.at(*symbol), *leaves))
            }
            LaneOutput::Expired { order, symbol, leaves } => {
                writeln!(out, "expire {} {}", order.0, quantity(instruments.at(*symbol), *leaves))
            }
            LaneOutput::Sent { what, order, arrives, .. } => {
                let order = order.map_or(0, |order| order.0);
                writeln!(out, "sent {} {order} {}", what.name(), arrives.0)
            }
            LaneOutput::Charge(charge) => {
                let (symbol, kind) = (charge.symbol.0, charge.kind.name());
                writeln!(out, "charge {symbol} {kind} {}", money(charge.amount))
            }
            other => panic!("nothing of this kind was asked for: {other:?}"),
        };
    }
    fills
}

/// Appends where the account stands.
pub fn state(engine: &Engine, instruments: &InstrumentTable, out: &mut String) {
    let report = &engine.reports()[0];
    let held = |instrument: &Instrument| {
        let open = report.positions.iter().find(|p| p.0 == instrument.symbol);
        let text = open.map_or("0", |p| p.1.as_str());
        let units = sandpaper::domain::decimal::parse(text, instrument.qty_decimals);
        fraction(units.expect("its own text"), instrument.qty_decimals)
    };
    let positions: Vec<String> = instruments.iter().map(|(_, i)| held(i)).collect();
    let cash: Vec<String> = report.assets.iter().map(|asset| money(asset.cash)).collect();
    let totals = &report.statistics;
    let _ = writeln!(
        out,
        "state {} {} {} {} {} {} {} {} {:.0}",
        cash.join(" "),
        positions.join(" "),
        money(totals.fees),
        money(totals.carry),
        money(totals.realized),
        money(totals.net),
        totals.unconverted,
        report.equity.map_or("-".into(), money),
        report.max_drawdown_pct * 1e7,
    );
}
