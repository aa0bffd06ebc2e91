//! Tables: with a line and short IDs on a terminal, plain columns and whole IDs for a pipe.

use std::io::{self, IsTerminal};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent};

use super::words;

/// How a table is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    is_terminal: bool,
    full: bool,
}

impl Look {
    /// For standard output as it is; with `full` no ID is shortened.
    pub(super) fn for_stdout(full: bool) -> Self {
        Self { is_terminal: io::stdout().is_terminal(), full }
    }

    /// An ID: a beginning of it is enough for an eye, a program needs the whole.
    pub(super) fn id(self, id: &str) -> String {
        if self.is_terminal && !self.full { words::short(id) } else { words::printable(id) }
    }

    /// Rows under their headings. The columns named in `numbers` are aligned to the right.
    pub(super) fn table(self, headings: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
        let mut table = plain();
        if self.is_terminal {
            table.set_style(TableComponent::HeaderLines, '─');
            table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        }
        table.set_header(headings.iter().copied());
        table.add_rows(rows);
        for column in numbers {
            if let Some(column) = table.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        trimmed(&table)
    }
}

/// Names and values, one pair a line.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let mut table = plain();
    for (name, value) in fields {
        table.add_row([*name, value.as_str()]);
    }
    trimmed(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// Without the blanks that fill up the last column.
fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
