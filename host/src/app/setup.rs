//! From configuration and loaded modules to a started engine.

use std::collections::BTreeMap;

use crate::cli::Exit;
use crate::config::{self, Config, ExecutionModel};
use crate::domain::{InstrumentTable, Money, Ts};
use crate::engine::{Engine, EngineBuilder, EngineConfig, FaultPolicy, LaneSpec};
use crate::execution::{ExecutionConfig, Model, Schedule};
use crate::lockfile::LimitOverride;
use crate::market::MarketLimits;
use crate::portfolio::{AccountConfig, Terms};
use crate::risk::{OnHalt, OnTotal, RiskConfig, ShortBase, TotalLimits};
use crate::strategy::{Channel, Value};

use super::Failure;
use super::given;
use super::latency::latencies;
use super::strategies::Loaded;

/// What each loaded module will trade, in its order.
pub type Symbols = Vec<Vec<String>>;

/// Chooses each strategy's symbols: its own section's, else the run's (from a
/// flag or the file), else those that it declares, else `fallback`, with a
/// warning.
#[must_use]
pub fn choose_symbols(config: &Config, loaded: &[Loaded], fallback: &[String]) -> Symbols {
    loaded
        .iter()
        .map(|one| {
            let own = config.strategy.get(&one.name).map(|s| &s.symbols);
            let named = own.filter(|s| !s.is_empty()).unwrap_or(&config.run.symbols);
            if !named.is_empty() {
                return named.clone();
            }
            if !one.descriptor.symbols.is_empty() {
                return one.descriptor.symbols.clone();
            }
            if fallback == config.run.default_symbols {
                tracing::warn!(
                    "{} names no symbols and neither does the configuration: it gets run.default_symbols, {}",
                    one.name,
                    fallback.join(", ")
                );
            }
            fallback.to_vec()
        })
        .collect()
}

/// All symbols of a run, in order of appearance.
#[must_use]
pub fn union(config: &Config, symbols: &Symbols) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for symbol in config.run.symbols.iter().chain(symbols.iter().flatten()) {
        if !all.contains(symbol) {
            all.push(symbol.clone());
        }
    }
    all
}

/// Refuses symbols that a source does not have, naming those that are near.
///
/// # Errors
/// The first such symbol, with the source's own.
pub fn check_symbols(wanted: &[String], known: &[String], source: &str) -> Result<(), Failure> {
    for symbol in wanted {
        if known.contains(symbol) {
            continue;
        }
        let plain = |text: &str| text.replace(['/', '-'], "").to_uppercase();
        let near =
            known.iter().min_by_key(|k| strsim::damerau_levenshtein(&plain(k), &plain(symbol)));
        let near = near
            .filter(|k| strsim::damerau_levenshtein(&plain(k), &plain(symbol)) <= 2)
            .map(|k| format!("; did you mean {k}?"));
        let message = format!(
            "{source} has no symbol {symbol}{}",
            near.unwrap_or_else(|| format!("; it has {}", known.join(", ")))
        );
        return Err(Failure::new(Exit::Feed, message)
            .hint(format!("choose symbols with --symbols {}", known.join(","))));
    }
    Ok(())
}

/// Candle intervals, in seconds, that the run needs: the configured ones and
/// those that strategies subscribed to.
#[must_use]
pub fn candle_intervals(config: &Config, loaded: &[Loaded]) -> Vec<u32> {
    let configured = config.market.candle_intervals.iter().map(|interval| interval.seconds);
    let asked = loaded.iter().flat_map(|one| &one.descriptor.subscriptions).filter_map(|s| match s
        .channel
    {
        Channel::Candles(interval_s) => Some(interval_s),
        _ => None,
    });
    let mut intervals: Vec<u32> = configured.chain(asked).collect();
    intervals.sort_unstable();
    intervals.dedup();
    intervals
}

/// The deepest book of each symbol that a strategy subscribed to, in levels.
#[must_use]
pub fn depths(loaded: &[Loaded], symbols: &Symbols) -> BTreeMap<String, u32> {
    let mut depths = BTreeMap::new();
    for (one, traded) in loaded.iter().zip(symbols) {
        for subscription in &one.descriptor.subscriptions {
            let Channel::Book(levels) = subscription.channel else { continue };
            let meant = traded
                .iter()
                .filter(|s| subscription.symbol.as_ref().is_none_or(|named| named == *s));
            for symbol in meant {
                let depth = depths.entry(symbol.clone()).or_insert(0);
                *depth = levels.max(*depth);
            }
        }
    }
    depths
}

/// Builds and starts the engine.
///
/// # Errors
/// Wrong symbols, parameters or accounts.
pub fn engine(
    config: &Config,
    run: &str,
    instruments: InstrumentTable,
    loaded: Vec<Loaded>,
    symbols: Symbols,
    now: Ts,
) -> Result<Engine, Failure> {
    Ok(builder(config, run, instruments, loaded, symbols)?.start(now))
}

/// An engine that is ready to start.
///
/// # Errors
/// As [`engine`].
pub fn builder(
    config: &Config,
    run: &str,
    instruments: InstrumentTable,
    loaded: Vec<Loaded>,
    symbols: Symbols,
) -> Result<EngineBuilder, Failure> {
    let mut builder = EngineBuilder::new(engine_config(config, run)?, instruments.clone())?;
    for (one, symbols) in loaded.into_iter().zip(symbols) {
        let account = account(config, &one.name, &symbols, &instruments)?;
        builder.add(LaneSpec {
            parameters: parameters(config, &one.name),
            name: one.name,
            strategy: one.guest,
            descriptor: one.descriptor,
            symbols,
            account,
        })?;
    }
    Ok(builder)
}

