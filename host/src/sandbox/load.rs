//! From approved bytes to compiled code: kind, caps, component, imports, world,
//! compilation, each step before the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReader, ComponentExternalKind, ComponentTypeRef, Parser, Payload, TypeBounds, Validator,
};
use wasmtime::component::{Component, InstancePre, Linker};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::cache;
use super::caps::Caps;
use super::contract::{self, EXPORTS, INTERFACES, PACKAGE};
use super::guest::Guest;
use super::limits::Limits;
use super::runtime::{Runtime, features};
use super::state::State;
use super::wasi;
use crate::lockfile::{Approved, Sha256, Wasi};
use crate::strategy::{Fault, clean_text};

/// Bytes of a tool's message that are kept.
const DETAIL_BYTES_MAX: usize = 1024;

/// Why bytes cannot run as a strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LoadError {
    /// Neither a core module nor a component. Precompiled code is not either.
    #[error("not a WebAssembly file: {0}")]
    NotWasm(String),
    /// Larger than this host compiles, or not parseable.
    #[error("refused before compilation: {0}")]
    Structure(String),
    /// It uses what the contract does not have.
    #[error("imports {0}, which strategies are not given")]
    ForeignImport(String),
    /// It needs no more of WASI than can be granted, and was not granted it.
    #[error("imports {0}, which strategies are not given unless WASI is granted")]
    WasiNotGranted(String),
    /// It needs more of WASI than the empty one that was granted has.
    #[error("imports {0}, which the deterministic WASI does not have")]
    WasiNotAvailable(String),
    /// It does not answer to the contract.
    #[error("does not implement {world}: {0}", world = crate::lockfile::WORLD)]
    WrongWorld(String),
    /// wasmtime cannot compile it.
    #[error("does not compile: {0}")]
    Compile(String),
    /// Compiling it takes more than a child process is given.
    #[error("refused by the trial compilation: {0}")]
    Limits(String),
    /// This machine cannot run strategies at all.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
}

/// What the first eight bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Module,
    Component,
}

/// Tells a core module from a component.
pub(super) fn layer(bytes: &[u8]) -> Result<Layer, LoadError> {
    match (bytes.get(..4), bytes.get(4..8)) {
        (Some(b"\0asm"), Some([1, 0, 0, 0])) => Ok(Layer::Module),
        (Some(b"\0asm"), Some([13, 0, 1, 0])) => Ok(Layer::Component),
        (Some(b"\0asm"), _) => Err(LoadError::NotWasm("unknown version".to_owned())),
        (Some(b"\x7fELF"), _) => Err(LoadError::NotWasm("native or precompiled code".to_owned())),
        _ => Err(LoadError::NotWasm("the first bytes are not its mark".to_owned())),
    }
}

/// A strategy's compiled code. Instances of it share nothing else.
#[derive(Clone)]
pub struct Module {
    runtime: Runtime,
    pre: InstancePre<State>,
    sha256: Sha256,
    imports: Vec<String>,
    wasi: bool,
}

impl Module {
    /// Checks and compiles approved bytes, where the runtime is vetted only after
    /// a child process has done the same.
    ///
    /// # Errors
    /// [`LoadError`], naming what is wrong.
    pub fn load(runtime: &Runtime, approved: &Approved, caps: &Caps) -> Result<Self, LoadError> {
        if let Some(vetting) = &runtime.vetting {
            vetting.vet(runtime, approved, caps)?;
        }
        let candidate = approved.candidate();
        let component = prepare(candidate.bytes(), caps, approved.wasi())?;
        let wasi = component.imports.iter().any(|name| wasi::is_wasi(name));
        let pre = compile(runtime, &component.bytes, wasi)?;
        let sha256 = candidate.sha256();
        Ok(Self { runtime: runtime.clone(), pre, sha256, imports: component.imports, wasi })
    }

    /// Makes a strategy of it.
    ///
    /// # Errors
    /// The fault that its start functions ended in, or the limit that it breaks
    /// from the beginning.
    pub fn instantiate(&self, limits: Limits) -> Result<Guest, Fault> {
        Guest::new(&self.runtime, &self.pre, limits, self.wasi)
    }

