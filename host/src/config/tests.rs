//! Layers, unknown keys, types and ranges.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::domain::{Money, Rate, Ts};
use crate::strategy::Value;

/// The file that ships with the product.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.toml");

/// Loads `--set` arguments over the built-in settings.
fn set(arguments: &[&str]) -> Result<Config, ConfigError> {
    let set = arguments.iter().map(|&text| text.to_owned()).collect();
    Config::load(&Sources { set, ..Sources::default() })
}

/// Loads one file with that text; its name in messages is `test.toml`.
fn file(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    fs::write(&path, text).unwrap();
    Config::load(&Sources { files: vec![path], ..Sources::default() })
}

/// The one problem of a refused configuration, without the folder of the file.
#[track_caller]
fn problem(result: Result<Config, ConfigError>) -> String {
    let error = result.expect_err("the configuration was taken");
    assert_eq!(error.problems.len(), 1, "{error}");
    let text = error.to_string();
    text.find("test.toml").map_or(text.clone(), |at| text[at..].to_owned())
}

#[test]
fn high_003_an_unknown_key_names_file_line_and_nearest_key() {
    assert_eq!(
        problem(file("[run]\nseed = 2\n\n[execution]\nfee_rat = 0.1\n")),
        "test.toml:5: unknown key 'execution.fee_rat'; the nearest known key is 'execution.fee_rate'"
    );
}

#[test]
fn high_003_a_key_in_the_wrong_section_is_found() {
    assert_eq!(
        problem(file("[execution]\nseed = 2\n")),
        "test.toml:2: unknown key 'execution.seed'; the nearest known key is 'run.seed'"
    );
}

#[test]
fn high_003_misspelt_sections_are_found_even_when_empty() {
    assert!(problem(file("[executoin]\n")).contains("unknown key 'executoin'"));
    assert!(problem(file("[executoin]\nfee_rate = 0\n")).contains("'execution.fee_rate'"));
    assert!(problem(file("run = 5\n")).contains("unknown key 'run'"));
    assert!(problem(file("[run.seed]\nx = 1\n")).contains("unknown key 'run.seed.x'"));
    assert!(file("[run]\n[feed]\n[feed.sim.prices]\n[strategy.a]\n[portfolio.assets]\n").is_ok());
}

#[test]
fn high_003_an_unknown_key_of_a_strategy_keeps_its_name() {
    assert_eq!(
        problem(file("[strategy.order-flow]\ncapitol = 5\n")),
        "test.toml:2: unknown key 'strategy.order-flow.capitol'; \
         the nearest known key is 'strategy.order-flow.capital'"
    );
}

#[test]
fn high_003_a_variable_with_one_underscore_too_few_is_told() {
    let env = vec![("SANDPAPER_RUN__SEED".to_owned(), "1".to_owned())];
    let told = problem(Config::load(&Sources { env, ..Sources::default() }));
    assert!(told.contains("SANDPAPER_RUN__SEED: "), "{told}");
    assert!(told.contains("a setting is named SANDPAPER__RUN__SEED"), "{told}");
    // The control: what else begins so is no setting.
    assert!(!source::is_meant("SANDPAPER_API_KEY"));
    assert!(source::is_meant("SANDPAPER__RUN__SEED"));
}

#[test]
fn high_003_environment_and_set_are_checked_alike() {
    let env = vec![("SANDPAPER__RUN__SEEED".to_owned(), "1".to_owned())];
    assert_eq!(
        problem(Config::load(&Sources { env, ..Sources::default() })),
        "environment variable SANDPAPER__RUN__SEEED: unknown key 'run.seeed'; \
         the nearest known key is 'run.seed'"
    );
    assert_eq!(
        problem(set(&["run.seeed=1"])),
        "--set run.seeed=1: unknown key 'run.seeed'; the nearest known key is 'run.seed'"
    );
    assert_eq!(problem(set(&["run.seed"])), "--set run.seed: expected SECTION.KEY=VALUE");
}

