//! `mathesis make` with the multilingual recipes, and scores by language in `mathesis eval`.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{empty, example, mathesis, unbroken};

#[track_caller]
fn made(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, &[&["make"], arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn the_example_is_translated_paired_and_sampled() {
    let folder = TempDir::new().expect("a folder");
    let recipe = example("multilingual/recipe.toml");
    let translator = format!("scripted:{}", example("multilingual/translator.toml"));
    let arguments = [recipe.as_str(), "--model", &translator, "--output", "translated"];
    let record = made(folder.path(), &arguments);
    let drops = &record["result"]["translations"];
    let counts = |language: &str| {
        ["items", "translated", "dropped", "asked"].map(|key| drops[language][key].as_u64().unwrap())
    };
    assert_eq!(counts("en"), [4, 4, 0, 0]);
    assert_eq!(counts("de"), [4, 4, 0, 5]);
    assert_eq!(counts("sw"), [4, 3, 1, 5]);
    assert_eq!(counts("th"), [4, 4, 0, 5]);
    assert_eq!(drops["sw"]["reasons"], serde_json::json!({ "missing": 2 }));
    assert_eq!(record["spent"]["calls"], 15);
    let run = folder.path().join("translated");
    assert_eq!(lines(&run.join("quarantine.jsonl")).len(), 1);
    assert_eq!(lines(&run.join("translations/th.jsonl"))[3]["attempts"], 2);
    let (parallel, cross) = (lines(&run.join("parallel.jsonl")), lines(&run.join("cross.jsonl")));
    assert_eq!((parallel.len(), cross.len(), lines(&run.join("both.jsonl")).len()), (15, 15, 26));
    for record in parallel.iter().chain(&cross) {
        let text = record["text"].as_str().unwrap();
        let part = |key: &str| {
            let end = |side: &str| record[key][side].as_u64().unwrap() as usize;
            &text[end("start")..end("end")]
        };
        assert!(part("reply").contains("####") && part("prompt").contains("### Instruction"), "{text}");
        assert_eq!(part("loss"), part("reply"));
        assert_eq!(record["question_language"] == record["language"], parallel.contains(record));
    }

    // The same again asks nothing and makes the same files.
    let again = made(folder.path(), &[&arguments[..4], &["again"]].concat());
    assert_eq!(again["result"], record["result"]);
    for name in ["translations/de.jsonl", "quarantine.jsonl", "parallel.jsonl", "cross.jsonl"] {
        let read = |run: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
        assert_eq!(read("translated"), read("again"), "{name}");
    }

    // Further solutions; the recipe's path counts from its own folder.
    let text = std::fs::read_to_string(example("multilingual/sampling.toml")).unwrap();
    let text = text.replace("../../runs/translated", "translated");
    std::fs::write(folder.path().join("sampling.toml"), text).unwrap();
    let pupil = format!("scripted:{}", example("multilingual/pupil.toml"));
    let record = made(folder.path(), &["sampling.toml", "--model", &pupil]);
    let counts = &record["result"]["paths"]["de"];
    let keys = ["sampled", "incomplete", "wrong", "unsound", "repeated", "kept"];
    assert_eq!(keys.map(|key| counts[key].as_u64().unwrap()), [20, 0, 16, 1, 1, 2]);
    let paths = lines(&folder.path().join("runs/sampling/paths/de.jsonl"));
    assert!(paths[0]["answer"].as_str().unwrap().starts_with("Gebacken"), "{}", paths[0]);
}

#[test]
fn wrong_recipes_are_explained_and_nothing_is_written() {
    let translator = format!("scripted:{}", example("multilingual/translator.toml"));
    for (text, expected) in [
        ("recipe = 'multilingul'", "there is no recipe `multilingul`"),
        ("recipe = 'multilingual'\nsed = 1", "unknown field `sed`"),
        ("recipe = 'multilingual'\n[translation]\nlanguages = ['xx']", "unknown variant `xx`"),
        ("recipe = 'multilingual'\n[translation]\nlanguages = ['de', 'de']", "names a language twice"),
        ("recipe = 'multilingual'\n[translation]\nattempts = 0", "at least 1"),
        ("recipe = 'multilingual'\n[pairs]\ntemperature = 0.0", "above 0"),
        (
            "recipe = 'multilingual'\n[source]\nfile = 'none.jsonl'\n[contamination]\nagainst = []",
            "none.jsonl",
        ),
        (
            "recipe = 'multilingual'\n[source]\nfile = 'recipe.toml'\n[contamination]\nagainst = []",
            "not a known form",
        ),
        ("recipe = 'multilingual-rejection-sampling'\ntranslations = 'none'", "holds no translation"),
    ] {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("recipe.toml"), text).unwrap();
        let output = mathesis(folder.path(), &["make", "recipe.toml", "--model", &translator]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let message = unbroken(&output);
        assert!(message.contains(expected), "{text}: {message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{text}");
    }
}

#[test]
fn a_dry_run_of_a_recipe_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let translator = format!("scripted:{}", example("multilingual/translator.toml"));
    let recipe = example("multilingual/recipe.toml");
    let output = mathesis(folder.path(), &["make", &recipe, "--model", &translator, "--dry-run"]);
    assert!(output.status.success(), "{}", unbroken(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("into German") && text.contains("about 12 for first"), "{text}");
    assert!(empty(folder.path()));
}

#[test]
fn a_suite_in_several_languages_is_set_side_by_side() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "suite.toml",
        "name = 'two'\ndata = 'p.jsonl'\nid = 'id'\ncategories = ['language']\nlicence = 'MIT'\n",
    );
    write(
        "p.jsonl",
        "{\"id\": \"en/1\", \"language\": \"en\", \"question\": \"One and one?\", \"answer\": \"2\"}\n\
         {\"id\": \"en/2\", \"language\": \"en\", \"question\": \"One and two?\", \"answer\": \"3\"}\n\
         {\"id\": \"fr/1\", \"language\": \"fr\", \"question\": \"Un et un ?\", \"answer\": \"2\"}\n\
         {\"id\": \"fr/2\", \"language\": \"fr\", \"question\": \"Un et deux ?\", \"answer\": \"3\"}\n",
    );
    write(
        "pupil.toml",
        "[[rule]]\ncontains = 'One and one'\nanswers = ['The answer is 2.']\n\
         [[rule]]\ncontains = 'One and two'\nanswers = ['The answer is 3.']\n\
         [[rule]]\ncontains = 'Un et un'\nanswers = ['La réponse est 2.']\n\
         [[rule]]\nanswers = ['The answer is 4.']\n",
    );
    let output =
        mathesis(folder.path(), &["eval", "suite.toml", "--model", "scripted:pupil.toml", "--output", "run"]);
    assert!(output.status.success(), "{}", unbroken(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("fr +50.0"), "{text}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("run").join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("languages.json")).unwrap();
    assert_eq!(report["mean_without_english"], 0.5);
    assert_eq!(report["languages"][1]["replies"]["in_language"], 0.5);
    assert!(read("languages.csv").contains("\nfr,2,50.0,"));
    assert!(read("languages.tex").contains("\\toprule"));
    assert!(read("report.html").contains("Languages side by side"));
}