    /// The digest of the file it was made of.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// True when it imports WASI, and so needs the grant.
    #[must_use]
    pub fn imports_wasi(&self) -> bool {
        self.wasi
    }

    /// What it imports, for the lock file.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.imports
    }
}

/// A component that may be compiled.
pub(super) struct Prepared {
    pub(super) bytes: Vec<u8>,
    pub(super) imports: Vec<String>,
}

/// Everything before compilation. wasmtime has no part in it.
pub(super) fn prepare(bytes: &[u8], caps: &Caps, wasi: Wasi) -> Result<Prepared, LoadError> {
    let layer = layer(bytes)?;
    caps.check(bytes).map_err(|detail| LoadError::Structure(clean(&detail)))?;
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(|error| LoadError::Structure(clean(&error.to_string())))?;
    let bytes = match layer {
        Layer::Module => {
            // A core module cannot be given WASI: its imports are other functions.
            check_imports(&module_imports(bytes), wasi, |_| false)?;
            componentize(bytes)?
        }
        Layer::Component => bytes.to_vec(),
    };
    let Surface { imports, exports } = surface(&bytes)?;
    check_imports(&imports, wasi, wasi::serves)?;
    check_exports(&exports)?;
    // The contract does not name WASI. A component that imports it is held to
    // the types of its imports when they are linked, and to those of its exports
    // when it is instantiated.
    if !imports.iter().any(|name| wasi::is_wasi(name)) {
        check_world(&bytes)?;
    }
    Ok(Prepared { bytes, imports })
}

fn clean(detail: &str) -> String {
    clean_text(&detail.replace('\n', " "), DETAIL_BYTES_MAX)
}

/// Runs a step of a foreign library on a stranger's bytes, where a panic is one
/// more way to refuse them.
fn guarded<R>(step: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err("the tool that reads it failed".to_owned()))
}

/// Makes a component of a core module.
///
/// SDKs embed the world they were built for in a custom section. It is not
/// read: it is a stranger's, and a package in it that depends on itself sends
/// `wit-parser` into endless recursion, which ends the process. The contract of
/// this host takes its place, and the encoder holds the module to it.
fn componentize(module: &[u8]) -> Result<Vec<u8>, LoadError> {
    let (resolve, world) = contract::world().map_err(LoadError::Engine)?;
    let mut module = without_custom_sections(module)
        .map_err(|error| LoadError::Structure(clean(&error.to_string())))?;
    guarded(|| {
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .and_then(|()| ComponentEncoder::default().validate(true).module(&module)?.encode())
            .map_err(|error| format!("{error:#}"))
    })
    .map_err(|detail| LoadError::WrongWorld(clean(&detail)))
}

/// A core module without its custom sections, except the one that names its
/// functions for backtraces. Debug information goes too: nobody parses it then.
fn without_custom_sections(module: &[u8]) -> wasmparser::Result<Vec<u8>> {
    const HEADER: usize = 8;
    const CUSTOM: u8 = 0;
    let mut kept = module.get(..HEADER).unwrap_or_default().to_vec();
    let mut reader = BinaryReader::new(module.get(HEADER..).unwrap_or_default(), HEADER);
    while !reader.eof() {
        let from = reader.original_position();
        let id = reader.read_u8()?;
        let bytes = reader.read_var_u32()? as usize;
        let content_at = reader.original_position();
        let content = reader.read_bytes(bytes)?;
        let custom =
            id == CUSTOM && BinaryReader::new(content, content_at).read_string()? != "name";
        if !custom {
            kept.extend_from_slice(
                module.get(from..reader.original_position()).unwrap_or_default(),
            );
        }
    }
    Ok(kept)
}

