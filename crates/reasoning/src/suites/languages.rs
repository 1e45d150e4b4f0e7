//! A suite in several languages: how much less a model can do in each than in English, and whether it replies in the
//! language that it was asked in.
//!
//! The problems are the same in all languages, so that two languages are two runs over the same problems: gaps and
//! McNemar's tests are paired. Of several samples of a problem the gap takes the share that is right; McNemar's test needs
//! one sample of each.

use std::collections::BTreeMap;

use serde::Serialize;

use super::aggregate::{CONFIDENCE, REPLICATES, Score, score, share};
use super::{Ending, Record};
use crate::answers::{Language, identify, is_in_script};
use crate::statistics::Interval;
use crate::statistics::interval::{Share, bootstrap, mean};
use crate::statistics::paired::{McNemar, PairedDifference, holm, mcnemar, paired_difference};

/// The scores of a run by language.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Languages {
    /// The languages, in the order of their codes.
    pub languages: Vec<LanguageScore>,
    /// The mean of the accuracies, each language with the same weight.
    pub mean: f64,
    /// The same without English; `None` if there is nothing else.
    pub mean_without_english: Option<f64>,
    /// Every two languages, if there is one sample of each problem.
    pub pairs: Vec<LanguagePair>,
}

/// The scores of a language.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LanguageScore {
    /// The language of the problems.
    pub language: Language,
    /// The problems.
    pub problems: usize,
    /// The share of right replies.
    pub accuracy: Score,
    /// The percentile interval of the accuracy from 2,000 resamples of the problems, seed 0.
    pub bootstrap: Interval,
    /// English - this language, on the problems that both have; `None` for English, or without it.
    pub gap: Option<PairedDifference>,
    /// Whether replies are in the language that they were asked for.
    pub replies: ReplyLanguages,
}

/// In which languages replies are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReplyLanguages {
    /// Replies that have words, whole or cut.
    pub with_words: usize,
    /// The share of these that are mostly in the right script.
    pub in_script: f64,
    /// The share of these that are in the right language.
    pub in_language: f64,
    /// How many of these are in which other language, by code; `-` where it cannot be told.
    pub others: BTreeMap<String, usize>,
}

/// Two languages over the same problems.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LanguagePair {
    /// The first language.
    pub first: Language,
    /// The second language.
    pub second: Language,
    /// The problems that both have.
    pub problems: usize,
    /// McNemar's test; its first model is the first language.
    pub mcnemar: McNemar,
    /// The exact p-value, corrected for the number of pairs by Holm's method.
    pub corrected: f64,
}

/// The scores by language of graded records; `None` if these are not in two languages or more.
pub fn languages(records: &[Record]) -> Option<Languages> {
    let mut groups: BTreeMap<Language, Vec<&Record>> = BTreeMap::new();
    for record in records {
        let code = record.categories.get("language")?;
        groups.entry(Language::from_code(code)?).or_default().push(record);
    }
    if groups.len() < 2 {
        return None;
    }
    let by_item: BTreeMap<Language, BTreeMap<&str, f64>> = (groups.iter())
        .map(|(language, records)| {
            let items = records.iter().map(|record| (item(record), share(record).value()));
            (*language, items.collect())
        })
        .collect();
    let aligned = |first: Language, second: Language| -> Vec<(f64, f64)> {
        let other = &by_item[&second];
        by_item[&first].iter().filter_map(|(item, score)| Some((*score, *other.get(item)?))).collect()
    };
    let has_english = groups.contains_key(&Language::En);
    let languages: Vec<LanguageScore> = (groups.iter())
        .map(|(&language, records)| {
            let shares: Vec<Share> = records.iter().map(|record| share(record)).collect();
            let drawn = bootstrap(&shares, CONFIDENCE, REPLICATES, 0);
            let gap = (has_english && language != Language::En)
                .then(|| paired_difference(&aligned(Language::En, language), CONFIDENCE, 0));
            LanguageScore {
                language,
                problems: records.len(),
                accuracy: score(&shares),
                bootstrap: Interval { low: drawn.low.max(0.0), high: drawn.high.min(1.0) },
                gap: gap.flatten(),
                replies: ReplyLanguages::of(records, language),
            }
        })
        .collect();
    let accuracies = |wanted: &dyn Fn(Language) -> bool| -> Vec<f64> {
        (languages.iter().filter(|score| wanted(score.language))).map(|score| score.accuracy.value).collect()
    };
    let others = accuracies(&|language| language != Language::En);
    let is_single = records.iter().all(|record| record.grades.len() == 1);
    let codes: Vec<Language> = groups.keys().copied().collect();
    let mut pairs = Vec::new();
    if is_single {
        for (number, &first) in codes.iter().enumerate() {
            for &second in &codes[number + 1..] {
                let scores = aligned(first, second);
                let only_first = scores.iter().filter(|(a, b)| a > b).count();
                let only_second = scores.iter().filter(|(a, b)| a < b).count();
                let mcnemar = mcnemar(only_first, only_second);
                pairs.push(LanguagePair { first, second, problems: scores.len(), mcnemar, corrected: 0.0 });
            }
        }
        let corrected = holm(&pairs.iter().map(|pair| pair.mcnemar.exact).collect::<Vec<_>>());
        for (pair, corrected) in pairs.iter_mut().zip(corrected) {
            pair.corrected = corrected;
        }
    }
    Some(Languages {
        mean: mean(&accuracies(&|_| true)),
        mean_without_english: (!others.is_empty()).then(|| mean(&others)),
        languages,
        pairs,
    })
}

