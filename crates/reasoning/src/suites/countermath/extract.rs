//! The verdict of a reply: true, false, or none.
//!
//! [`Rule::Api`] and [`Rule::Open`] are the two published scripts, faults included. [`Rule::Robust`] looks for the last
//! complete box that holds a verdict, in English or Chinese and however it is dressed; without one it reads the last
//! sentence, with its negations.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use crate::answers::pattern;

/// How a verdict is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Boxes first, then the last sentence.
    #[default]
    Robust,
    /// The published rule for models behind an interface: the first `\boxed{` up to the next `}`, without white space
    /// around it, must be True or False; a box within the box or a Chinese word is no verdict.
    Api,
    /// The published rule for open models: the text is split at full stops. If the first part is exactly "the statement
    /// is true" or "... false", that is the verdict; else the last part that is not empty says True if it holds "true"
    /// anywhere, False if it holds "false", so that "not true" is True.
    Open,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 3] = [Rule::Robust, Rule::Api, Rule::Open];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Robust => "robust",
            Rule::Api => "api",
            Rule::Open => "open",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Rule::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// The verdict of a reply.
    pub fn verdict(self, reply: &str) -> Option<bool> {
        match self {
            Rule::Robust => robust(reply),
            Rule::Api => api(reply),
            Rule::Open => open(reply),
        }
    }
}

fn api(reply: &str) -> Option<bool> {
    static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)\\boxed\{(.*?)\}"));
    // The scorer writes the first letter large and the others small.
    let inside = BOX.captures(reply)?[1].trim().to_lowercase();
    match inside.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn open(reply: &str) -> Option<bool> {
    let parts: Vec<&str> = reply.trim().split('.').collect();
    match parts[0].to_lowercase().as_str() {
        "the statement is true" => return Some(true),
        "the statement is false" => return Some(false),
        _ => {}
    }
    let last = parts.iter().rev().find(|part| !part.is_empty())?.to_lowercase();
    if last.contains("true") { Some(true) } else { last.contains("false").then_some(false) }
}

fn robust(reply: &str) -> Option<bool> {
    if let Some(verdict) = boxes(reply).iter().rev().find_map(|inside| boxed_verdict(inside)) {
        return Some(verdict);
    }
    let plain = undressed(reply);
    let sentences: Vec<&str> = (plain.split(['.', '!', '?', '。', '！', '？', '\n']).map(str::trim))
        .filter(|sentence| !is_closing(sentence))
        .collect();
    let last = sentences.last().and_then(|sentence| sentence_verdict(sentence));
    // A verdict may come first and its reasons after it: the last thing that is said of the statement itself.
    last.or_else(|| sentences.iter().rev().find_map(|sentence| verdict_on_statement(sentence)))
}

/// What stands in complete boxes, in order.
fn boxes(reply: &str) -> Vec<&str> {
    static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\f?box(?:ed)?\s*\{"));
    (BOX.find_iter(reply))
        .filter_map(|found| {
            let mut depth = 1;
            let inside = &reply[found.end()..];
            let end = inside.char_indices().find(|(_, character)| {
                depth += match character {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                depth == 0
            })?;
            Some(&inside[..end.0])
        })
        .collect()
}

/// The verdict of a box: a word for true or false, or a sentence.
fn boxed_verdict(inside: &str) -> Option<bool> {
    sentence_verdict(&undressed(inside))
}

/// The verdict of a single word.
fn word_verdict(text: &str) -> Option<bool> {
    let word = text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    match word.as_str() {
        "true" | "t" | "yes" | "correct" | "right" | "valid" | "真" | "对" | "是" | "正确" | "真命题"
        | "成立" => Some(true),
        "false" | "f" | "no" | "incorrect" | "wrong" | "invalid" | "假" | "错" | "否" | "错误" | "不正确"
        | "假命题" | "不成立" | "不对" | "不真" => Some(false),
        _ => None,
    }
}

/// Text without the commands that dress it, without mathematics' delimiters and emphasis, and without what it quotes at
/// length.
fn undressed(text: &str) -> String {
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#"["“][^"”]{20,}["”]|``[^']{20,}''"#));
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:bf|rm|it|sf|tt|normal)|mbox|hbox|operatorname\*?|emph)\b",
            r"|\\(?:boldsymbol|bf|rm|quad|qquad)\b|\\[,;!: ()\[\]]"
        ))
    });
    let text = QUOTED.replace_all(text, " ");
    let plain = COMMAND.replace_all(&text, " ");
    let sign = |c: char| if "{}$*_`\"“”‘~\\".contains(c) { ' ' } else { c };
    plain.chars().map(sign).collect::<String>().replace("n't", " not").replace("n’t", " not")
}

/// A sentence that says nothing: the end of a proof, or no letters at all.
fn is_closing(sentence: &str) -> bool {
    static CLOSING: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?i)^\W*(?:q\s*e\s*d|[ed]|blacksquare|square|box|this (?:completes|concludes|ends) the (?:proof|argument)",
            r"|证毕|证明完毕|hence the result|i hope (?:this|that) helps)?\W*$"
        ))
    });
    CLOSING.is_match(sentence)
}

