//! For `bench/misconceptions`: what scikit-learn is compared with, as JSON on standard output.
//!
//! - `misconceptions lexical DATA TRIALS REPEATS`: trials, the nearest example of every item and test example, likeness
//!   computed anew for each of REPEATS timed loops; the median time of a loop is in `seconds`.
//! - `misconceptions log FILE`: the scores of a log of decisions.
//! - `misconceptions kappa`: kappas of the pairs that standard input lists, a JSON array of arrays of pairs, five categories.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use mathesis_reasoning::statistics::agreement::{Weights, cohen_kappa};
use mathesis_reasoning::suites::misconceptions::lexical::{Likeness, Terms};
use mathesis_reasoning::suites::misconceptions::records::{self, Item};
use mathesis_reasoning::suites::misconceptions::trials::{Batch, Experiment, plan};
use mathesis_reasoning::suites::misconceptions::{logs, scores};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["lexical", data, trials, repeats] => lexical(Path::new(data), trials.parse()?, repeats.parse()?)?,
        ["log", file] => serde_json::to_value(scores::score(&logs::read(Path::new(file))?))?,
        ["kappa"] => {
            let lists: Vec<Vec<(usize, usize)>> = serde_json::from_reader(std::io::stdin())?;
            let kappas = |pairs: &Vec<(usize, usize)>| {
                [Weights::Same, Weights::Linear, Weights::Quadratic].map(|w| cohen_kappa(pairs, 5, w))
            };
            json!(lists.iter().map(kappas).collect::<Vec<_>>())
        }
        _ => return Err("expected lexical DATA TRIALS REPEATS, log FILE or kappa".into()),
    };
    println!("{result}");
    Ok(())
}

fn lexical(data: &Path, trials: usize, repeats: usize) -> Result<Value, Box<dyn std::error::Error>> {
    let (items, _) = records::load(data)?;
    let batches = plan(&items, &Experiment::ALL, trials, 20_240_701);
    let mut result = BTreeMap::new();
    for terms in Terms::ALL {
        let mut times = Vec::new();
        let mut right = 0;
        for _ in 0..repeats.max(1) {
            let start = Instant::now();
            right = run(&items, &batches, terms);
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let likeness = Likeness::of(&items, terms);
        let all = 0..items.len();
        let nearest = |item: usize, within: bool| {
            let fits =
                |other: &usize| *other != item && (!within || items[*other].topic() == items[item].topic());
            likeness.nearest(item, all.clone().filter(fits))
        };
        let of = |within: bool| -> Vec<_> { all.clone().map(|item| nearest(item, within)).collect() };
        let tests: Vec<Vec<_>> = (batches.iter())
            .map(|batch| {
                let nearest = |&test: &usize| likeness.nearest(test, batch.train.iter().copied());
                batch.test.iter().map(nearest).collect()
            })
            .collect();
        let summary = json!({
            "nearest": of(false), "nearest_in_topic": of(true), "tests": tests,
            "right": right, "seconds": times[times.len() / 2],
        });
        result.insert(terms.name(), summary);
    }
    let batches: Vec<Value> = (batches.iter())
        .map(|batch| json!({"experiment": batch.experiment, "train": batch.train, "test": batch.test}))
        .collect();
    Ok(json!({"batches": batches, "terms": result}))
}

/// The timed loop: vectors, likeness, and the nearest example of every test example.
fn run(items: &[Item], batches: &[Batch], terms: Terms) -> usize {
    let likeness = Likeness::of(items, terms);
    let right = |batch: &Batch| {
        let diagnoses = likeness.diagnoses(items, batch);
        batch.test.iter().zip(diagnoses).filter(|(at, named)| items[**at].misconception == *named).count()
    };
    batches.iter().map(right).sum()
}
