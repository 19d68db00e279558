//! Columns as Go's `text/tabwriter` aligns them: with two spaces between, each column as wide as its block of lines needs.
//! The last cell of a line belongs to no column.

const PADDING: usize = 2;

/// Aligns the cells, which tabs end, of all lines.
pub(super) fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len().saturating_sub(1)]).collect();
    measure(&lines, &mut widths, 0, 0..lines.len());
    let mut out = String::with_capacity(text.len() * 2);
    for (at, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            let width = widths.get(column).copied().unwrap_or(0);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
    }
    out
}

/// Sets the width of `column` for each block of consecutive lines that have it, and goes on to the right within the block.
fn measure(lines: &[Vec<&str>], widths: &mut [Vec<usize>], column: usize, range: std::ops::Range<usize>) {
    let has_column = |line: usize| column + 1 < lines[line].len();
    let mut at = range.start;
    while at < range.end {
        if !has_column(at) {
            at += 1;
            continue;
        }
        let end = (at..range.end).find(|line| !has_column(*line)).unwrap_or(range.end);
        let width = (at..end).map(|line| lines[line][column].chars().count() + PADDING).max().unwrap_or(0);
        for line in &mut widths[at..end] {
            line[column] = width;
        }
        measure(lines, widths, column + 1, at..end);
        at = end;
    }
}
