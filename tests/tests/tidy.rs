//! What the compiler does not check: which module may know which, what the core
//! must not name, and what the repository must not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sandpaper_tests::repository::{files, longer_than, relative, root};

/// Modules of the host with those that each may name. A module without a row is
/// an error: where it stands is decided, not found out.
const LAYERS: &[(&str, Layer, &[&str])] = &[
    ("domain", Layer::Core, &[]),
    ("words", Layer::Core, &["domain"]),
    ("input", Layer::Core, &["domain", "words"]),
    ("strategy", Layer::Core, &["domain", "words"]),
    ("venue", Layer::Core, &["domain", "input", "words"]),
    ("market", Layer::Core, &["domain", "input", "strategy", "words"]),
    ("portfolio", Layer::Core, &["domain"]),
    ("risk", Layer::Core, &["domain", "input", "market", "portfolio", "strategy"]),
    ("execution", Layer::Core, &["domain", "input", "market", "portfolio", "risk", "strategy"]),
    ("journal", Layer::Core, &["domain", "input", "words"]),
    (
        "engine",
        Layer::Core,
        &[
            "domain",
            "execution",
            "input",
            "journal",
            "market",
            "portfolio",
            "risk",
            "strategy",
            "words",
        ],
    ),
    ("lockfile", Layer::Shell, &["domain", "strategy"]),
    ("sandbox", Layer::Shell, &["domain", "input", "lockfile", "strategy", "words"]),
    ("feed", Layer::Shell, &["domain", "input", "venue", "words"]),
    ("logs", Layer::Shell, &[]),
    ("notify", Layer::Shell, &[]),
    ("recorder", Layer::Shell, &["journal"]),
    ("config", Layer::Shell, &["domain", "strategy", "venue"]),
    (
        "dashboard",
        Layer::Shell,
        &[
            "config",
            "domain",
            "engine",
            "feed",
            "input",
            "market",
            "output",
            "portfolio",
            "strategy",
            "venue",
        ],
    ),
    ("cli", Layer::Shell, &["config"]),
    ("output", Layer::Shell, &["cli", "domain"]),
    ("app", Layer::Top, &[]),
    ("commands", Layer::Top, &[]),
    ("main", Layer::Top, &[]),
    ("lib", Layer::Top, &[]),
];

#[derive(Clone, Copy, PartialEq)]
enum Layer {
    /// no clock, no files, no sockets, no random numbers
    Core,
    /// may do I/O
    Shell,
    /// puts everything together, and may name everything
    Top,
}

/// What the core must not name, each with the reason.
const NOT_IN_CORE: &[(&str, &str)] = &[
    ("tokio", "the core is synchronous"),
    ("SystemTime", "the core learns the time from inputs"),
    ("time::Instant", "the core learns the time from inputs"),
    ("Instant::now", "the core learns the time from inputs"),
    ("std::fs", "the core has no files"),
    ("std::net", "the core has no sockets"),
    ("std::env", "the core has no environment"),
    ("std::thread", "the core has one thread"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("rand::", "the core has no random numbers"),
];

/// The longest a source file may be; past it, a second topic has crept in.
const LINES_MAX: usize = 600;

/// Requirements that must be shown by a test of their name, and the properties of
/// accounting.
const REQUIREMENTS: &[&str] = &[
    "CRIT-001", "CRIT-002", "CRIT-003", "CRIT-004", "HIGH-001", "HIGH-002", "HIGH-003", "HIGH-004",
    "HIGH-005", "HIGH-006", "HIGH-007", "HIGH-008", "MED-001", "MED-002", "MED-003", "MED-004",
    "MED-005", "MED-006", "MED-007", "MED-008", "MED-009", "MED-010", "MED-011", "MED-012",
    "LOW-001", "LOW-002", "LOW-003", "LOW-004", "LOW-005", "LOW-006", "LOW-007", "LOW-008",
    "LOW-009", "X-INIT", "X-EXEC", "X-BOUND", "X-ASYNC", "X-IMPORT", "X-MULTI", "X-EXC", "X-VER",
    "ADD-01", "ADD-02", "ADD-03", "ADD-04", "ADD-05", "ADD-06", "ADD-07", "ADD-08", "ADD-09",
    "ADD-10", "ADD-11", "ADD-12", "ADD-13", "ADD-14", "ADD-15", "ADD-16", "ADD-17", "ADD-18",
    "ADD-19", "ADD-20", "ADD-21", "ADD-22", "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08",
    "A09", "A10", "A11", "A12", "A13", "A14", "A15", "A16", "A17", "A18",
];

/// This file names what it forbids.
const SELF: &str = "tests/tests/tidy.rs";

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources() -> Vec<PathBuf> {
    files(&root(), ".rs").into_iter().filter(|path| relative(path) != SELF).collect()
}

/// The lines of a file that are neither comments nor unit tests, with their
/// numbers. Unit tests stand at the end of their file, or in one of their own that
/// this one names.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (mut index, mut line) = lines.next()?;
        while line.starts_with("#[cfg(test)]") {
            let (_, named) = lines.next()?;
            if !named.ends_with(';') {
                return None;
            }
            (index, line) = lines.next()?;
        }
        Some((index + 1, line.split("//").next().unwrap_or("")))
    })
}

