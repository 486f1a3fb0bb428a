//! The same strategy in Rust, Python and JavaScript, over the same market: all
//! must decide alike, and the modules must import nothing but the contract.

use sandpaper_tests::{Folder, repository};
use serde_json::Value;

/// Runs a strategy's twin beside the one in Rust and returns both results.
fn together(name: &str) -> Option<(Value, Value)> {
    let twin = repository::language_guest(name)?;
    let rust = repository::language_guest("sma-cross")?;
    let config = repository::root().join("strategies/interpreter.toml");
    let folder = Folder::new();
    let text = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (twin, rust, config) = (text(&twin), text(&rust), text(&config));
    let finished = folder
        .run(&[
            "run",
            "--simulated",
            "-c",
            &config,
            "--wasm",
            &rust,
            "--wasm",
            &twin,
            "--unsigned",
            "--duration",
            "12h",
            "--set",
            "feed.sim.speed=0",
            "--set",
            "feed.sim.rate_hz=1",
            "--set",
            "feed.sim.trade_rate_hz=0.5",
            "--json",
        ])
        .expect(0);
    let result: Value = serde_json::from_str(&finished.stdout).expect("one document");
    let strategies = result["strategies"].as_array().expect("a list").clone();
    assert_eq!(strategies.len(), 2, "{}", finished.stderr);
    let imports = folder.run(&["inspect", &twin, "-c", &config]).expect(0).stdout;
    assert!(!imports.contains("wasi:"), "{imports}");
    Some((strategies[0].clone(), strategies[1].clone()))
}

#[track_caller]
fn check(name: &str) {
    let Some((rust, twin)) = together(name) else { return };
    assert_eq!(twin["fault"], Value::Null, "{twin}");
    assert!(rust["fills"].as_u64() > Some(10), "the run must trade to show anything: {rust}");
    for field in ["chain", "orders", "fills", "cash", "equity"] {
        assert_eq!(twin[field], rust[field], "{field}");
    }
}

#[test]
fn a_strategy_in_python_decides_as_its_twin_in_rust() {
    check("python-example");
}

#[test]
fn a_strategy_in_javascript_decides_as_its_twin_in_rust() {
    check("javascript-example");
}
