//! Replies step by step: a judge sees the steps so far, three more each time, and says whether the newest are right.

use std::sync::LazyLock;

use minijinja::context;
use regex::Regex;
use serde::Serialize;

use super::judge::Case;
use crate::answers::{Language, pattern};
use crate::models::{Message, Request, Sampling};
use crate::suites::SuiteError;
use crate::suites::prompt::Template;

/// How many steps a judge is shown at a time.
const CHUNK: usize = 3;
/// The word by which a judge rejects the newest steps.
const REJECTED: &str = "INCORRECT";

/// The steps of a reply: at its headings, numbers or bullets if it has two or more of a kind; else its paragraphs; else
/// its sentences. No step is blank, and none is lost.
pub fn split(reply: &str) -> Vec<String> {
    static MARKS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            // "### Step 2", "Step 2:", "**Step 2.**", "第二步", "步骤2"
            r"(?im)^[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*)?(?:step[ \t]*\d+|第[一二三四五六七八九十\d]+步|步骤[ \t]*[一二三四五六七八九十\d]+)\b?",
            // "1. ", "2) ", "(3) ", "4、"
            r"(?m)^[ \t]*(?:\*\*)?(?:\d{1,2}[.)][ \t]|\(\d{1,2}\)|（\d{1,2}）|\d{1,2}、)",
            r"(?m)^[ \t]*[-*•][ \t]+",
        ]
        .map(pattern)
    });
    for mark in MARKS.iter() {
        let starts: Vec<usize> = mark.find_iter(reply).map(|found| found.start()).collect();
        if starts.len() >= 2 {
            let ends = starts.iter().copied().chain([reply.len()]);
            let from = std::iter::once(0).chain(starts.iter().copied());
            return kept(from.zip(ends).map(|(start, end)| &reply[start..end]));
        }
    }
    static BLANK: LazyLock<Regex> = LazyLock::new(|| pattern(r"\n[ \t]*\n"));
    let paragraphs = kept(BLANK.split(reply));
    if paragraphs.len() >= 2 {
        return paragraphs;
    }
    static SENTENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"[.!?][ \t\n]+|[。！？]\s*"));
    let mut from = 0;
    let mut sentences = Vec::new();
    for end in SENTENCE.find_iter(reply) {
        sentences.push(&reply[from..end.end()]);
        from = end.end();
    }
    sentences.push(&reply[from..]);
    kept(sentences.into_iter())
}

fn kept<'a>(pieces: impl Iterator<Item = &'a str>) -> Vec<String> {
    pieces.map(str::trim).filter(|piece| !piece.is_empty()).map(str::to_string).collect()
}

/// The requests to a judge of steps, one for each three further steps of a reply. The last ones may be fewer.
///
/// # Errors
/// If a template fails, which the tests exclude.
pub fn requests(
    case: &Case<'_>,
    language: Language,
    sampling: &Sampling,
) -> Result<Vec<Request>, SuiteError> {
    let template = match language {
        Language::Zh => Template::new("steps-zh", include_str!("../prompts/countermath-steps-zh.jinja")),
        _ => Template::new("steps", include_str!("../prompts/countermath-steps.jinja")),
    }?;
    let steps = split(case.reply);
    (steps.chunks(CHUNK).enumerate())
        .map(|(k, newest)| {
            let text = template.render(context! {
                case => case, before => &steps[..k * CHUNK], newest => newest, first => k * CHUNK + 1,
            })?;
            Ok(Request::chat([Message::user(text)]).sampled(sampling.clone()))
        })
        .collect()
}

/// The score of a judge's replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StepScore {
    /// Replies of the judge.
    pub chunks: usize,
    /// The share of these that do not reject the newest steps.
    pub right: f64,
}

impl StepScore {
    /// Of the texts that a judge wrote: those without the word INCORRECT count as right, as published.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let verdicts: Vec<bool> = texts.into_iter().map(|text| !text.contains(REJECTED)).collect();
        let right = verdicts.iter().filter(|right| **right).count();
        StepScore { chunks: verdicts.len(), right: right as f64 / verdicts.len().max(1) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(reply: &str) -> Vec<String> {
        let first = |step: &String| step.chars().take(7).collect();
        split(reply).iter().map(first).collect()
    }

    #[test]
    fn headings_numbers_bullets_and_plain_text_are_split() {
        assert_eq!(lengths("### Step 1: a\nb\n### Step 2: c"), ["### Step", "### Step"].map(|s| &s[..7]));
        assert_eq!(lengths("Intro.\nStep 1: a\n\nb\nStep 2: c"), ["Intro.", "Step 1:", "Step 2:"]);
        assert_eq!(lengths("**Step 1.** a\n**Step 2.** b"), ["**Step ", "**Step "]);
        assert_eq!(lengths("第一步：设\n第二步：则"), ["第一步：设", "第二步：则"]);
        assert_eq!(lengths("步骤1 设\n步骤2 则"), ["步骤1 设", "步骤2 则"]);
        assert_eq!(lengths("1. a\n2. b\n   more\n3. c"), ["1. a", "2. b\n  ", "3. c"]);
        assert_eq!(lengths("(1) a\n(2) b"), ["(1) a", "(2) b"]);
        assert_eq!(lengths("- a\n- b\n- c"), ["- a", "- b", "- c"]);
        assert_eq!(lengths("One.\n\nTwo. Still two.\n \nThree."), ["One.", "Two. St", "Three."]);
        assert_eq!(lengths("Take x = 0.5. Then f(x) = 1! So?"), ["Take x ", "Then f(", "So?"]);
        assert_eq!(lengths("设x=0。则成立。"), ["设x=0。", "则成立。"]);
        assert_eq!(lengths("only one"), ["only on"]);
        assert!(split(" \n ").is_empty());
    }

    /// A single number in a text is no list.
    #[test]
    fn nothing_is_lost() {
        for reply in ["a\n1. b\n\nc", "x. y. z", "- a\nb\n- c\n\nd", "Step 1\nStep 2\n1. a"] {
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(letters(&split(reply).concat()), letters(reply));
        }
    }

    #[test]
    fn chunks_are_cumulative_and_mark_the_newest() {
        let reply = (1..=7).map(|k| format!("{k}. claim{k}")).collect::<Vec<_>>().join("\n");
        let case = Case { statement: "S", judgement: true, rationale: "R", prediction: None, reply: &reply };
        for language in [Language::En, Language::Zh] {
            let requests = requests(&case, language, &Sampling::default()).unwrap();
            let texts: Vec<String> = requests.iter().map(|request| request.prompt.last_text()).collect();
            assert_eq!(texts.len(), 3);
            for (k, text) in texts.iter().enumerate() {
                let shown = (1..=7).filter(|n| text.contains(&format!("claim{n}"))).count();
                assert_eq!(shown, [3, 6, 7][k], "{text}");
                assert!(text.contains(REJECTED));
            }
        }
        let score = StepScore::of(["CORRECT", "INCORRECT: the third step", "The steps are fine."]);
        assert_eq!((score.chunks, score.right), (3, 2.0 / 3.0));
        assert_eq!(StepScore::of([]).chunks, 0);
    }
}