/// The name of a problem apart from its language: `de/17` and `fr/17` are one item.
fn item(record: &Record) -> &str {
    let code = record.categories.get("language").map_or("", String::as_str);
    let rest = record.id.strip_prefix(code).and_then(|rest| rest.strip_prefix('/'));
    rest.unwrap_or(&record.id)
}

impl ReplyLanguages {
    fn of(records: &[&Record], language: Language) -> Self {
        let (mut in_script, mut in_language) = (0, 0);
        let mut counted = ReplyLanguages::default();
        for record in records {
            // A strategy may ask for replies in another language than that of the problem.
            let wanted = record.language.unwrap_or(language);
            let texts = record.replies.iter().filter(|reply| reply.ending != Ending::Failed);
            for reply in texts {
                let Some(is_right_script) = is_in_script(&reply.text, wanted) else { continue };
                counted.with_words += 1;
                in_script += usize::from(is_right_script);
                match identify(&reply.text) {
                    Some(found) if found == wanted => in_language += 1,
                    other => {
                        let code = other.map_or("-", Language::code);
                        *counted.others.entry(code.to_string()).or_default() += 1;
                    }
                }
            }
        }
        let all = counted.with_words.max(1) as f64;
        (counted.in_script, counted.in_language) = (in_script as f64 / all, in_language as f64 / all);
        counted
    }
}

impl Languages {
    /// A table with a head: language, problems, accuracy with its interval, gap to English with its interval and McNemar's
    /// exact p-value, shares of replies in the right script and language. Shares in percent, gaps in points.
    pub fn table(&self) -> Vec<Vec<String>> {
        let head = [
            "language",
            "problems",
            "accuracy",
            "low",
            "high",
            "gap",
            "gap low",
            "gap high",
            "p",
            "in script",
            "in language",
        ];
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let mut rows = vec![head.map(String::from).to_vec()];
        for score in &self.languages {
            let mut row = vec![score.language.code().to_string(), score.problems.to_string()];
            let Interval { low, high } = score.accuracy.interval;
            row.extend([score.accuracy.value, low, high].map(percent));
            row.extend(match &score.gap {
                Some(gap) => [gap.difference, gap.interval.low, gap.interval.high].map(percent),
                None => [const { String::new() }; 3],
            });
            let with_english = self.pairs.iter().find(|pair| {
                let both = [pair.first, pair.second];
                both.contains(&Language::En) && both.contains(&score.language) && score.gap.is_some()
            });
            row.push(with_english.map_or(String::new(), |pair| probability(pair.mcnemar.exact)));
            row.extend([score.replies.in_script, score.replies.in_language].map(percent));
            rows.push(row);
        }
        let mut mean_row = |name: &str, value: f64| {
            let mut row = vec![String::new(); head.len()];
            (row[0], row[2]) = (name.to_string(), percent(value));
            rows.push(row);
        };
        mean_row("mean", self.mean);
        if let Some(value) = self.mean_without_english {
            mean_row("mean without en", value);
        }
        rows
    }

    /// The table as CSV.
    pub fn csv(&self) -> String {
        // No cell holds a comma, a quote or a line break.
        self.table().iter().map(|row| row.join(",") + "\n").collect()
    }