/// What a sentence says, from the last words that say something: of the statement, or else of anything.
fn sentence_verdict(sentence: &str) -> Option<bool> {
    word_verdict(sentence).or_else(|| verdict_on_statement(sentence)).or_else(|| {
        let sentence = sentence.to_lowercase();
        said(&sentence).last().map(|said| said.verdict)
    })
}

/// What a sentence says of the statement.
fn verdict_on_statement(sentence: &str) -> Option<bool> {
    // "The statement is not." leaves the word out.
    static ELIDED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\b(?:statement|claim|proposition|assertion|it) (?:is|does|holds?) not\W*$")
    });
    let sentence = sentence.to_lowercase();
    if ELIDED.is_match(&sentence) {
        return Some(false);
    }
    said(&sentence).iter().rev().find(|said| said.of_statement).map(|said| said.verdict)
}

/// One place where a sentence says true or false.
struct Said {
    verdict: bool,
    of_statement: bool,
}

/// The places where a sentence, in small letters, commits itself to true or false.
fn said(sentence: &str) -> Vec<Said> {
    static WORD: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\b(?:true|false|correct|incorrect|valid|invalid|wrong|untrue|refuted|disproved|holds?|fails?)\b",
            r"|(?:为|是)?(?:真命题|假命题|正确|错误|成立|不对)|(?:为|是|[:：]|答案|结论)\s*[真假对错]"
        ))
    });
    static EITHER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\btrue\W{0,3}(?:or|and|/|\|)?\W{0,3}false\b|\bfalse\W{0,3}(?:or|and|/|\|)?\W{0,3}true\b",
            r"|\b(?:correct or incorrect|valid or invalid)\b",
            "|真假|真或假|真还是假|对错|对还是错|是否正确|是否成立|是否为真|正确还是错误|正确或错误"
        ))
    });
    // What only asks or supposes, up to the word.
    static OPEN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\b(?:whether|if|suppose|assume|assuming|unless|when|determine|check)\b[^,;:，；]*$",
            "|(?:是否|若|如果|假设)[^，；]*$"
        ))
    });
    // A condition behind the word.
    static CONDITION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s+(?:only|if|when|whenever|provided|unless|under)\b"));
    static NOT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"\b(?:not|never|cannot|neither|nor|hardly|no longer|far from)\b(?:\s+[a-z]+){0,3}\s*$",
            r"|\bcannot (?:say|conclude|claim)(?:\s+[a-z]+){0,5}\s*$|\bfails? to (?:be|hold)\W*$",
            "|(?:不|并不|并非|不是|非|没有|未必|不能说)(?:总是?|一定|完全)?$"
        ))
    });
    const STATEMENT: &str =
        r"\b(?:statement|claim|proposition|assertion|answer|verdict|judge?ment|conclusion|conjecture)\b";
    static SUBJECT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"{STATEMENT}[^,;:]*$|{STATEMENT}\s*(?:is)?\s*:\s*$|(?:命题|陈述|说法|结论|答案|判断)[^，；。]*$"
        ))
    });
    static PRONOUN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"\b(?:it|this|that|which|result|theorem)\b[^,;:]*$|(?:该|这|此)[^，；。]*$")
    });

    let either: Vec<std::ops::Range<usize>> = EITHER.find_iter(sentence).map(|found| found.range()).collect();
    (WORD.find_iter(sentence))
        .filter(|word| !either.iter().any(|either| either.start < word.end() && word.start() < either.end))
        .filter_map(|word| {
            let (before, after, text) = (&sentence[..word.start()], &sentence[word.end()..], word.as_str());
            let clause = before.rsplit([',', ';', '，', '；']).next().unwrap_or(before);
            // 真子集 is a proper subset and 对称 symmetric: a single sign is a verdict only where no word goes on.
            let goes_on =
                after.starts_with(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c) && !"的命".contains(c));
            let single = text.ends_with(['真', '假', '对', '错']) && !text.ends_with("不对");
            let ends = |words: &[&str]| words.iter().any(|word| text.ends_with(word));
            let positive = matches!(text, "true" | "correct" | "valid" | "hold" | "holds")
                || ends(&["真命题", "正确", "成立"])
                || single && ends(&["真", "对"]);
            let of_statement = SUBJECT.is_match(before) || single && text.starts_with(['答', '结']);
            let weak =
                matches!(text, "valid" | "invalid" | "hold" | "holds" | "fail" | "fails") || ends(&["成立"]);
            let is_open = OPEN.is_match(clause)
                || (single && goes_on)
                || (positive && CONDITION.is_match(after))
                // Equations hold and conditions fail everywhere.
                || (weak && !of_statement && !PRONOUN.is_match(before));
            (!is_open).then(|| Said { verdict: positive != NOT.is_match(before), of_statement })
        })
        .collect()
}

#[cfg(test)]
mod tests;
