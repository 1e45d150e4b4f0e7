//! A language model: checkpoints while it is trained, a model folder and a run folder with a report out.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use mathesis_language::folder::{Checkpoint, NumberFormat};
use mathesis_language::model::{LanguageModel, LanguageModelConfig};
use mathesis_language::training::{
    Evaluation, StepRecord, Storage, Trained, TrainingError, TrainingOptions, train_on,
};
use mathesis_solvers::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toml::Spanned;

use super::Stated;
use super::corpus::{Corpus, DataPlan, Missing, TokenizerPlan};
use crate::failure::Failure;
use crate::outcome::{
    Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, TableRecord, Tone, Verdict,
};
use crate::progress::Monitor;
use crate::record::figure;
use crate::report::plots::{self, Curve, Ink, Panel};
use crate::solve::csv;

/// The table `[language-model]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Where checkpoint, tokens and the model go.
    folder: PathBuf,
    /// What it is trained on.
    data: DataPlan,
    /// How texts become tokens.
    #[serde(default)]
    tokenizer: Option<TokenizerPlan>,
    /// The model; vocabulary and context are those of the data if they are not given.
    model: toml::Table,
    /// How it is trained.
    #[serde(default)]
    training: TrainingOptions,
}

/// What to do about a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// There must be none.
    Fresh,
    /// Go on from it.
    Resume,
    /// Remove it.
    Restart,
}

const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model";

/// Train.
///
/// # Errors
/// [`Failure::Input`] if the plan or an argument is wrong, and then nothing is written; else [`Failure::Work`].
pub fn run(
    stated: &Stated<'_>,
    plan: Spanned<Plan>,
    steps: Option<u64>,
    begin: Begin,
    (device, others): (&Device, &[Device]),
) -> Result<(), Failure> {
    mathesis_algebra::memory::keep_freed();
    let run = stated.run;
    let span = plan.span();
    let refuse = |message: String| stated.refuse(message, &span);
    let mut plan = plan.into_inner();
    plan.training.steps = steps.unwrap_or(plan.training.steps);
    plan.training.seed = run.seed.unwrap_or(plan.training.seed);
    let beside = |path: &Path| stated.beside(path);
    if let Some(wrong) = plan.data.wrong(&plan.tokenizer, &beside) {
        return Err(refuse(wrong));
    }
    // Vocabulary and context are not known yet, but whatever else is wrong with the model is told before anything is made.
    let described = config(&plan.model, 1 << 10, 1).map_err(&refuse)?;
    let masked = plan.data.masking().is_some();
    if !described.is_causal() && !masked {
        return Err(refuse(
            "a mixer sees both sides of a place, so the next token is no riddle: expected `masking` in the table `data`"
                .to_string(),
        ));
    }
    let folder = beside(&plan.folder);
    let checkpoint = folder.join(CHECKPOINT);
    match (begin, checkpoint.exists()) {
        (Begin::Fresh, true) => {
            let path = checkpoint.display();
            return Err(refuse(format!(
                "there is a checkpoint {path}: --resume goes on from it, --restart begins anew"
            )));
        }
        (Begin::Resume, false) => {
            return Err(refuse(format!("there is no checkpoint {} to go on from", checkpoint.display())));
        }
        _ => {}
    }
    run.begin()?;

    // Folders that were made for nothing go away again.
    let absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made = folder.ancestors().take_while(absent).last().map(Path::to_path_buf);
    std::fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
    let unmade = |failure: Failure| {
        if let Some(made) = &made {
            let _ = std::fs::remove_dir_all(made);
        }
        failure
    };
    if begin == Begin::Restart && checkpoint.exists() {
        std::fs::remove_file(&checkpoint).map_err(|error| Failure::file("remove", &checkpoint, &error))?;
    }
    let seed = plan.training.seed;
    let corpus = plan.data.prepare(&plan.tokenizer.clone().unwrap_or_default(), &folder, &beside, seed);
    let corpus = corpus.map_err(|missing| {
        unmade(match missing {
            Missing::Plan(message) => refuse(message),
            Missing::Work(message) => Failure::work(message),
        })
    })?;
    let vocabulary =
        corpus.text.as_ref().map_or(corpus.training.vocabulary(), |(tokenizer, _)| tokenizer.vocabulary());
    let config = config(&plan.model, vocabulary, corpus.time).map_err(|message| unmade(refuse(message)))?;
    let model = config.init(seed, device).map_err(|error| unmade(refuse(error.to_string())))?;
    if !run.quiet && !run.json {
        eprintln!("{}; a model of {} parameters", corpus.about, config.parameters());
    }
    let description = serde_json::to_string(&config).map_err(Failure::work)?;
    let storage = Storage { path: checkpoint, model: description };
    let mut monitor = Monitor::new("training", run.quiet).counting("step");
    let mut validation = String::new();
    let mut begun = false;
    let (training, set_aside) = (corpus.training.as_ref(), corpus.validation.as_deref());
    let trained =
        train_on(model, others, &plan.training, training, set_aside, Some(&storage), &mut |progress| {
            if !std::mem::replace(&mut begun, true) {
                monitor.go_on_from(progress.record.step as usize - 1);
            }
            if let Some(Evaluation { loss, accuracy, .. }) = progress.evaluation {
                validation = format!(", validation {loss:.4} ({:.1} % right)", 100.0 * accuracy);
            }
            let speed = progress.tokens_per_second;
            let text = format!("loss {:.4}{validation}, {speed:.0} tokens/s", progress.recent_loss);
            monitor.show(progress.record.step as usize, progress.steps as usize, &text)
        });
    monitor.finish();
    let trained = trained.map_err(|error| match error {
        error @ (TrainingError::Option { .. }
        | TrainingError::Group { .. }
        | TrainingError::Devices { .. }
        | TrainingError::Vocabulary { .. }) => unmade(refuse(error.to_string())),
        error @ TrainingError::Other { .. } => refuse(error.to_string()),
        error => Failure::work(error),
    })?;
    let target = folder.join(MODEL);
    write_model(&trained, &corpus, &folder, &target)?;
    run.conclude(&outcome(stated.title.clone(), &plan, &config, &corpus, &trained, &short(&target))?)
}

