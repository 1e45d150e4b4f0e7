//! A run scored against judgements: per topic, over all topics, and as trec_eval prints it.
//!
//! Topics that the run or the judgements do not hold are left out, as in trec_eval 9 (trec_eval 10 refuses a run that
//! leaves a judged topic out); [`Options::complete`] counts judged topics that the run leaves out as found nothing.

use std::fmt::Write as _;

use rayon::prelude::*;

use super::files::{Judgements, Run};
use super::measures::{JudgedRanking, Measure, POOLED, Summary, UNJUDGED};

/// How to score.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least grade of a relevant document (`-l`). Default: 1; ARQMath: 2.
    pub level: i64,
    /// Leave out documents that were not judged before anything is scored (`-J`): the primed measures. Default: no.
    pub judged_only: bool,
    /// Score judged topics that the run leaves out as found nothing (`-c`). Default: no.
    pub complete: bool,
    /// How many documents of a topic are looked at, before `judged_only` (`-M`). Default: all.
    pub depth: usize,
    /// The size of the collection (`-N`), for `utility`. Default: 0, unknown.
    pub collection: i64,
}

impl Default for Options {
    fn default() -> Self {
        Options { level: 1, judged_only: false, complete: false, depth: usize::MAX, collection: 0 }
    }
}

impl Options {
    /// The official scoring of ARQMath: primed, relevant from grade 2.
    pub fn arqmath() -> Self {
        Options { level: 2, judged_only: true, ..Options::default() }
    }
}

/// The figures of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicFigures {
    /// The topic.
    pub topic: String,
    /// The values of all measures, as [`Evaluation::labels`].
    pub values: Vec<f64>,
    /// The grades of the first ranks as `relstring` shows them; empty where it is not asked for.
    pub grades: String,
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Evaluation {
    tag: String,
    measures: Vec<Measure>,
    /// The figures of every scored topic, in byte order of the topics.
    pub topics: Vec<TopicFigures>,
    /// The figures over all topics, as [`Evaluation::labels`].
    pub summary: Vec<f64>,
    /// Topics of the run that were never judged, and so are not scored.
    pub unjudged_topics: Vec<String>,
    /// Judged topics that the run leaves out.
    pub missing_topics: Vec<String>,
}

/// Scores a run, topics in parallel.
///
/// Errors: run and judgements have no topic in common (and missing topics are not to be counted).
pub fn evaluate(
    judgements: &Judgements,
    run: &Run,
    measures: &[Measure],
    options: &Options,
) -> Result<Evaluation, String> {
    let missing = || judgements.topics().filter(|topic| !run.has(topic)).map(str::to_string);
    let mut evaluation = Evaluation {
        tag: run.tag().to_string(),
        measures: measures.to_vec(),
        topics: Vec::new(),
        summary: Vec::new(),
        unjudged_topics: run
            .topics()
            .filter(|topic| judgements.of(topic).is_none())
            .map(str::to_string)
            .collect(),
        missing_topics: missing().collect(),
    };
    if evaluation.unjudged_topics.len() == run.topics().count() && !options.complete {
        return Err("the run and the judgements have no topic in common".to_string());
    }
    let score = |topic: &&str| -> Option<TopicFigures> {
        if run.has(topic) {
            let ranking = judge(judgements, run, topic, options);
            let values = measures.iter().flat_map(|measure| measure.score(&ranking)).collect();
            Some(TopicFigures { topic: topic.to_string(), values, grades: grades(measures, &ranking) })
        } else {
            options.complete.then(|| nothing_found(judgements, run, topic, measures, options))
        }
    };
    let topics: Vec<&str> = judgements.topics().collect();
    evaluation.topics = topics.par_iter().filter_map(score).collect();
    evaluation.summary = summarise(&evaluation.topics, measures, judgements, options);
    Ok(evaluation)
}

/// The grades down the ranking of a topic, and the judged documents counted by grade.
pub fn judge(judgements: &Judgements, run: &Run, topic: &str, options: &Options) -> JudgedRanking {
    let mut ranking =
        JudgedRanking { level: options.level, collection: options.collection, ..Default::default() };
    let Some(judged) = judgements.of(topic) else { return ranking };
    for &grade in judged.values() {
        if let Ok(grade) = usize::try_from(grade) {
            if ranking.judged.len() <= grade {
                ranking.judged.resize(grade + 1, 0);
            }
            ranking.judged[grade] += 1;
        }
    }
    let grade = |document: &str| match judged.get(document) {
        None => UNJUDGED,
        Some(&grade) if grade < 0 => POOLED,
        Some(&grade) => grade,
    };
    let grades = run.ranking(topic).take(options.depth).map(|(document, _)| grade(document));
    ranking.grades = grades.filter(|&grade| grade >= 0 || !options.judged_only).collect();
    ranking
}