#[test]
fn high_003_wrong_types_name_key_place_and_what_is_allowed() {
    assert_eq!(
        problem(file("[run]\nseed = \"one\"\n")),
        "test.toml:2: 'run.seed' is \"one\", but must be a whole number"
    );
    assert_eq!(
        problem(set(&["engine.batch=4097"])),
        "--set engine.batch=4097: 'engine.batch' is \"4097\", \
         but must be a whole number, from 1 to 4096"
    );
    assert_eq!(
        problem(set(&["execution.model=magic"])),
        "--set execution.model=magic: 'execution.model' is \"magic\", \
         but must be \"book\" or \"instant\""
    );
}

#[test]
fn high_003_broken_toml_names_its_line() {
    let text = problem(file("[run]\nseed = 1\nseed = 2\n"));
    assert!(text.starts_with("test.toml:3: "), "{text}");
}

#[test]
fn high_003_a_file_that_was_asked_for_must_exist() {
    let files = vec![PathBuf::from("no-such-file.toml")];
    let text = problem(Config::load(&Sources { files, ..Sources::default() }));
    assert!(text.starts_with("cannot read 'no-such-file.toml'"), "{text}");
    let base = Some(PathBuf::from("no-such-file.toml"));
    assert!(Config::load(&Sources { base, ..Sources::default() }).is_ok());
}

#[test]
fn high_003_all_problems_are_reported_together() {
    let error = file("[run]\nseed = -1\nspeed = 1\n[execution]\nfee_rate = 2\n").unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn high_003_each_layer_beats_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, seed: u64| {
        let path = folder.path().join(name);
        fs::write(&path, format!("[run]\nseed = {seed}\n")).unwrap();
        path
    };
    let mut sources = Sources::default();
    let seed = |sources: &Sources| Config::load(sources).unwrap().run.seed;
    assert_eq!(seed(&sources), 1);
    sources.base = Some(path("base.toml", 2));
    assert_eq!(seed(&sources), 2);
    sources.files.push(path("first.toml", 3));
    assert_eq!(seed(&sources), 3);
    sources.files.push(path("second.toml", 4));
    assert_eq!(seed(&sources), 4);
    sources.env.push(("SANDPAPER__RUN__SEED".into(), "5".into()));
    assert_eq!(seed(&sources), 5);
    sources.set.push("run.seed=6".into());
    assert_eq!(seed(&sources), 6);
    sources.set.push("run.seed=7".into());
    assert_eq!(seed(&sources), 7);
    let flag = Override { key: "run.seed".into(), value: "8".into(), flag: "--seed 8".into() };
    sources.flags.push(flag);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.run.seed, 8);
    assert_eq!(config.origin("run.seed"), Some(&Origin::Flag("--seed 8".into())));
    assert_eq!(config.origin("run.symbols"), Some(&Origin::BuiltIn));
}

#[test]
fn high_003_the_shipped_file_names_every_key_with_its_built_in_value() {
    let base = Some(PathBuf::from(SHIPPED));
    let shipped = Config::load(&Sources { base, ..Sources::default() }).unwrap();
    let built_in = Config::load(&Sources::default()).unwrap();
    assert_eq!(shipped.to_toml(), built_in.to_toml());
    assert_eq!(shipped.sha256(), built_in.sha256());
    let text = fs::read_to_string(SHIPPED).unwrap();
    for key in keys() {
        let line = format!("\n{} = ", key.name);
        let commented = format!("\n# {} = ", key.name);
        let table = format!("\n[{}]", key.path());
        let named = [line, commented, table].iter().any(|wanted| text.contains(wanted));
        assert!(named, "the shipped file does not name {}", key.path());
    }
    let from_file = |setting: &Effective| matches!(setting.origin, Origin::File { .. });
    let missing: Vec<_> =
        shipped.effective().iter().filter(|(_, s)| !from_file(s)).map(|(p, _)| dotted(p)).collect();
    assert_eq!(missing, Vec::<String>::new(), "only built in");
}

#[test]
fn high_003_the_example_of_a_strategy_section_is_valid() {
    let text = fs::read_to_string(SHIPPED).unwrap();
    let start = text.find("# [strategy.").unwrap();
    let example = text[start..].replace("# ", "");
    let config = file(&example).unwrap();
    let strategy = &config.strategy["market-making"];
    assert_eq!(strategy.capital, Some(Money::parse("250").unwrap()));
    assert_eq!(strategy.params["position_size_usd"], Value::Integer(20));
}

