//! Expert review of wrong decisions: a sheet goes out, a filled sheet comes back, and the accuracy is adjusted.
//!
//! A wrong decision may be an *accepted alternative* (the misconception that was named explains the error too), or not be
//! decidable because a *picture is needed*. The adjusted accuracy is (exact + accepted) / total.
//!
//! [`PUBLISHED`] holds the counts of the paper. Its remainder of the first experiment does not follow from them: 2,587
//! wrong less 687 accepted less 284 that need a picture leave 1,616, where the paper has 1,487.

use std::collections::BTreeMap;

use serde::Serialize;

use super::records::{Item, Misconception};
use super::replies::Predicted;
use super::scores::Decision;
use crate::statistics::agreement::{Weights, cohen_kappa};

/// Counts of decisions after a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Review {
    /// All decisions.
    pub total: usize,
    /// Those that name the id.
    pub exact: usize,
    /// Wrong ones that were accepted.
    pub accepted: usize,
    /// Wrong ones that need a picture, accepted ones not counted.
    pub picture: usize,
}

/// A review as a paper states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Which experiment.
    pub name: &'static str,
    /// The counts.
    pub review: Review,
    /// What is left, as stated.
    pub left: usize,
}

/// The expert tables of the paper.
pub const PUBLISHED: [Published; 2] = [
    Published {
        name: "cross-topic",
        review: Review { total: 5500, exact: 2913, accepted: 687, picture: 284 },
        left: 1487,
    },
    Published {
        name: "topic-constrained",
        review: Review { total: 1100, exact: 812, accepted: 111, picture: 56 },
        left: 121,
    },
];

impl Review {
    /// Wrong decisions.
    pub fn wrong(&self) -> usize {
        self.total - self.exact
    }

    /// Exact and accepted ones.
    pub fn adjusted(&self) -> usize {
        self.exact + self.accepted
    }

    /// Wrong decisions that are neither accepted nor need a picture.
    pub fn left(&self) -> usize {
        self.wrong().saturating_sub(self.accepted + self.picture)
    }

    /// The share of a count among all decisions.
    pub fn share(&self, count: usize) -> f64 {
        count as f64 / self.total.max(1) as f64
    }

    /// The share of exact and accepted decisions.
    pub fn adjusted_accuracy(&self) -> f64 {
        self.share(self.adjusted())
    }
}

impl Published {
    /// What is wrong with the stated remainder, if it does not follow from the counts.
    pub fn discrepancy(&self) -> Option<String> {
        let (review, left) = (self.review, self.review.left());
        (left != self.left).then(|| {
            format!(
                "{}: {} wrong - {} accepted - {} picture needed = {left}, the paper states {}",
                self.name,
                review.wrong(),
                review.accepted,
                review.picture,
                self.left
            )
        })
    }
}

/// What an expert says about a wrong decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// The misconception that was named explains the error too.
    Accepted,
    /// Cannot be judged without the picture.
    PictureNeeded,
    /// The decision is wrong.
    Rejected,
}

/// The columns of a sheet. The last two are for the expert: `yes` or `no`, and a category, of which `picture needed` has
/// a meaning here.
const COLUMNS: [&str; 14] = [
    "decision",
    "trial",
    "example",
    "topic",
    "question",
    "wrong_answer",
    "true_id",
    "true_description",
    "predicted_id",
    "predicted_description",
    "exact_id_match",
    "topic_match",
    "human_accepts_alternative",
    "expert_review_category",
];

