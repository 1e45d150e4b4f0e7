//! ASDiv (Miao et al. 2020): 2,305 word problems of primary school with their grades and types.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{
    ANSWER_LINE, Data, Kind, Origin, Problem, Setting, Settings, Source, Strategy, Suite, SuiteError,
};

pub(super) fn suite() -> Suite {
    Suite {
        name: "asdiv".into(),
        about: "2,305 word problems of primary school (Miao et al. 2020)".into(),
        folders: vec!["asdiv".into(), "math-word-problems".into()],
        fetch: "ASDiv.xml and, for the arithmetic subset, the folder nfolds-asdiv-a \
                (github.com/chaochun/nlu-asdiv-dataset) into the folder asdiv"
            .into(),
        needs_data: true,
        settings: vec![Setting {
            key: "subset",
            default: "all",
            kind: Kind::One(vec!["all", "arithmetic"]),
            about: "all problems, or the 1,218 arithmetic ones (ASDiv-A)",
        }],
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::ZERO_SHOT, Strategy::PROGRAM],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let mut wanted: Option<HashSet<String>> = None;
    if settings.get("subset") == "arithmetic" {
        let mut ids = HashSet::new();
        for fold in 0..5 {
            let text = source.text(&format!("nfolds-asdiv-a/fold{fold}.txt"))?;
            ids.extend(text.split_whitespace().map(str::to_string));
        }
        wanted = Some(ids);
    }
    let text = source.text("ASDiv.xml")?;
    let path = source.folder().join("ASDiv.xml");
    let document = roxmltree::Document::parse(&text)
        .map_err(|error| SuiteError::File { path, message: error.to_string() })?;
    let mut problems = Vec::new();
    let nodes: Vec<_> = document.descendants().filter(|node| node.has_tag_name("Problem")).collect();
    source.count(nodes.len());
    for node in nodes {
        let line = document.text_pos_at(node.range().start).row as usize;
        let origin = Origin { file: "ASDiv.xml".into(), line };
        match problem(node, &origin) {
            Ok(problem) if wanted.as_ref().is_none_or(|ids| ids.contains(&problem.id)) => {
                problems.push(problem)
            }
            Ok(_) => {}
            Err(message) => source.reject(origin, message),
        }
    }
    Ok(Data { problems, ..Data::default() })
}

/// A blank and a unit in parentheses; -(1/3) has no blank.
static UNIT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+\([^()]*\)").expect("a constant"));

fn problem(node: roxmltree::Node<'_, '_>, origin: &Origin) -> Result<Problem, String> {
    let child = |name: &str| {
        let found = node.children().find(|child| child.has_tag_name(name));
        let text = found.and_then(|child| child.text()).map(str::trim).filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("the element <{name}> is missing or empty"))
    };
    let attribute =
        |name: &str| node.attribute(name).ok_or_else(|| format!("the attribute {name} is missing"));
    // Several answers stand with semicolons between them.
    let reference = UNIT.replace_all(child("Answer")?, "").replace(';', ",");
    let categories: BTreeMap<String, String> = [
        ("grade".to_string(), attribute("Grade")?.to_string()),
        ("type".to_string(), child("Solution-Type")?.to_string()),
    ]
    .into();
    Ok(Problem {
        id: attribute("ID")?.to_string(),
        question: format!("{} {}", child("Body")?, child("Question")?),
        reference,
        categories,
        origin: origin.clone(),
        ..Problem::default()
    })
}
