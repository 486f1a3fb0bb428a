//! Tables: drawn for people, tab-separated for everything else.

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// The longest cell; a hash has 64 characters.
const CELL_CHARS_MAX: usize = 300;

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// names
    Left,
    /// numbers
    Right,
}

/// Rows under named columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|&(name, align)| (name.to_owned(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty.
    pub fn row(&mut self, cells: Vec<String>) {
        // A file's name or a strategy's text must not steer the terminal.
        let clean = |cell: &String| {
            super::printable(&cell.replace(['\t', '\n', '\r'], " "), CELL_CHARS_MAX)
        };
        self.rows.push(cells.iter().map(clean).collect());
    }

    /// True without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// With lines and aligned columns.
    #[must_use]
    pub fn drawn(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.columns.iter().map(|(name, _)| name));
        for row in &self.rows {
            table.add_row(row);
        }
        for (index, (_, align)) in self.columns.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(match align {
                    Align::Left => CellAlignment::Left,
                    Align::Right => CellAlignment::Right,
                });
            }
        }
        table.trim_fmt()
    }

    /// One line a row, with tabs between the cells, the names first. Tabs and
    /// line ends within a cell become spaces.
    #[must_use]
    pub fn tab_separated(&self) -> String {
        let clean = |cell: &str| cell.replace(['\t', '\n', '\r'], " ");
        let line = |cells: Vec<String>| cells.join("\t") + "\n";
        let head = line(self.columns.iter().map(|(name, _)| clean(name)).collect());
        let rows = self.rows.iter().map(|row| line(row.iter().map(|cell| clean(cell)).collect()));
        std::iter::once(head).chain(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("strategy", Align::Left), ("fills", Align::Right)]);
        table.row(vec!["order-flow".into(), "12".into()]);
        table.row(vec!["a\tb".into(), "1,200".into()]);
        table
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let drawn = table().drawn();
        assert!(drawn.lines().any(|line| line.ends_with("   12")), "{drawn}");
    }

    #[test]
    fn scripts_get_one_row_a_line() {
        assert_eq!(table().tab_separated(), "strategy\tfills\norder-flow\t12\na b\t1,200\n");
    }
}