    /// The table as LaTeX: a `tabular` for the package booktabs.
    pub fn latex(&self) -> String {
        let rows = self.table();
        let line = |row: &Vec<String>| format!("{} \\\\\n", row.join(" & "));
        let columns = "r".repeat(rows[0].len() - 1);
        let scores = &rows[1..=self.languages.len()];
        let means = &rows[self.languages.len() + 1..];
        format!(
            "\\begin{{tabular}}{{l{columns}}}\n\\toprule\n{}\\midrule\n{}\\midrule\n{}\\bottomrule\n\\end{{tabular}}\n",
            line(&rows[0]),
            scores.iter().map(line).collect::<String>(),
            means.iter().map(line).collect::<String>(),
        )
    }
}

/// A p-value for tables: four digits behind the point, or as a power of ten where these would be zero.
pub fn probability(p: f64) -> String {
    if p >= 1e-4 || p == 0.0 { format!("{p:.4}") } else { format!("{p:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::super::{Grader, Problem, Reply, grade};
    use super::*;
    use crate::answers::Mode;

    /// Records of one reply each to the same problems, all with the answer 7.
    fn records(replies: &[(&str, &[&str])]) -> Vec<Record> {
        let mut records = Vec::new();
        for (code, replies) in replies {
            for (number, reply) in replies.iter().enumerate() {
                let language = Language::from_code(code);
                let problem = Problem {
                    id: format!("{code}/{number}"),
                    reference: "7".into(),
                    categories: [("language".to_string(), code.to_string())].into(),
                    language,
                    ..Problem::default()
                };
                records.push(Record::new(&problem, "?".into(), language, vec![Reply::complete(*reply)]));
            }
        }
        grade::grade(&mut records, &Grader::new(Mode::MathOctopus));
        records
    }

    #[test]
    fn languages_are_paired_by_their_problems() {
        let english = ["It is 7", "It is 7", "It is 7", "It is 8"];
        let german = ["Es ist 7", "Es ist 8", "It is 9", "7"];
        let thai = ["มี 8", "It is 7", "มี 8", "มี 8"];
        let report = languages(&records(&[("th", &thai), ("en", &english), ("de", &german)])).unwrap();
        let codes: Vec<&str> = report.languages.iter().map(|score| score.language.code()).collect();
        assert_eq!(codes, ["de", "en", "th"]);
        assert_eq!(report.mean, (0.5 + 0.75 + 0.25) / 3.0);
        assert_eq!(report.mean_without_english, Some(0.375));
        let [german, english, thai] = &report.languages[..] else { panic!() };
        assert_eq!(english.gap, None);
        assert_eq!((german.gap.unwrap().difference, thai.gap.unwrap().difference), (0.25, 0.5));
        let pair = &report.pairs[0];
        assert_eq!((pair.first, pair.second, pair.problems), (Language::De, Language::En, 4));
        assert_eq!((pair.mcnemar.only_first, pair.mcnemar.only_second), (1, 2));
        assert!(report.pairs.iter().all(|pair| pair.corrected >= pair.mcnemar.exact));
        assert_eq!((german.replies.with_words, german.replies.in_script), (3, 1.0));
        assert!((german.replies.in_language - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(german.replies.others, [("en".to_string(), 1)].into());
        assert_eq!((thai.replies.in_script, thai.replies.in_language), (0.75, 0.75));
    }

    #[test]
    fn tables_have_a_row_for_each_language_and_each_mean() {
        let report =
            languages(&records(&[("en", &["It is 7", "7"]), ("fr", &["Il y en a 7", "8"])])).unwrap();
        let csv = report.csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[1].split(',').take(3).collect::<Vec<_>>(), ["en", "2", "100.0"]);
        assert_eq!(lines[2].split(',').nth(5), Some("50.0"));
        assert_eq!(lines[2].split(',').nth(8), Some("1.0000"));
        assert_eq!(lines[3..], ["mean,,75.0,,,,,,,,", "mean without en,,50.0,,,,,,,,"]);
        let latex = report.latex();
        assert_eq!(latex.matches("\\\\\n").count(), 5);
        assert!(latex.contains("fr & 2 & 50.0 & "), "{latex}");
    }

    #[test]
    fn small_probabilities_are_not_zero() {
        assert_eq!([0.04321, 1e-4, 9.2e-5, 1.0].map(probability), ["0.0432", "0.0001", "9e-5", "1.0000"]);
    }

    #[test]
    fn one_language_or_none_has_no_report() {
        assert_eq!(languages(&records(&[("en", &["7"])])), None);
        let mut records = records(&[("en", &["7"]), ("de", &["7"])]);
        records[0].categories.clear();
        assert_eq!(languages(&records), None);
    }
}
