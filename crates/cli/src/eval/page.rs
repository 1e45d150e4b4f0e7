//! The report of a benchmark: tables, then every transcript, failures first. One HTML file without scripts or outside
//! parts; formulas are MathML.
//!
//! It depends on the records and the scores alone, so that the same replies give the same page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use mathesis_reasoning::models::calls::Spending;
use mathesis_reasoning::suites::aggregate::Score;
use mathesis_reasoning::suites::index::{Filter, Index, Order};
use mathesis_reasoning::suites::languages::{Languages, probability};
use mathesis_reasoning::suites::{DataFile, Form, Grade, Metrics, Record, Reply, Trajectory, Verdict};

use crate::report::page::{STYLE, escape, mathml};

/// What the page says about the run besides its scores.
pub struct Head<'a> {
    /// The title.
    pub title: String,
    /// What the suite is.
    pub about: &'a str,
    /// How problems were asked.
    pub strategy: &'a str,
    /// The settings.
    pub settings: &'a BTreeMap<&'static str, String>,
    /// The data.
    pub files: &'a [DataFile],
    /// What the replies cost, and in which currency.
    pub spent: Option<(Spending, &'a str)>,
    /// The scores by language, if there are several.
    pub languages: Option<&'a Languages>,
}

const TRANSCRIPTS: &str = "\
.bar { display: flex; height: .8rem; border-radius: 4px; overflow: hidden; margin: .8rem 0; max-width: 58rem; }
.bar span { display: block; } .right { background: var(--good); } .wrong { background: var(--bad); }
.no-answer, .truncated, .refused, .error { background: var(--doubtful); }
.chip { color: var(--paper); border-radius: 4px; padding: 0 .4rem; font-size: .82rem; }
.item { border-bottom: 1px solid var(--line); margin: 0; padding: .3rem 0; }
.item summary { color: var(--ink); } .item summary .reference { color: var(--quiet); }
.text { background: var(--card); border-radius: 10px; padding: .7rem 1rem; margin: .4rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; overflow-x: auto; }
.text.user, .text.tool { margin-left: 2rem; }
.role { color: var(--quiet); font-size: .85rem; margin: .6rem 0 0; }
mark { background: color-mix(in srgb, var(--doubtful) 35%, transparent); color: inherit; border-radius: 3px; }
";

/// Transcripts beyond this many replies stand in `records.jsonl` only: browsers have limits.
const MOST_REPLIES: usize = 20_000;

/// Writes the page; transcripts are read one by one.
///
/// # Errors
/// If records cannot be read or the page not written.
pub fn write(path: &Path, head: &Head<'_>, metrics: &Metrics, index: &Index) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    file.write_all(front(head, metrics).as_bytes())?;
    transcripts(&mut file, index)?;
    file.write_all(b"</main>\n</body>\n</html>\n")?;
    file.flush()
}

