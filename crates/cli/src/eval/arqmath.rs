//! `mathesis eval arqmath`: a retrieval run scored against relevance judgements, as trec_eval prints it.

use std::path::{Path, PathBuf};

use mathesis_reasoning::retrieval::measures::Measure;
use mathesis_reasoning::retrieval::significance::compare;
use mathesis_reasoning::retrieval::{Evaluation, Judgements, Options, Repeated, Run, evaluate};

use crate::failure::Failure;

/// Arguments of `eval arqmath`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Relevance judgements: topic, iteration, document, grade.
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// The run: topic, Q0, document, rank, score, tag.
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// A second run to compare with, topic by topic.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// A measure with its parameters as trec_eval takes them (`P.5,10`), or official, set, all_trec. Can be repeated.
    #[arg(long = "measure", value_name = "NAME", default_values = ["official", "ndcg"])]
    measures: Vec<String>,
    /// The least grade of a relevant document.
    #[arg(long, default_value_t = 2)]
    level: i64,
    /// Keep documents that were not judged: trec_eval's own measures, not the primed ones of ARQMath.
    #[arg(long)]
    unjudged: bool,
    /// Count judged topics that the run leaves out as found nothing.
    #[arg(long)]
    complete: bool,
    /// How many documents of a topic are looked at.
    #[arg(long, value_name = "COUNT")]
    depth: Option<usize>,
    /// Print every topic, too.
    #[arg(long)]
    topics: bool,
}

/// Score the run.
///
/// # Errors
/// Wrong input if a file or a line of it cannot be read, a measure is unknown, or run and judgements share no topic.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let judgements = Judgements::read(&arguments.qrels, 0..=3).map_err(Failure::input)?;
    let measures = Measure::parse(&arguments.measures).map_err(Failure::input)?;
    let options = Options {
        level: arguments.level,
        judged_only: !arguments.unjudged,
        complete: arguments.complete,
        depth: arguments.depth.unwrap_or(usize::MAX),
        ..Options::default()
    };
    let score = |path: &Path| -> Result<Evaluation, Failure> {
        let run = Run::read(path, Repeated::KeepFirst).map_err(Failure::input)?;
        if run.dropped() > 0 {
            eprintln!("{}: {} repeated documents left out", path.display(), run.dropped());
        }
        let found = evaluate(&judgements, &run, &measures, &options).map_err(Failure::input)?;
        if !found.unjudged_topics.is_empty() {
            eprintln!("{}: topics without judgements: {}", path.display(), found.unjudged_topics.join(", "));
        }
        if !found.missing_topics.is_empty() {
            eprintln!(
                "{}: judged topics that are missing: {}",
                path.display(),
                found.missing_topics.join(", ")
            );
        }
        Ok(found)
    };
    let first = score(&arguments.run)?;
    print!("{}", first.trec_text(arguments.topics, true));
    if let Some(path) = &arguments.against {
        let second = score(path)?;
        for measure in measures.iter().filter(|measure| measure.averages()) {
            for label in measure.labels() {
                let (first, second) = shared(&first, &second, label);
                // A measure that is not a number for some topic is not compared.
                if let Ok(found) = compare(&first, &second) {
                    let p = |test: Option<_>| test.map_or("-".to_string(), |p: f64| format!("{p:.4}"));
                    println!(
                        "{label:<22}\t{:+.4}\t{} won, {} tied, {} lost\tt-test p {}\tWilcoxon p {}",
                        found.mean_difference,
                        found.wins,
                        found.ties,
                        found.losses,
                        p(found.t.map(|test| test.p)),
                        p(found.wilcoxon.map(|test| test.p)),
                    );
                }
            }
        }
    }
    Ok(())
}

/// The values of a measure for the topics that both runs have.
fn shared(first: &Evaluation, second: &Evaluation, label: &str) -> (Vec<f64>, Vec<f64>) {
    let second = second.by_topic(label).unwrap_or_default();
    let pair = |(topic, value): (&str, f64)| {
        let other = second.iter().find(|(other, _)| *other == topic)?;
        Some((value, other.1))
    };
    first.by_topic(label).unwrap_or_default().into_iter().filter_map(pair).unzip()
}
