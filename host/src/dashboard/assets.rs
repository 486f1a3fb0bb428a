//! The pages, in the binary. Nothing is read from disk while it runs.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file of the pages.
#[derive(Debug)]
pub struct Asset {
    /// its path below `host/web`, which is its path in the URL
    pub path: &'static str,
    /// its content
    pub bytes: &'static [u8],
}

macro_rules! files {
    ($($path:literal)*) => {
        &[$(Asset { path: $path, bytes: include_bytes!(concat!("../../web/", $path)) },)*]
    };
}

/// Every file that is served.
pub const FILES: &[Asset] = files! {
    "app.css"
    "app/charts.mjs"
    "app/format.mjs"
    "app/grid.mjs"
    "app/keys.mjs"
    "app/login.mjs"
    "app/main.mjs"
    "app/net.mjs"
    "app/notify.mjs"
    "app/pages/about.mjs"
    "app/pages/controls.mjs"
    "app/pages/events.mjs"
    "app/pages/feed.mjs"
    "app/pages/instrument.mjs"
    "app/pages/market.mjs"
    "app/pages/overview.mjs"
    "app/pages/runs.mjs"
    "app/pages/settings.mjs"
    "app/pages/strategy.mjs"
    "app/pages/tabs.mjs"
    "app/parts.mjs"
    "app/plots.mjs"
    "app/route.mjs"
    "app/sort.mjs"
    "app/stats.mjs"
    "app/store.mjs"
    "app/topics.mjs"
    "app/window.mjs"
    "icon.svg"
    "index.html"
    "login.css"
    "login.html"
    "login.js"
    "vendor/LICENSES.txt"
    "vendor/lwc.mjs"
    "vendor/ui.mjs"
};

/// Files of the folder that are not served: they are for building.
pub const NOT_SERVED: &[&str] = &["vendor/VENDOR.lock", "README.md"];

/// The only files that anybody may have: without them nobody could log in.
pub const PUBLIC: &[&str] = &["/login.css", "/login.js", "/icon.svg"];

/// The hash of every file, in the order of [`FILES`].
static TAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|file| hash(&[file.bytes])).collect());

/// The hash of all files together: another one means that the pages changed.
pub static ALL: LazyLock<String> = LazyLock::new(|| {
    let parts: Vec<&[u8]> = FILES.iter().map(|file| file.bytes).collect();
    hash(&parts)
});

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The file at a path such as `/app/main.mjs`, with its tag; `/` is the page
/// itself.
#[must_use]
pub fn find(path: &str) -> Option<(&'static Asset, &'static str)> {
    let name = if path == "/" { "index.html" } else { path.strip_prefix('/')? };
    let at = FILES.iter().position(|file| file.path == name)?;
    Some((&FILES[at], &TAGS[at]))
}

/// What kind of file it is.
#[must_use]
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, below, found);
            } else {
                found.push(path.strip_prefix(below).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_pages_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut found = Vec::new();
        walk(&folder, &folder, &mut found);
        found.retain(|path| !NOT_SERVED.contains(&path.as_str()));
        found.sort();
        let listed: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        assert_eq!(found, listed, "host/src/dashboard/assets.rs lists the files of host/web");
    }

    #[test]
    fn every_file_has_a_type_that_browsers_take() {
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
        }
        for path in PUBLIC {
            assert!(find(path).is_some(), "{path}");
        }
    }
}
