//! How many word problems a model solves that none is trained on: `word_problem_accuracy MODEL COUNT SEED`, where MODEL is a folder or
//! `built-in`. Prints the solved ones by template, and some of the others.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use mathesis_language::built_in::{self, BuiltIn};
use mathesis_language::data::Side;
use mathesis_language::data::word_problems::word_problem;
use mathesis_language::folder::Checkpoint;
use mathesis_language::generation::{Request, generate};

/// Problems that are answered together.
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, count, seed] = &arguments[..] else {
        return Err("expected: MODEL COUNT SEED".into());
    };
    let (count, seed): (u64, u64) = (count.parse()?, seed.parse()?);
    let unpacked = if model == built_in::NAME { Some(BuiltIn::unpack()?) } else { None };
    let folder = unpacked.as_ref().map_or(PathBuf::from(model), |model| model.folder().to_path_buf());
    let device = Device::flex();
    let checkpoint = Checkpoint::read(&folder, &device)?;
    let tokenizer = checkpoint.tokenizer.ok_or("the folder has no tokenizer")?;
    let request = Request { end: checkpoint.generation.end, ..Request::default() };
    let problems: Vec<_> = (0..count).map(|number| word_problem(seed, Side::Test, number)).collect();
    let mut templates: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let (mut wrong, mut tokens) = (Vec::new(), 0);
    let start = Instant::now();
    for batch in problems.chunks(BATCH) {
        let prompts = batch
            .iter()
            .map(|problem| tokenizer.encode(&format!("{}\n", problem.question), false))
            .collect::<Result<Vec<_>, _>>()?;
        let answers =
            generate(&checkpoint.model, &tokenizer, &prompts, &request, &device, &mut |_, _, _| {
                ControlFlow::Continue(())
            })?;
        for (problem, answer) in batch.iter().zip(&answers) {
            let text = &answer[0].text;
            tokens += answer[0].tokens.len();
            let said = text.trim_end().rsplit_once("Answer: ").map(|(_, answer)| answer);
            let counts = templates.entry(problem.template).or_default();
            counts[1] += 1;
            if said == Some(problem.answer.as_str()) {
                counts[0] += 1;
            } else {
                wrong.push((problem, text.clone()));
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    for (problem, text) in wrong.iter().take(5) {
        println!("{}\n--- expected\n{}\n--- said\n{text}\n", problem.question, problem.solution);
    }
    for (template, [right, all]) in &templates {
        println!("{template}: {right} of {all}");
    }
    let right: u32 = templates.values().map(|counts| counts[0]).sum();
    println!("{right} of {count} solved; {tokens} tokens in {seconds:.1} s");
    Ok(())
}
