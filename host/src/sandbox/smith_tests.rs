//! Random modules through the whole load path: whatever comes, an answer.

use arbitrary::Unstructured;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::*;
use crate::lockfile::{Approved, Candidate, Wasi};

/// `SANDPAPER_SMITH=1000` for more; `SANDPAPER_SEED` repeats a run.
#[test]
#[allow(clippy::print_stderr, reason = "a random test names its seed")]
fn crit_001_random_modules_are_loaded_or_refused_without_a_panic() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (times, seed) = (number("SANDPAPER_SMITH", 300), number("SANDPAPER_SEED", 20_261_124));
    eprintln!("SANDPAPER_SEED={seed}");
    let runtime = Runtime::new(RuntimeOptions::default()).expect("an engine");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut refused, mut structure) = (0, 0);
    for _ in 0..times {
        let mut bytes = vec![0; 2_048];
        random.fill_bytes(&mut bytes);
        // Of what proposals the module is made is random too.
        let Ok(module) = Unstructured::new(&bytes).arbitrary::<wasm_smith::Module>() else {
            continue;
        };
        for (at, bytes) in
            [module.to_bytes(), as_component(&module.to_bytes())].into_iter().enumerate()
        {
            let candidate = Candidate::from_bytes(bytes.clone(), "random.wasm");
            let approved = Approved::unsigned(candidate, Wasi::Refused);
            let seen = inspect(&bytes, &Caps::native(), Wasi::Refused);
            match Module::load(&runtime, &approved, &Caps::native()) {
                Ok(_) => assert!(seen.loadable),
                Err(error) => {
                    refused += 1;
                    structure += usize::from(matches!(error, LoadError::Structure(_)));
                    let said = seen.problem.unwrap_or_default();
                    assert_eq!(said, error.to_string(), "seed {seed}, kind {at}");
                    assert!(!said.contains("the tool that reads it failed"), "seed {seed}: {said}");
                }
            }
        }
    }
    eprintln!("{refused} refused, {structure} of them by their structure");
    assert!(refused as u64 > times / 2, "{refused} refused");
}

/// The module inside a component that says nothing else.
fn as_component(module: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0\x01".to_vec();
    let mut length = module.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(module);
    bytes
}
