//! Tables for people.

/// The widest that a column becomes, in characters: a cell may be of any length, and formatting pads to 65 535 at most.
/// What is longer is shown whole, and moves only what stands behind it in its line.
const WIDEST: usize = 60;

/// Rows under a heading, in columns as wide as their widest cell, up to 60 characters.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Only a heading; without one (all empty) none is shown.
    pub(super) fn new(heading: [&str; N]) -> Self {
        let mut table = Self { rows: Vec::new() };
        if heading.iter().any(|cell| !cell.is_empty()) {
            table.push(heading);
        }
        table
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: [&str; N]) {
        self.rows.push(row.map(shown));
    }

    /// The table, each line with its end.
    pub(super) fn text(&self) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().min(WIDEST).max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A cell as it may be shown: what would order the line anew, or move the cursor, is written as its number.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_unseen = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if is_unseen { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let mut table = Table::new(["IDENTITY", "STATE"]);
        table.push(["u-1", "active"]);
        table.push(["zoë-李-longer", ""]);
        let lines = ["IDENTITY      STATE", "u-1           active", "zoë-李-longer", ""];
        assert_eq!(table.text(), lines.join("\n"));
        assert_eq!(Table::new(["", ""]).text(), "");
    }

    #[test]
    fn a_cell_of_any_length_is_shown_whole_and_widens_no_other_line_beyond_60() {
        let long = "x".repeat(70_000);
        let mut table = Table::new(["AT", "WHY"]);
        table.push([&long, "a"]);
        table.push(["b", &long]);
        let (heading, short) = (format!("{:<60}  WHY", "AT"), format!("{:<60}  {long}", "b"));
        assert_eq!(table.text(), format!("{heading}\n{long}  a\n{short}\n"));
    }

    #[test]
    fn what_turns_a_line_around_is_shown_by_its_number() {
        assert_eq!(shown("a\u{202e}b\u{1b}[31m"), "a\\u{202e}b\\u{1b}[31m");
        assert_eq!(shown("Zoë 李 🦀"), "Zoë 李 🦀");
    }
}
