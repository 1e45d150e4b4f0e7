//! The report of a suite of its own kind: figures, tables and drawings on one page.

use std::fmt::Write;

use crate::report::page::{STYLE, escape};

/// A page.
pub struct Page {
    pub title: String,
    /// The figure that matters, in a line.
    pub verdict: String,
    /// What the run was, in a line.
    pub about: String,
    pub sections: Vec<Section>,
}

/// A part of a page under a heading.
pub struct Section {
    pub heading: String,
    pub parts: Vec<Part>,
}

/// What a section holds.
pub enum Part {
    Words(String),
    Table(Table),
    /// SVG, and what it shows.
    Drawing(String, String),
    /// Text as it is, folded, under a title.
    Folded(String, String),
}

/// A table.
#[derive(Clone, Default)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Table { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// One row more.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// As CSV.
    pub fn csv(&self) -> String {
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
            cells.join(",") + "\n"
        };
        std::iter::once(&self.header).chain(&self.rows).map(line).collect()
    }
}

fn csv_cell(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into()
    }
}

impl Page {
    /// As one HTML file without scripts or outside parts.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n<p class=\"verdict\">{}</p>\n<p class=\"quiet\">{}</p>\n",
            escape(&self.verdict),
            escape(&self.about)
        );
        for section in &self.sections {
            let _ = writeln!(page, "<h2>{}</h2>", escape(&section.heading));
            section.parts.iter().for_each(|part| write_part(&mut page, part));
        }
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }
}

fn write_part(page: &mut String, part: &Part) {
    let cells = |cells: &[String], tag: &str| -> String {
        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let _ = match part {
        Part::Words(words) => writeln!(page, "<p>{}</p>", escape(words)),
        Part::Table(table) => {
            let rows: String =
                table.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells(row, "td"))).collect();
            let head = cells(&table.header, "th");
            writeln!(page, "<table class=\"records\">\n<tr>{head}</tr>\n{rows}</table>")
        }
        Part::Drawing(svg, caption) => writeln!(
            page,
            "<figure role=\"img\" aria-label=\"{0}\"><div class=\"drawings\">{svg}</div><figcaption>{0}</figcaption></figure>",
            escape(caption)
        ),
        Part::Folded(title, text) => writeln!(
            page,
            "<details><summary>{}</summary>\n<pre>{}</pre></details>",
            escape(title),
            escape(text)
        ),
    };
}

/// A share with the ends of its interval.
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Shares from 0 to 1 as bars with the whiskers of their intervals, in SVG that takes the colours of the page.
pub fn bars(bars: &[Bar]) -> String {
    const NAMES: f64 = 300.0;
    const WIDTH: f64 = 520.0;
    const ROW: f64 = 26.0;
    let height = ROW * bars.len() as f64 + 8.0;
    let at = |share: f64| NAMES + WIDTH * share.clamp(0.0, 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-size=\"13\" \
         fill=\"currentColor\" font-family=\"sans-serif\">\n",
        NAMES + WIDTH + 60.0
    );
    for (k, bar) in bars.iter().enumerate() {
        let top = ROW * k as f64 + 6.0;
        let middle = top + 8.0;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{NAMES}\" y=\"{top}\" width=\"{:.2}\" height=\"16\" fill=\"#2f7fd1\"/>\n\
             <path d=\"M{:.2} {middle}H{:.2}\" stroke=\"#e08a2e\" stroke-width=\"2\"/>\n\
             <text x=\"{:.2}\" y=\"{}\">{:.1} %</text>\n",
            NAMES - 8.0,
            top + 12.0,
            escape(&bar.name),
            at(bar.value) - NAMES,
            at(bar.low),
            at(bar.high),
            at(bar.high.max(bar.value)) + 6.0,
            top + 12.0,
            100.0 * bar.value
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_what_they_are_given_and_no_markup_of_it() {
        let mut table = Table::new(["a", "b"]);
        table.row(["<b>", "1, \"2\""]);
        assert_eq!(table.csv(), "a,b\n<b>,\"1, \"\"2\"\"\"\n");
        let drawing = bars(&[Bar { name: "x < y".into(), value: 0.5, low: 0.4, high: 0.7 }]);
        assert!(drawing.contains("x &lt; y") && drawing.contains("width=\"260.00\""), "{drawing}");
        let parts = vec![Part::Table(table), Part::Drawing(drawing, "bars".into())];
        let page = Page {
            title: "<t>".into(),
            verdict: "v".into(),
            about: "a".into(),
            sections: vec![Section { heading: "h".into(), parts }],
        };
        let html = page.html();
        assert!(html.contains("<td>&lt;b&gt;</td>") && !html.contains("<t>") && html.contains("<svg"));
    }
}
