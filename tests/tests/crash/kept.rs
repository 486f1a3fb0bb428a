//! What a record holds, read without running anything again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sandpaper::domain::InstrumentTable;
use sandpaper::journal::{Decision, End, Kind, Manifest, Outputs, Record, Scanner, decode};
use sandpaper::recorder::segments;

use super::Shown;

/// The fills of a record.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// by strategy, the position after each fill
    pub(super) fills: Shown,
    pub(super) strategies: usize,
    pub(super) ended: bool,
    pub(super) restarts: u64,
    ids: BTreeSet<(u16, u64)>,
}

impl Kept {
    /// Reads a run's folder.
    pub(super) fn read(run: &Path) -> Result<Self, String> {
        let paths = segments(run).map_err(|error| error.to_string())?;
        let images: Vec<_> =
            paths.iter().map(|path| std::fs::read(path).expect("readable")).collect();
        Self::of(&images)
    }

    /// Reads segments.
    pub(super) fn of(images: &[Vec<u8>]) -> Result<Self, String> {
        let (mut scanner, mut records) = (Scanner::default(), Vec::new());
        for (index, bytes) in images.iter().enumerate() {
            let last = index + 1 == images.len();
            match scanner.segment(bytes, last, |record| records.push(record)) {
                Ok(End::Clean | End::Sealed | End::Torn(_)) => {}
                Err(damage) => return Err(format!("damage: {damage}")),
            }
        }
        let mut records = records.into_iter();
        let Some(first) = records.next() else { return Ok(Self::default()) };
        let manifest: Manifest = decode(&first.payload).map_err(|error| error.to_string())?;
        let mut kept = Self { strategies: manifest.strategies.len(), ..Self::default() };
        let table = InstrumentTable::new(manifest.instruments.clone());
        for record in records {
            kept.take(&record, &manifest, &table)?;
        }
        Ok(kept)
    }

    fn take(
        &mut self,
        record: &Record,
        manifest: &Manifest,
        table: &InstrumentTable,
    ) -> Result<(), String> {
        self.ended |= record.kind == Kind::Ended;
        self.restarts += u64::from(record.kind == Kind::Restart);
        if record.kind != Kind::Outputs {
            return Ok(());
        }
        let outputs: Outputs = decode(&record.payload).map_err(|error| error.to_string())?;
        for (lane, _, decision) in outputs.decisions {
            let Decision::Fill { fill, position, .. } = decision else { continue };
            if !self.ids.insert((lane, fill.id)) {
                return Err(format!("fill {} of lane {lane} is kept twice", fill.id));
            }
            let name = manifest.strategies[usize::from(lane)].name.clone();
            let position = table.at(fill.symbol).qty_text(position);
            self.fills.entry(name).or_default().push(position);
        }
        Ok(())
    }

    pub(super) fn fill_count(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Everything that was shown is kept, in its order.
    pub(super) fn holds(&self, shown: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        for (strategy, shown) in shown {
            let none = Vec::new();
            let kept = self.fills.get(strategy).unwrap_or(&none);
            if !kept.starts_with(shown) {
                let (shown, kept) = (shown.len(), kept.len());
                return Err(format!("{strategy}: {shown} fills shown, {kept} kept, not the same"));
            }
        }
        Ok(())
    }

    /// The control: the same without the last fill of every strategy.
    pub(super) fn without_the_last(mut self) -> Self {
        self.fills.values_mut().for_each(|fills| drop(fills.pop()));
        self
    }
}