#[test]
fn unit_tests_are_left_out_and_what_follows_their_name_is_not() {
    let text = "use a;\n#[cfg(test)]\nmod tests;\nuse b; // c\n#[cfg(test)]\nmod more {\nuse d;\n}";
    let seen: Vec<_> = code(text).collect();
    assert_eq!(seen, [(1, "use a;"), (4, "use b; ")]);
}

/// True for a file that holds only unit tests.
fn only_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("_tests.rs")
}

/// The host's modules with their files.
fn host_modules() -> BTreeMap<String, Vec<PathBuf>> {
    let source = root().join("host/src");
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files(&source, ".rs") {
        let below = path.strip_prefix(&source).unwrap_or(&path);
        let first = below.components().next().map(|part| PathBuf::from(part.as_os_str()));
        let module = first.unwrap_or_default().with_extension("");
        modules.entry(module.to_string_lossy().into_owned()).or_default().push(path);
    }
    modules
}

/// The modules that a line names as `crate::name` or `crate::{name, …}`.
fn named(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with('$') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').and_then(|inner| inner.split('}').next());
        for part in group.map_or(vec![rest], |inner| inner.split(',').collect()) {
            let name: String =
                part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.push(name);
        }
    }
    names
}

#[test]
fn modules_know_only_those_below_them() {
    let modules = host_modules();
    let mut wrong = Vec::new();
    for (module, paths) in &modules {
        let Some((_, layer, allowed)) = LAYERS.iter().find(|(name, ..)| name == module) else {
            wrong.push(format!("{module} has no row in LAYERS"));
            continue;
        };
        for path in paths.iter().filter(|path| !only_tests(&relative(path))) {
            for (number, line) in code(&read(path)) {
                for name in named(line) {
                    let inside = name == *module || !modules.contains_key(&name);
                    if *layer != Layer::Top && !inside && !allowed.contains(&name.as_str()) {
                        wrong.push(format!("{}:{number}: {module} names {name}", relative(path)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Unit tests of the core too: it is built without the shell where its code is changed on
/// purpose, and a test that reaches into the shell would end that.
#[test]
fn unit_tests_of_the_core_name_no_module_of_the_shell() {
    let shell: BTreeSet<&str> = LAYERS
        .iter()
        .filter(|(_, layer, _)| *layer != Layer::Core)
        .map(|(name, ..)| *name)
        .collect();
    let modules = host_modules();
    let mut wrong = Vec::new();
    for (module, ..) in LAYERS.iter().filter(|(_, layer, _)| *layer == Layer::Core) {
        for path in modules.get(*module).into_iter().flatten() {
            for line in read(path).lines() {
                let line = line.split("//").next().unwrap_or("");
                let names = named(line).into_iter().filter(|name| shell.contains(name.as_str()));
                wrong.extend(names.map(|name| format!("{} names {name}", relative(path))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The control: what such a test said is seen.
    assert!(named("use crate::feed::tape::Tape;").iter().all(|name| shell.contains(name.as_str())));
}

#[test]
fn the_core_knows_no_clock_no_files_and_no_chance() {
    let modules = host_modules();
    let mut wrong = Vec::new();
    for (module, layer, _) in LAYERS {
        for path in modules.get(*module).into_iter().flatten() {
            let name = relative(path);
            if *layer != Layer::Core || only_tests(&name) {
                continue;
            }
            for (number, line) in code(&read(path)) {
                for (word, reason) in NOT_IN_CORE.iter().filter(|(word, _)| line.contains(word)) {
                    wrong.push(format!("{name}:{number}: {word}: {reason}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_sandbox_names_wasmtime() {
    let host = sources().into_iter().filter(|path| relative(path).starts_with("host/src/"));
    let wrong: Vec<String> = host
        .filter(|path| !relative(path).starts_with("host/src/sandbox/"))
        .filter(|path| code(&read(path)).any(|(_, line)| line.contains("wasmtime")))
        .map(|path| relative(&path))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What names a venue's module outside of its folder: its registration, and the
/// importers of its recordings.
const NAMES_VENUES: &[&str] =
    &["host/src/venue/mod.rs", "host/src/venue/live.rs", "host/src/feed/import/"];

/// Another venue touches a new folder and one registration, because nothing else
/// knows those that are there.
#[test]
fn med_008_only_its_registration_names_a_venue() {
    let source = root().join("host/src");
    let folders = fs::read_dir(source.join("venue")).expect("readable");
    let venues: Vec<String> = folders
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    assert!(venues.len() >= 2, "{venues:?}");
    let (mut wrong, mut registered) = (Vec::new(), 0);
    for path in files(&source, ".rs") {
        let name = relative(&path);
        let own = venues.iter().any(|venue| name.contains(&format!("/venue/{venue}/")));
        if own || only_tests(&name) {
            continue;
        }
        let text = read(&path);
        for (number, line) in code(&text) {
            let names = |venue: &String| {
                line.contains(&format!("{venue}::")) || line.contains(&format!("venue::{venue}"))
            };
            if !venues.iter().any(names) {
                continue;
            }
            if NAMES_VENUES.iter().any(|allowed| name.starts_with(allowed)) {
                registered += usize::from(line.contains("VENUES"));
            } else {
                wrong.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(registered, 1, "one line registers them");
}

#[test]
fn source_files_have_one_topic() {
    let long = longer_than(&sources(), LINES_MAX);
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let forbidden =
        ["#[ignore", "#[should_panic", "thread::sleep", "tokio::time::sleep", "todo!(", "dbg!("];
    let mut wrong = Vec::new();
    // A guest that sleeps is there to show that it does not wait.
    let guests = |path: &PathBuf| relative(path).starts_with("tests/guests/");
    for path in sources().into_iter().filter(|path| !guests(path)) {
        for (index, line) in read(&path).lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", relative(&path), index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_repository_names_no_path_of_a_machine() {
    let folders = ["/work/", "/home/", "/root/", "/farm/", "/Users/"];
    let endings = [".rs", ".toml", ".md", ".wit", ".wat", ".py", ".sh", "Makefile", ".txt"];
    let mut texts: BTreeSet<PathBuf> =
        endings.iter().flat_map(|ending| files(&root(), ending)).collect();
    texts.extend(files(&root().join("scripts"), ""));
    texts.insert(root().join(".ci/run"));
    let mut wrong = Vec::new();
    for path in texts.iter().filter(|path| relative(path) != SELF) {
        for (index, line) in read(path).lines().enumerate() {
            for folder in folders {
                let start = line.find(folder);
                let whole = start.is_some_and(|at| {
                    // `.../work/` or `src/home/` is a folder of something else.
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~".contains(c))
                });
                if whole {
                    wrong.push(format!("{}:{}: {}", relative(path), index + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn our_crates_forbid_unsafe_code() {
    for file in ["host/src/lib.rs", "host/src/main.rs", "tests/src/lib.rs", "tests/tests/main.rs"] {
        let forbids = read(&root().join(file)).contains("#![forbid(unsafe_code)]");
        assert!(forbids, "{file} does not forbid unsafe code");
    }
    // What was compiled is taken back in one place, which forbids itself any other.
    let place = "host/precompiled/src/lib.rs";
    let text = read(&root().join(place));
    assert!(text.contains("#![deny(unsafe_code)]"));
    let blocks = |text: &str| code(text).filter(|(_, line)| line.contains("unsafe {")).count();
    assert_eq!(blocks(&text), 1, "{place} has one unsafe block");
    for path in sources().iter().filter(|path| relative(path).starts_with("host/")) {
        let here = relative(path) == place;
        assert!(here || blocks(&read(path)) == 0, "{} has unsafe code", relative(path));
    }
}

#[test]
fn every_test_module_is_included() {
    let folder = root().join("tests/tests");
    let main = read(&folder.join("main.rs"));
    for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let is_module = path.is_file() || path.join("mod.rs").is_file();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if is_module && name != "main" {
            assert!(main.contains(&format!("mod {name};")), "{name} is not in main.rs");
        }
    }
}

#[test]
fn every_requirement_has_a_test_of_its_name() {
    let texts: Vec<String> = sources().iter().map(|path| read(path)).collect();
    let missing: Vec<&str> = REQUIREMENTS
        .iter()
        .copied()
        .filter(|id| {
            let name = format!("fn {}_", id.to_lowercase().replace('-', "_"));
            !texts.iter().any(|text| text.contains(&name))
        })
        .collect();
    assert!(missing.is_empty(), "no test is named after {}", missing.join(", "));
}

/// What wasmtime is made of has the same features for the program as for the tests:
/// otherwise it is compiled twice, which takes longer than everything else together.
#[test]
fn the_runtime_is_compiled_once() {
    let tree = |arguments: &[&str]| -> Vec<String> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let told = std::process::Command::new(cargo)
            .args(["tree", "--offline", "--locked", "--prefix", "none", "-f", "{p}|{f}"])
            .args(arguments)
            .current_dir(root())
            .output()
            .expect("cargo");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let text = String::from_utf8(told.stdout).expect("text");
        let lines = text.lines().map(|line| line.replace(" (*)", ""));
        lines.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let package = |line: &String| line.split('|').next().unwrap_or_default().to_owned();
    let runtime: Vec<String> =
        tree(&["-p", "wasmtime", "-e", "normal,build"]).iter().map(package).collect();
    assert!(runtime.len() > 30, "{runtime:?}");
    let of_runtime = |arguments: &[&str]| -> Vec<String> {
        tree(arguments).into_iter().filter(|line| runtime.contains(&package(line))).collect()
    };
    assert_eq!(
        of_runtime(&["-p", "sandpaper", "-e", "normal,build"]),
        of_runtime(&["--workspace", "-e", "normal,build,dev"]),
    );
}
