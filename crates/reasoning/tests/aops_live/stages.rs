//! All stages on the archive: counts as planned, and the same files however often the work is killed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mathesis_reasoning::recipes::aops_live::{self, Made, Models, Options, Templates};
use mathesis_reasoning::recipes::runner::{RunError, Runner, StageReport};
use serde_json::Value;

use crate::archive::{Archive, Counts, THREADS, archive, benchmarks, calls, models};

const SEED: u64 = 7;

fn options() -> Options {
    Options { drop_links: true, ..Options::default() }
}

/// Runs the recipe in a folder, with the archive beside it.
fn run(
    archive: &Archive,
    folder: &Path,
    options: &Options,
    latency: Duration,
    every: Duration,
    watch: impl FnMut() -> ControlFlow<()> + Send,
) -> Result<(Made, Vec<StageReport>, u64), RunError> {
    std::fs::create_dir_all(folder).unwrap();
    // Another run in the same folder finds the archive there.
    let path = folder.join("threads.jsonl");
    if !path.exists() {
        std::fs::write(&path, archive.lines.join("\n") + "\n").unwrap();
    }
    let models = models(archive, latency);
    let [first, second] = calls(&models, &folder.join("calls"));
    let asked = Models { questions: &first, answers: &first, rewriting: [&first, &second] };
    let mut watch = watch;
    let mut runner = Runner::open(&folder.join("stages"), move |_| watch())?.keeping_every(every);
    let threads = aops_live::Archive::JsonLines(vec![path]);
    let made = aops_live::run(&mut runner, &threads, &asked, &Templates::default(), &benchmarks(), options)?;
    let sent = first.status().sent + second.status().sent;
    Ok((made, runner.reports().to_vec(), sent))
}

fn whole(archive: &Archive, folder: &Path, options: &Options) -> (Made, Vec<StageReport>, u64) {
    run(archive, folder, options, Duration::ZERO, Duration::from_secs(2), || ControlFlow::Continue(()))
        .unwrap()
}

