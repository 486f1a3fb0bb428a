//! What a file may look like, checked before anything is compiled.
//!
//! Compilation time does not follow size: a valid file of 6 KiB can take most
//! of a minute. These caps bound what is known to be slow, with room above what
//! Rust's compiler makes. They are close to those of NEAR's contract runtime,
//! which compiles strangers' modules with the same compiler.

use serde::{Deserialize, Serialize};
use wasmparser::{
    CanonicalFunction, CanonicalOption, Encoding, FunctionBody, Operator, Parser, Payload, TypeRef,
};

/// The largest of everything that a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// bytes of the file
    pub file_bytes: u64,
    /// core modules in a component
    pub modules: u32,
    /// components in a component; those that adapt an export hold no code
    pub components: u32,
    /// types in a module
    pub types: u32,
    /// parameters and results of a function type
    pub parameters: u32,
    /// functions in a module
    pub functions: u32,
    /// bytes of a function's body
    pub body_bytes: u32,
    /// locals of a function
    pub locals: u32,
    /// blocks, loops and ifs in a function
    pub blocks: u32,
    /// blocks, loops and ifs in the file
    pub blocks_total: u32,
    /// blocks inside one another
    pub nesting: u32,
    /// targets of a branch table
    pub branch_targets: u32,
    /// globals in a module
    pub globals: u32,
    /// imports and exports of a module
    pub externs: u32,
    /// data and element segments of a module
    pub segments: u32,
    /// tables in a module
    pub tables: u32,
    /// elements that a table starts with
    pub table_elements: u64,
    /// bytes that a memory starts with
    pub memory_bytes: u64,
}

impl Caps {
    /// For strategies in a compiled language.
    #[must_use]
    pub fn native() -> Self {
        Self {
            file_bytes: 4 << 20,
            modules: 4,
            components: 8,
            types: 1_024,
            parameters: 64,
            functions: 10_000,
            body_bytes: 192 << 10,
            locals: 1_000,
            blocks: 5_000,
            blocks_total: 50_000,
            nesting: 256,
            branch_targets: 4_096,
            globals: 1_000,
            externs: 1_000,
            segments: 10_000,
            tables: 4,
            table_elements: 10_000,
            memory_bytes: 64 << 20,
        }
    }

    /// For an interpreter with the script inside, as componentize-py and
    /// componentize-js make: they take half a minute and more to compile.
    #[must_use]
    pub fn interpreter() -> Self {
        Self {
            file_bytes: 64 << 20,
            modules: 128,
            functions: 20_000,
            types: 8_192,
            externs: 16_384,
            body_bytes: 512 << 10,
            // The loop over bytecode of CPython is one switch in many blocks.
            nesting: 1_024,
            // The heap of SpiderMonkey after its start-up, as data.
            segments: 32_768,
            blocks_total: 250_000,
            ..Self::native()
        }
    }

    /// Checks the file's size alone, which costs nothing.
    ///
    /// # Errors
    /// By how much it is too large.
    pub(super) fn fits(&self, bytes: &[u8]) -> Result<(), String> {
        cap("bytes in the file", bytes.len() as u64, self.file_bytes)
    }

    /// Walks a file and compares all of it with these caps. Nothing is built
    /// from the file, so this is safe on any bytes.
    ///
    /// # Errors
    /// What is too large and by how much, or what cannot be parsed.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        self.fits(bytes)?;
        let mut walk = Walk { caps: self, modules: 0, components: 0, blocks_total: 0 };
        let mut stack = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| error.to_string())?;
            match &payload {
                Payload::Version { encoding, .. } => stack.push(walk.begin(*encoding)?),
                Payload::End(_) => drop(stack.pop()),
                _ => {
                    let counts = stack.last_mut().ok_or("a section outside of a module")?;
                    walk.payload(&payload, counts)?;
                }
            }
        }
        Ok(())
    }
}

fn cap(what: &str, found: u64, most: u64) -> Result<(), String> {
    if found <= most { Ok(()) } else { Err(format!("{found} {what}, more than {most}")) }
}

/// Sums over the whole file.
struct Walk<'a> {
    caps: &'a Caps,
    modules: u32,
    components: u32,
    blocks_total: u32,
}

/// Counts of one module.
#[derive(Default)]
struct Counts {
    types: u32,
    imports: u32,
    exports: u32,
    tables: u32,
    globals: u32,
    segments: u32,
}

