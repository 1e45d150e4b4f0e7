//! The rubric by which people rate replies to remediation prompts: eight dimensions from 1 to 5, and thirteen tags.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::records::Misconception;
use super::remediation::Condition;
use crate::statistics::agreement::{Weights, cohen_kappa};
use crate::statistics::interval::{mean, standard_error};

/// The dimensions, each rated from 1 to 5.
pub const DIMENSIONS: [&str; 8] = [
    "misconception_targeting",
    "research_alignment",
    "conceptual_remediation",
    "mathematical_correctness",
    "specificity_actionability",
    "representation_use",
    "student_reasoning",
    "pedagogical_usefulness",
];

/// What a reply has or does not have.
pub const TAGS: [&str; 13] = [
    "procedural_rule_only",
    "conceptual_explanation",
    "concrete_activity",
    "uses_visual_representation",
    "uses_counterexample",
    "uses_multiple_representations",
    "asks_diagnostic_question",
    "gives_answer_too_quickly",
    "misidentifies_misconception",
    "generic_advice",
    "research_aligned",
    "student_centered",
    "teacher_facing",
];

const LEAST: u8 = 1;
const MOST: u8 = 5;

/// What one person says about one reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// The case.
    pub case: Misconception,
    /// How it was asked.
    pub condition: Condition,
    /// Who rated.
    pub rater: String,
    /// 1 to 5 for each of [`DIMENSIONS`].
    pub scores: [u8; 8],
    /// For each of [`TAGS`].
    pub tags: [bool; 13],
}

/// Ratings put together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Ratings.
    pub ratings: usize,
    /// Raters.
    pub raters: Vec<String>,
    /// By condition.
    pub conditions: BTreeMap<&'static str, ConditionSummary>,
    /// How far raters agree, by dimension.
    pub agreement: Vec<DimensionAgreement>,
}

/// The ratings of a condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConditionSummary {
    /// Ratings.
    pub ratings: usize,
    /// The mean of each dimension with its standard error.
    pub dimensions: Vec<(&'static str, f64, f64)>,
    /// The mean over all dimensions.
    pub overall: f64,
    /// The share of ratings with each tag.
    pub tags: Vec<(&'static str, f64)>,
}

/// How far raters agree in a dimension: means over all pairs of raters who rated the same replies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DimensionAgreement {
    /// The dimension.
    pub dimension: &'static str,
    /// Pairs of raters for whom kappa is defined.
    pub pairs: usize,
    /// Cohen's kappa with linear weights; none without such pairs.
    pub linear: Option<f64>,
    /// With quadratic weights.
    pub quadratic: Option<f64>,
}

/// An empty sheet for these replies, as CSV: a row for each, to be filled by one rater.
pub fn sheet(replies: &[(Misconception, Condition, &str)]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["case_id", "condition", "reply", "rater"];
    writer.write_record(head.iter().chain(&DIMENSIONS).chain(&TAGS))?;
    for (case, condition, reply) in replies {
        let filled = [case.to_string(), condition.name().into(), reply.to_string()];
        let empty = std::iter::repeat_n(String::new(), 1 + DIMENSIONS.len() + TAGS.len());
        writer.write_record(filled.into_iter().chain(empty))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Reads filled sheets, of one rater or of several.
///
/// # Errors
/// If a column is missing, or a row has an unknown case or condition, no rater, a score outside of 1 to 5, a tag that is
/// neither yes nor no, or is there twice; with the line.
pub fn read_sheet(text: &str) -> Result<Vec<Rating>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let names = ["case_id", "condition", "rater"].iter().chain(&DIMENSIONS).chain(&TAGS);
    let places: Vec<usize> = names
        .map(|name| {
            headers.iter().position(|header| header == *name).ok_or_else(|| format!("no column `{name}`"))
        })
        .collect::<Result<_, _>>()?;
    let mut ratings: Vec<Rating> = Vec::new();
    let mut seen = BTreeSet::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = places.iter().map(|&place| row.get(place).unwrap_or("").trim()).collect();
        let rating = rating(&fields).map_err(|message| format!("line {line}: {message}"))?;
        if !seen.insert((rating.case, rating.condition, rating.rater.clone())) {
            return Err(format!(
                "line {line}: {} has rated {} {} before",
                rating.rater,
                rating.case,
                rating.condition.name()
            ));
        }
        ratings.push(rating);
    }
    Ok(ratings)
}

