//! CARP as a suite: the problems of a language and split, exemplars for them, and the strategies.
//!
//! The 3,410 problems for training are not public as a set. The lists of exemplars that the authors retrieved for the Chinese
//! test problems hold many of them; these, the demonstrations and, where it is not asked, the split `dev` are the pool in
//! which exemplars are looked for. The authors' retriever is not public either: where its lists are not given, BM25 or TF-IDF
//! over characters stands for it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::super::{
    Data, Dialogue, Exemplar, Kind, Problem, Procedure, ReplyLanguage, Row, Setting, Settings, Source,
    Strategy, Suite, SuiteError,
};
use super::deliberation::{Checks, Deliberation, ToolLoop, Wordings};
use super::words::{Room, Words};
use super::{Record, tool_loop};
use crate::answers::{Language, Mode};
use crate::retrieval::{SparseIndex, Tokens, Weighting};

const CHAIN_OF_THOUGHT: Strategy =
    Strategy::new("chain-of-thought", include_str!("../prompts/carp/chain-of-thought.jinja"));
const REACT: Strategy = Strategy {
    replies: ReplyLanguage::Problem,
    procedure: Procedure::Dialogue(react),
    ..Strategy::new("react", include_str!("../prompts/carp/react.jinja"))
};
const DELI: Strategy = Strategy {
    replies: ReplyLanguage::Problem,
    procedure: Procedure::Dialogue(deli),
    ..Strategy::new("deli", include_str!("../prompts/carp/chain-of-thought.jinja"))
};

pub(in super::super) fn suite() -> Suite {
    let modes = Mode::ALL.iter().map(|mode| mode.name()).collect();
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    Suite {
        name: "carp".into(),
        about: "algebra problems of middle school in Chinese and English, 976 of them (Zhang et al. 2023)".into(),
        folders: vec!["carp".into()],
        fetch: "the files of github.com/RUCAIBox/CARP into the folder carp: data/carp/test.json as carp_zh_test.json, \
                likewise dev and demo, those of data/carp_en as carp_en_test.json and so on, and ret_base/carp.json as \
                retrieved_exemplars_zh_test.json"
            .into(),
        needs_data: true,
        settings: vec![
            setting("mode", "carp", Kind::One(modes), "the rules by which answers are found and compared"),
            setting("temperature", "0", Kind::Number(0.0, 10.0), "sampling temperature"),
            setting("max-tokens", "512", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
            setting("language", "zh", Kind::One(vec!["zh", "en"]), "the language of the problems"),
            setting("split", "test", Kind::One(vec!["test", "dev"]), "which problems are asked"),
            setting(
                "exemplars",
                "retrieved",
                Kind::One(vec!["retrieved", "bm25", "characters", "fixed", "complex"]),
                "how solved problems are chosen: the published lists (BM25 where there are none), BM25, TF-IDF of character \
                 n-grams, always the demonstrations, or always the longest",
            ),
            setting("checks", "both", Kind::One(vec!["both", "tool", "text"]), "the checks of deli"),
            setting("turns", "3", Kind::Whole(1, 100), "the most turns of deli"),
            setting("steps", "15", Kind::Whole(1, 1000), "the most steps of a tool loop"),
            setting("votes", "1", Kind::Whole(1, 1000), "tool loops, whose majority decides"),
            setting(
                "feedback",
                "no",
                Kind::One(vec!["no", "yes"]),
                "whether the model is shown why a tool refuses; else it writes the output itself",
            ),
            setting(
                "context",
                "4090",
                Kind::Whole(1, 100_000_000),
                "the tokens that prompt and reply have to stay below; exemplars are left out for that",
            ),
            setting("words", "", Kind::Text, "a TOML file with the words of tool loop and checks, instead of ours"),
        ],
        strategies: vec![CHAIN_OF_THOUGHT, REACT, DELI],
        answer_form: "the final answer behind the words that the prompt names",
        load: Box::new(load),
    }
}

fn react(settings: &Settings) -> Result<Box<dyn Dialogue>, SuiteError> {
    Ok(Box::new(ToolLoop { wordings: wordings(settings)?, options: options(settings) }))
}

fn deli(settings: &Settings) -> Result<Box<dyn Dialogue>, SuiteError> {
    Ok(Box::new(Deliberation {
        wordings: wordings(settings)?,
        options: options(settings),
        checks: match settings.get("checks") {
            "tool" => Checks::Tool,
            "text" => Checks::Text,
            _ => Checks::Both,
        },
        turns: whole(settings, "turns"),
    }))
}

/// A whole number, which was checked when it was set.
fn whole(settings: &Settings, key: &str) -> usize {
    settings.get(key).parse().unwrap_or(1)
}

fn options(settings: &Settings) -> tool_loop::Options {
    let room =
        Room { context: whole(settings, "context") as u64, reply: whole(settings, "max-tokens") as u64 };
    tool_loop::Options {
        steps: whole(settings, "steps"),
        votes: whole(settings, "votes"),
        feedback: settings.get("feedback") == "yes",
        room,
    }
}

fn wordings(settings: &Settings) -> Result<Wordings, SuiteError> {
    let file = settings.get("words");
    let read = |ours| match file.is_empty() {
        true => Words::read("words", ours),
        false => {
            let text = std::fs::read_to_string(file).map_err(|error| SuiteError::File {
                path: Path::new(file).into(),
                message: error.to_string(),
            })?;
            Words::read(file, &text)
        }
    };
    Ok(Wordings {
        chinese: read(include_str!("../prompts/carp/zh.toml"))?,
        english: read(include_str!("../prompts/carp/en.toml"))?,
    })
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let (language, split) = (settings.get("language"), settings.get("split"));
    let table = |split: &str| format!("carp_{language}_{split}");
    let mut problems = source.read(&table(split), None, |row| problem(language, split, row))?;
    let solved = |row: &Row| {
        record(row).map(|record| exemplar(language, &record.content, &record.steps, &record.answer))
    };
    let demonstrations = match source.has(&table("demo")) {
        true => source.read(&table("demo"), None, solved)?,
        false => Vec::new(),
    };
    let choice = settings.get("exemplars");
    if choice == "fixed" {
        return Ok(Data { problems, exemplars: demonstrations, ..Data::default() });
    }
    let lists = retrieved(source, language)?;
    if choice == "retrieved" && split == "test" && !lists.is_empty() {
        if lists.len() != problems.len() {
            let message = format!("{} lists of exemplars for {} problems", lists.len(), problems.len());
            return Err(SuiteError::File { path: source.folder().join(lists_name(language)), message });
        }
        for (problem, list) in problems.iter_mut().zip(lists) {
            problem.exemplars = list;
        }
        return Ok(Data { problems, exemplars: demonstrations, ..Data::default() });
    }
    let mut pool: Vec<Exemplar> = demonstrations;
    pool.extend(lists.into_iter().flatten());
    if split != "dev" && source.has(&table("dev")) {
        pool.extend(source.read(&table("dev"), None, solved)?);
    }
    let mut seen = HashSet::new();
    pool.retain(|exemplar| seen.insert(without_blanks(&exemplar.question)));
    if choice == "complex" {
        pool.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.solution.chars().count()));
        return Ok(Data { problems, exemplars: pool, ..Data::default() });
    }
    let (tokens, weighting) = match (choice, language) {
        ("characters", _) => (Tokens::Characters { least: 2, most: 4 }, Weighting::TfIdf),
        // Chinese is written without blanks between words.
        (_, "zh") => (Tokens::Characters { least: 1, most: 2 }, Weighting::Bm25 { k1: 1.5, b: 0.75 }),
        _ => (Tokens::Formulas, Weighting::Bm25 { k1: 1.5, b: 0.75 }),
    };
    let texts: Vec<&str> = pool.iter().map(|exemplar| exemplar.question.as_str()).collect();
    let index = SparseIndex::new(&texts, tokens, weighting);
    for problem in &mut problems {
        let own = without_blanks(&problem.question);
        let found =
            index.search(&problem.question, settings.shots() + 1).into_iter().map(|(place, _)| &pool[place]);
        problem.exemplars = found
            .filter(|exemplar| without_blanks(&exemplar.question) != own)
            .take(settings.shots())
            .cloned()
            .collect();
    }
    Ok(Data { problems, exemplars: pool, ..Data::default() })
}

