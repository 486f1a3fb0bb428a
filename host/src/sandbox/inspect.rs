//! Looks at any file and says what it is, without compiling or running it.

use serde::Serialize;
use wasmparser::{Parser, Payload, ProducersSectionReader, TypeRef};

use super::caps::Caps;
use super::load::{Layer, LoadError, layer, module_imports, prepare, surface};
use super::runtime::Runtime;
use super::wasi;
use crate::lockfile::{Approved, Sha256, Wasi};
use crate::strategy::clean_text;

/// Names listed of each sort; a stranger's file can have millions.
const NAMES_MAX: usize = 1_000;
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 256;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// a core module, as `wasm32-unknown-unknown` makes
    CoreModule,
    /// a component that imports no WASI
    Component,
    /// a component that imports WASI, as `wasm32-wasip2` makes
    WasiComponent,
    /// anything else
    NotWasm,
}

impl Kind {
    /// What it is, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CoreModule => "core module",
            Self::Component => "component",
            Self::WasiComponent => "component that imports WASI",
            Self::NotWasm => "not WebAssembly",
        }
    }
}

/// The bounds of a memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryBounds {
    /// what it starts with
    pub min_bytes: u64,
    /// what it may grow to, if it says so
    pub max_bytes: Option<u64>,
}

/// What can be said of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// the digest that `allow` takes
    pub sha256: Sha256,
    /// bytes
    pub size: u64,
    /// what it is
    pub kind: Kind,
    /// interfaces, or a core module's modules, that it imports
    pub imports: Vec<String>,
    /// what it exports
    pub exports: Vec<String>,
    /// its own memories
    pub memories: Vec<MemoryBounds>,
    /// functions with a body
    pub functions: u32,
    /// whether it could be loaded, with the WASI that it has been granted, under
    /// the given caps
    pub loadable: bool,
    /// why not
    pub problem: Option<String>,
    /// tools named in its producers section, such as `language Rust`
    pub producers: Vec<String>,
}

/// Looks at a file that has been granted so much of WASI. Any bytes do: what
/// cannot be read is left out, and `problem` says why the file would not load.
#[must_use]
pub fn inspect(bytes: &[u8], caps: &Caps, wasi: Wasi) -> Inspection {
    judged(look(bytes), prepare(bytes, caps, wasi).err())
}

/// As [`inspect`], with a child process to judge whether the file would load, and
/// to bear what judging it costs.
#[must_use]
pub fn inspect_vetted(runtime: &Runtime, approved: &Approved, caps: &Caps) -> Inspection {
    let bytes = approved.candidate().bytes();
    let problem = match &runtime.vetting {
        Some(vetting) => vetting.vet(runtime, approved, caps).err(),
        None => prepare(bytes, caps, approved.wasi()).err(),
    };
    judged(look(bytes), problem)
}

fn judged(mut found: Inspection, problem: Option<LoadError>) -> Inspection {
    found.loadable = problem.is_none();
    found.problem = problem.map(|error| error.to_string());
    found
}

fn look(bytes: &[u8]) -> Inspection {
    let mut found = Inspection {
        sha256: Sha256::of(bytes),
        size: bytes.len() as u64,
        kind: Kind::NotWasm,
        imports: Vec::new(),
        exports: Vec::new(),
        memories: Vec::new(),
        functions: 0,
        loadable: false,
        problem: None,
        producers: Vec::new(),
    };
    match layer(bytes) {
        Ok(Layer::Module) => {
            found.kind = Kind::CoreModule;
            found.imports = module_imports(bytes);
        }
        Ok(Layer::Component) => component(bytes, &mut found),
        Err(_) => {}
    }
    if found.kind != Kind::NotWasm {
        contents(bytes, &mut found);
    }
    for names in [&mut found.imports, &mut found.exports, &mut found.producers] {
        names.truncate(NAMES_MAX);
    }
    found
}

fn component(bytes: &[u8], found: &mut Inspection) {
    let surface = surface(bytes).unwrap_or_default();
    let imports_wasi = surface.imports.iter().any(|name| wasi::is_wasi(name));
    found.kind = if imports_wasi { Kind::WasiComponent } else { Kind::Component };
    found.imports = surface.imports;
    found.exports = surface.exports.into_iter().map(|(name, _)| name).collect();
}

/// Reads what the sections say, as far as they can be read.
fn contents(bytes: &[u8], found: &mut Inspection) {
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::FunctionSection(reader) => {
                found.functions = found.functions.saturating_add(reader.count());
            }
            Payload::MemorySection(reader) => {
                let memories = reader.into_iter().map_while(Result::ok).map(bounds);
                found.memories.extend(memories.take(NAMES_MAX));
            }
            Payload::ImportSection(reader) if found.kind == Kind::CoreModule => {
                for import in reader.into_imports().map_while(Result::ok) {
                    if let TypeRef::Memory(memory) = import.ty {
                        found.memories.push(bounds(memory));
                    }
                }
            }
            Payload::ExportSection(reader) if found.kind == Kind::CoreModule => {
                let names = reader.into_iter().map_while(Result::ok).map(|export| export.name);
                found.exports.extend(names.take(NAMES_MAX).map(name));
            }
            Payload::CustomSection(section) if section.name() == "producers" => {
                let reader = wasmparser::BinaryReader::new(section.data(), section.data_offset());
                producers(reader, found);
            }
            _ => {}
        }
    }
}

fn name(text: &str) -> String {
    clean_text(text, NAME_BYTES_MAX)
}

fn bounds(memory: wasmparser::MemoryType) -> MemoryBounds {
    let page_bytes = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
    MemoryBounds {
        min_bytes: memory.initial.saturating_mul(page_bytes),
        max_bytes: memory.maximum.map(|pages| pages.saturating_mul(page_bytes)),
    }
}

fn producers(reader: wasmparser::BinaryReader<'_>, found: &mut Inspection) {
    let Ok(fields) = ProducersSectionReader::new(reader) else { return };
    for field in fields.into_iter().map_while(Result::ok).take(NAMES_MAX) {
        for value in field.values.into_iter().map_while(Result::ok).take(NAMES_MAX) {
            let line = format!("{} {} {}", name(field.name), name(value.name), name(value.version));
            let line = line.trim_end().to_owned();
            if !found.producers.contains(&line) && found.producers.len() < NAMES_MAX {
                found.producers.push(line);
            }
        }
    }
}
