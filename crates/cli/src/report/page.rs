//! The report as one HTML file without scripts or outside parts: it reads anywhere, today and later.

use std::fmt::Write;

use mathesis_solvers::pde::{Side, Solution, Statement};
use pulldown_latex::config::DisplayMode;
use pulldown_latex::{Parser, RenderConfig, Storage, push_mathml};

use super::{Figure, Section};
use crate::record::{RunRecord, figure, seconds, status_text};

const STYLE: &str = include_str!("page.css");

/// Errors above this are not called good.
const GOOD_ERROR: f64 = 1e-2;

pub fn render(statement: &Statement, record: &RunRecord, solution: &Solution, figures: &[Figure]) -> String {
    let title = escape(record.title.as_deref().unwrap_or(&record.name));
    let (tone, verdict) = verdict(record);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"verdict {tone}\">{}</p>\n<p class=\"quiet\">{}</p>\n",
        escape(&verdict),
        escape(&format!(
            "{}, {}, {}; {}",
            record.result.method,
            seconds(record.result.seconds),
            record.machine.system,
            record.finished.replace('T', " ").replace('Z', " UTC")
        )),
    );
    figures_table(&mut page, record, statement);
    page.push_str("<h2>Problem</h2>\n");
    problem(&mut page, statement);
    section(&mut page, "Solution", Section::Solution, figures);
    section(&mut page, "Course of the solve", Section::Course, figures);
    section(&mut page, "Learned spectrum", Section::Spectrum, figures);
    notes(&mut page, solution, statement);
    configuration(&mut page, record);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// One line that says how far to trust the result.
fn verdict(record: &RunRecord) -> (&'static str, String) {
    let result = &record.result;
    let error = result.certificate.error.as_ref().map(|errors| errors.iter().copied().fold(0.0, f64::max));
    let judged = match (error, result.error_estimate) {
        (Some(error), _) => format!("relative error {} against the exact solution", figure(error)),
        (None, Some(estimate)) => format!("estimated relative error {}", figure(estimate)),
        (None, None) => {
            format!("the equation is met to {} of its terms", figure(result.certificate.equation_relative))
        }
    };
    if !result.done {
        return ("bad", format!("Not done ({}): {judged}", status_text(&result.status)));
    }
    let size = error.or(result.error_estimate).unwrap_or(result.certificate.equation_relative);
    if size <= GOOD_ERROR {
        ("good", format!("Solved: {judged}"))
    } else {
        ("doubtful", format!("Doubtful: {judged}"))
    }
}

fn figures_table(page: &mut String, record: &RunRecord, statement: &Statement) {
    let result = &record.result;
    let certificate = &result.certificate;
    let mut rows: Vec<(String, String, &str)> = vec![
        ("method".into(), result.method.clone(), ""),
        ("ended".into(), status_text(&result.status), ""),
        ("iterations".into(), result.iterations.to_string(), ""),
        ("time".into(), seconds(result.seconds), "in solving, without the report"),
    ];
    let unknowns = &statement.problem.unknowns;
    let of = |k: usize| if unknowns.len() > 1 { format!(" of {}", unknowns[k]) } else { String::new() };
    for (k, error) in certificate.error.iter().flatten().enumerate() {
        let note = "in L2, against the exact solution, on a uniform grid";
        rows.push((format!("relative error{}", of(k)), figure(*error), note));
    }
    for (k, error) in certificate.error_max.iter().flatten().enumerate() {
        rows.push((format!("largest error{}", of(k)), figure(*error), "on the same grid"));
    }
    if let Some(estimate) = result.error_estimate {
        rows.push((
            "estimated relative error".into(),
            figure(estimate),
            "by the method itself, without the exact solution",
        ));
    }
    rows.push((
        "equation residual, relative".into(),
        figure(certificate.equation_relative),
        "root mean square, against the equation's largest term",
    ));
    rows.push(("equation residual, largest".into(), figure(certificate.equation_max), "absolute"));
    rows.push((
        "condition residual, largest".into(),
        figure(certificate.condition_max),
        "absolute, on the faces",
    ));
    page.push_str("<h2>Figures</h2>\n<table>\n");
    for (name, value, note) in rows {
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td>{}</td><td class=\"note\">{}</td></tr>",
            escape(&name),
            escape(&value),
            escape(note)
        );
    }
    for (name, value) in &result.figures {
        let value = value.as_f64().map_or_else(|| value.to_string(), figure);
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td>{}</td><td class=\"note\">figure of the method</td></tr>",
            escape(&name.replace('-', " ")),
            escape(&value)
        );
    }
    page.push_str("</table>\n");
}

