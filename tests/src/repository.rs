//! Where things are: the repository, its sources, recorded and generated data.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// All files below `folder` whose name ends so, in order. Build output and
/// hidden folders are left out.
///
/// # Panics
/// When a folder cannot be read.
#[must_use]
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Those of the files that have more lines than `most`, with how many.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn longer_than(paths: &[PathBuf], most: usize) -> Vec<String> {
    let lines = |path: &PathBuf| {
        let text = fs::read_to_string(path);
        text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).lines().count()
    };
    let counted = paths.iter().map(|path| (lines(path), relative(path)));
    let long = counted.filter(|(lines, _)| *lines > most);
    long.map(|(lines, path)| format!("{path} has {lines} lines")).collect()
}

/// The path below the root, with `/` between its parts.
#[must_use]
pub fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A file of the recorded data, from the folder that `SANDPAPER_DATA` names or
/// from `shared/data` beside the repository. Says "skipped" when it is absent.
#[must_use]
pub fn recorded(name: &str) -> Option<PathBuf> {
    let beside = root().join("../shared/data");
    let folder = std::env::var_os("SANDPAPER_DATA").map_or(beside, PathBuf::from);
    present(folder.join(name))
}

/// A file of the market that `scripts/market` generates, from the folder that
/// `SANDPAPER_MARKET` names or from `target/market`. Says "skipped" when it is
/// absent.
#[must_use]
pub fn market(name: &str) -> Option<PathBuf> {
    let generated = root().join("target/market");
    let folder = std::env::var_os("SANDPAPER_MARKET").map_or(generated, PathBuf::from);
    present(folder.join(name))
}

/// A workload that `make workloads` builds, such as `s1`. Says "skipped" when it
/// is absent.
#[must_use]
pub fn workload(name: &str) -> Option<PathBuf> {
    let built = root().join("target/workloads");
    let folder = std::env::var_os("SANDPAPER_WORKLOADS").map_or(built, PathBuf::from);
    present(folder.join(format!("{name}.wasm")))
}

/// A reference strategy that `make guests` builds, such as `market-making`. Says
/// "skipped" when it is absent.
#[must_use]
pub fn guest(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let built = test.ancestors().nth(3)?.join("wasm32-unknown-unknown/guest");
    let folder = std::env::var_os("SANDPAPER_GUESTS").map_or(built, PathBuf::from);
    present(folder.join(format!("{}.wasm", name.replace('-', "_"))))
}

/// A strategy that `make wasi-guest` builds, such as `wasi-strategy`. Says
/// "skipped" when it is absent.
#[must_use]
pub fn wasi_guest(name: &str) -> Option<PathBuf> {
    present(root().join("target/guests").join(format!("{name}.wasm")))
}

/// A strategy that `make language-guests` builds: `sma-cross` in Rust, and its
/// twins `python-example` and `javascript-example`. Says "skipped" when it is
/// absent.
#[must_use]
pub fn language_guest(name: &str) -> Option<PathBuf> {
    wasi_guest(name)
}

#[allow(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn present(path: PathBuf) -> Option<PathBuf> {
    let found = path.is_file();
    // What the test command itself builds must be there: a test that checks
    // nothing must not pass for want of it.
    let optional = ["wasi-strategy.wasm", "python-example.wasm", "javascript-example.wasm"];
    let built = path.extension().is_some_and(|e| e == "wasm")
        && !optional.iter().any(|name| path.ends_with(name));
    let required = std::env::var_os("SANDPAPER_BUILT").is_some() && built;
    assert!(found || !required, "{} is not built: run make test", path.display());
    if !found {
        eprintln!("skipped: {} is not there", path.display());
    }
    found.then_some(path)
}
