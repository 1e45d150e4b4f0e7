//! `mathesis export` from outside.

use mathesis_language::folder::NumberFormat;
use tempfile::TempDir;

use super::serve::checkpoint;
use super::{mathesis, unbroken};

#[test]
fn a_model_becomes_a_file_or_is_refused_with_a_reason() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let mut model = checkpoint(48);
    model.write(&path.join("endless"), NumberFormat::F32).expect("written");
    model.generation.end = vec![257];
    model.write(&path.join("whole"), NumberFormat::F32).expect("written");
    let run = |arguments: &[&str]| mathesis(path, &[&["export"], arguments].concat());

    let output = run(&["whole", "model.gguf"]);
    assert!(output.status.success(), "{}", unbroken(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("model.gguf: 0.0 MB"));
    let sixteen = std::fs::read(path.join("model.gguf")).expect("a file");
    assert!(sixteen.starts_with(b"GGUF"));
    assert!(run(&["whole", "model.gguf", "--weights", "f32", "--quiet"]).status.success());
    assert!(std::fs::read(path.join("model.gguf")).expect("a file").len() > sixteen.len() + 10_000);

    for (arguments, says) in [
        (["whole", "model.bin"], "model.bin: expected a name that ends in .gguf"),
        (["endless", "other.gguf"], "endless: llama.cpp has no such tokenizer: no token ends an answer"),
        (["nowhere", "other.gguf"], "nowhere"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(unbroken(&output).contains(says), "no {says:?} in {}", unbroken(&output));
    }
    assert!(!path.join("other.gguf").exists() && !path.join("model.bin").exists());
}
