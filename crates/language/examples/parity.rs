//! Checkpoints that another program has made, read here: logits, greedy text and chats against its own.
//!
//! `parity FOLDER` reads FOLDER/*/reference.json as `bench/language/checkpoints.py` makes them, prints the differences, and writes
//! each model again to FOLDER/*/written.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_language::folder::{Checkpoint, NumberFormat};
use mathesis_language::generation::{Request, generate};
use mathesis_language::text::Message;
use mathesis_networks::sequence::Documents;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    tokens: Vec<u32>,
    logits: Vec<Vec<f32>>,
    prompt: String,
    prompt_tokens: Vec<u32>,
    answer: String,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Message>,
    answer: bool,
    text: String,
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("parity FOLDER");
        return ExitCode::from(2);
    };
    let mut cases: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            eprintln!("cannot read {folder}: {error}");
            return ExitCode::from(2);
        }
    };
    cases.retain(|case| case.join("reference.json").is_file());
    cases.sort();
    println!("{:24} {:>9} {:>9}  tokens  greedy  chats", "case", "logits", "in parts");
    let mut fine = !cases.is_empty();
    for case in cases {
        match compare(&case) {
            Ok(same) => fine &= same,
            Err(error) => {
                println!("{}: {error}", case.display());
                fine = false;
            }
        }
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(case: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let reference: Reference = serde_json::from_slice(&std::fs::read(case.join("reference.json"))?)?;
    let device = Device::flex();
    let checkpoint = Checkpoint::read(case, &device)?;
    let model = &checkpoint.model;
    let tokenizer = checkpoint.tokenizer.as_ref().ok_or("no tokenizer")?;
    let time = reference.tokens.len();
    let row: Vec<i64> = reference.tokens.iter().map(|&token| i64::from(token)).collect();
    let tokens: Tensor<2, Int> = Tensor::from_data(TensorData::new(row, [1, time]), &device);
    let expected: Vec<f32> = reference.logits.concat();
    let difference = |logits: Tensor<3>| {
        let logits = logits.into_data();
        logits.iter::<f32>().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let whole = difference(model.forward(tokens.clone(), &Documents::whole(1, time)));
    // In parts, as while generating; frequencies that depend on the length are others then.
    let mut state = model.state(1, &device);
    let (mut from, mut parts) = (0, Vec::new());
    while from < time {
        let part = [17, 1, 5, 1][parts.len() % 4].min(time - from);
        let next = tokens.clone().slice([0..1, from..from + part]);
        parts.push(model.logits(model.extend(next, &mut state)));
        from += part;
    }
    let parts = difference(Tensor::cat(parts, 1));
    let beyond = time > model.config().context;

    let prompt = tokenizer.encode(&reference.prompt, true)?;
    let request = Request { max_tokens: 24, end: checkpoint.generation.end.clone(), ..Request::default() };
    let mut heard = |_: usize, _: usize, _: &str| ControlFlow::Continue(());
    let answers = generate(model, tokenizer, std::slice::from_ref(&prompt), &request, &device, &mut heard)?;
    let chat = checkpoint.chat.as_ref().ok_or("no chat template")?;
    let mut chats = true;
    for case in &reference.chats {
        chats &= chat.render(&case.messages, case.answer)? == case.text;
    }
    let (same_tokens, greedy) = (prompt == reference.prompt_tokens, answers[0][0].text == reference.answer);
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    println!("{name:24} {whole:9.1e} {parts:9.1e}  {same_tokens:6}  {greedy:6}  {chats}");
    let written = case.join("written");
    if written.exists() {
        std::fs::remove_dir_all(&written)?;
    }
    checkpoint.write(&written, NumberFormat::F32)?;
    Ok(whole < 1e-4 && (beyond || parts < 1e-4) && same_tokens && greedy && chats)
}