/// A path without detours, from the working folder on if it lies there.
fn short(path: &Path) -> PathBuf {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf)).unwrap_or(path)
}

/// The model's configuration.
fn config(table: &toml::Table, vocabulary: usize, context: usize) -> Result<LanguageModelConfig, String> {
    let mut table = table.clone();
    for (key, value) in [("vocabulary", vocabulary), ("context", context)] {
        table.entry(key).or_insert(toml::Value::Integer(value as i64));
    }
    let config: LanguageModelConfig =
        table.try_into().map_err(|error: toml::de::Error| format!("the model: {}", error.message()))?;
    config.check().map_err(|error| format!("the model: {error}"))?;
    Ok(config)
}

/// Write the model folder; that of an earlier training is replaced once the new one is complete.
fn write_model(
    trained: &Trained<LanguageModel>,
    corpus: &Corpus,
    folder: &Path,
    target: &Path,
) -> Result<(), Failure> {
    let mut checkpoint = Checkpoint::new(trained.model.clone());
    if let Some((tokenizer, end)) = &corpus.text {
        checkpoint.tokenizer = Some(tokenizer.clone());
        checkpoint.generation.end = vec![*end];
    }
    let new = tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempdir_in(folder)
        .map_err(|error| Failure::file("create a folder in", folder, &error))?;
    let inside = new.path().join(MODEL);
    checkpoint.write(&inside, NumberFormat::default()).map_err(Failure::work)?;
    if target.exists() {
        std::fs::remove_dir_all(target).map_err(|error| Failure::file("replace", target, &error))?;
    }
    std::fs::rename(&inside, target).map_err(|error| Failure::file("write", target, &error))
}

fn outcome(
    title: Option<String>,
    plan: &Plan,
    config: &LanguageModelConfig,
    corpus: &Corpus,
    trained: &Trained<LanguageModel>,
    target: &Path,
) -> Result<Outcome, Failure> {
    let Trained { records, evaluations, .. } = trained;
    let last = records.last();
    let loss = evaluations.last().map_or(last.map_or(f64::NAN, |record| record.loss), |last| last.loss);
    let guess = (config.vocabulary as f64).ln();
    let mut notes = Vec::new();
    if trained.interrupted {
        notes.push("stopped early; --resume goes on from here".to_string());
    }
    if trained.resumed_at > 0 {
        notes.push(format!("went on after step {}", trained.resumed_at));
    }
    if evaluations.is_empty() {
        notes.push("nothing is set aside, so the loss is that of the last step".to_string());
    }
    let seconds = trained.elapsed.as_secs_f64();
    let before =
        records.iter().rfind(|record| record.step <= trained.resumed_at).map_or(0, |record| record.tokens);
    let tokens = last.map_or(0, |record| record.tokens);
    let speed = (tokens - before) as f64 / seconds.max(1e-9);
    let mut facts = vec![Fact::brief("loss", figure(loss), "mean of a predicted token, in nats")];
    if let Some(Evaluation { accuracy, places, .. }) = evaluations.last() {
        let right = format!("{:.1} %", 100.0 * accuracy);
        facts.push(Fact::brief("right", right, format!("of {places} predicted tokens set aside")));
    }
    facts.extend([
        Fact::brief("perplexity", figure(loss.exp()), "the exponential of the loss"),
        Fact::brief("model", target.display().to_string(), "where it was written"),
        Fact::full("tokens", tokens.to_string(), "seen in training"),
        Fact::full(
            "speed",
            format!("{speed:.0} tokens/s"),
            "of training, validations and checkpoints included",
        ),
    ]);
    Ok(Outcome {
        title,
        problem: serde_json::to_value(plan).map_err(Failure::work)?,
        method: json!({ "model": config, "training": plan.training }),
        seed: plan.training.seed,
        verdict: if loss < 0.9 * guess {
            let text = format!("Trained: loss {}, of {} for guessing", figure(loss), figure(guess));
            Verdict { tone: Tone::Good, text }
        } else {
            let text = format!("Hardly trained: loss {}, of {} for guessing", figure(loss), figure(guess));
            Verdict { tone: Tone::Doubtful, text }
        },
        statement: vec![
            StatementRow::latex(
                "loss",
                match plan.data.masking() {
                    None => r"-\frac{1}{n} \sum_{i=1}^{n} \log p(x_i \mid x_{<i})",
                    Some(_) => r"-\frac{1}{n} \sum_{i \in \text{hidden}} \log p(x_i \mid \tilde x)",
                },
            ),
            StatementRow::text("data", corpus.about.clone()),
            StatementRow::text("vocabulary", format!("{} tokens", config.vocabulary)),
            StatementRow::text("parameters", config.parameters().to_string()),
        ],
        facts,
        figures: figures(records, evaluations)?,
        tables: vec![validations(evaluations)],
        notes: notes.clone(),
        files: files(records, evaluations),
        result: ResultRecord {
            method: "AdamW".into(),
            status: if trained.interrupted { Status::Interrupted } else { Status::IterationLimit },
            done: true,
            iterations: Some(records.len()),
            seconds,
            details: [
                ("loss", Value::from(loss)),
                ("evaluations", serde_json::to_value(evaluations).map_err(Failure::work)?),
                ("tokens", tokens.into()),
                ("tokens_per_second", speed.into()),
                ("resumed_at", trained.resumed_at.into()),
                ("model", target.display().to_string().into()),
            ]
            .map(|(name, value)| (name.to_string(), value))
            .into_iter()
            .collect(),
            notes,
        },
    })
}

