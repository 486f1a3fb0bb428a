//! The dashboard's pages as files: what the content-security policy would refuse,
//! and what no page may do with text that a strategy wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn vendored_files_are_as_their_lock_says() {
    script("vendor", &["--check"]);
}

#[test]
fn the_pure_modules_of_the_pages_pass_their_tests() {
    script("web-test", &[]);
}
