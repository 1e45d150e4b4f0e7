//! The report as one HTML file without scripts or outside parts: it reads anywhere, today and later.

use std::fmt::Write;

use pulldown_latex::config::DisplayMode;
use pulldown_latex::{Parser, RenderConfig, Storage, push_mathml};

use crate::outcome::{Content, Outcome, StatementRow, TableRecord, Tone};
use crate::record::{RunRecord, seconds, status_text};

pub(crate) const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(record: &RunRecord, outcome: &Outcome) -> String {
    let title = escape(record.title.as_deref().unwrap_or(&record.name));
    let tone = match outcome.verdict.tone {
        Tone::Good => "good",
        Tone::Doubtful => "doubtful",
        Tone::Bad => "bad",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"verdict {tone}\">{}</p>\n<p class=\"quiet\">{}</p>\n",
        escape(&outcome.verdict.text),
        escape(&format!(
            "{}, {}, {}; {}",
            record.result.method,
            seconds(record.result.seconds),
            record.machine.system,
            record.finished.replace('T', " ").replace('Z', " UTC")
        )),
    );
    facts(&mut page, outcome);
    problem(&mut page, &outcome.statement);
    sections(&mut page, outcome);
    notes(&mut page, &outcome.notes);
    configuration(&mut page, record);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn facts(page: &mut String, outcome: &Outcome) {
    let result = &outcome.result;
    page.push_str("<h2>Figures</h2>\n<table>\n");
    let mut row = |name: &str, value: &str, note: &str| {
        let [name, value, note] = [name, value, note].map(escape);
        let _ = writeln!(page, "<tr><th>{name}</th><td>{value}</td><td class=\"note\">{note}</td></tr>");
    };
    row("method", &result.method, "");
    row("status", &status_text(&result.status), "");
    if let Some(iterations) = result.iterations {
        row("iterations", &iterations.to_string(), "");
    }
    row("time", &seconds(result.seconds), "in solving, without the report");
    for fact in &outcome.facts {
        row(&fact.name, &fact.value, &fact.note);
    }
    page.push_str("</table>\n");
}

fn problem(page: &mut String, rows: &[StatementRow]) {
    page.push_str("<h2>Problem</h2>\n<div class=\"problem\">\n");
    for row in rows {
        let content = match &row.content {
            Content::Latex(latex) => mathml(latex),
            Content::Text(text) => escape(text),
        };
        let label = escape(&row.label);
        let _ = writeln!(page, "<div class=\"row\"><span class=\"label\">{label}</span>{content}</div>");
    }
    page.push_str("</div>\n");
    let formulas: Vec<&str> = rows
        .iter()
        .filter_map(|row| match &row.content {
            Content::Latex(latex) => Some(latex.as_str()),
            Content::Text(_) => None,
        })
        .collect();
    if formulas.is_empty() {
        return;
    }
    page.push_str("<details><summary>LaTeX</summary>\n<pre>");
    for latex in formulas {
        let _ = writeln!(page, "{}", escape(latex));
    }
    page.push_str("</pre></details>\n");
}

/// LaTeX as MathML, which browsers typeset by themselves; the source itself where it cannot be converted.
pub(crate) fn mathml(latex: &str) -> String {
    let storage = Storage::new();
    let events: Result<Vec<_>, _> = Parser::new(latex, &storage).collect();
    let mut output = String::new();
    let config = RenderConfig { display_mode: DisplayMode::Inline, ..RenderConfig::default() };
    let converted = events.map_err(|error| error.to_string()).and_then(|events| {
        let events = events.into_iter().map(Ok::<_, std::io::Error>);
        push_mathml(&mut output, events, config).map_err(|error| error.to_string())
    });
    match converted {
        // In the line, but with fractions and sums at full size.
        Ok(()) => output.replacen("<math", "<math displaystyle=\"true\"", 1),
        Err(error) => {
            tracing::debug!("not converted to MathML: {error}");
            format!("<code>{}</code>", escape(latex))
        }
    }
}

fn sections(page: &mut String, outcome: &Outcome) {
    let mut headings: Vec<&str> = Vec::new();
    let drawn = outcome.figures.iter().map(|figure| figure.section);
    for heading in drawn.chain(outcome.tables.iter().map(|table| table.section)) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = writeln!(page, "<h2>{}</h2>", escape(heading));
        for figure in outcome.figures.iter().filter(|figure| figure.section == heading) {
            let _ = writeln!(
                page,
                "<figure role=\"img\" aria-label=\"{}\"><div class=\"drawings\">{}</div><figcaption>{}</figcaption></figure>",
                escape(&figure.caption),
                figure.drawings.concat(),
                escape(&figure.caption)
            );
        }
        for table in outcome.tables.iter().filter(|table| table.section == heading) {
            records(page, table);
        }
    }
}

fn records(page: &mut String, table: &TableRecord) {
    let cells = |cells: &[String], tag: &str| -> String {
        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let _ = writeln!(page, "<p class=\"quiet\">{}</p>", escape(&table.caption));
    let _ = writeln!(page, "<table class=\"records\">\n<tr>{}</tr>", cells(&table.header, "th"));
    for row in &table.rows {
        let _ = writeln!(page, "<tr>{}</tr>", cells(row, "td"));
    }
    page.push_str("</table>\n");
}

fn notes(page: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    page.push_str("<h2>Notes</h2>\n<ul class=\"notes\">\n");
    for note in notes {
        let _ = writeln!(page, "<li>{}</li>", escape(note));
    }
    page.push_str("</ul>\n");
}

fn configuration(page: &mut String, record: &RunRecord) {
    page.push_str("<h2>Record</h2>\n<table>\n");
    let machine = &record.machine;
    let rows = [
        ("program", format!("mathesis {}", record.versions.mathesis)),
        (
            "machine",
            format!("{}, {}", machine.system, machine.processor.as_deref().unwrap_or("processor unknown")),
        ),
        ("threads", machine.threads.to_string()),
        ("seed", record.seed.to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
    }
    for file in &record.files {
        let link = escape(&file.name);
        let _ = writeln!(
            page,
            "<tr><th><a href=\"{link}\">{link}</a></th><td>{}</td></tr>",
            escape(&file.content)
        );
    }
    let json = serde_json::to_string_pretty(record).unwrap_or_default();
    let _ = writeln!(
        page,
        "</table>\n<details><summary>Full configuration and result (run.json)</summary>\n<pre>{}</pre></details>",
        escape(&json)
    );
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