#[test]
fn high_003_the_effective_configuration_reads_back_and_keeps_its_hash() {
    let config = set(&[
        "feed.sim.prices.\"SOL/USD\"=150.5",
        "strategy.order-flow.params.lookback_trades=60",
        "strategy.\"a b\".capital=7",
        "portfolio.assets.BTC=0.01",
        "run.symbols=BTC/USD, SOL/USD",
        "sandbox.memory=100KiB",
    ])
    .unwrap();
    let again = file(&config.to_toml()).unwrap();
    assert_eq!(again.to_toml(), config.to_toml());
    assert_eq!(again.sha256(), config.sha256());
    assert_ne!(again.sha256(), set(&[]).unwrap().sha256());
}

#[test]
fn high_003_notation_does_not_change_the_hash() {
    let one = file("[execution]\nfee_rate = 1e-3\n[run]\nduration = \"90s\"\n").unwrap();
    let other = file("execution.fee_rate = \"0.00100\"\nrun.duration = \"1m30s\"\n").unwrap();
    assert_eq!(one.sha256(), other.sha256());
}

#[test]
fn high_003_the_environment_reaches_names_that_it_cannot_spell() {
    let env = [
        ("SANDPAPER__STRATEGY__ORDER_FLOW__PARAMS__LOOKBACK_TRADES", "60"),
        ("SANDPAPER__FEED__SIM__PRICES__SOL_USD", "150"),
        ("SANDPAPER__PORTFOLIO__ASSETS__BTC", "0.5"),
        ("SANDPAPER__RUN__SYMBOLS", "BTC/USD,ETH/USD"),
        ("SANDPAPER__LOG__LEVEL", "debug"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let config = Config::load(&Sources { env, ..Sources::default() }).unwrap();
    assert_eq!(config.strategy["order-flow"].params["lookback_trades"], Value::Integer(60));
    assert_eq!(config.sim.prices["SOL/USD"].units(2), Some(15_000));
    assert_eq!(config.portfolio.assets["BTC"].units(8), Some(50_000_000));
    assert_eq!(config.run.symbols, ["BTC/USD", "ETH/USD"]);
    assert_eq!(config.log.level, LogLevel::Debug);
}

#[test]
fn med_003_capital_must_be_positive() {
    for capital in ["0", "-1", "nan", "inf", "1e20", "0.000000001", "\"\"", "true"] {
        let text = problem(set(&[&format!("portfolio.capital={capital}")]));
        assert!(text.contains("'portfolio.capital' is"), "{text}");
        assert!(text.contains("above 0"), "{text}");
        problem(set(&[&format!("strategy.a.capital={capital}")]));
    }
    let config = set(&["portfolio.capital=0.00000001"]).unwrap();
    assert_eq!(config.portfolio.capital, Money(1));
    assert_eq!(set(&[]).unwrap().portfolio.capital, Money::parse("100").unwrap());
}

#[test]
fn low_003_default_symbols_come_from_the_configuration() {
    let built_in = set(&[]).unwrap();
    assert!(built_in.run.symbols.is_empty());
    assert_eq!(built_in.run.default_symbols, ["XRP/USD", "BTC/USD", "ETH/USD", "XRP/BTC"]);
    let config = set(&["run.default_symbols=[\"SOL/USD\"]"]).unwrap();
    assert_eq!(config.run.default_symbols, ["SOL/USD"]);
    assert!(problem(set(&["run.default_symbols=[]"])).contains("at least one symbol"));
    assert!(problem(set(&["run.symbols=BTC/USD,BTC/USD"])).contains("'run.symbols'"));
}

#[test]
fn x_exec_parameters_have_the_documented_defaults() {
    let execution = set(&[]).unwrap().execution;
    assert_eq!(execution.model, ExecutionModel::Book);
    assert_eq!(execution.fee_rate, Rate(1_000_000));
    assert_eq!(execution.slippage_rate, Rate(500_000));
    assert_eq!(execution.max_short_leverage, Rate(2_000_000_000));
}

#[test]
fn x_exec_parameters_out_of_range_are_refused() {
    let refused = [
        "execution.fee_rate=-0.001",
        "execution.fee_rate=0.11",
        "execution.fee_rate=nan",
        "execution.fee_rate=0.0000000001",
        "execution.slippage_rate=-1",
        "execution.slippage_rate=0.2",
        "execution.max_short_leverage=-0.1",
        "execution.max_short_leverage=101",
        "execution.model=",
        "engine.batch=0",
    ];
    for argument in refused {
        problem(set(&[argument]));
    }
    let edges = set(&[
        "execution.fee_rate=0",
        "execution.slippage_rate=0.1",
        "execution.max_short_leverage=0",
        "engine.batch=1",
    ])
    .unwrap();
    assert_eq!(edges.execution.fee_rate, Rate(0));
    assert_eq!(edges.execution.max_short_leverage, Rate(0));
}

#[test]
fn every_default_lies_within_its_range_and_every_limit_can_be_read() {
    set(&[]).unwrap();
    for key in keys() {
        assert!(!key.doc.trim().is_empty(), "{} has no documentation", key.path());
        let Limits { from, above, to } = key.limits;
        assert!(from.is_none() || above.is_none(), "{}", key.path());
        for limit in [from, to].into_iter().flatten().filter(|_| !key.open) {
            // A limit that cannot be read would be no limit at all, and the
            // limits themselves are the last values allowed.
            let value = if key.path() == "market.candle_intervals" { "\"1m\"" } else { limit };
            let path = key.path().replace("NAME", "a");
            assert!(set(&[&format!("{path}={value}")]).is_ok(), "{path} refuses {value}");
        }
    }
}

#[test]
fn values_just_outside_each_range_are_refused() {
    let refused = [
        "run.duration=3651d",
        "run.status_every=0s",
        "feed.sim.rate_hz=0",
        "feed.sim.speed=-1",
        "feed.sim.levels=1001",
        "feed.sim.spread=0.11",
        "feed.sim.start=1969-01-01T00:00:00Z",
        "feed.sim.prices.\"A/B\"=0",
        "sandbox.memory=5GiB",
        "sandbox.stack=1KiB",
        "sandbox.deadline=1ms",
        "sandbox.fuel_per_event=0",
        "market.candle_intervals=7s",
        "market.candle_intervals=1500ms",
        "market.candle_intervals=1m,60s",
        "market.candle_history=0",
        "history.fills=0",
        "portfolio.assets.USD=5",
        "portfolio.assets.BTC=-1",
        "strategies.lock=strategies/strategies.lock",
        "strategies.dir=.",
    ];
    for argument in refused {
        assert!(set(&[argument]).is_err(), "{argument} was taken");
    }
}

#[test]
fn durations_read_and_print() {
    let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
    assert_eq!(ms("60s"), Some(60_000));
    assert_eq!(ms("1h30m"), Some(5_400_000));
    assert_eq!(ms("250ms"), Some(250));
    for text in ["", "60", "s", "1x", "-1s", "1.5s", "99999999999999999999s", "1s 1"] {
        assert_eq!(ms(text), None, "{text:?}");
    }
    for text in ["0s", "90061s", "1500ms"] {
        let duration = parse_duration(text).unwrap();
        assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
    }
    assert_eq!(format_duration(parse_duration("90061s").unwrap()), "1d1h1m1s");
}

#[test]
fn numbers_are_taken_as_they_are_written() {
    let config = file(
        "[portfolio]\ncapital = 0.1\nassets = { BTC = 0.3, ETH = \"1e-18\" }\n\
         [feed.sim]\nstart = 2025-06-01T00:00:00Z\n",
    )
    .unwrap();
    assert_eq!(config.portfolio.capital, Money(10_000_000));
    assert_eq!(config.portfolio.assets["BTC"].units(1), Some(3));
    assert_eq!(config.portfolio.assets["ETH"].units(18), Some(1));
    assert_eq!(config.portfolio.assets["ETH"].units(8), None);
    assert_eq!(config.sim.start, Ts(1_748_736_000_000_000_000));
}

#[test]
fn the_json_schema_has_every_key_and_refuses_others() {
    let schema = json_schema();
    for key in keys() {
        let mut at = &schema;
        for part in key.section.split('.').chain([key.name]) {
            at = if part == "NAME" { &at["additionalProperties"] } else { &at["properties"][part] };
        }
        assert!(at["description"].is_string(), "{} is missing", key.path());
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["engine"]["properties"]["batch"]["default"], 256);
}