/// From case, condition, rater, scores and tags.
fn rating(fields: &[&str]) -> Result<Rating, String> {
    let case =
        Misconception::from_id(fields[0]).ok_or_else(|| format!("no case is called `{}`", fields[0]))?;
    let condition =
        Condition::from_name(fields[1]).ok_or_else(|| format!("no condition is called `{}`", fields[1]))?;
    if fields[2].is_empty() {
        return Err("rater is empty".into());
    }
    let mut rating = Rating { case, condition, rater: fields[2].into(), scores: [0; 8], tags: [false; 13] };
    let (scores, tags) = fields[3..].split_at(DIMENSIONS.len());
    for (k, text) in scores.iter().enumerate() {
        let score = text.parse().ok().filter(|score| (LEAST..=MOST).contains(score));
        rating.scores[k] =
            score.ok_or_else(|| format!("{} is `{text}`: expected {LEAST} to {MOST}", DIMENSIONS[k]))?;
    }
    for (k, text) in tags.iter().enumerate() {
        rating.tags[k] = match text.to_lowercase().as_str() {
            "yes" | "true" | "1" => true,
            "no" | "false" | "0" | "" => false,
            _ => return Err(format!("{} is `{text}`: expected yes or no", TAGS[k])),
        };
    }
    Ok(rating)
}

/// Means by condition, and agreement between raters.
pub fn summarise(ratings: &[Rating]) -> Summary {
    let mut conditions: BTreeMap<&'static str, Vec<&Rating>> = BTreeMap::new();
    for rating in ratings {
        conditions.entry(rating.condition.name()).or_default().push(rating);
    }
    let raters: BTreeSet<&String> = ratings.iter().map(|rating| &rating.rater).collect();
    let raters: Vec<String> = raters.into_iter().cloned().collect();
    let agreement = (0..DIMENSIONS.len()).map(|dimension| agreement(ratings, &raters, dimension));
    Summary {
        ratings: ratings.len(),
        conditions: conditions.into_iter().map(|(name, own)| (name, condition_summary(&own))).collect(),
        agreement: agreement.collect(),
        raters,
    }
}

