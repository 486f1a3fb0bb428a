//! The declaration of a section: one place gives the struct, its documentation,
//! each key's default and range, and the code that reads it.
//!
//! A key that is declared is read, and a key that is not read is unknown, so the
//! two lists cannot drift apart.

use std::collections::BTreeMap;

use super::error::Problem;
use super::source::{Leaf, Origin, Path};
use super::value::{Limits, Raw, Setting, parse_toml};

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// its section, such as `feed.sim`
    pub section: &'static str,
    /// its name within the section
    pub name: &'static str,
    /// what it does, in one or a few lines
    pub doc: &'static str,
    /// the built-in value as TOML; `none` when there is none
    pub default: &'static str,
    /// its range
    pub limits: Limits,
    /// what kind of value it takes, in words
    pub kind: fn() -> String,
    /// true when its entries have names that the user chooses
    pub open: bool,
}

impl Key {
    /// The whole path, such as `feed.sim.levels`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// What is allowed, in words: the kind and the range.
    #[must_use]
    pub fn allowed(&self) -> String {
        let Limits { from, above, to } = self.limits;
        let mut text = (self.kind)();
        match (from, above, to) {
            (Some(from), _, Some(to)) => text += &format!(", from {from} to {to}"),
            (Some(from), _, None) => text += &format!(", at least {from}"),
            (None, Some(above), Some(to)) => text += &format!(", above {above}, at most {to}"),
            (None, Some(above), None) => text += &format!(", above {above}"),
            (None, None, Some(to)) => text += &format!(", at most {to}"),
            (None, None, None) => {}
        }
        text
    }
}

/// A setting that took effect: its canonical value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// the value in its canonical form
    pub value: toml::Value,
    /// which layer gave it
    pub origin: Origin,
}

/// Takes the settings out of the merged layers, key by key, and collects what is
/// wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) rest: BTreeMap<Path, Leaf>,
    pub(super) effective: BTreeMap<Path, Effective>,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    /// Reads one value; a refused one is a problem, and `None`.
    fn accept<T: Setting>(&mut self, path: Path, leaf: Leaf, key: &Key) -> Option<T> {
        let read = match &leaf.raw {
            Raw::Toml(value) => T::from_toml(value),
            Raw::Text(text) => T::from_text(text),
        };
        let Some(value) = read.filter(|value| value.within(&key.limits)) else {
            self.problems.push(Problem::Value {
                key: super::source::dotted(&path),
                origin: leaf.origin,
                got: leaf.raw.to_string(),
                allowed: key.allowed(),
            });
            return None;
        };
        let effective = Effective { value: value.to_toml(), origin: leaf.origin };
        self.effective.insert(path, effective);
        Some(value)
    }

    /// Adds a problem of several keys together, at the origin of one of them.
    pub(super) fn refuse(&mut self, path: &[&str], allowed: &str) {
        let path: Path = path.iter().map(|&part| part.to_owned()).collect();
        if let Some(Effective { value, origin }) = self.effective.get(&path) {
            self.problems.push(Problem::Value {
                key: super::source::dotted(&path),
                origin: origin.clone(),
                got: value.to_string(),
                allowed: allowed.to_owned(),
            });
        }
    }
}

/// What stands behind a key: one setting, an optional one, or named entries.
pub(super) trait Field: Sized {
    /// True when the entries have names that the user chooses.
    const OPEN: bool = false;

    /// What kind of value it takes, in words.
    fn kind() -> String;

    /// Reads it; `None` after a problem.
    fn read(reader: &mut Reader, section: &[String], key: &Key) -> Option<Self>;
}

/// The path of `key` in `section`.
fn path_of(section: &[String], key: &Key) -> Path {
    section.iter().cloned().chain([key.name.to_owned()]).collect()
}

/// The leaf of the built-in default, when there is one.
fn built_in(key: &Key) -> Option<Leaf> {
    parse_toml(key.default).map(|value| Leaf { raw: Raw::Toml(value), origin: Origin::BuiltIn })
}

impl<T: Setting> Field for T {
    fn kind() -> String {
        T::kind()
    }
    fn read(reader: &mut Reader, section: &[String], key: &Key) -> Option<Self> {
        let path = path_of(section, key);
        let leaf = reader.rest.remove(&path).or_else(|| built_in(key))?;
        reader.accept(path, leaf, key)
    }
}

impl<T: Setting> Field for Option<T> {
    fn kind() -> String {
        T::kind()
    }
    fn read(reader: &mut Reader, section: &[String], key: &Key) -> Option<Self> {
        let path = path_of(section, key);
        match reader.rest.remove(&path) {
            Some(leaf) => reader.accept(path, leaf, key).map(Some),
            None => Some(None),
        }
    }
}

impl<T: Setting> Field for BTreeMap<String, T> {
    const OPEN: bool = true;

    fn kind() -> String {
        format!("a table, each entry {}", T::kind())
    }
    fn read(reader: &mut Reader, section: &[String], key: &Key) -> Option<Self> {
        let table = path_of(section, key);
        let mut leaves = BTreeMap::new();
        if let Some(toml::Value::Table(defaults)) = parse_toml(key.default) {
            for (name, value) in defaults {
                leaves.insert(name, Leaf { raw: Raw::Toml(value), origin: Origin::BuiltIn });
            }
        }
        let given: Vec<Path> = reader
            .rest
            .keys()
            .filter(|path| path.len() == table.len() + 1 && path.starts_with(&table))
            .cloned()
            .collect();
        for path in given {
            if let (Some(name), Some(leaf)) = (path.last(), reader.rest.remove(&path)) {
                leaves.insert(name.clone(), leaf);
            }
        }
        let mut entries = Self::new();
        let mut complete = true;
        for (name, leaf) in leaves {
            let path = table.iter().cloned().chain([name.clone()]).collect();
            match reader.accept(path, leaf, key) {
                Some(value) => drop(entries.insert(name, value)),
                None => complete = false,
            }
        }
        complete.then_some(entries)
    }
}

/// Declares a section of the configuration.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident at $section:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:tt
                    $(from $from:literal)? $(above $above:literal)? $(to $to:literal)?,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $name {
            /// What is known of each key, in the order of the section.
            pub const KEYS: &[$crate::config::schema::Key] = &[$(
                $crate::config::schema::Key {
                    section: $section,
                    name: stringify!($field),
                    doc: concat!($($doc, "\n"),+),
                    default: stringify!($default),
                    limits: $crate::config::value::Limits {
                        from: $crate::config::schema::bound!($($from)?),
                        above: $crate::config::schema::bound!($($above)?),
                        to: $crate::config::schema::bound!($($to)?),
                    },
                    kind: <$type as $crate::config::schema::Field>::kind,
                    open: <$type as $crate::config::schema::Field>::OPEN,
                },
            )*];

            /// Reads every key before it gives up, so that all problems are
            /// reported together.
            pub(super) fn read(
                reader: &mut $crate::config::schema::Reader,
                section: &[String],
            ) -> Option<Self> {
                let mut keys = Self::KEYS.iter();
                $(
                    let $field = keys.next().and_then(|key| {
                        <$type as $crate::config::schema::Field>::read(reader, section, key)
                    });
                )*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}

/// A limit, or none.
macro_rules! bound {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

pub(super) use {bound, section};
