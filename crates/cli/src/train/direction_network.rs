//! A network that proposes directions for pressure systems: weights and a run folder with a report out.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use mathesis_networks::direction_network::{
    DirectionNetworkConfig, Training, TrainingError, TrainingOptions, VoxelSystem, train,
};
use mathesis_solvers::Status;
use mathesis_solvers::linear::{
    LinearError, Outside, PressureGrid, RitzOptions, SymmetricOperator, TrainingSet, box_training_set,
    ritz_training_set,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Spanned;

use super::Stated;
use crate::failure::Failure;
use crate::outcome::{Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, Tone, Verdict};
use crate::progress::Monitor;
use crate::record::{figure, seconds};
use crate::report::plots::{self, Curve, Ink, Panel};
use crate::solve::csv;

/// The table `[direction-network]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Where the weights go.
    weights: PathBuf,
    #[serde(default)]
    preset: Preset,
    /// The grid, without obstacles.
    cells: [usize; 3],
    #[serde(default)]
    outside: Outside,
    #[serde(default)]
    basis: Basis,
    #[serde(default = "ritz::lanczos_vectors")]
    lanczos_vectors: usize,
    #[serde(default = "ritz::vectors")]
    training_vectors: usize,
    #[serde(default = "ritz::overlap")]
    overlap: usize,
    #[serde(default = "training::epochs")]
    epochs: usize,
    #[serde(default = "training::learning_rate")]
    learning_rate: f64,
    #[serde(default = "training::batch")]
    batch: usize,
    #[serde(default = "training::validation")]
    validation: f64,
    #[serde(default = "training::seed")]
    seed: u64,
}

/// Defaults of the training set.
mod ritz {
    use mathesis_solvers::linear::RitzOptions;

    pub fn lanczos_vectors() -> usize {
        RitzOptions::default().lanczos_vectors
    }
    pub fn vectors() -> usize {
        RitzOptions::default().vectors
    }
    pub fn overlap() -> usize {
        RitzOptions::default().overlap
    }
}

/// Defaults of the training.
mod training {
    use mathesis_networks::direction_network::TrainingOptions;

    pub fn epochs() -> usize {
        TrainingOptions::default().epochs
    }
    pub fn learning_rate() -> f64 {
        TrainingOptions::default().learning_rate
    }
    pub fn batch() -> usize {
        TrainingOptions::default().batch
    }
    pub fn validation() -> f64 {
        TrainingOptions::default().validation
    }
    pub fn seed() -> u64 {
        TrainingOptions::default().seed
    }
}

/// The shape of the network.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// The paper's for 64³ cells.
    #[default]
    #[serde(rename = "paper-64")]
    Paper64,
    /// The paper's for 128³ cells.
    #[serde(rename = "paper-128")]
    Paper128,
}

/// What the training vectors are combinations of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Basis {
    /// Ritz vectors of a Lanczos process, as in the paper.
    #[default]
    Ritz,
    /// Exact eigenvectors of the box, which need no memory for a basis.
    Eigenvectors,
}

/// Train.
///
/// # Errors
/// [`Failure::Input`] if the plan or an argument is wrong, and then nothing is written; else [`Failure::Work`].
pub fn run(stated: &Stated<'_>, plan: Spanned<Plan>, epochs: Option<usize>) -> Result<(), Failure> {
    let run = stated.run;
    let span = plan.span();
    let refuse = |message: String| stated.refuse(message, &span);
    let mut plan = plan.into_inner();
    plan.epochs = epochs.unwrap_or(plan.epochs);
    plan.seed = run.seed.unwrap_or(plan.seed);
    let target = stated.beside(&plan.weights);
    if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    {
        return Err(refuse(format!("the folder {} for the weights does not exist", parent.display())));
    }
    run.begin()?;

    let grid = PressureGrid::empty(&plan.cells, plan.outside).map_err(|error| refuse(error.to_string()))?;
    if !run.quiet && !run.json {
        eprintln!("making {} training vectors", plan.training_vectors);
    }
    let set = training_set(&grid, &plan).map_err(|error| refuse(error.to_string()))?;
    let config = match plan.preset {
        Preset::Paper64 => DirectionNetworkConfig::PAPER_64,
        Preset::Paper128 => DirectionNetworkConfig::PAPER_128,
    };
    let system = VoxelSystem {
        cells: plan.cells,
        diagonal: grid.diagonal_bytes().iter().map(|&d| f32::from(d)).collect(),
        singular: grid.null_space().dimension() > 0,
    };
    let options = TrainingOptions {
        epochs: plan.epochs,
        learning_rate: plan.learning_rate,
        batch: plan.batch,
        validation: plan.validation,
        seed: plan.seed,
    };
    let mut monitor = Monitor::new("training", run.quiet);
    let trained = train(config, &system, &set.values, &options, &Device::flex(), &mut |progress| {
        let validation = progress
            .epochs
            .last()
            .map_or(String::new(), |epoch| format!(", validation {:.4}", epoch.validation_loss));
        let text = format!("epoch {}, loss {:.4}{validation}", progress.epoch, progress.loss);
        monitor.show(progress.step, progress.steps, &text)
    });
    monitor.finish();
    let training = trained.map_err(|error| match error {
        TrainingError::Exploded { .. } => Failure::work(error),
        error => refuse(error.to_string()),
    })?;
    training
        .weights
        .save(&target)
        .map_err(|error| Failure::work(format!("cannot write {}: {error}", target.display())))?;
    run.conclude(&outcome(stated.title.clone(), &plan, config, &set, &training, &target)?)
}

