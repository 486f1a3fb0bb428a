//! The program under strace: what it asked of the kernel, and what goes wrong
//! where.

use std::fs;
use std::process::{Command, Output, Stdio};

use sandpaper_tests::Folder;

/// The calls that matter to files.
const CALLS: &str = "openat,write,fdatasync,fsync,mkdir,rename,unlink,ftruncate,flock,close";

/// A program that ended under strace.
#[derive(Debug)]
pub(super) struct Traced {
    /// none when a signal ended it
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// each thread's calls, in order, that of the engine first
    pub(super) threads: Vec<Vec<Call>>,
}

/// One system call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// how many of this name the thread made until now, with this one
    pub(super) number: usize,
    /// its arguments as strace writes them
    pub(super) arguments: String,
    /// `None` when it never returned
    pub(super) result: Option<String>,
}

/// True where strace may trace. Says "skipped" where not.
pub(super) fn present() -> bool {
    let probe = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "true"];
    let probe = Command::new("strace").args(probe).stderr(Stdio::null()).status();
    let present = probe.is_ok_and(|status| status.success());
    if !present {
        println!("skipped: strace is not installed or may not trace here");
    }
    present
}

/// Runs the program with what is injected, such as
/// `fdatasync:error=EIO:when=3`.
pub(super) fn run(folder: &Folder, inject: &[String], arguments: &[String]) -> Traced {
    let traces = folder.path("traces");
    let _ = fs::remove_dir_all(&traces);
    fs::create_dir(&traces).expect("a folder");
    let program = folder.command(&super::strs(arguments));
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-y", "-qq", "-xx", "-s", "4000000", "-o"]).arg(traces.join("t"));
    strace.args(["-e", &format!("trace={CALLS}"), "-e", "signal=none"]);
    for inject in inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    strace.arg(program.get_program()).args(program.get_args()).env_clear();
    strace.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    if let Some(folder) = program.get_current_dir() {
        strace.current_dir(folder);
    }
    let Output { status, stdout, stderr } = strace.output().expect("strace starts");
    let mut threads: Vec<Vec<Call>> = fs::read_dir(&traces)
        .expect("traces")
        .flatten()
        .map(|entry| calls(&fs::read_to_string(entry.path()).expect("a trace")))
        .collect();
    // The engine's is the one that keeps the record.
    threads.sort_by_key(|calls| !calls.iter().any(Call::is_of_the_record));
    Traced {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        threads,
    }
}

fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in trace.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if !CALLS.split(',').any(|known| known == name) {
            continue;
        }
        let number = 1 + calls.iter().filter(|call| call.name == name).count();
        let (arguments, result) = match rest.rsplit_once(" = ") {
            Some((arguments, result)) if result != "?" => (arguments, Some(result.to_owned())),
            Some((arguments, _)) => (arguments, None),
            None => (rest, None),
        };
        let arguments = arguments.trim_end().trim_end_matches(')').to_owned();
        calls.push(Call { name: name.to_owned(), number, arguments: plain(&arguments), result });
    }
    calls
}

impl Call {
    /// True when it did what it was asked to.
    pub(super) fn worked(&self) -> bool {
        self.result.as_ref().is_some_and(|result| !result.starts_with('-'))
    }

    /// True when something was made to go wrong in it.
    pub(super) fn was_hit(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.contains("(INJECTED)"))
    }

    /// True when it is about the folder that holds the records, or a run's there;
    /// what else is kept beside a record has its own rules.
    pub(super) fn is_of_the_record(&self) -> bool {
        let path = self.path();
        let beside =
            ["modules", "usage", "result", "snapshot"].iter().any(|other| path.contains(other));
        !beside && (path.contains("/runs") || path.starts_with("runs"))
    }

    /// The file or folder that it is about, as it was named or as strace knows it.
    pub(super) fn path(&self) -> &str {
        let named = matches!(self.name.as_str(), "openat" | "mkdir" | "rename" | "unlink");
        let text = self.arguments.as_str();
        let found = if named { between(text, '"', '"') } else { between(text, '<', '>') };
        found.unwrap_or_default()
    }

    /// The bytes that a write was given.
    pub(super) fn bytes(&self) -> &str {
        self.arguments
            .split_once('"')
            .and_then(|(_, rest)| rest.rsplit_once('"'))
            .map_or("", |b| b.0)
    }
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.split_once(open)?.1.split_once(close).map(|(inner, _)| inner)
}

/// Names are readable again; what is written stays in hex.
fn plain(arguments: &str) -> String {
    let (names, data) = match arguments.split_once(", ") {
        // openat's folder comes before its path.
        _ if arguments.contains("AT_FDCWD") || arguments.starts_with('"') => (arguments, ""),
        Some((first, _)) => arguments.split_at(first.len()),
        None => (arguments, ""),
    };
    let bytes = unhex(names);
    format!("{}{data}", String::from_utf8_lossy(&bytes))
}

/// Text in which `\xNN` stands for bytes.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len() / 4), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = rest.strip_prefix(b"\\x").and_then(|hex| hex.first_chunk::<2>());
        let hex = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}