/// Everything above the transcripts.
fn front(head: &Head<'_>, metrics: &Metrics) -> String {
    let title = escape(&head.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{TRANSCRIPTS}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"verdict\">accuracy {}</p>\n<p class=\"quiet\">{}; {} problems, {} replies; \
         asked by {}, judged by {}</p>\n",
        share(&metrics.accuracy),
        escape(head.about),
        metrics.problems,
        metrics.replies,
        escape(head.strategy),
        escape(&metrics.grader),
    );
    verdicts(&mut page, metrics);
    figures(&mut page, head, metrics);
    ways(&mut page, metrics);
    categories(&mut page, metrics);
    languages(&mut page, head);
    settings(&mut page, head);
    page
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A score with its interval.
pub fn share(score: &Score) -> String {
    let (low, high) = (score.interval.low, score.interval.high);
    format!("{} (95 %: {:.1} to {:.1})", percent(score.value), 100.0 * low, 100.0 * high)
}

fn verdicts(page: &mut String, metrics: &Metrics) {
    page.push_str("<div class=\"bar\" role=\"img\" aria-label=\"shares of the verdicts\">");
    for (verdict, count) in metrics.verdicts.iter().filter(|(_, count)| **count > 0) {
        let width = 100.0 * *count as f64 / metrics.replies.max(1) as f64;
        let name = verdict.name();
        let _ = write!(
            page,
            "<span class=\"{name}\" style=\"width:{width:.3}%\" title=\"{name} {count}\"></span>"
        );
    }
    page.push_str("</div>\n");
    let rows = metrics.verdicts.iter().map(|(verdict, count)| {
        let share = *count as f64 / metrics.replies.max(1) as f64;
        vec![verdict.name().to_string(), count.to_string(), percent(share)]
    });
    table(page, &["verdict", "replies", "share"], rows);
}

fn figures(page: &mut String, head: &Head<'_>, metrics: &Metrics) {
    page.push_str("<h2>Scores</h2>\n");
    let interval = &metrics.bootstrap;
    let mut rows = vec![
        vec!["accuracy".to_string(), share(&metrics.accuracy)],
        vec![
            "standard error".into(),
            format!("{:.2} points, problems as clusters", 100.0 * metrics.accuracy.standard_error),
        ],
        vec!["bootstrap".into(), format!("{:.1} to {:.1} %", 100.0 * interval.low, 100.0 * interval.high)],
    ];
    if let Some(options) = &metrics.options {
        rows.push(vec!["likeliest for each character".into(), share(&options.by_character)]);
        rows.push(vec!["likeliest for each byte".into(), share(&options.by_byte)]);
    }
    if let Some((spent, currency)) = &head.spent {
        let tokens = format!(
            "{} calls, {} tokens read, {} written",
            spent.calls, spent.input_tokens, spent.output_tokens
        );
        rows.push(vec!["spent".into(), tokens]);
        if !currency.is_empty() {
            rows.push(vec!["cost".into(), format!("{:.4} {currency}", spent.money())]);
        }
    }
    table(page, &["", ""], rows);
    if !metrics.at.is_empty() {
        page.push_str("<h2>With fewer samples</h2>\n<p class=\"quiet\">Expected over all choices of k samples; a tie of \
                       answers counts with their average correctness.</p>\n");
        let rows = metrics.at.iter().map(|at| {
            let majority = at.majority.map_or("–".into(), percent);
            vec![
                at.k.to_string(),
                percent(at.pass),
                percent(at.all_right),
                percent(at.g_pass_half),
                percent(at.mean_g_pass),
                majority,
            ]
        });
        table(page, &["k", "pass@k", "pass^k", "G-Pass@k(1/2)", "mG-Pass@k", "maj@k"], rows);
    }
    page.push_str("<h2>How answers were found</h2>\n");
    let rows = metrics.rules.iter().map(|(rule, count)| {
        let right = count.right as f64 / count.found.max(1) as f64;
        vec![rule.clone(), count.found.to_string(), count.right.to_string(), percent(right)]
    });
    table(page, &["rule", "found", "right", "share"], rows);
}

/// How far solutions come, and what strategies did that do more than ask once.
fn ways(page: &mut String, metrics: &Metrics) {
    if let Some(scores) = &metrics.expressions {
        page.push_str("<h2>Expressions</h2>\n");
        let failures = scores.failures;
        let shares = failures.shares().map(percent);
        let counts = [failures.first, failures.middle, failures.last];
        let names = ["Fail@first", "Fail@middle", "Fail@last"];
        let failed = names.into_iter().zip(counts.into_iter().zip(shares));
        let rows = failed.map(|(name, (count, share))| vec![name.to_string(), count.to_string(), share]);
        let mean = vec!["ExprAcc".to_string(), String::new(), percent(scores.accuracy)];
        table(page, &["", "replies", "of the wrong ones"], std::iter::once(mean).chain(rows));
    }
    let Some(ways) = &metrics.trajectories else { return };
    page.push_str("<h2>How it ended</h2>\n");
    let _ = writeln!(
        page,
        "<p class=\"quiet\">{} calls of the model for {} replies, at most {} for one.</p>",
        ways.calls, ways.replies, ways.most_calls
    );
    let rows = ways.ended.iter().map(|(ended, count)| {
        let right = count.right as f64 / count.replies.max(1) as f64;
        vec![ended.clone(), count.replies.to_string(), count.right.to_string(), percent(right)]
    });
    table(page, &["ended", "replies", "right", "share"], rows);
    let rows = ways.stages.iter().flat_map(|(stage, ended)| {
        ended.iter().map(move |(ended, count)| vec![stage.clone(), ended.clone(), count.to_string()])
    });
    table(page, &["part", "ended", "times"], rows);
    if !ways.tools.is_empty() {
        page.push_str("<h2>Tools</h2>\n");
        let rows = ways
            .tools
            .iter()
            .map(|(tool, used)| vec![tool.clone(), used.calls.to_string(), used.refused.to_string()]);
        table(page, &["tool", "calls", "without output"], rows);
    }
}

fn categories(page: &mut String, metrics: &Metrics) {
    for (category, scores) in &metrics.categories {
        let _ = writeln!(page, "<h2>By {}</h2>", escape(category));
        let mut rows: Vec<Vec<String>> = (scores.values.iter())
            .map(|(value, score)| vec![value.clone(), score.problems.to_string(), share(&score.accuracy)])
            .collect();
        rows.push(vec!["mean".into(), String::new(), percent(scores.mean)]);
        table(page, &[category, "problems", "accuracy"], rows);
    }
}

fn languages(page: &mut String, head: &Head<'_>) {
    let Some(languages) = head.languages else { return };
    page.push_str(
        "<h2>Languages side by side</h2>\n<p class=\"quiet\">In percent; the gap is how many points English is ahead on the \
         same problems, with its interval, and p is McNemar's exact one. The last columns are the shares of replies with \
         words that are in the right script and language.</p>\n",
    );
    let rows = languages.table();
    let names: Vec<&str> = rows[0].iter().map(String::as_str).collect();
    table(page, &names, rows.iter().skip(1).cloned());
    if languages.pairs.is_empty() {
        return;
    }
    page.push_str(
        "<p class=\"quiet\">Every two languages: problems that only one has right, McNemar's exact p-value, and \
         that corrected for the number of pairs (Holm).</p>\n",
    );
    let rows = languages.pairs.iter().map(|pair| {
        let test = &pair.mcnemar;
        vec![
            format!("{} – {}", pair.first.code(), pair.second.code()),
            test.only_first.to_string(),
            test.only_second.to_string(),
            probability(test.exact),
            probability(pair.corrected),
        ]
    });
    table(page, &["languages", "only the first", "only the second", "p", "corrected"], rows);
}

fn settings(page: &mut String, head: &Head<'_>) {
    page.push_str("<h2>Settings and data</h2>\n");
    let rows = (head.settings.iter().filter(|(_, value)| !value.is_empty()))
        .map(|(key, value)| vec![key.to_string(), format!("{value:?}")]);
    table(page, &["setting", "value"], rows);
    let rows =
        (head.files.iter()).map(|file| vec![file.name.clone(), file.rows.to_string(), file.blake3.clone()]);
    table(page, &["file", "rows", "BLAKE3"], rows);
}

/// A table; a head of empty cells is left out.
pub fn table(page: &mut String, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let cells = |cells: &[&str], tag: &str| -> String {
        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    page.push_str("<table class=\"records\">\n");
    if header.iter().any(|name| !name.is_empty()) {
        let _ = writeln!(page, "<tr>{}</tr>", cells(header, "th"));
    }
    for row in rows {
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        let _ = writeln!(page, "<tr>{}</tr>", cells(&row, "td"));
    }
    page.push_str("</table>\n");
}

/// All records, those first that have the worst reply.
fn transcripts(file: &mut impl std::io::Write, index: &Index) -> std::io::Result<()> {
    file.write_all(b"<h2>Transcripts</h2>\n<p class=\"quiet\">Failures first; inside, the answer that was found is marked.</p>\n")?;
    let mut shown = 0;
    for number in index.select(&Filter::default(), Order::Failures) {
        shown += index.entry(number as usize).verdicts.len();
        if shown > MOST_REPLIES {
            file.write_all(
                b"<p>The other transcripts are in <a href=\"records.jsonl\">records.jsonl</a>; \
                             <code>mathesis view</code> shows them all.</p>\n",
            )?;
            break;
        }
        let mut page = String::new();
        transcript(&mut page, &index.read(number as usize).map_err(std::io::Error::other)?);
        file.write_all(page.as_bytes())?;
    }
    Ok(())
}

fn transcript(page: &mut String, record: &Record) {
    page.push_str("<details class=\"item\"><summary>");
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for grade in &record.grades {
        *counts.entry(grade.verdict).or_default() += 1;
    }
    for (verdict, count) in counts.iter().rev() {
        let name = verdict.name();
        let times = if record.grades.len() > 1 { format!(" {count}") } else { String::new() };
        let _ = write!(page, "<span class=\"chip {name}\">{name}{times}</span> ");
    }
    let found = record.grades.first().and_then(|grade| grade.answer.as_deref()).unwrap_or("–");
    let _ = writeln!(
        page,
        "{} <span class=\"reference\">reference {}, found {}</span></summary>",
        escape(&record.id),
        escape(&record.reference),
        escape(&shortened(found)),
    );
    let asked = if record.prompt.is_empty() { &record.question } else { &record.prompt };
    let _ = writeln!(
        page,
        "<p class=\"role\">asked ({})</p><div class=\"text\">{}</div>",
        escape(&record.origin.to_string()),
        typeset(asked, None)
    );
    for (number, (reply, grade)) in record.replies.iter().zip(&record.grades).enumerate() {
        sample(page, number, reply, grade);
    }
    page.push_str("</details>\n");
}

fn sample(page: &mut String, number: usize, reply: &Reply, grade: &Grade) {
    let found = match (&grade.answer, &grade.rule) {
        (Some(answer), Some(rule)) => format!("; found {} by the rule “{rule}”", shortened(answer)),
        _ => String::new(),
    };
    let _ = writeln!(
        page,
        "<p class=\"role\">reply {}: <span class=\"chip {}\">{}</span> {}</p>",
        number + 1,
        grade.verdict.name(),
        grade.verdict.name(),
        escape(&format!("{}{found}", grade.reason))
    );
    if let Some(trajectory) = &reply.trajectory {
        stages(page, trajectory);
    }
    // A transcript stands among the parts already.
    let is_shown = reply.trajectory.as_ref().is_some_and(|trajectory| trajectory.form != Form::Program);
    if !reply.options.is_empty() {
        options(page, reply);
    } else if !reply.text.is_empty() && !is_shown {
        let _ = writeln!(page, "<div class=\"text\">{}</div>", typeset(&reply.text, grade.span.clone()));
    }
}

/// How likely the options of a problem are.
pub fn options(page: &mut String, reply: &Reply) {
    let rows = reply.options.iter().map(|option| {
        let right = if option.is_right { "right" } else { "" };
        let characters = option.text.chars().count().max(1) as f64;
        vec![
            option.label.clone(),
            shortened(&option.text),
            format!("{:.4}", option.log_likelihood),
            format!("{:.4}", option.log_likelihood / characters),
            right.to_string(),
        ]
    });
    table(page, &["option", "text", "log-likelihood", "for each character", ""], rows);
}

/// The parts of a trajectory, in order.
pub fn stages(page: &mut String, trajectory: &Trajectory) {
    let tools: Vec<String> =
        (trajectory.tools.iter()).map(|(tool, used)| format!("{tool} {}", used.calls)).collect();
    let tools = if tools.is_empty() { String::new() } else { format!("; tools: {}", tools.join(", ")) };
    let _ = writeln!(
        page,
        "<p class=\"role\">{}</p>",
        escape(&format!("ended {}, {} calls{tools}", trajectory.end(), trajectory.calls))
    );
    for stage in &trajectory.stages {
        let answer =
            stage.answer.as_ref().map_or(String::new(), |answer| format!(", answer {}", shortened(answer)));
        let _ = writeln!(
            page,
            "<p class=\"role\">{}</p>",
            escape(&format!("{}: {}{answer}", stage.name, stage.ended))
        );
        for turn in &stage.turns {
            let text =
                if trajectory.form == Form::Program { escape(&turn.text) } else { typeset(&turn.text, None) };
            let _ = writeln!(page, "<div class=\"text {}\">{text}</div>", escape(&turn.by));
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A text as HTML, formulas as MathML, with a part of it marked; a formula that holds some of the part is marked whole.
pub fn typeset(text: &str, marked: Option<Range<usize>>) -> String {
    let mut html = String::with_capacity(text.len());
    let mut at = 0;
    // A span of the record, which a hand may have edited.
    let marked = marked.filter(|span| text.get(span.clone()).is_some());
    let plain = |html: &mut String, part: Range<usize>| match &marked {
        Some(span) if span.start < part.end && span.end > part.start => {
            let (start, end) = (span.start.max(part.start), span.end.min(part.end));
            html.push_str(&escape(&text[part.start..start]));
            let _ = write!(html, "<mark>{}</mark>", escape(&text[start..end]));
            html.push_str(&escape(&text[end..part.end]));
        }
        _ => html.push_str(&escape(&text[part])),
    };
    while let Some((whole, inner)) = next_formula(text, at) {
        plain(&mut html, at..whole.start);
        let formula = mathml(&text[inner]);
        match &marked {
            Some(span) if span.start < whole.end && span.end > whole.start => {
                let _ = write!(html, "<mark>{formula}</mark>");
            }
            _ => html.push_str(&formula),
        }
        at = whole.end;
    }
    plain(&mut html, at..text.len());
    html
}

/// Formulas longer or deeper than this are shown as they are written.
const LONGEST_FORMULA: usize = 2000;
const DEEPEST_FORMULA: usize = 40;

/// The next formula between `$`, `$$`, `\(` and `\)` or `\[` and `\]`: all of it, and what is between. A lone dollar
/// opens only before, and closes only behind, something that is not white space, and not before a digit: `$3 and $4` is
/// money.
fn next_formula(text: &str, from: usize) -> Option<(Range<usize>, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        let rest = &text[at..];
        let (open, close) = if rest.starts_with("\\(") {
            ("\\(", "\\)")
        } else if rest.starts_with("\\[") {
            ("\\[", "\\]")
        } else if rest.starts_with("$$") {
            ("$$", "$$")
        } else if rest.starts_with("\\$") {
            at += 2;
            continue;
        } else if rest.starts_with('$') {
            ("$", "$")
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let start = at + open.len();
        let limit = text.len().min(start + LONGEST_FORMULA);
        let end = (start..limit).find(|&end| {
            bytes[end..].starts_with(close.as_bytes()) && (open != "$" || closes(bytes, start, end))
        });
        if let Some(end) = end
            && end > start
            && depth(&text[start..end]) <= DEEPEST_FORMULA
        {
            return Some((at..end + close.len(), start..end));
        }
        at = start;
    }
    None
}

fn closes(bytes: &[u8], start: usize, end: usize) -> bool {
    !bytes[start].is_ascii_whitespace()
        && !bytes[end - 1].is_ascii_whitespace()
        && bytes[end - 1] != b'\\'
        && !bytes.get(end + 1).is_some_and(u8::is_ascii_digit)
        && !bytes[start..end].contains(&b'\n')
}

fn depth(formula: &str) -> usize {
    let (mut deepest, mut depth) = (0usize, 0usize);
    for byte in formula.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // Fractions and the like nest without braces too.
    deepest.max(formula.matches("\\frac").count().saturating_sub(DEEPEST_FORMULA / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_typeset_and_money_is_not() {
        let html = typeset("So $\\frac{1}{2}$ and \\(x^2\\) cost $3 and $4 <b>", None);
        assert_eq!(html.matches("<math").count(), 2, "{html}");
        assert!(html.ends_with("cost $3 and $4 &lt;b&gt;"), "{html}");
        assert_eq!(typeset("$5", None), "$5");
        assert_eq!(typeset("ü$", None), "ü$");
    }

    #[test]
    fn the_answer_is_marked_in_text_and_in_formulas() {
        assert_eq!(typeset("a 42 b", Some(2..4)), "a <mark>42</mark> b");
        let html = typeset("is $\\boxed{42}$.", Some(11..13));
        assert!(html.starts_with("is <mark><") && html.ends_with("</mark>."), "{html}");
        assert_eq!(typeset("ü", Some(1..2)), "ü");
        assert_eq!(typeset("a", Some(5..9)), "a");
    }

    #[test]
    fn replies_cannot_bring_markup_into_the_page() {
        for hostile in [
            "<script>alert(1)</script>",
            "$\\text{<script>alert(1)</script>}$",
            "$\\mathrm{<img src=x onerror=alert(1)>}$",
            "\\(\\text{\"><script>\\)",
            "$a<script>b$",
        ] {
            let html = typeset(hostile, None);
            assert!(!html.contains("<script") && !html.contains("<img"), "{hostile}: {html}");
        }
        let deep = format!("${}x{}$", "{".repeat(500), "}".repeat(500));
        assert_eq!(typeset(&deep, None), deep);
    }
}