fn training_set(grid: &PressureGrid, plan: &Plan) -> Result<TrainingSet, LinearError> {
    let options = RitzOptions {
        lanczos_vectors: plan.lanczos_vectors,
        vectors: plan.training_vectors,
        overlap: plan.overlap,
        ..RitzOptions::default()
    };
    match plan.basis {
        Basis::Ritz => ritz_training_set(grid, &options, plan.seed),
        Basis::Eigenvectors => box_training_set(&plan.cells, grid.outside(), &options, plan.seed),
    }
}

fn outcome(
    title: Option<String>,
    plan: &Plan,
    config: DirectionNetworkConfig,
    set: &TrainingSet,
    training: &Training,
    target: &Path,
) -> Result<Outcome, Failure> {
    let [x, y, z] = plan.cells;
    let mut notes = set.notes.clone();
    if training.interrupted {
        notes.push("stopped early; the weights are the best so far".into());
    }
    let elapsed = training.epochs.last().map_or(0.0, |epoch| epoch.seconds);
    let curve = |name: &str, ink, of: fn(&mathesis_networks::direction_network::Epoch) -> f64| Curve {
        name: name.into(),
        ink,
        points: training.epochs.iter().map(|epoch| (epoch.epoch as f64, of(epoch))).collect(),
    };
    let losses = Panel {
        title: "loss".into(),
        horizontal: "epoch".into(),
        logarithmic: true,
        curves: vec![
            curve("training", Ink::Series(0), |epoch| epoch.loss),
            curve("validation", Ink::Series(1), |epoch| epoch.validation_loss),
        ],
    };
    let figures = if training.epochs.len() > 1 {
        vec![Figure {
            name: "losses".into(),
            section: "Course of the training",
            caption:
                "The part of a unit residual, squared, that one step along the proposed direction leaves."
                    .into(),
            drawings: vec![plots::panels(&[losses])?],
        }]
    } else {
        Vec::new()
    };
    let header = ["epoch", "loss", "validation_loss", "seconds"].map(String::from);
    let rows = training.epochs.iter().map(|epoch| {
        vec![
            epoch.epoch.to_string(),
            epoch.loss.to_string(),
            epoch.validation_loss.to_string(),
            format!("{:.2}", epoch.seconds),
        ]
    });
    let validation = figure(training.validation_loss);
    Ok(Outcome {
        title,
        problem: serde_json::to_value(plan).map_err(Failure::work)?,
        method: serde_json::to_value(config).map_err(Failure::work)?,
        seed: plan.seed,
        verdict: if training.validation_loss < 0.5 {
            Verdict { tone: Tone::Good, text: format!("Trained: validation loss {validation}") }
        } else {
            let text =
                format!("Hardly trained: validation loss {validation}, of about 1 for useless directions");
            Verdict { tone: Tone::Doubtful, text }
        },
        statement: vec![
            StatementRow::latex("loss", r"\lVert b - \alpha A f(b) \rVert^2"),
            StatementRow::text("grid", format!("{x} × {y} × {z} cells")),
            StatementRow::text("vectors", format!("{} of {} modes", set.len(), set.spectrum.len())),
            StatementRow::text("parameters", config.parameters().to_string()),
        ],
        facts: vec![
            Fact::brief("validation loss", validation, "of the weights that were kept"),
            Fact::brief("weights", target.display().to_string(), "where they were written"),
            Fact::full("time of an epoch", seconds(elapsed / training.epochs.len().max(1) as f64), "mean"),
        ],
        figures,
        tables: Vec::new(),
        notes: notes.clone(),
        files: vec![
            Artefact::new("losses.csv", "the losses of every epoch", csv(&header, rows)),
            Artefact::new(
                "weights.safetensors",
                "the weights that were kept",
                training.weights.to_bytes().map_err(Failure::work)?,
            ),
        ],
        result: ResultRecord {
            method: "Adam".into(),
            status: if training.interrupted { Status::Interrupted } else { Status::IterationLimit },
            done: true,
            iterations: Some(training.epochs.len()),
            seconds: elapsed,
            details: [
                ("validation_loss", Value::from(training.validation_loss)),
                ("epochs", serde_json::to_value(&training.epochs).map_err(Failure::work)?),
                ("weights", target.display().to_string().into()),
            ]
            .map(|(name, value)| (name.to_string(), value))
            .into_iter()
            .collect(),
            notes,
        },
    })
}
