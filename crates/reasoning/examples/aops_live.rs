//! Time and memory of the recipe `aops-live` without its models.
//!
//! `aops_live decontaminate RECORDS.jsonl N SET=FILE[#FIELD+FIELD] ...`: the rule on records in memory, timed without
//! reading; what `bench/decontamination/plain.py` does.
//!
//! `aops_live scale THREADS FOLDER`: writes an archive of so many threads (5 posts of 80 words, one thread in 100 with a
//! 10-gram of a benchmark of some 250,000) and runs all stages that ask no model over it.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mathesis_reasoning::decontamination::{Contents, Decontaminator, TextSet, read_set};
use mathesis_reasoning::recipes::aops_live::{
    Archive, Benchmarks, Options, Rewritten, Solution, finish, import,
};
use mathesis_reasoning::recipes::runner::{Fate, Runner, Stage};
use mathesis_reasoning::recipes::threads::Thread;
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["decontaminate", records, n, sets @ ..] => decontaminate(records, n.parse()?, sets),
        ["scale", threads, folder] => scale(threads.parse()?, Path::new(folder)),
        _ => {
            Err("usage: aops_live decontaminate RECORDS N SET=FILE ... | aops_live scale THREADS FOLDER"
                .into())
        }
    }
}

fn place(text: &str) -> (PathBuf, Contents) {
    let (file, fields) = text.split_once('#').unwrap_or((text, ""));
    let fields = fields.split('+').filter(|field| !field.is_empty()).map(str::to_string).collect();
    (file.into(), Contents { fields })
}

fn decontaminate(records: &str, n: usize, sets: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let (path, contents) = place(records);
    let records = read_set("records", &path, &contents)?.texts;
    let mut given = Vec::new();
    for set in sets {
        let (name, text) = set.split_once('=').ok_or("SET=FILE")?;
        let (path, contents) = place(text);
        given.push(read_set(name, &path, &contents)?);
    }
    let start = Instant::now();
    let engine = Decontaminator::new(&given, n)?;
    let made = start.elapsed();
    let reasons: Vec<String> =
        records.par_iter().filter_map(|record| engine.find(record).map(|finding| finding.reason)).collect();
    let whole = start.elapsed();
    let mut counts = std::collections::BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    println!("{} records, {} removed: {counts:?}", records.len(), counts.values().sum::<i32>());
    for set in engine.sets() {
        println!("{}: {} texts, {} short, {} n-grams", set.name, set.texts, set.short, set.ngrams);
    }
    println!("{:.4} s, {:.4} s of it for the sets", whole.as_secs_f64(), made.as_secs_f64());
    memory();
    Ok(())
}

/// The most memory that was used.
fn memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("most memory {}", peak.unwrap_or(" unknown").trim());
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn words(&mut self, vocabulary: &[String], count: usize) -> String {
        let words = (0..count).map(|_| vocabulary[self.below(vocabulary.len() as u64) as usize].as_str());
        words.collect::<Vec<_>>().join(" ")
    }
}

fn scale(threads: usize, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut random = Random(1);
    let vocabulary: Vec<String> = (0..20_000)
        .map(|_| (0..2 + random.below(7)).map(|_| (b'a' + random.below(26) as u8) as char).collect())
        .collect();
    let texts: Vec<String> = (0..2800).map(|_| random.words(&vocabulary, 100)).collect();
    std::fs::create_dir_all(folder)?;
    let archive = folder.join("threads.jsonl");
    let mut planted = 0;
    if !archive.exists() {
        let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(&archive)?);
        for id in 0..threads {
            let mut posts = Vec::with_capacity(5);
            for number in 1..=5 {
                let mut text = random.words(&vocabulary, 80);
                if number == 1 && id.is_multiple_of(100) {
                    let words: Vec<&str> =
                        texts[id / 100 % texts.len()].split(' ').skip(7).take(10).collect();
                    text = format!("{text} {}", words.join(" "));
                    planted += 1;
                }
                let time = 1_577_836_800 + random.below(158_000_000);
                posts.push(serde_json::json!({"post_number": number, "user": format!("u{}", random.below(50_000)), "time": time, "text": text}));
            }
            serde_json::to_writer(
                &mut file,
                &serde_json::json!({"id": id, "category": "High School Math", "posts": posts}),
            )?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        println!("archive: {} MB, {planted} planted", archive.metadata()?.len() >> 20);
    }
    let sets = [TextSet { name: "benchmark".into(), texts }];
    let start = Instant::now();
    let engine = |n| Decontaminator::new(&sets, n).map(Some);
    let benchmarks = Benchmarks { training: engine(10)?, benchmark: engine(8)? };
    println!(
        "sets: {:?} n-grams, {:.1} s",
        benchmarks.training.as_ref().map(|e| e.sets()[0].ngrams),
        start.elapsed().as_secs_f64()
    );
    let options = Options::default();
    let mut runner = Runner::open(&folder.join("stages"), |_| ControlFlow::Continue(()))?;
    let mut last = Instant::now();
    let mut lap = |what: &str| {
        println!("{what}: {:.1} s", last.elapsed().as_secs_f64());
        last = Instant::now();
    };
    let imported = import(&mut runner, &Archive::JsonLines(vec![archive]))?;
    lap("import");
    // In the place of the models: the post is its own question, and all replies are its solutions with a box.
    let stage = Stage { name: "stand-in", version: 1, settings: serde_json::Value::Null };
    let rewritten = runner.map(&stage, &imported, |thread: Thread| {
        let date = thread.date();
        let models = if options.is_for_benchmark(date) { 2 } else { 1 };
        let mut posts = thread.posts.into_iter();
        let original = posts.next().map(|post| post.text).unwrap_or_default();
        let solutions = posts.map(|post| {
            let answer = (post.text.len() % 7) / 5;
            Solution {
                post: post.post_number,
                rewrites: vec![Some(format!("{} \\boxed{{{answer}}}", post.text)); models],
                original: post.text,
            }
        });
        Fate::kept(Rewritten {
            solutions: solutions.collect(),
            id: thread.id,
            origin: thread.origin,
            date,
            category: thread.category,
            difficulty: None,
            question: original.clone(),
            original,
        })
    })?;
    lap("stand-in for the models");
    let started = Instant::now();
    finish(&mut runner, &rewritten, &benchmarks, &options)?;
    lap("pairs, candidates, benchmark");
    for report in runner.reports() {
        println!("{report:?}");
    }
    println!(
        "all: {:.1} s (behind the models {:.1} s)",
        start.elapsed().as_secs_f64(),
        Duration::as_secs_f64(&started.elapsed())
    );
    memory();
    Ok(())
}
