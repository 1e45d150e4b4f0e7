//! A training that is killed at random moments ends as one that is left alone, bit by bit.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mathesis_algebra::random::Sequence;
use mathesis_language::data::synthetic::{Copying, Task};
use mathesis_language::data::{Side, Source};
use mathesis_language::model::LanguageModel;
use mathesis_language::training::{
    Checkpoint, Schedule, Storage, Trained, TrainingError, TrainingOptions, train,
};

use crate::model::small;

/// Where the child process keeps its checkpoint.
const FOLDER: &str = "MATHESIS_TEST_CHECKPOINTS";
const STEPS: u64 = 40;

fn options() -> TrainingOptions {
    TrainingOptions {
        steps: STEPS,
        accumulation: 2,
        schedule: Schedule { peak: 3e-3, warmup: 5, ..Schedule::default() },
        validation_every: 7,
        validation_batches: 2,
        // So that most of the time is spent in writing, where a kill hurts.
        checkpoint_every: 1,
        ..TrainingOptions::default()
    }
}

fn run(path: &Path, model: &str, options: &TrainingOptions) -> Result<Trained<LanguageModel>, TrainingError> {
    let task = Task::Copying(Copying::default());
    let training = task.rows(Side::Training, 4, 1).unwrap();
    let test = task.rows(Side::Test, 4, 1).unwrap();
    let storage = Storage { path: path.to_path_buf(), model: model.to_string() };
    let model = small(training.vocabulary(), 24, 7);
    train(model, options, &training, Some(&test), Some(&storage), &mut |_| ControlFlow::Continue(()))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

#[test]
#[ignore = "the child of another test"]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        run(&file(Path::new(&folder)), "small", &options()).unwrap();
    }
}

#[test]
fn a_killed_training_goes_on_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let mut random = Sequence::new(11);
    let mut kills = 0;
    let mut reached = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::child", "--ignored", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env("RAYON_NUM_THREADS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Kill it some time after its next checkpoint.
        let deadline = Instant::now() + Duration::from_secs(60);
        let progressed = || Checkpoint::load(&path).is_ok_and(|checkpoint| checkpoint.step > reached);
        while child.try_wait().unwrap().is_none() && !progressed() {
            assert!(Instant::now() < deadline, "no step in a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(random.bits() % 60_000));
        let status = child.try_wait().unwrap();
        if let Some(status) = status {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let checkpoint = Checkpoint::load(&path).expect("a whole checkpoint after a kill");
        assert!(checkpoint.step > reached && checkpoint.records.len() as u64 == checkpoint.step);
        reached = checkpoint.step;
    }
    assert!(kills >= 2, "the child was too fast to be killed: {kills}");

    let whole = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::child", "--ignored", "--test-threads=1"])
        .env(FOLDER, whole.path())
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let bits = |path: &Path| std::fs::read(path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().step, STEPS);
    assert!(bits(&path) == bits(&file(whole.path())), "after {kills} kills");
}

#[test]
fn what_killed_processes_leave_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".unfinished-abc"), "half").unwrap();
    let options = TrainingOptions { steps: 1, ..options() };
    run(&file(folder.path()), "small", &options).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["checkpoint.safetensors"]);
}

#[test]
fn another_training_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let short = TrainingOptions { steps: 3, ..options() };
    run(&path, "small", &short).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refuse = |model: &str, options: TrainingOptions| run(&path, model, &options).unwrap_err().to_string();
    assert!(refuse("large", short.clone()).contains("`model: small`"));
    assert!(refuse("small", TrainingOptions { clip: 0.5, ..short.clone() }).contains("clip 1"));
    assert!(refuse("small", TrainingOptions { steps: 2, ..short.clone() }).contains("3 steps"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // A longer training goes on.
    let longer = run(&path, "small", &TrainingOptions { steps: 5, ..short.clone() }).unwrap();
    assert_eq!((longer.resumed_at, longer.records.len()), (3, 5));
    std::fs::write(&path, &before[..before.len() - 5]).unwrap();
    assert!(refuse("small", short).contains("no checkpoint"));
}