fn record(row: &Row) -> Result<Record, String> {
    Record::checked(serde_json::Value::Object(row.fields.clone()))
}

fn problem(language: &str, split: &str, row: &Row) -> Result<Problem, String> {
    let record = record(row)?;
    let targets = match record.exprs.len() {
        count @ 1..=4 => count.to_string(),
        _ => "5 or more".into(),
    };
    Ok(Problem {
        id: format!("{language}/{split}/{}", row.origin.line),
        expressions: Some(record.flow()),
        question: record.content,
        reference: record.answer,
        language: Some(if language == "zh" { Language::Zh } else { Language::En }),
        categories: BTreeMap::from([("expressions".to_string(), targets)]),
        origin: row.origin.clone(),
        ..Problem::default()
    })
}

fn exemplar(language: &str, question: &str, steps: &str, answer: &str) -> Exemplar {
    let phrase = if language == "zh" { "答案是：" } else { "The answer is: " };
    Exemplar {
        question: question.trim().into(),
        solution: format!("{} {phrase}{}", steps.trim(), answer.trim()),
        answer: answer.into(),
        language: None,
    }
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

fn lists_name(language: &str) -> String {
    format!("retrieved_exemplars_{language}_test.json")
}

/// The published lists of exemplars of the test problems, the nearest first; none where there is no file.
fn retrieved(source: &mut Source, language: &str) -> Result<Vec<Vec<Exemplar>>, SuiteError> {
    #[derive(Deserialize)]
    struct Solved {
        content: String,
        steps: String,
        answer: String,
    }
    let name = lists_name(language);
    let path = source.folder().join(&name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = source.text(&name)?;
    let lists: Vec<Vec<Solved>> =
        serde_json::from_str(&text).map_err(|error| SuiteError::File { path, message: error.to_string() })?;
    source.count(lists.len());
    let solved = |solved: Solved| exemplar(language, &solved.content, &solved.steps, &solved.answer);
    Ok(lists.into_iter().map(|list| list.into_iter().map(solved).collect()).collect())
}