fn condition_summary(ratings: &[&Rating]) -> ConditionSummary {
    let of = |k: usize| -> Vec<f64> { ratings.iter().map(|rating| f64::from(rating.scores[k])).collect() };
    let dimensions: Vec<(&'static str, f64, f64)> =
        (0..DIMENSIONS.len()).map(|k| (DIMENSIONS[k], mean(&of(k)), standard_error(&of(k)))).collect();
    let share = |k: usize| {
        ratings.iter().filter(|rating| rating.tags[k]).count() as f64 / ratings.len().max(1) as f64
    };
    ConditionSummary {
        ratings: ratings.len(),
        overall: mean(&dimensions.iter().map(|(_, mean, _)| *mean).collect::<Vec<_>>()),
        dimensions,
        tags: (0..TAGS.len()).map(|k| (TAGS[k], share(k))).collect(),
    }
}

fn agreement(ratings: &[Rating], raters: &[String], dimension: usize) -> DimensionAgreement {
    let score_of = |rater: &String| -> BTreeMap<(Misconception, Condition), usize> {
        let own = ratings.iter().filter(|rating| rating.rater == *rater);
        own.map(|rating| ((rating.case, rating.condition), usize::from(rating.scores[dimension] - LEAST)))
            .collect()
    };
    let (mut linear, mut quadratic) = (Vec::new(), Vec::new());
    for (k, one) in raters.iter().enumerate() {
        let first = score_of(one);
        for other in &raters[k + 1..] {
            let second = score_of(other);
            let pairs: Vec<(usize, usize)> =
                first.iter().filter_map(|(reply, a)| Some((*a, *second.get(reply)?))).collect();
            let kappa = |weights| cohen_kappa(&pairs, usize::from(MOST), weights);
            linear.extend(kappa(Weights::Linear));
            quadratic.extend(kappa(Weights::Quadratic));
        }
    }
    let meaned = |values: &[f64]| (!values.is_empty()).then(|| mean(values));
    DimensionAgreement {
        dimension: DIMENSIONS[dimension],
        pairs: linear.len(),
        linear: meaned(&linear),
        quadratic: meaned(&quadratic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, condition: &str, rater: &str, scores: [u8; 8], tag: &str) -> String {
        let scores: Vec<String> = scores.iter().map(u8::to_string).collect();
        let tags = std::iter::once(tag.to_string()).chain(vec!["no".to_string(); 12]).collect::<Vec<_>>();
        format!("{case},{condition},\"a reply, with\nlines\",{rater},{},{}", scores.join(","), tags.join(","))
    }

    fn sheet_of(rows: &[String]) -> String {
        let empty = String::from_utf8(sheet(&[]).unwrap()).unwrap();
        format!("{}{}\n", empty, rows.join("\n"))
    }

    #[test]
    fn ratings_are_meaned_and_raters_compared() {
        let scores = |first: u8| [first, 3, 3, 5, 3, 3, 3, 1];
        let rows: Vec<String> = [("MaE01", 5, 4), ("MaE02", 1, 2), ("MaE03", 3, 3), ("MaE04", 2, 4)]
            .into_iter()
            .flat_map(|(case, one, other)| {
                [
                    row(case, "baseline", "ada", scores(one), "yes"),
                    row(case, "baseline", "bo", scores(other), ""),
                ]
            })
            .collect();
        let ratings = read_sheet(&sheet_of(&rows)).unwrap();
        let summary = summarise(&ratings);
        assert_eq!((summary.ratings, summary.raters.len()), (8, 2));
        let baseline = &summary.conditions["baseline"];
        assert_eq!((baseline.dimensions[0].1, baseline.dimensions[3].1), (3.0, 5.0));
        assert_eq!(baseline.overall, (3.0 + 3.0 + 3.0 + 5.0 + 3.0 + 3.0 + 3.0 + 1.0) / 8.0);
        assert_eq!((baseline.tags[0].1, baseline.tags[1].1), (0.5, 0.0));
        // By hand, with quadratic weights: O = 1 + 1 + 0 + 4, and E the same over all 16 pairs, divided by 4.
        let pairs = [(5, 4), (1, 2), (3, 3), (2, 4)];
        let expected: i32 =
            pairs.iter().flat_map(|(a, _)| pairs.iter().map(move |(_, b)| (a - b) * (a - b))).sum();
        let quadratic = summary.agreement[0].quadratic.unwrap();
        assert!((quadratic - (1.0 - 6.0 / (f64::from(expected) / 4.0))).abs() < 1e-14);
        assert_eq!((summary.agreement[1].pairs, summary.agreement[1].linear), (0, None));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        let good = row("MaE01", "baseline", "ada", [3; 8], "yes");
        for (rows, expected) in [
            (vec![good.clone(), good.clone()], "line 4: ada has rated MaE01 baseline before"),
            (vec![row("MaE99", "baseline", "ada", [3; 8], "no")], "line 2: no case is called `MaE99`"),
            (vec![row("MaE01", "basic", "ada", [3; 8], "no")], "no condition is called `basic`"),
            (vec![row("MaE01", "baseline", "", [3; 8], "no")], "rater is empty"),
            (
                vec![row("MaE01", "baseline", "ada", [3, 3, 6, 3, 3, 3, 3, 3], "no")],
                "conceptual_remediation is `6`",
            ),
            (vec![row("MaE01", "baseline", "ada", [3; 8], "maybe")], "procedural_rule_only is `maybe`"),
        ] {
            let error = read_sheet(&sheet_of(&rows)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(read_sheet("case_id,condition\n").unwrap_err().contains("no column `rater`"));
        assert!(read_sheet(&sheet_of(&[good])).is_ok());
    }
}
