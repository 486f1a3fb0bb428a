//! `sandpaper doctor`: is this machine and folder ready?

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::app::Failure;
use crate::app::given::{Runtimes, given};
use crate::app::strategies::read_lock;
use crate::cli::Exit;
use crate::lockfile::{self, LimitOverride};

use super::Context;

#[derive(Serialize)]
struct Finding {
    name: &'static str,
    ok: bool,
    detail: String,
}

pub(super) fn doctor(context: &Context) -> Result<Exit, Failure> {
    let config = &context.config;
    let mut findings = vec![Finding {
        name: "configuration",
        ok: true,
        detail: format!("valid, sha256 {}", &config.sha256()[..12]),
    }];
    findings.push(target());
    let usual = given(config, &LimitOverride::default());
    findings.push(match Runtimes::new(config).and_then(|mut all| all.of(&usual)) {
        Ok(_) => Finding {
            name: "sandbox",
            ok: true,
            detail: "strategies can be compiled and run".into(),
        },
        Err(failure) => Finding { name: "sandbox", ok: false, detail: failure.message },
    });
    findings.push(match read_lock(config) {
        Ok(lock) => {
            let (allowed, serial) = (lock.entries().len(), lock.serial());
            let detail = format!("{} allowed, serial {serial}", allowed);
            Finding { name: "lock file", ok: true, detail }
        }
        Err(failure) => Finding { name: "lock file", ok: false, detail: failure.message },
    });
    let dir = Path::new(&config.strategies.dir);
    findings.push(match lockfile::scan(dir) {
        Ok(files) => {
            let detail = format!("{} .wasm files in {}/", files.len(), dir.display());
            Finding { name: "strategies", ok: true, detail }
        }
        Err(error) => Finding { name: "strategies", ok: false, detail: error.to_string() },
    });
    let well = findings.iter().all(|finding| finding.ok);
    if context.output.json {
        context.output.print_json_list("sandpaper.doctor/1", &findings, &[])?;
    } else {
        for finding in &findings {
            let mark = if finding.ok { "ok  " } else { "FAIL" };
            context.output.print(&format!("{mark} {:<15}{}", finding.name, finding.detail))?;
        }
    }
    Ok(if well { Exit::Done } else { Exit::Findings })
}

/// Whether strategies can be compiled here. Only rustc itself knows.
fn target() -> Finding {
    let name = "wasm32 target";
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let Ok(sysroot) = sysroot else {
        let detail = "rustc is not installed: strategies can run, not be compiled".into();
        return Finding { name, ok: true, detail };
    };
    let root = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let library = Path::new(&root).join("lib/rustlib/wasm32-unknown-unknown/lib");
    if library.is_dir() {
        return Finding { name, ok: true, detail: "installed".into() };
    }
    let detail = "not installed; try: rustup target add wasm32-unknown-unknown".into();
    Finding { name, ok: false, detail }
}
