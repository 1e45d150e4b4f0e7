//! `mathesis perplexity` from outside.

use burn::tensor::Device;
use mathesis_language::folder::{Checkpoint, NumberFormat};
use mathesis_language::model::MixerConfig;
use serde_json::Value;
use tempfile::TempDir;

use super::serve::checkpoint;
use super::{mathesis, unbroken};

#[test]
fn parts_by_position_are_the_whole() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    checkpoint(48).write(&path.join("tiny"), NumberFormat::F32).expect("written");
    // The last row ends in its first third.
    std::fs::write(path.join("text.txt"), "abcdefghij".repeat(11)).expect("written");
    let told = |more: &[&str]| -> Value {
        let output = mathesis(path, &[&["perplexity", "tiny", "text.txt", "--json"], more].concat());
        assert!(output.status.success(), "{}", unbroken(&output));
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    };
    let whole = told(&["--positions", "16"]);
    let parts = whole["positions"].as_array().expect("parts");
    let places: Vec<(u64, u64, u64)> = (parts.iter())
        .map(|part| (&part["from"], &part["to"], &part["tokens"]))
        .map(|(from, to, tokens)| (from.as_u64().unwrap(), to.as_u64().unwrap(), tokens.as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(0, 16, 45), (16, 32, 32), (32, 48, 32)]);
    let mean = parts.iter().map(|part| part["loss"].as_f64().unwrap() * part["tokens"].as_f64().unwrap());
    let mean = mean.sum::<f64>() / 109.0;
    assert_eq!(whole["tokens"], 109);
    assert!((whole["loss"].as_f64().unwrap() - mean).abs() < 1e-6);
    assert!((told(&[])["loss"].as_f64().unwrap() - mean).abs() < 1e-5);
    // A text shorter than a row has no later parts.
    let short = told(&["--positions", "16", "--tokens", "20"]);
    assert_eq!(short["positions"].as_array().map(Vec::len), Some(2));

    // Weights in fewer bits are nearly the same.
    for weights in ["bf16", "int8"] {
        let loss = told(&["--weights", weights])["loss"].as_f64().unwrap();
        assert!(loss != mean && (loss - mean).abs() < 0.05 * mean, "{weights}: {loss} for {mean}");
    }
}

#[test]
fn models_that_see_the_answer_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let tiny = checkpoint(48);
    let mut config = tiny.model.config().clone();
    for block in &mut config.blocks {
        let MixerConfig::Attention(attention) = &mut block.mixer else { panic!("attention") };
        attention.causal = false;
    }
    let model = config.init(1, &Device::flex()).expect("a model");
    let mut both_sides = Checkpoint::new(model);
    both_sides.tokenizer = tiny.tokenizer;
    both_sides.write(&path.join("both"), NumberFormat::F32).expect("written");
    std::fs::write(path.join("text.txt"), "some text").expect("written");
    let output = mathesis(path, &["perplexity", "both", "text.txt"]);
    assert_eq!(output.status.code(), Some(2));
    let says = "both sees both sides of a token, so it predicts nothing: expected a model whose mixers are all causal";
    assert!(unbroken(&output).contains(says), "{}", unbroken(&output));
}

#[test]
fn devices_are_those_that_the_program_is_built_for() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    checkpoint(48).write(&path.join("tiny"), NumberFormat::F32).expect("written");
    std::fs::write(path.join("text.txt"), "abcdefghij").expect("written");
    let output = mathesis(path, &["perplexity", "tiny", "text.txt", "--device", "processor"]);
    assert!(output.status.success(), "{}", unbroken(&output));
    let output = mathesis(path, &["perplexity", "tiny", "text.txt", "--device", "abacus"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).contains("expected processor, wgpu or wgpu:N"), "{}", unbroken(&output));
    if cfg!(not(feature = "wgpu")) {
        let output = mathesis(path, &["perplexity", "tiny", "text.txt", "--device", "wgpu"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(unbroken(&output).contains("built for the processor alone"), "{}", unbroken(&output));
    }
}
