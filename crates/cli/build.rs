//! Embeds `experiments/` into the binary, so that `papers` and `reproduce` work away from a checkout.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../experiments");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut source = String::from("/// Path below `experiments/` and text of each embedded file.\n");
    source.push_str("pub const FILES: &[(&str, &str)] = &[\n");
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let Ok(name) = file.strip_prefix(&root) else { continue };
        let name = name.to_string_lossy().replace('\\', "/");
        source.push_str(&format!("    ({name:?}, include_str!({:?})),\n", file.display().to_string()));
    }
    source.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("experiments.rs");
    fs::write(target, source).expect("the build directory is writable");
}

/// The statements and descriptions of the experiments: every `.toml` file.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
}