/// The engine's part of the configuration.
///
/// # Errors
/// A file of latencies that is none.
pub fn engine_config(config: &Config, run: &str) -> Result<EngineConfig, Failure> {
    let (execution, market) = (&config.execution, &config.market);
    Ok(EngineConfig {
        run: run.to_owned(),
        seed: config.run.seed,
        batch: config.engine.batch as usize,
        market: MarketLimits {
            candles: market.candle_history as usize,
            trades: market.trade_history as usize,
            fill_gaps: market.fill_candle_gaps,
        },
        candles: market.candle_intervals.iter().map(|interval| interval.seconds).collect(),
        execution: ExecutionConfig {
            model: match execution.model {
                ExecutionModel::Book => Model::Book,
                ExecutionModel::Instant => Model::Instant,
            },
            fee: execution.fee_rate,
            maker: execution.maker_fee_rate.unwrap_or(execution.fee_rate),
            schedule: match execution.fee_schedule {
                config::FeeSchedule::Flat => Schedule::Flat,
                config::FeeSchedule::Kraken => Schedule::Kraken,
            },
            volume: execution.fee_volume,
            book_slippage: execution.book_slippage_rate,
            slippage: execution.slippage_rate,
            max_trade_age_ns: i64::try_from(execution.max_trade_age.as_nanos()).unwrap_or(i64::MAX),
            max_short_leverage: execution.max_short_leverage,
            short_base: match execution.short_base {
                config::ShortBase::Starting => ShortBase::Starting,
                config::ShortBase::Equity => ShortBase::Equity,
            },
        },
        latency: latencies(config)?,
        risk: RiskConfig {
            on_halt: match config.risk.on_halt {
                config::OnHalt::Hold => OnHalt::Hold,
                config::OnHalt::Flatten => OnHalt::Flatten,
            },
            max_order: config.risk.max_order,
            max_position: config.risk.max_position,
            max_exposure: config.risk.max_exposure,
            max_orders_per_minute: config.risk.max_orders_per_minute,
            max_daily_loss: config.risk.max_daily_loss,
            max_drawdown: config.risk.max_drawdown,
            maintenance_margin: config.risk.maintenance_margin,
            liquidation_fee: config.risk.liquidation_fee_rate,
        },
        total: total_limits(config),
        effects: given::effects(config, &LimitOverride::default()),
        interval_ns: i64::from(config.run.interval_ms) * 1_000_000,
        strict: config.engine.strict,
        on_fault: fault_policy(config),
        terms: Terms {
            short_open: execution.short_open_fee,
            short_rollover: execution.short_rollover_fee,
            sample_ns: i64::try_from(config.portfolio.sample_interval.as_nanos())
                .unwrap_or(i64::MAX),
        },
    })
}

fn total_limits(config: &Config) -> TotalLimits {
    let risk = &config.risk;
    TotalLimits {
        action: match risk.on_total {
            config::OnTotal::Pause => OnTotal::Pause,
            config::OnTotal::Flatten => OnTotal::Flatten,
            config::OnTotal::Kill => OnTotal::Kill,
        },
        max_daily_loss: risk.total_daily_loss,
        max_drawdown: risk.total_drawdown,
        max_exposure: risk.total_exposure,
        max_short_leverage: risk.total_short_leverage,
        maintenance_margin: risk.total_maintenance_margin,
        max_orders_per_minute: risk.total_orders_per_minute,
    }
}

fn fault_policy(config: &Config) -> FaultPolicy {
    let sandbox = &config.sandbox;
    let ns = |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    FaultPolicy {
        restarts: match sandbox.on_fault {
            config::OnFault::Quarantine => 0,
            config::OnFault::Restart => sandbox.restarts,
        },
        backoff_ns: ns(sandbox.restart_after),
        save_every_ns: ns(sandbox.save_every),
        flatten: sandbox.fault_positions == config::OnHalt::Flatten,
    }
}

/// What the configuration says of a strategy's parameters.
#[must_use]
pub fn parameters(config: &Config, name: &str) -> Vec<(String, Value)> {
    let params = config.strategy.get(name).map(|s| &s.params);
    params.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A strategy's account. Where none of its symbols is quoted in the configured
/// currency, the capital counts in the quote of its first symbol.
fn account(
    config: &Config,
    name: &str,
    symbols: &[String],
    instruments: &InstrumentTable,
) -> Result<AccountConfig, Failure> {
    let quotes: Vec<&str> = symbols
        .iter()
        .filter_map(|s| instruments.find(s))
        .map(|s| instruments.at(s).quote.as_str())
        .collect();
    let portfolio = &config.portfolio;
    let mut currency = portfolio.currency.clone();
    if !quotes.contains(&currency.as_str())
        && let Some(first) = quotes.first()
    {
        tracing::warn!(
            "{name}: no symbol is quoted in {currency}, so its capital counts in {first}"
        );
        currency = (*first).to_owned();
    }
    let own = config.strategy.get(name).and_then(|s| s.capital);
    let mut assets = Vec::new();
    for (asset, amount) in &portfolio.assets {
        let units = amount.units(Money::DECIMALS).map(Money).ok_or_else(|| {
            let message = format!("portfolio.assets.{asset} has more than eight decimals");
            Failure::new(Exit::Config, message)
        })?;
        assets.push((asset.clone(), units));
    }
    Ok(AccountConfig {
        currency,
        capital: own.unwrap_or(portfolio.capital),
        assets,
        fills_kept: config.history.fills as usize,
        trips_kept: config.history.trades as usize,
    })
}