fn problem(page: &mut String, statement: &Statement) {
    let problem = &statement.problem;
    let axes: Vec<String> = problem.axes.iter().map(|axis| symbol_latex(axis.name.name())).collect();
    let intervals: Vec<String> = problem
        .axes
        .iter()
        .map(|axis| format!("[{},\\, {}]", axis.lower.0.to_latex(), axis.upper.0.to_latex()))
        .collect();
    let tuple = if axes.len() == 1 { axes[0].clone() } else { format!("({})", axes.join(", ")) };
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (k, (left, right)) in problem.equations.iter().enumerate() {
        let label = if k > 0 {
            ""
        } else if problem.equations.len() > 1 {
            "equations"
        } else {
            "equation"
        };
        rows.push((label, format!("{} = {}", left.to_latex(), right.to_latex())));
    }
    rows.push(("domain", format!("{tuple} \\in {}", intervals.join(" \\times "))));
    for (k, (condition, (left, right))) in problem.conditions.iter().zip(&statement.conditions).enumerate() {
        let axis = &problem.axes[condition.face.axis];
        let bound = if condition.face.side == Side::Lower { &axis.lower.0 } else { &axis.upper.0 };
        rows.push((
            if k == 0 { "conditions" } else { "" },
            format!(
                "{} = {} \\quad \\text{{at}} \\quad {} = {}",
                left.to_latex(),
                right.to_latex(),
                symbol_latex(axis.name.name()),
                bound.to_latex()
            ),
        ));
    }
    for axis in problem.axes.iter().filter(|axis| axis.periodic) {
        rows.push(("periodic", format!("\\text{{along}} \\quad {}", symbol_latex(axis.name.name()))));
    }
    for (k, (unknown, exact)) in problem.unknowns.iter().zip(problem.exact.iter().flatten()).enumerate() {
        let label = if k == 0 { "exact" } else { "" };
        rows.push((label, format!("{} = {}", symbol_latex(unknown.name()), exact.to_latex())));
    }
    page.push_str("<div class=\"problem\">\n");
    for (label, latex) in &rows {
        let _ =
            writeln!(page, "<div class=\"row\"><span class=\"label\">{label}</span>{}</div>", mathml(latex));
    }
    page.push_str("</div>\n<details><summary>LaTeX</summary>\n<pre>");
    for (_, latex) in &rows {
        let _ = writeln!(page, "{}", escape(latex));
    }
    page.push_str("</pre></details>\n");
}

/// A name as LaTeX, by the rules of the expression printer.
fn symbol_latex(name: &str) -> String {
    mathesis_symbolic::Expr::symbol(name).to_latex()
}

/// LaTeX as MathML, which browsers typeset by themselves; the source itself where it cannot be converted.
fn mathml(latex: &str) -> String {
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

fn section(page: &mut String, title: &str, section: Section, figures: &[Figure]) {
    let mut figures = figures.iter().filter(|figure| figure.section == section).peekable();
    if figures.peek().is_none() {
        return;
    }
    let _ = writeln!(page, "<h2>{title}</h2>");
    for figure in figures {
        let _ = writeln!(
            page,
            "<figure role=\"img\" aria-label=\"{}\"><div class=\"drawings\">{}</div><figcaption>{}</figcaption></figure>",
            escape(&figure.caption),
            figure.drawings.concat(),
            escape(&figure.caption)
        );
    }
}

fn notes(page: &mut String, solution: &Solution, statement: &Statement) {
    if solution.notes.is_empty() && statement.warnings.is_empty() {
        return;
    }
    page.push_str("<h2>Notes</h2>\n<ul class=\"notes\">\n");
    for note in statement.warnings.iter().chain(&solution.notes) {
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

fn escape(text: &str) -> String {
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
