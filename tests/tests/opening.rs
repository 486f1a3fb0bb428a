//! First contact: the line with the address and the code, the browser that is opened,
//! and a run without a dashboard.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use sandpaper_tests::{Folder, repository};

/// A browser that writes down what it was asked to open.
const BROWSER: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\" >> opened.new\nmv opened.new opened\n";

/// A short run with its dashboard, unless the arguments leave it out; what it said.
fn run(folder: &Folder, more: &[&str]) -> Option<String> {
    let module = repository::guest("order-flow")?;
    folder.write("of.wasm", std::fs::read(module).expect("readable"));
    let tools = folder.write("bin/xdg-open", BROWSER);
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&tools, runs).expect("permissions");
    let mut arguments = vec!["run", "--simulated", "--unsigned", "--wasm", "of.wasm"];
    arguments.extend(["--duration", "2s", "--no-record", "--set", "web.bind=127.0.0.1:0"]);
    arguments.extend(more);
    let mut command = folder.command(&arguments);
    command.env_remove("SANDPAPER__WEB__ENABLED");
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path("bin").display()));
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{said}");
    Some(said)
}

/// The lines that name an address.
fn addresses(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.contains("http://")).collect()
}

#[test]
fn one_line_names_the_address_and_the_code_and_open_opens_it() {
    let folder = Folder::new();
    let Some(said) = run(&folder, &["--open"]) else { return };
    let lines = addresses(&said);
    assert_eq!(lines.len(), 1, "{said}");
    let (before, address) = lines[0].split_at(lines[0].find("http://").expect("an address"));
    assert_eq!(before, "dashboard: ");
    let (place, code) = address.split_once("/#code=").expect("a code, in the fragment");
    assert!(place.starts_with("http://127.0.0.1:"), "{place}");
    assert!(code.len() > 60, "{code}");
    let opened = std::fs::read_to_string(folder.path("opened")).expect("a browser was opened");
    assert_eq!(opened.lines().collect::<Vec<_>>(), [address]);
}

#[test]
fn without_open_no_browser_is_opened_and_without_a_dashboard_no_address_is_named() {
    let folder = Folder::new();
    let Some(said) = run(&folder, &[]) else { return };
    assert_eq!(addresses(&said).len(), 1, "{said}");
    assert!(!folder.path("opened").exists(), "nobody asked for a browser");
    let other = Folder::new();
    let Some(said) = run(&other, &["--no-dashboard"]) else { return };
    assert_eq!(addresses(&said), [""; 0], "{said}");
    assert!(!said.contains("dashboard: "), "{said}");
}
