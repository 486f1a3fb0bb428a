//! The ledger as a journal of hledger: an accounting program that knows nothing of
//! this one checks every transaction and every balance.
//!
//! Each fill and each charge is a transaction that balances in every commodity. After
//! each fill the position that the engine tells is asserted; at the end all balances
//! that it tells are: cash, positions, fees and charges, asset by asset.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::Timestamp;

use crate::domain::{Fill, Instrument, Money, Qty, Side, Ts, decimal};
use crate::engine::{Engine, LaneOutput, Output};
use crate::portfolio::Charge;

use super::Sheet;

/// A journal of hledger.
#[derive(Debug, Default)]
pub struct Ledger;

impl Sheet for Ledger {
    fn open(&mut self, engine: &Engine, lanes: &[u16], out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "; The ledger of a run, for hledger: check it with `hledger check -s`.")?;
        writeln!(out, "decimal-mark .\n")?;
        let reports = engine.reports();
        let mut commodities: BTreeSet<(String, u8)> = BTreeSet::new();
        let mut accounts: BTreeSet<String> = BTreeSet::new();
        for &lane in lanes {
            let report = &reports[usize::from(lane)];
            let name = word(&report.name);
            for leaf in ["capital", "fees", "carry", "cash"] {
                accounts.insert(format!("{name}:{leaf}"));
            }
            for asset in &report.assets {
                commodities.insert((asset.asset.clone(), Money::DECIMALS));
            }
            for (_, instrument) in report.instruments.iter() {
                for place in ["positions", "venue"] {
                    accounts.insert(format!("{name}:{place}:{}", word(&instrument.symbol)));
                }
                commodities.insert((instrument.base.clone(), instrument.qty_decimals));
            }
        }
        // One that is traded and paid with has the finer of its formats.
        let finest = |name: &str| {
            let own = commodities.iter().filter(|(known, _)| known == name);
            own.map(|(_, decimals)| *decimals).max().unwrap_or_default()
        };
        let names: BTreeSet<&String> = commodities.iter().map(|(name, _)| name).collect();
        for name in names {
            writeln!(
                out,
                "commodity {}",
                amount(10_i128.pow(u32::from(finest(name))), finest(name), name)
            )?;
        }
        for account in &accounts {
            writeln!(out, "account {account}")?;
        }
        for &lane in lanes {
            let report = &reports[usize::from(lane)];
            for asset in report.assets.iter().filter(|asset| asset.cash != Money::ZERO) {
                let name = word(&report.name);
                let mut entry = Entry::new(engine.now(), &format!("{name} starts"));
                entry.money(&format!("{name}:cash"), asset.cash, &asset.asset);
                entry.money(&format!("{name}:capital"), -asset.cash, &asset.asset);
                entry.write(out)?;
            }
        }
        Ok(())
    }

    fn news(&mut self, engine: &Engine, news: &Output, out: &mut dyn Write) -> io::Result<()> {
        let lane = engine.lane(news.lane);
        let name = word(lane.name);
        match &news.body {
            LaneOutput::Fill { fill, position, .. } => {
                let instrument = lane.instruments.at(fill.symbol);
                fill_entry(&name, instrument, fill, *position).write(out)
            }
            LaneOutput::Charge(charge) => {
                let instrument = lane.instruments.at(charge.symbol);
                charge_entry(&name, instrument, news.ts, charge).write(out)
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, engine: &Engine, lanes: &[u16], out: &mut dyn Write) -> io::Result<()> {
        let reports = engine.reports();
        for &lane in lanes {
            let report = &reports[usize::from(lane)];
            let name = word(&report.name);
            let mut entry =
                Entry::new(engine.now(), &format!("{name}: the balances that it tells"));
            for asset in &report.assets {
                let told = [("cash", asset.cash), ("fees", asset.fees), ("carry", asset.carry)];
                for (leaf, balance) in told {
                    entry.holds(
                        &format!("{name}:{leaf}"),
                        balance.0,
                        Money::DECIMALS,
                        &asset.asset,
                    );
                }
            }
            for (_, instrument) in report.instruments.iter() {
                let open =
                    report.positions.iter().find(|(symbol, ..)| *symbol == instrument.symbol);
                let text = open.map_or("0", |(_, quantity, _)| quantity.as_str());
                let qty = decimal::parse(text, instrument.qty_decimals).unwrap_or_default();
                let account = format!("{name}:positions:{}", word(&instrument.symbol));
                entry.holds(&account, qty, instrument.qty_decimals, &instrument.base);
            }
            entry.write(out)?;
        }
        Ok(())
    }
}

fn fill_entry(name: &str, instrument: &Instrument, fill: &Fill, position: Qty) -> Entry {
    let sign = if fill.action.side() == Side::Buy { 1 } else { -1 };
    let (qty, paid) = (sign * i128::from(fill.qty.0), Money(sign * fill.amount.0));
    let symbol = word(&instrument.symbol);
    let words = format!(
        "{name} fill {} of order {}: {} {symbol} ({})",
        fill.id,
        fill.order.0,
        fill.action.name(),
        fill.cause.name(),
    );
    let mut entry = Entry::new(fill.ts, &words);
    let (held, venue) = (format!("{name}:positions:{symbol}"), format!("{name}:venue:{symbol}"));
    let (decimals, base) = (instrument.qty_decimals, &instrument.base);
    let after = amount(i128::from(position.0), decimals, base);
    entry.line(&held, &format!("{} = {after}", amount(qty, decimals, base)));
    entry.line(&venue, &amount(-qty, decimals, base));
    entry.money(&format!("{name}:cash"), -paid - fill.fee, &instrument.quote);
    entry.money(&venue, paid, &instrument.quote);
    entry.money(&format!("{name}:fees"), fill.fee, &instrument.quote);
    entry
}

fn charge_entry(name: &str, instrument: &Instrument, ts: Ts, charge: &Charge) -> Entry {
    let words = format!("{name} {} of a short in {}", charge.kind.name(), word(&instrument.symbol));
    let mut entry = Entry::new(ts, &words);
    entry.money(&format!("{name}:cash"), -charge.amount, &instrument.quote);
    entry.money(&format!("{name}:carry"), charge.amount, &instrument.quote);
    entry
}

/// One transaction.
struct Entry(String);

impl Entry {
    fn new(ts: Ts, words: &str) -> Self {
        let time = Timestamp::from_nanosecond(i128::from(ts.0)).unwrap_or_default();
        let text = time.to_string();
        let date = text.split('T').next().unwrap_or_default();
        Self(format!("\n{date} * {words} ; {text}\n"))
    }

    fn line(&mut self, account: &str, amount: &str) {
        self.0.push_str(&format!("    {account}  {amount}\n"));
    }

    fn money(&mut self, account: &str, money: Money, asset: &str) {
        self.line(account, &amount(money.0, Money::DECIMALS, asset));
    }

    /// The account holds exactly so much of this commodity.
    fn holds(&mut self, account: &str, units: i128, decimals: u8, commodity: &str) {
        let (none, held) = (amount(0, decimals, commodity), amount(units, decimals, commodity));
        self.line(account, &format!("{none} = {held}"));
    }

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.0.as_bytes())
    }
}

/// An amount with its commodity, which is always quoted: names of assets have digits.
fn amount(units: i128, decimals: u8, commodity: &str) -> String {
    let mut text = decimal::format(units, decimals);
    // Without a decimal mark a format would not be one.
    if decimals == 0 {
        text.push('.');
    }
    format!("{text} \"{}\"", word(commodity))
}

/// A name without what means something to hledger.
fn word(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_./".contains(c) { c } else { '_' };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_amounts_mean_nothing_else() {
        assert_eq!(word("a:b;c \"d\n"), "a_b_c__d_");
        assert_eq!(amount(-150_000_000, 8, "USD"), "-1.50000000 \"USD\"");
        assert_eq!(amount(3, 0, "1INCH"), "3. \"1INCH\"");
    }
}
