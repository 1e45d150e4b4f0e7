//! Retrieval at full speed, for the side-by-side runs in `bench/retrieval`.
//!
//! `score [--digits] [-q] [-n] [-c] [-J] [-l LEVEL] [-M DEPTH] [-m MEASURE]... JUDGEMENTS RUN` prints what trec_eval prints (with
//! `--digits` all digits) and the time on standard error; `graph ROWS.npy QUERIES.npy LINKS BREADTH` builds a small-world graph and measures its recall;
//! `answers FOLDER` prints the scores of TF-IDF and BM25 over the generated answers.

use std::path::Path;
use std::time::Instant;

use mathesis_reasoning::retrieval::measures::Measure;
use mathesis_reasoning::retrieval::{
    Graph, GraphOptions, Judgements, Options, Repeated, Run, SparseIndex, Tokens, Vectors, Weighting,
    evaluate, search_exactly,
};
use mathesis_reasoning::suites::arqmath;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("score") => score(&arguments[1..]),
        Some("graph") if arguments.len() == 5 => graph(&arguments[1..]),
        Some("answers") if arguments.len() == 2 => answers(Path::new(&arguments[1])),
        _ => Err("score, graph or answers: see the head of the source".into()),
    }
}

fn score(arguments: &[String]) -> Outcome {
    let (mut options, mut names, mut files) = (Options::default(), Vec::new(), Vec::new());
    let (mut with_topics, mut with_summary, mut digits) = (false, true, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or("an option without its value");
        match argument.as_str() {
            "--digits" => digits = true,
            "-q" => with_topics = true,
            "-n" => with_summary = false,
            "-c" => options.complete = true,
            "-J" => options.judged_only = true,
            "-l" => options.level = value()?.parse()?,
            "-M" => options.depth = value()?.parse()?,
            "-m" => names.push(value()?.clone()),
            _ => files.push(argument),
        }
    }
    let [judgements, run] = files.as_slice() else { return Err("expected two files".into()) };
    if names.is_empty() {
        names.push("official".to_string());
    }
    let start = Instant::now();
    let (judgements, run) = rayon::join(
        || Judgements::read(Path::new(judgements), Judgements::ANY_GRADE),
        || Run::read(Path::new(run), Repeated::KeepFirst),
    );
    let (judgements, run) = (judgements?, run?);
    let read = start.elapsed();
    let found = evaluate(&judgements, &run, &Measure::parse(&names)?, &options)?;
    let scored = start.elapsed() - read;
    if digits {
        for topic in &found.topics {
            for (label, value) in found.labels().zip(&topic.values) {
                println!("{label}\t{}\t{value}", topic.topic);
            }
        }
    } else {
        print!("{}", found.trec_text(with_topics, with_summary));
    }
    eprintln!("read {:.1} ms, scored {:.1} ms", read.as_secs_f64() * 1e3, scored.as_secs_f64() * 1e3);
    Ok(())
}

fn graph(arguments: &[String]) -> Outcome {
    let rows = Vectors::read(Path::new(&arguments[0]))?;
    let queries = Vectors::read(Path::new(&arguments[1]))?;
    let options = GraphOptions { links: arguments[2].parse()?, breadth: arguments[3].parse()?, seed: 0 };
    let exact = search_exactly(&rows, &queries, 10);
    let start = Instant::now();
    let graph = Graph::build(rows, &options);
    println!("build {:.2} s", start.elapsed().as_secs_f64());
    for breadth in [16, 32, 64, 128, 256] {
        let start = Instant::now();
        let found: Vec<_> =
            (0..queries.len()).map(|query| graph.search(queries.row(query), 10, breadth)).collect();
        let time = start.elapsed().as_secs_f64() * 1e3 / queries.len() as f64;
        let right = exact.iter().zip(&found).flat_map(|(exact, found)| {
            found.iter().filter(|(row, _)| exact.iter().any(|(other, _)| other == row))
        });
        println!("{breadth} recall {:.4} {time:.3} ms", right.count() as f64 / (10 * queries.len()) as f64);
    }
    Ok(())
}

fn answers(folder: &Path) -> Outcome {
    let mut texts = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    for file in files {
        if file.file_name().to_string_lossy().starts_with("generated-answers") {
            texts.extend(arqmath::read_answers(&file.path())?.answers.into_iter().map(|(_, answer)| answer));
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    let topics = arqmath::read_topics(&folder.join("topics.arqmath-2022-task1.xml"))?;
    for (name, tokens, weighting) in [
        ("tfidf", Tokens::Characters { least: 2, most: 5 }, Weighting::TfIdf),
        ("tfidf", Tokens::Blanks, Weighting::TfIdf),
        ("bm25", Tokens::Blanks, Weighting::Bm25 { k1: 1.5, b: 0.75 }),
    ] {
        let index = SparseIndex::new(&texts, tokens, weighting);
        for topic in &topics {
            for (text, score) in index.scores(&topic.text()).into_iter().enumerate() {
                println!("{name} {} {} {text} {score:.9}", index.vocabulary(), topic.id);
            }
        }
    }
    Ok(())
}