/// Most points of a curve in the report; the table has all.
const POINTS: usize = 500;

fn figures(records: &[StepRecord], evaluations: &[Evaluation]) -> Result<Vec<Figure>, Failure> {
    if records.len() < 2 {
        return Ok(Vec::new());
    }
    // Means over equal stretches of steps.
    let stretch = records.len().div_ceil(POINTS);
    let curve = |name: &str, number, of: fn(&StepRecord) -> f64| Curve {
        name: name.into(),
        ink: Ink::Series(number),
        points: records
            .chunks(stretch)
            .map(|chunk| {
                (chunk[chunk.len() - 1].step as f64, chunk.iter().map(of).sum::<f64>() / chunk.len() as f64)
            })
            .collect(),
    };
    let panel = |title: &str, logarithmic, curves| Panel {
        title: title.into(),
        horizontal: "step".into(),
        logarithmic,
        curves,
    };
    let mut losses = vec![curve("training", 0, |record| record.loss)];
    if !evaluations.is_empty() {
        let points = evaluations.iter().map(|evaluation| (evaluation.step as f64, evaluation.loss)).collect();
        losses.push(Curve { name: "validation".into(), ink: Ink::Series(1), points });
    }
    let panels = [
        panel("loss", false, losses),
        panel(
            "length of the gradient",
            true,
            vec![curve("before clipping", 2, |record| record.gradient_norm.max(1e-12))],
        ),
        panel("learning rate", false, vec![curve("of the step", 3, |record| record.learning_rate)]),
    ];
    Ok(vec![Figure {
        name: "course".into(),
        section: "Course of the training",
        caption: match stretch {
            1 => "Loss of a predicted token in nats.".into(),
            steps => format!("Loss of a predicted token in nats; every point is the mean of {steps} steps."),
        },
        drawings: vec![plots::panels(&panels)?],
    }])
}

fn validations(evaluations: &[Evaluation]) -> TableRecord {
    TableRecord {
        section: "Course of the training",
        caption: "Validations, on data that are not trained on.".into(),
        header: ["step", "loss", "right"].map(String::from).to_vec(),
        rows: evaluations
            .iter()
            .map(|evaluation| {
                let right = format!("{:.1} %", 100.0 * evaluation.accuracy);
                vec![evaluation.step.to_string(), figure(evaluation.loss), right]
            })
            .collect(),
    }
}

fn files(records: &[StepRecord], evaluations: &[Evaluation]) -> Vec<Artefact> {
    let header = ["step", "loss", "gradient_norm", "learning_rate", "tokens"].map(String::from);
    let steps = records.iter().map(|record| {
        let StepRecord { step, loss, gradient_norm, learning_rate, tokens } = record;
        [
            step.to_string(),
            loss.to_string(),
            gradient_norm.to_string(),
            learning_rate.to_string(),
            tokens.to_string(),
        ]
        .to_vec()
    });
    let steps = csv(&header, steps);
    let header = ["step", "loss", "accuracy", "places"].map(String::from);
    let rows = evaluations.iter().map(|evaluation| {
        let Evaluation { step, loss, accuracy, places } = evaluation;
        vec![step.to_string(), loss.to_string(), accuracy.to_string(), places.to_string()]
    });
    vec![
        Artefact::new("steps.csv", "loss, gradient and learning rate of every step", steps),
        Artefact::new("validations.csv", "loss and accuracy of every validation", csv(&header, rows)),
    ]
}
