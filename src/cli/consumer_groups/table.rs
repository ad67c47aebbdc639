//! Columns as Kafka's tool aligns them: each line begins on a new line, most columns are as wide as their widest value.

#[derive(Clone, Copy)]
pub(in crate::cli) enum Width {
    /// As wide as the widest value, and at least this.
    Fit(usize),
    Fixed(usize),
    /// The last column: as it is.
    Open,
}

/// The header and the rows, each with a line break in front.
pub(in crate::cli) fn lines(header: &[&str], rows: Vec<Vec<String>>, widths: &[Width]) -> String {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let width = |column: usize, width: &Width| match width {
        Width::Open => 0,
        Width::Fixed(width) => *width,
        Width::Fit(least) => {
            let values = rows.iter().filter_map(|row| row.get(column));
            values.map(|value| value.chars().count()).max().unwrap_or(0).max(*least)
        }
    };
    let widths: Vec<usize> = widths.iter().enumerate().map(|(at, of)| width(at, of)).collect();
    let mut out = String::new();
    for row in std::iter::once(&header).chain(&rows) {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push('\n');
        out.push_str(&cells.join(" "));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Columns are as wide as Kafka's tool makes them.
    fn columns_fit_their_widest_value() {
        let rows = vec![vec!["a long value".to_owned(), "1".to_owned(), "x".to_owned()]];
        let lines = lines(&["A", "B", "C"], rows, &[Width::Fit(3), Width::Fixed(4), Width::Open]);
        assert_eq!(lines, "\nA            B    C\na long value 1    x\n");
    }
}
