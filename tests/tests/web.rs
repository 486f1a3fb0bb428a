//! The dashboard's pages as files: what the content-security policy would refuse,
//! and what no page may do with text that a strategy wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use sandpaper_tests::repository::{files, longer_than, relative, root};

/// The longest a module of a page may be; past it, a second topic has crept in.
const LINES_MAX: usize = 400;

/// What turns text into markup or code, each with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("innerHTML", "text is a text node"),
    ("outerHTML", "text is a text node"),
    ("insertAdjacentHTML", "text is a text node"),
    ("dangerouslySetInnerHTML", "text is a text node"),
    ("document.write", "text is a text node"),
    ("srcdoc", "no document is made of text"),
    ("eval(", "nothing is compiled at run time"),
    ("new Function", "nothing is compiled at run time"),
    ("javascript:", "an address is never code"),
    ("http://", "nothing is loaded from elsewhere"),
];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The modules that were written here, not the vendored ones.
fn modules() -> Vec<PathBuf> {
    let modules = files(&root().join("host/web/app"), ".mjs");
    assert!(modules.len() > 10, "the pages were not found");
    modules
}

/// What is wrong with a module's text, if anything.
fn faults(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (word, reason) in REFUSED.iter().filter(|(word, _)| line.contains(word)) {
            wrong.push(format!("{}: {word}: {reason}", index + 1));
        }
        let imported = line.split(" from '").nth(1).or_else(|| line.split("import('").nth(1));
        if (line.starts_with("import") || line.starts_with('}') || line.contains("import('"))
            && imported.is_some_and(|from| !from.starts_with("./") && !from.starts_with("../"))
        {
            wrong.push(format!("{}: a bare import needs a build step", index + 1));
        }
    }
    wrong
}

#[test]
fn pages_hold_text_as_text_and_import_only_files() {
    let mut wrong = Vec::new();
    for path in modules() {
        wrong.extend(faults(&read(&path)).iter().map(|at| format!("{}:{at}", relative(&path))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The control: each of these must be found.
    for bad in ["node.innerHTML = text", "import { h } from 'preact';", "x = eval('1')"] {
        assert_eq!(faults(bad).len(), 1, "{bad}");
    }
}

#[test]
fn the_page_has_no_inline_script_style_or_handler() {
    let page = read(&root().join("host/web/index.html"));
    for tag in ["<style", "style=", " onclick", " onload", " onerror", "<base", "<iframe"] {
        assert!(!page.contains(tag), "index.html holds {tag}");
    }
    for script in page.split("<script").skip(1) {
        assert!(script.contains("src=\"app/"), "a script without a file: <script{script}");
        let body = script.split('>').nth(1).and_then(|rest| rest.split('<').next());
        assert_eq!(body, Some(""), "an inline script");
    }
}

#[test]
fn modules_of_pages_have_one_topic() {
    let long = longer_than(&modules(), LINES_MAX);
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Runs a script of the repository; it must succeed.
fn script(name: &str, arguments: &[&str]) {
    let path = root().join("scripts").join(name);
    let output = Command::new(&path).args(arguments).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        output.status.success(),
        "{name}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How a folder of vendored files differs from its lock: every file is listed with its
/// hash, and every listed file is there.
fn differences(folder: &Path) -> Vec<String> {
    let lock = read(&folder.join("VENDOR.lock"));
    let listed: BTreeMap<&str, &str> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("file ")?.split_once("  "))
        .map(|(hash, name)| (name, hash))
        .collect();
    let present = files(folder, "");
    let names = present.iter().filter_map(|path| path.file_name()?.to_str());
    let mut wrong: Vec<String> = names
        .filter(|name| *name != "VENDOR.lock" && !listed.contains_key(name))
        .map(|name| format!("{name} is not in the lock"))
        .collect();
    for (name, hash) in listed {
        match fs::read(folder.join(name)) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == hash => {}
            Ok(_) => wrong.push(format!("{name} has another hash")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    wrong
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn vendored_files_are_as_their_lock_says() {
    let vendor = root().join("host/web/vendor");
    assert_eq!(differences(&vendor), [""; 0]);
    script("vendor", &["--check"]);
    // The control: a changed, an added and a lost file are found.
    let copy = tempfile::tempdir().expect("a folder");
    let at = |name: &str| copy.path().join(name);
    for path in files(&vendor, "") {
        let name = path.file_name().expect("a name").to_str().expect("text");
        fs::copy(&path, at(name)).expect("copied");
    }
    assert_eq!(differences(copy.path()), [""; 0]);
    fs::write(at("ui.mjs"), read(&at("ui.mjs")) + " ").expect("written");
    fs::write(at("more.mjs"), "").expect("written");
    fs::remove_file(at("LICENSES.txt")).expect("removed");
    let wrong = differences(copy.path()).join("\n");
    for found in ["ui.mjs has another hash", "more.mjs is not in the lock", "LICENSES.txt: "] {
        assert!(wrong.contains(found), "{found}: {wrong}");
    }
}

#[test]
fn every_vendored_package_has_its_license_and_the_notice_that_it_asks_for() {
    let vendor = root().join("host/web/vendor");
    let (lock, licenses) = (read(&vendor.join("VENDOR.lock")), read(&vendor.join("LICENSES.txt")));
    let packages: Vec<(&str, &str)> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("package ")?.split_once(' '))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
        .filter(|(name, _)| *name != "esbuild")
        .collect();
    assert!(packages.len() > 4, "{packages:?}");
    for (name, version) in packages {
        assert!(licenses.contains(&format!("{name}@{version}")), "{name} {version}");
    }
    // The charts' license wants their name, their maker and a link where users see it.
    let about = read(&root().join("host/web/app/pages/about.mjs"));
    for notice in [
        "TradingView Lightweight Charts™",
        "TradingView, Inc.",
        "https://www.tradingview.com/",
        "vendor/LICENSES.txt",
    ] {
        assert!(about.contains(notice), "{notice}");
    }
}

#[test]
fn the_pure_modules_of_the_pages_pass_their_tests() {
    script("web-test", &[]);
}
