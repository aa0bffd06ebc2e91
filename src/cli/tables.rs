//! Tables: with a line and short IDs on a terminal, within its width; plain columns and whole IDs for a pipe.

use std::io::{self, IsTerminal};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, TableComponent, Width};

use super::words;

/// One column by its heading, and what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Words, that may be wrapped.
    Text(&'static str),
    /// Numbers, aligned to the right.
    Number(&'static str),
    /// IDs, that can be pasted: wrapped at blanks only.
    Id(&'static str),
}

/// How a table is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    is_terminal: bool,
    full: bool,
    /// How wide a table may be. None: as wide as it comes.
    width: Option<u16>,
}

impl Column {
    fn heading(self) -> &'static str {
        let (Column::Text(heading) | Column::Number(heading) | Column::Id(heading)) = self;
        heading
    }
}

impl Look {
    /// For standard output as it is; with `full` no ID is shortened, and a table is as wide as that takes.
    pub(super) fn for_stdout(full: bool) -> Self {
        let width = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
        Self {
            is_terminal: io::stdout().is_terminal(),
            full,
            // A terminal that does not know its size says 0.
            width: width.filter(|width| *width > 0 && !full),
        }
    }

    /// An ID: a beginning of it is enough for an eye and for `recalld sessions`, a program needs the whole.
    pub(super) fn id(self, id: &str) -> String {
        if self.is_terminal && !self.full { words::short(id) } else { words::printable(id) }
    }

    /// Rows under their headings.
    pub(super) fn table(self, columns: &[Column], rows: Vec<Vec<String>>) -> String {
        let mut table = plain();
        if self.is_terminal {
            table.set_style(TableComponent::HeaderLines, '─');
        }
        table.set_header(columns.iter().map(|column| column.heading()));
        table.add_rows(rows);
        for (at, column) in columns.iter().enumerate() {
            if let (Column::Number(_), Some(column)) = (column, table.column_mut(at)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if let Some(width) = self.width {
            fit(&mut table, columns, width);
        }
        trimmed(&table)
    }
}

/// Wraps what does not fit into a width: at blanks; then within the words of headings too; and within those of texts only
/// if there is no other way.
fn fit(table: &mut Table, columns: &[Column], width: u16) {
    let cells = longest_words(table.row_iter(), columns.len());
    let headings = longest_words(table.header().into_iter(), columns.len());
    let words: Vec<_> = cells.iter().zip(headings).map(|(cell, heading)| heading.max(*cell)).collect();
    let fits = |(least, gap): &(&Vec<u16>, u16)| {
        least.iter().fold(0_u16, |sum, least| sum.saturating_add(*least).saturating_add(*gap)) <= width
    };
    let fitting = [(&words, 2), (&words, 1), (&cells, 1)].into_iter().find(fits);
    let (least, gap) = fitting.unwrap_or((&cells, 1));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for ((at, column), least) in columns.iter().enumerate().zip(least) {
        let Some(shown) = table.column_mut(at) else { continue };
        shown.set_padding((0, gap));
        if fitting.is_some() || !matches!(column, Column::Text(_)) {
            shown.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least.saturating_add(gap))));
        }
    }
}

/// The length of the longest word of each column.
fn longest_words<'a>(rows: impl Iterator<Item = &'a Row>, columns: usize) -> Vec<u16> {
    let mut longest = vec![0; columns];
    for row in rows {
        for (longest, cell) in longest.iter_mut().zip(row.cell_iter()) {
            let content = cell.content();
            let words = content.split_whitespace().map(|word| u16::try_from(word.chars().count()).unwrap_or(u16::MAX));
            *longest = words.fold(*longest, u16::max);
        }
    }
    longest
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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5f2c9a0b41d7e3865f2c9a0b41d7e3865f2c9a0b41d7e3865f2c9a0b41d7e386";

    fn sessions(look: Look) -> String {
        let columns = [
            Column::Text("tenant"),
            Column::Text("release"),
            Column::Id("session"),
            Column::Number("calls"),
            Column::Number("contacts"),
            Column::Text("first contact (UTC)"),
            Column::Text("last activity (UTC)"),
        ];
        let row = |tenant: &str| {
            let time = "2026-10-01 08:12:44";
            [tenant, "support-de", &look.id(ID), "1", "12,345", time, time].map(str::to_owned).to_vec()
        };
        look.table(&columns, vec![row("acme"), row("a-tenant-with-a-name-of-many-letters")])
    }

    #[test]
    fn a_table_keeps_within_the_terminal_and_its_ids_whole() {
        for width in [72, 80, 100, 120, 200] {
            let shown = sessions(Look { is_terminal: true, full: false, width: Some(width) });
            assert!(shown.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{shown}");
            assert_eq!(shown.matches("5f2c9a0b41d7…").count(), 2, "{width}:\n{shown}");
            assert_eq!(shown.matches("12,345").count(), 2, "{width}:\n{shown}");
        }
        let wide = sessions(Look { is_terminal: true, full: false, width: Some(200) });
        assert_eq!(wide.lines().count(), 4, "nothing is wrapped that fits:\n{wide}");
        let narrow = sessions(Look { is_terminal: true, full: false, width: Some(100) });
        assert!(narrow.contains("many-letters ") && narrow.contains("2026-10-01 "), "words stay whole:\n{narrow}");
    }

    #[test]
    fn a_pipe_and_full_get_whole_ids_in_one_line_each() {
        for look in
            [Look { is_terminal: false, full: false, width: None }, Look { is_terminal: true, full: true, width: None }]
        {
            let shown = sessions(look);
            assert_eq!(shown.matches(ID).count(), 2, "{shown}");
            assert!(shown.lines().any(|line| line.contains("many-letters") && line.contains("08:12:44")), "{shown}");
        }
    }
}