impl Walk<'_> {
    fn begin(&mut self, encoding: Encoding) -> Result<Counts, String> {
        match encoding {
            Encoding::Module => self.modules += 1,
            Encoding::Component => self.components += 1,
        }
        cap("core modules", self.modules.into(), self.caps.modules.into())?;
        // The outermost component is not one inside another.
        cap("nested components", self.components.into(), u64::from(self.caps.components) + 1)?;
        Ok(Counts::default())
    }

    fn payload(&mut self, payload: &Payload<'_>, counts: &mut Counts) -> Result<(), String> {
        let caps = self.caps;
        let most = |what, found: u32, most: u32| cap(what, found.into(), most.into());
        match payload {
            Payload::TypeSection(reader) => {
                counts.types = counts.types.saturating_add(reader.count());
                most("types", counts.types, caps.types)?;
                for group in reader.clone() {
                    let group = group.map_err(|error| error.to_string())?;
                    for kind in group.types() {
                        self.function_type(&kind.composite_type.inner)?;
                    }
                }
            }
            Payload::ImportSection(reader) => {
                counts.imports = counts.imports.saturating_add(reader.count());
                most("imports", counts.imports, caps.externs)?;
                for import in reader.clone().into_imports() {
                    self.imported(import.map_err(|error| error.to_string())?.ty)?;
                }
            }
            Payload::ExportSection(reader) => {
                counts.exports = counts.exports.saturating_add(reader.count());
                most("exports", counts.exports, caps.externs)?;
            }
            Payload::FunctionSection(reader) => most("functions", reader.count(), caps.functions)?,
            Payload::GlobalSection(reader) => {
                counts.globals = counts.globals.saturating_add(reader.count());
                most("globals", counts.globals, caps.globals)?;
            }
            Payload::DataSection(reader) => {
                counts.segments = counts.segments.saturating_add(reader.count());
                most("segments", counts.segments, caps.segments)?;
            }
            Payload::ElementSection(reader) => {
                counts.segments = counts.segments.saturating_add(reader.count());
                most("segments", counts.segments, caps.segments)?;
            }
            Payload::TableSection(reader) => {
                counts.tables = counts.tables.saturating_add(reader.count());
                most("tables", counts.tables, caps.tables)?;
                for table in reader.clone() {
                    let initial = table.map_err(|error| error.to_string())?.ty.initial;
                    cap("elements in a table", initial, caps.table_elements)?;
                }
            }
            Payload::MemorySection(reader) => {
                for memory in reader.clone() {
                    self.memory(memory.map_err(|error| error.to_string())?)?;
                }
            }
            Payload::CodeSectionEntry(body) => {
                self.body(body).map_err(|error| error.to_string())??;
            }
            Payload::ComponentCanonicalSection(reader) => {
                for function in reader.clone() {
                    canonical(&function.map_err(|error| error.to_string())?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn function_type(&self, kind: &wasmparser::CompositeInnerType) -> Result<(), String> {
        if let wasmparser::CompositeInnerType::Func(function) = kind {
            let most = u64::from(self.caps.parameters);
            cap("parameters of a function", function.params().len() as u64, most)?;
            cap("results of a function", function.results().len() as u64, most)?;
        }
        Ok(())
    }

    fn imported(&self, kind: TypeRef) -> Result<(), String> {
        match kind {
            TypeRef::Memory(memory) => self.memory(memory),
            TypeRef::Table(table) => {
                cap("elements in a table", table.initial, self.caps.table_elements)
            }
            _ => Ok(()),
        }
    }

    fn memory(&self, memory: wasmparser::MemoryType) -> Result<(), String> {
        let page_bytes = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
        let bytes = memory.initial.saturating_mul(page_bytes);
        cap("bytes in a memory", bytes, self.caps.memory_bytes)
    }

    /// The outer error is the parser's, the inner one a broken cap.
    fn body(&mut self, body: &FunctionBody<'_>) -> wasmparser::Result<Result<(), String>> {
        let caps = *self.caps;
        let mut locals = 0_u32;
        for group in body.get_locals_reader()? {
            locals = locals.saturating_add(group?.0);
        }
        let (mut blocks, mut depth, mut deepest, mut targets) = (0_u32, 0_u32, 0_u32, 0_u32);
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    blocks = blocks.saturating_add(1);
                    depth = depth.saturating_add(1);
                    deepest = deepest.max(depth);
                }
                Operator::End => depth = depth.saturating_sub(1),
                Operator::BrTable { targets: table } => targets = targets.max(table.len()),
                _ => {}
            }
        }
        self.blocks_total = self.blocks_total.saturating_add(blocks);
        let checks = [
            ("bytes in a function", body.range().len() as u64, caps.body_bytes),
            ("locals in a function", locals.into(), caps.locals),
            ("blocks in a function", blocks.into(), caps.blocks),
            ("blocks in the file", self.blocks_total.into(), caps.blocks_total),
            ("nested blocks", deepest.into(), caps.nesting),
            ("targets of a branch table", targets.into(), caps.branch_targets),
        ];
        Ok(checks.into_iter().try_for_each(|(what, found, most)| cap(what, found, most.into())))
    }
}

/// Strings in UTF-8 only: the other encodings are where hosts have had holes,
/// and no toolchain we know of emits them.
fn canonical(function: &CanonicalFunction) -> Result<(), String> {
    let options = match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options
        }
        _ => return Ok(()),
    };
    let foreign = |option: &CanonicalOption| {
        matches!(option, CanonicalOption::UTF16 | CanonicalOption::CompactUTF16)
    };
    if options.iter().any(foreign) {
        return Err("strings that are not UTF-8".to_owned());
    }
    Ok(())
}
