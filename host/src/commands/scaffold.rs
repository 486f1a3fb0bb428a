//! `sandpaper new` and `sandpaper build`: from nothing to a module in the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::app::Failure;
use crate::cli::{BuildArgs, Exit, NewArgs};
use crate::output::Output;

use super::Context;

/// The strategy that a new project begins with.
const TEMPLATE: &str = include_str!("../../../strategy-sdk/templates/sma-cross.rs");

const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn new(args: &NewArgs, output: &Output) -> Result<Exit, Failure> {
    let name = &args.name;
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !valid {
        let message = format!("'{name}' is not a name: use lower case, digits and dashes");
        return Err(Failure::new(Exit::Usage, message));
    }
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        let message = format!("{} exists already", dir.display());
        return Err(Failure::new(Exit::Usage, message).hint("choose another with --dir"));
    }
    let manifest = manifest(name)?;
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("Cargo.toml"), manifest)?;
    fs::write(dir.join("src/lib.rs"), TEMPLATE)?;
    fs::write(dir.join(".gitignore"), "/target\n")?;
    let shown = dir.display();
    output.note(&format!(
        "made {shown}/: edit {shown}/src/lib.rs, then\n  sandpaper build {shown} --install\n  \
         sandpaper allow strategies/{name}.wasm\n  sandpaper run --strategies {name}",
    ));
    Ok(Exit::Done)
}

/// A manifest that stands on its own: strategies are built for size and speed,
/// and overflow is a fault, not a wrong number.
fn manifest(name: &str) -> Result<String, Failure> {
    // The sources that this host was built from. A package of that name from a
    // registry could be anybody's.
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../strategy-sdk");
    let sdk = sdk.canonicalize().map_err(|_| {
        Failure::new(Exit::Runtime, format!("the SDK's sources are not at {}", sdk.display()))
            .hint("building the host again where its sources are now")
    })?;
    let sdk = format!("path = {:?}", sdk.display().to_string());
    Ok(format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
         [dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         strategy-sdk = {{ {sdk} }}\n\n\
         [profile.release]\nopt-level = 3\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n\
         strip = \"debuginfo\"\noverflow-checks = true\n\n[workspace]\n"
    ))
}

pub(super) fn build(context: &Context, args: &BuildArgs) -> Result<Exit, Failure> {
    let manifest = args.path.join("Cargo.toml");
    if !manifest.is_file() {
        let message = format!("{} has no Cargo.toml", args.path.display());
        return Err(Failure::new(Exit::Usage, message).hint("sandpaper new NAME makes a project"));
    }
    let messages = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .env("RUSTFLAGS", remap())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(Exit::Runtime, format!("cannot run cargo: {error}")))?;
    if !messages.status.success() {
        return Err(Failure::new(
            Exit::Runtime,
            format!("{} does not compile", args.path.display()),
        )
        .hint("sandpaper doctor says whether the wasm32 target is installed"));
    }
    let modules = modules(&messages.stdout);
    if modules.is_empty() {
        let message = format!("{} makes no .wasm file", manifest.display());
        return Err(Failure::new(Exit::Incompatible, message)
            .hint("its [lib] needs crate-type = [\"cdylib\", \"rlib\"]"));
    }
    for module in modules {
        let made = if args.install { install(context, &module)? } else { module };
        context.output.print(&made.display().to_string())?;
    }
    Ok(Exit::Done)
}

/// Paths of this machine have no place in a module: they would change its hash
/// from one machine to the next.
fn remap() -> String {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    for (from, to) in [(home.ok(), "/cargo"), (current_dir(), "/build")] {
        if let Some(from) = from.filter(|from| !from.contains(' ')) {
            flags.push_str(&format!(" --remap-path-prefix={from}={to}"));
        }
    }
    flags
}

fn current_dir() -> Option<String> {
    std::env::current_dir().ok().map(|dir| dir.display().to_string())
}

/// The `.wasm` files that cargo's messages name for the built package.
fn modules(messages: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in messages.split(|&byte| byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let files = message["filenames"].as_array().into_iter().flatten();
        for file in files.filter_map(|file| file.as_str()).filter(|file| file.ends_with(".wasm")) {
            let path = PathBuf::from(file);
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn install(context: &Context, module: &Path) -> Result<PathBuf, Failure> {
    let dir = Path::new(&context.config.strategies.dir);
    fs::create_dir_all(dir)?;
    // Cargo names the file after the library; the package's name has dashes.
    let name = module.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-"));
    let to = dir.join(format!("{}.wasm", name.unwrap_or_default()));
    fs::copy(module, &to)?;
    Ok(to)
}