/// What trec_eval counts for a topic that the run leaves out: one unjudged document, then taken back in the measures
/// where that would show.
fn nothing_found(
    judgements: &Judgements,
    run: &Run,
    topic: &str,
    measures: &[Measure],
    options: &Options,
) -> TopicFigures {
    let mut ranking = judge(judgements, run, topic, options);
    if !options.judged_only {
        ranking.grades.push(UNJUDGED);
    }
    let mut values = Vec::new();
    for measure in measures {
        for (label, value) in measure.labels().iter().zip(measure.score(&ranking)) {
            let taken_back =
                ["num_ret", "utility", "rbp_resid"].contains(&label.as_str()) || label.starts_with("unj");
            values.push(if taken_back { 0.0 } else { value });
        }
    }
    let by_default = measures.iter().any(|measure| measure.labels()[0] == "relstring");
    let grades = if by_default { String::new() } else { grades(measures, &ranking) };
    TopicFigures { topic: topic.to_string(), values, grades }
}

fn grades(measures: &[Measure], ranking: &JudgedRanking) -> String {
    let relstring = measures.iter().find(|measure| measure.summary() == Summary::Grades);
    relstring.map_or(String::new(), |measure| measure.grades_text(ranking))
}

fn summarise(
    topics: &[TopicFigures],
    measures: &[Measure],
    judgements: &Judgements,
    options: &Options,
) -> Vec<f64> {
    let mut summary = Vec::new();
    for measure in measures {
        for label in measure.labels() {
            let place = summary.len();
            let sum: f64 = topics.iter().map(|topic| topic.values[place]).fold(0.0, |sum, value| sum + value);
            let count = topics.len() as f64;
            summary.push(match measure.summary() {
                // With missing topics counted, trec_eval sums over all judgements, and from grade 1 whatever the level.
                _ if label == "num_rel" && options.complete => {
                    let positive =
                        |topic| judgements.documents(topic).filter(|(_, grade)| *grade > 0).count();
                    judgements.topics().map(positive).sum::<usize>() as f64
                }
                Summary::Total | Summary::Topics => sum,
                Summary::Mean => sum / count,
                Summary::GeometricMean => (sum / count).exp(),
                Summary::Tag | Summary::Grades => 0.0,
            });
        }
    }
    summary
}

impl Evaluation {
    /// The labels of the values, in order.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.measures.iter().flat_map(|measure| measure.labels()).map(String::as_str)
    }

    /// The figure over all topics that has a label.
    pub fn figure(&self, label: &str) -> Option<f64> {
        Some(self.summary[self.labels().position(|other| other == label)?])
    }

    /// The values of a measure, topic by topic.
    pub fn by_topic(&self, label: &str) -> Option<Vec<(&str, f64)>> {
        let place = self.labels().position(|other| other == label)?;
        Some(self.topics.iter().map(|topic| (topic.topic.as_str(), topic.values[place])).collect())
    }

    /// The figures as trec_eval prints them, byte for byte: a line a value with label, topic (`all` for the summary)
    /// and value, separated by tabs.
    pub fn trec_text(&self, with_topics: bool, with_summary: bool) -> String {
        let mut text = String::new();
        let mut line = |label: &str, topic: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{label:<22}\t{topic}\t{value}");
        };
        if with_topics {
            for topic in &self.topics {
                for (measure, label, value) in self.values(&topic.values) {
                    match measure.summary() {
                        Summary::Total => line(label, &topic.topic, &(value as i64).to_string()),
                        Summary::Mean => line(label, &topic.topic, &four_digits(value)),
                        Summary::Grades => line(label, &topic.topic, &format!("'{}'", topic.grades)),
                        Summary::GeometricMean | Summary::Topics | Summary::Tag => {}
                    }
                }
            }
        }
        if with_summary {
            for (measure, label, value) in self.values(&self.summary) {
                match measure.summary() {
                    Summary::Tag => line(label, "all", &self.tag),
                    Summary::Total | Summary::Topics => line(label, "all", &(value as i64).to_string()),
                    Summary::Mean | Summary::GeometricMean => line(label, "all", &four_digits(value)),
                    Summary::Grades => {}
                }
            }
        }
        text
    }

    fn values<'a>(&'a self, values: &'a [f64]) -> impl Iterator<Item = (&'a Measure, &'a str, f64)> {
        let labels =
            self.measures.iter().flat_map(|m| m.labels().iter().map(move |label| (m, label.as_str())));
        labels.zip(values).map(|((measure, label), &value)| (measure, label, value))
    }
}

/// C's `%6.4f`.
fn four_digits(value: f64) -> String {
    match value.is_nan() {
        true => "  -nan".to_string(),
        false => format!("{value:6.4}"),
    }
}