/// The modules that a core module imports from, each once.
pub(super) fn module_imports(module: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        if let Payload::ImportSection(reader) = payload {
            for import in reader.into_imports().map_while(Result::ok) {
                let name = clean(import.module);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// What a component imports and exports, by name.
#[derive(Default)]
pub(super) struct Surface {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<(String, ComponentExternalKind)>,
}

/// Reads the outermost component's imports and exports, without mere types.
pub(super) fn surface(component: &[u8]) -> Result<Surface, LoadError> {
    let failed =
        |error: wasmparser::BinaryReaderError| LoadError::Structure(clean(&error.to_string()));
    let mut surface = Surface::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(failed)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(reader) if depth == 1 => {
                for import in reader {
                    let import = import.map_err(failed)?;
                    // A name for a type that is already known gives no power.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        surface.imports.push(clean(import.name.name));
                    }
                }
            }
            Payload::ComponentExportSection(reader) if depth == 1 => {
                for export in reader {
                    let export = export.map_err(failed)?;
                    surface.exports.push((clean(export.name.name), export.kind));
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

/// Compares imports with the contract by name, and those of WASI with what can
/// be granted. Names are what counts: an import of a forbidden interface that
/// declares no function of it would otherwise be satisfied by anything.
fn check_imports(
    imports: &[String],
    wasi: Wasi,
    grantable: impl Fn(&str) -> bool,
) -> Result<(), LoadError> {
    let foreign = || imports.iter().filter(|name| !INTERFACES.contains(&name.as_str()));
    if let Some(name) = foreign().find(|name| !grantable(name)) {
        if name.starts_with(PACKAGE) {
            let detail = format!("it imports {name}, and this host has {}", INTERFACES.join(", "));
            return Err(LoadError::WrongWorld(detail));
        }
        return Err(match wasi {
            Wasi::Deterministic if wasi::is_wasi(name) => LoadError::WasiNotAvailable(name.clone()),
            _ => LoadError::ForeignImport(name.clone()),
        });
    }
    match (wasi, foreign().next()) {
        (Wasi::Refused, Some(name)) => Err(LoadError::WasiNotGranted(name.clone())),
        _ => Ok(()),
    }
}

/// Compares exports with the contract by name, for a message that says what is
/// missing.
fn check_exports(exports: &[(String, ComponentExternalKind)]) -> Result<(), LoadError> {
    let exported = |name: &str| {
        exports.iter().any(|(known, kind)| known == name && *kind == ComponentExternalKind::Func)
    };
    let missing: Vec<_> = EXPORTS.into_iter().filter(|name| !exported(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LoadError::WrongWorld(format!("it does not export {}", missing.join(", "))))
}

/// Compares imports and exports with the contract by type.
fn check_world(component: &[u8]) -> Result<(), LoadError> {
    let (resolve, world) = contract::world().map_err(LoadError::Engine)?;
    guarded(|| {
        wit_component::targets(&resolve, world, component).map_err(|error| format!("{error:#}"))
    })
    .map_err(|detail| LoadError::WrongWorld(clean(&detail)))
}

/// The code of a prepared component: kept from an earlier start, or compiled now.
fn compiled(runtime: &Runtime, bytes: &[u8]) -> wasmtime::Result<Component> {
    let Some(cache) = &runtime.cache else {
        return Component::from_binary(&runtime.engine, bytes);
    };
    let statement = cache::statement(runtime, bytes);
    if let Some(component) = cache.find(&runtime.engine, &statement) {
        return Ok(component);
    }
    let component = Component::from_binary(&runtime.engine, bytes)?;
    cache.keep(&statement, &component);
    Ok(component)
}

/// Compiles a prepared component and resolves its imports. WASI is in the linker
/// of those components alone that import it.
pub(super) fn compile(
    runtime: &Runtime,
    component: &[u8],
    wasi: bool,
) -> Result<InstancePre<State>, LoadError> {
    let failed = |error: wasmtime::Error| format!("{error:#}");
    guarded(|| {
        let component = compiled(runtime, component).map_err(failed)?;
        if !wasi {
            return runtime.linker.instantiate_pre(&component).map_err(failed);
        }
        let mut linker = Linker::clone(&runtime.linker);
        wasi::add_to(&mut linker).map_err(failed)?;
        linker.instantiate_pre(&component).map_err(failed)
    })
    .map_err(|detail| LoadError::Compile(clean(&detail)))
}
