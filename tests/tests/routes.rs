//! Trust is given at the command line, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sandpaper_tests::{Folder, repository};

use crate::dashboard::{Served, start};

/// Everything that decides what may run: the lock file and the private state, but for what
/// was compiled, which is keyed by what is allowed.
fn trust(folder: &Folder) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.path(".state")];
    while let Some(path) = open.pop() {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                open.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.insert(path, bytes);
            }
        }
    }
    let code = |path: &Path| path.components().any(|part| part.as_os_str() == "code");
    found.retain(|path, _| !code(path));
    let lock = folder.path("strategies.lock");
    found.insert(lock.clone(), fs::read(lock).expect("a lock file"));
    found
}

/// The hashes of what runs; holding, which is compared with, has none.
fn running(served: &Served) -> BTreeSet<String> {
    let all = served.get("/api/v1/strategies");
    let rows = all["strategies"].as_array().expect("rows");
    let hashes = rows.iter().map(|row| row["sha256"].as_str().expect("a hash").to_owned());
    hashes.filter(|hash| !hash.is_empty()).collect()
}

#[test]
fn crit_001_no_route_changes_what_may_run() {
    let Some(allowed) = repository::guest("market-making") else { return };
    let Some(other) = repository::guest("order-flow") else { return };
    let folder = Folder::new();
    folder.write("strategies/mm.wasm", fs::read(allowed).expect("readable"));
    folder.run(&["allow", "strategies/mm.wasm", "--yes"]).expect(0);
    folder.write("strategies/of.wasm", fs::read(other).expect("readable"));
    let inspected = folder.run(&["inspect", "strategies/of.wasm", "--json"]).expect(0);
    let inspected: serde_json::Value = serde_json::from_str(&inspected.stdout).expect("JSON");
    let hash = inspected["sha256"].as_str().expect("a hash");

    let limits = ["web.rate_per_second=10000", "web.rate_burst=10000"];
    let mut arguments = vec!["run", "--simulated", "--bind", "127.0.0.1:0"];
    arguments.extend(limits.iter().flat_map(|limit| ["--set", limit]));
    let served = start(folder, &arguments);
    served.wait("/api/v1/strategies", |all| {
        all["strategies"].as_array().is_some_and(|rows| !rows.is_empty())
    });
    let (before, ran) = (trust(&served.folder), running(&served));
    assert_eq!(ran.len(), 1, "the allowed one");
    assert!(!ran.contains(hash));

    // A kill of the only strategy would end the run, and with it what is looked at.
    let routes = served.routes().into_iter().map(|(_, path)| path);
    let mut paths: BTreeSet<String> = routes.filter(|path| !path.ends_with("/kill")).collect();
    assert!(paths.len() > 25, "{paths:?}");
    for guess in ["allow", "deny", "trust", "lock", "strategies/of/allow", "strategies/of"] {
        paths.insert(format!("/api/v1/{guess}"));
    }
    paths.extend(["/strategies.lock".to_owned(), "/strategies/of.wasm".to_owned()]);
    let bodies = [
        r#"{"reason":"because"}"#.to_owned(),
        format!(r#"{{"reason":"because","sha256":"{hash}","allow":true,"name":"of"}}"#),
        format!(r#"{{"module":"strategies/of.wasm","hash":"{hash}","trust":"allowed"}}"#),
    ];
    for path in &paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for body in &bodies {
                let status = served.send(method, path, body);
                assert!((200..500).contains(&status), "{method} {path}: {status}");
            }
        }
    }
    assert_eq!(trust(&served.folder), before, "the files are as they were");
    assert_eq!(running(&served), ran, "and so is what runs");
    // The control: the command line does change them.
    served.folder.run(&["allow", "strategies/of.wasm", "--yes"]).expect(0);
    assert_ne!(trust(&served.folder), before);
}