#[test]
fn every_stage_counts_what_was_planted() {
    let archive = archive(SEED);
    const { assert!(THREADS >= 300) };
    let folder = tempfile::tempdir().unwrap();
    let (made, reports, sent) = whole(&archive, folder.path(), &options());
    for report in &reports {
        let StageReport { stage, records, kept, dropped, quarantined, made, reasons, parts, .. } =
            report.clone();
        assert_eq!(records, kept + dropped + quarantined, "{stage}");
        let found = Counts { kept, made, dropped, quarantined, reasons, parts };
        assert_eq!(found, archive.truth[stage.as_str()], "{stage}");
    }
    assert_eq!(reports.len(), archive.truth.len());
    let items = made.benchmark.load().unwrap();
    let answers: BTreeMap<String, String> =
        items.iter().map(|item| (item.id.clone(), item.answer.clone())).collect();
    assert_eq!(answers, archive.benchmark);
    // A post at midnight of the first of January is in the benchmark and in no training data.
    let midnight = items.iter().filter(|item| item.date.to_string() == "2024-01-01T00:00:00Z").count();
    assert!(midnight > 0 && items.iter().all(|item| item.month.starts_with("2024-")), "{midnight}");
    for pair in made.pairs.load().unwrap() {
        let date = pair.date.to_string();
        let expected = match date.as_str() {
            date if date < "2024-01-01T00:00:00Z" => "training",
            date if date < "2024-03-01T00:00:00Z" => "validation",
            _ => "test",
        };
        assert_eq!(pair.split.name(), expected, "{date}");
        assert!(archive.lines[pair.origin.line - 1].contains(&format!("\"id\":{}", pair.thread)));
    }
    // Every lost record is written down with its reason and its place; what is quarantined with all that it was.
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(folder.path().join("stages").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let quarantined = lines("answers.quarantine.jsonl");
    assert_eq!(quarantined.len(), archive.truth["answers"].quarantined);
    assert!(
        quarantined
            .iter()
            .all(|line| line["record"]["id"] == line["id"] && line["record"]["posts"].is_array())
    );
    let torn = lines("import.quarantine.jsonl");
    assert!(
        torn.iter()
            .all(|line| line["record"].as_str().unwrap().len() == 40 && line["origin"]["line"].is_u64())
    );
    let wrong = lines("answers.dropped.jsonl");
    assert!(wrong.iter().any(|line| line["reason"] == "wrong user" && line["part"] == "post 2"));

    // Again: nothing is done and nothing asked. With another option only what depends on it.
    let (_, again, asked) = whole(&archive, folder.path(), &options());
    assert_eq!((again, asked), (reports.clone(), 0));
    let (_, other, asked) = whole(&archive, folder.path(), &Options { drop_links: false, ..options() });
    assert_eq!(asked, 0);
    let same = |stage: usize| other[stage].identity == reports[stage].identity;
    assert_eq!((0..7).map(same).collect::<Vec<_>>(), [true, true, true, true, false, true, true]);
    assert_eq!(other[4].made, reports[4].made + archive.truth["pairs"].parts["link"]);
    println!("{THREADS} threads, {sent} calls, {} pairs, {} questions", reports[4].made, items.len());
}

#[test]
fn undecided_posts_can_be_kept_as_published() {
    let archive = archive(SEED);
    let folder = tempfile::tempdir().unwrap();
    let (_, reports, _) = whole(&archive, folder.path(), &Options { keep_undecided: true, ..options() });
    let undecided = archive.truth["questions"].reasons["unreadable reply"];
    assert_eq!(reports[1].kept, archive.truth["questions"].kept + undecided);
}

/// The bytes of all files of the stages, by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder.join("stages")).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    names.map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

/// Stopped from outside at every 61st record, the work goes on to the same files.
#[test]
fn interruptions_change_nothing() {
    let archive = archive(SEED);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    whole(&archive, &path, &options());
    let expected = files(&path);
    std::fs::remove_dir_all(path.join("stages")).unwrap();
    let mut interruptions = 0;
    loop {
        let mut left = 61;
        let watch = || {
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match run(&archive, &path, &options(), Duration::ZERO, Duration::from_secs(2), watch) {
            Err(RunError::Interrupted) => interruptions += 1,
            other => {
                other.unwrap();
                break;
            }
        }
    }
    assert!(interruptions >= 10, "{interruptions}");
    assert!(files(&path) == expected);
}

/// `SIGKILL` at 20 random points: the files are those of an undisturbed run.
#[test]
fn kills_change_nothing() {
    const KILLS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let start = Instant::now();
    assert!(sitting_in(&path).wait().unwrap().success());
    let whole = start.elapsed();
    let expected = files(&path);
    let mut state = SEED;
    let mut random = |below: u128| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from(state >> 33) % below
    };
    let clear = || {
        for part in ["stages", "calls"] {
            std::fs::remove_dir_all(path.join(part)).unwrap();
        }
    };
    clear();
    let (mut kills, mut finished, mut partly) = (0, 0, 0);
    while kills < KILLS {
        let mut sitting = sitting_in(&path);
        std::thread::sleep(Duration::from_micros(random(whole.as_micros() / 4 + 1) as u64));
        if sitting.try_wait().unwrap().is_some() {
            assert!(sitting.wait().unwrap().success());
            assert!(files(&path) == expected, "after {kills} kills");
            finished += 1;
            clear();
            continue;
        }
        sitting.kill().unwrap();
        sitting.wait().unwrap();
        kills += 1;
        let stages = path.join("stages");
        partly += usize::from(
            stages.is_dir() && files(&path).keys().any(|name| name.to_string_lossy().ends_with(".part")),
        );
    }
    assert!(sitting_in(&path).wait().unwrap().success());
    assert!(files(&path) == expected);
    println!("{kills} kills, {partly} of them within a stage, {finished} runs finished on the way");
    assert!(partly > 0);
}

fn sitting_in(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["stages::sitting", "--exact", "--ignored"])
        .env("MATHESIS_SITTING", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The process that is killed: it keeps every 5 ms how far it is.
#[test]
#[ignore = "run by kills_change_nothing"]
fn sitting() {
    let Some(folder) = std::env::var_os("MATHESIS_SITTING") else { return };
    let archive = archive(SEED);
    let (latency, every) = (Duration::from_millis(4), Duration::from_millis(5));
    run(&archive, Path::new(&folder), &options(), latency, every, || ControlFlow::Continue(())).unwrap();
}
