//! The expected figures, on the market that `SANDPAPER_MARKET` names: the folder
//! with `trades_1.csv` from the benchmark's generator. Without it the test says
//! so and ends.

use std::path::PathBuf;

use strategy_sdk::types::Side;
use workload_s1::S1;
use workload_s2::S2;
use workload_s3::S3;

use super::*;

fn market() -> Option<PathBuf> {
    std::env::var_os("SANDPAPER_MARKET").map(|folder| PathBuf::from(folder).join("trades_1.csv"))
}

fn trades(path: &PathBuf) -> Result<impl Iterator<Item = Result<Trade, String>>, String> {
    let reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    Ok(reader.into_records().zip(0..).map(|(record, id)| {
        let record = record.map_err(|error| error.to_string())?;
        let field = |index: usize| record.get(index).unwrap_or_default();
        let number = |index: usize| {
            field(index).parse::<f64>().map_err(|error| format!("{record:?}: {error}"))
        };
        Ok(Trade {
            symbol: Symbol(0),
            ts_ns: field(0).parse().map_err(|error| format!("{record:?}: {error}"))?,
            price: number(2)?,
            quantity: number(3)?,
            side: if field(4) == "sell" { Side::Sell } else { Side::Buy },
            id,
        })
    }))
}

#[test]
fn workloads_give_the_expected_fills_and_equity() -> Result<(), String> {
    let Some(path) = market() else {
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: SANDPAPER_MARKET does not name the benchmark's folder");
        }
        return Ok(());
    };
    let (_, s1) = run::<S1>(trades(&path)?)?;
    let (_, s2) = run::<S2>(trades(&path)?)?;
    let (counter, s3) = run::<S3>(trades(&path)?)?;
    let got = [&s1, &s2, &s3].map(|host| (host.fills, format!("{:.4}", host.equity())));
    let expect = [(116, "99977.8521"), (3_659, "99154.2650"), (0, "100000.0000")];
    assert_eq!(got, expect.map(|(fills, equity)| (fills, equity.to_owned())));
    assert_eq!(counter.strategy().map(S3::events), Some(2_000_000));
    Ok(())
}