/// A sheet with the wrong decisions, to be filled by an expert, as CSV.
pub fn sheet(items: &[Item], decisions: &[Decision]) -> Result<Vec<u8>, csv::Error> {
    let describe = |id: Misconception| {
        items.iter().find(|item| item.misconception == id).map_or("", |item| item.description.as_str())
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (number, decision) in decisions.iter().enumerate().filter(|(_, decision)| !decision.is_right()) {
        let item = items
            .iter()
            .find(|item| item.misconception == decision.truth && item.example == decision.example);
        let predicted = match decision.predicted {
            Predicted::Id(id) => describe(id),
            _ => "",
        };
        let yes = |is: bool| if is { "yes" } else { "no" };
        writer.write_record([
            number.to_string().as_str(),
            &decision.trial.to_string(),
            &format!("{}-{}", decision.truth, decision.example),
            decision.truth.topic().name(),
            item.map_or("", |item| &item.question),
            item.map_or("", |item| &item.wrong),
            &decision.truth.to_string(),
            describe(decision.truth),
            &decision.predicted.label(),
            predicted,
            yes(false),
            yes(decision.is_in_topic()),
            "",
            "",
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Reads a filled sheet of these decisions: what the expert says about each wrong one, by its number.
///
/// # Errors
/// If a column is missing, a row is of another run, stands there twice or is not filled, or a wrong decision has no row;
/// with the line.
pub fn read_sheet(text: &str, decisions: &[Decision]) -> Result<BTreeMap<usize, Judgement>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let column = |name: &str| {
        headers.iter().position(|header| header == name).ok_or_else(|| format!("no column `{name}`"))
    };
    let places = [
        column("decision")?,
        column("true_id")?,
        column("predicted_id")?,
        column("human_accepts_alternative")?,
        column("expert_review_category")?,
    ];
    let mut judgements = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let line = row.position().map_or(0, csv::Position::line);
        let [number, truth, predicted, accepts, category] =
            places.map(|place| row.get(place).unwrap_or("").trim());
        let wrong = |message: String| format!("line {line}: {message}");
        let decision = number.parse::<usize>().ok().and_then(|number| decisions.get(number));
        let decision = decision.ok_or_else(|| wrong(format!("the run has no decision `{number}`")))?;
        if decision.truth.to_string() != truth || decision.predicted.label() != predicted {
            let (truth, predicted) = (decision.truth, decision.predicted.label());
            return Err(wrong(format!("decision {number} of this run is {truth} taken for `{predicted}`")));
        }
        let picture = category.to_lowercase().replace(['-', '_'], " ").contains("picture");
        let judgement = match accepts.to_lowercase().as_str() {
            "yes" | "true" | "1" => Judgement::Accepted,
            "no" | "false" | "0" if picture => Judgement::PictureNeeded,
            "" if picture => Judgement::PictureNeeded,
            "no" | "false" | "0" => Judgement::Rejected,
            "" => return Err(wrong("human_accepts_alternative is empty: expected yes or no".into())),
            other => {
                return Err(wrong(format!("human_accepts_alternative is `{other}`: expected yes or no")));
            }
        };
        let key = number.parse::<usize>().unwrap_or_default();
        if judgements.insert(key, judgement).is_some() {
            return Err(wrong(format!("decision {number} stands there twice")));
        }
    }
    let open =
        |(number, decision): &(usize, &Decision)| !decision.is_right() && !judgements.contains_key(number);
    match decisions.iter().enumerate().find(open) {
        Some((number, decision)) => {
            Err(format!("no row for the wrong decision {number} (trial {})", decision.trial))
        }
        None => Ok(judgements),
    }
}

/// The counts of decisions with these judgements.
pub fn review(decisions: &[Decision], judgements: &BTreeMap<usize, Judgement>) -> Review {
    let count = |judgement| judgements.values().filter(|given| **given == judgement).count();
    Review {
        total: decisions.len(),
        exact: decisions.iter().filter(|decision| decision.is_right()).count(),
        accepted: count(Judgement::Accepted),
        picture: count(Judgement::PictureNeeded),
    }
}

/// How far two experts agree on the same sheet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The share of decisions on which they say the same.
    pub share: f64,
    /// Cohen's kappa of what they say; none where it is not defined.
    pub kappa: Option<f64>,
}

/// Of two filled sheets of the same run.
pub fn agreement(first: &BTreeMap<usize, Judgement>, second: &BTreeMap<usize, Judgement>) -> Agreement {
    let pairs: Vec<(usize, usize)> = (first.iter())
        .filter_map(|(number, one)| Some((*one as usize, *second.get(number)? as usize)))
        .collect();
    let same = pairs.iter().filter(|(one, other)| one == other).count();
    Agreement { share: same as f64 / pairs.len().max(1) as f64, kappa: cohen_kappa(&pairs, 3, Weights::Same) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::items;
    use super::*;

    #[test]
    fn published_counts_give_the_published_shares_and_one_does_not_add_up() {
        let [first, second] = PUBLISHED;
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        assert_eq!(percent(first.review.adjusted_accuracy()), "65.45");
        assert_eq!(percent(second.review.adjusted_accuracy()), "83.91");
        assert_eq!((first.review.adjusted(), second.review.adjusted()), (3600, 923));
        assert_eq!(percent(first.review.share(first.review.exact)), "52.96");
        assert_eq!(percent(second.review.share(second.review.left())), "11.00");
        let told = first.discrepancy().unwrap();
        assert!(told.contains("= 1616, the paper states 1487"), "{told}");
        assert_eq!(second.discrepancy(), None);
    }

    #[test]
    fn a_sheet_goes_out_and_comes_back_filled() {
        let items = items();
        let decision = |truth: u64, label: &str| Decision {
            trial: 3,
            example: 2,
            truth: Misconception::numbered(truth).unwrap(),
            predicted: Predicted::from_label(label),
        };
        let decisions =
            [decision(1, "MaE01"), decision(2, "MaE03"), decision(7, "MaE01"), decision(9, "None")];
        let sheet = String::from_utf8(sheet(&items, &decisions).unwrap()).unwrap();
        assert_eq!(sheet.lines().count(), 4, "{sheet}");
        assert!(sheet.contains("MaE02-2") && sheet.contains("no,yes,,"), "{sheet}");
        let error = read_sheet(&sheet, &decisions).unwrap_err();
        assert!(error.starts_with("line 2: human_accepts_alternative is empty"), "{error}");

        let fill = |answers: [&str; 3]| {
            let mut lines: Vec<String> = sheet.lines().map(str::to_string).collect();
            for (line, answer) in lines[1..].iter_mut().zip(answers) {
                *line = format!("{}{answer}", &line[..line.len() - 1]);
            }
            lines.join("\n")
        };
        let first = read_sheet(&fill(["yes,", "no,picture needed", "no,"]), &decisions).unwrap();
        let counted = review(&decisions, &first);
        assert_eq!(counted, Review { total: 4, exact: 1, accepted: 1, picture: 1 });
        assert_eq!((counted.adjusted_accuracy(), counted.left()), (0.5, 1));
        let second = read_sheet(&fill(["yes,", ",Picture-needed", "yes,"]), &decisions).unwrap();
        let agreed = agreement(&first, &second);
        assert_eq!(agreed.share, 2.0 / 3.0);
        // Observed disagreement 1/3; by chance 1 - (2/3 · 1/3 + 1/3 · 1/3) = 2/3.
        assert!((agreed.kappa.unwrap() - 0.5).abs() < 1e-15);

        for (sheet, expected) in [
            (fill(["perhaps,", "no,", "no,"]), "line 2: human_accepts_alternative is `perhaps`"),
            (
                fill(["yes,", "no,", "no,"]).replace("MaE03", "MaE04"),
                "line 2: decision 1 of this run is MaE02",
            ),
            (fill(["yes,", "no,", "no,"]).lines().take(3).collect::<Vec<_>>().join("\n"), "wrong decision 3"),
            (sheet.replacen("decision", "number", 1), "no column `decision`"),
        ] {
            let error = read_sheet(&sheet, &decisions).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
