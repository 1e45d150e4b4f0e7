//! A run that is killed at random points and started again.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mathesis_reasoning::models::calls::{Calls, FailurePolicy, Limits, Log, Options, Outcome, Spending};
use mathesis_reasoning::models::{Behaviour, FailureKind, Message, Request, Sample, ScriptedModel};

const CONCURRENCY: usize = 64;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// `SIGKILL` at random points of a run: what was acknowledged is not paid for again, and the report is what it would have
/// been without. The full form: `MATHESIS_KILLS=20 MATHESIS_KILL_REQUESTS=20000`.
#[test]
fn nothing_acknowledged_is_paid_twice() {
    let (requests, kills) = (setting("MATHESIS_KILL_REQUESTS", 2000), setting("MATHESIS_KILLS", 5));
    let mut state = setting("MATHESIS_KILL_SEED", 1) as u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    assert!(sitting_in(&whole, requests).wait().unwrap().success());

    let broken = folder.path().join("broken");
    let journal = broken.join("journal");
    let mut killed = 0;
    while killed < kills {
        let before = journal.metadata().map_or(0, |data| data.len());
        // About twelve bytes for each request that is left, shared by the kills that are left.
        let left = (requests as u64 * 12).saturating_sub(before);
        let target = before + random(left / (kills - killed) as u64 + 1);
        let mut sitting = sitting_in(&broken, requests);
        while journal.metadata().map_or(0, |data| data.len()) < target
            && sitting.try_wait().unwrap().is_none()
        {
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(random(3000)));
        // A sitting that has ended was not killed.
        if sitting.try_wait().unwrap().is_some() {
            break;
        }
        sitting.kill().unwrap();
        sitting.wait().unwrap();
        killed += 1;
    }
    assert!(killed > 0);
    assert!(sitting_in(&broken, requests).wait().unwrap().success());

    assert!(std::fs::read(whole.join("report")).unwrap() == std::fs::read(broken.join("report")).unwrap());
    let mut paid = 0;
    let mut acknowledged = vec![false; requests];
    for line in std::fs::read_to_string(&journal).unwrap().lines() {
        let (event, number) = line.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        match event {
            "paid" => {
                assert!(!acknowledged[number], "request {number} was acknowledged and paid for again");
                paid += 1;
            }
            _ => acknowledged[number] = true,
        }
    }
    assert!(acknowledged.iter().all(|acknowledged| *acknowledged));
    println!("{killed} kills, {requests} requests, {} paid for twice", paid - requests);
    assert!(paid - requests <= killed * CONCURRENCY);
}

fn sitting_in(folder: &Path, requests: usize) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["killed::sitting", "--exact", "--ignored"])
        .env("MATHESIS_KILL_FOLDER", folder)
        .env("MATHESIS_KILL_REQUESTS", requests.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The run, in a process of its own. A journal says in one file what was paid for and what the run was told of.
#[test]
#[ignore = "started by nothing_acknowledged_is_paid_twice"]
fn sitting() {
    let Ok(folder) = std::env::var("MATHESIS_KILL_FOLDER").map(PathBuf::from) else { return };
    let requests = setting("MATHESIS_KILL_REQUESTS", 0);
    let log = Arc::new(Log::open(&folder).unwrap());
    let journal = Arc::new(File::options().append(true).create(true).open(folder.join("journal")).unwrap());
    // One write call a line, so that no kill tears it.
    let note = move |line: String| (&*journal).write_all(line.as_bytes()).unwrap();
    let paid = note.clone();
    let behaviour = Behaviour {
        latency: Duration::from_millis(2),
        spread: 0.5,
        faults: vec![(FailureKind::Server, 0.02)],
        seed: 1,
    };
    let model = ScriptedModel::new("m", move |request, index| {
        let text = request.prompt.last_text();
        paid(format!("paid {text}\n"));
        Ok(Sample::of(format!("answer {index} to {text}")))
    })
    .behaving(behaviour);
    let options = Options {
        run: "run".into(),
        limits: Limits { concurrency: CONCURRENCY, ..Limits::default() },
        failures: FailurePolicy { first_wait: Duration::from_millis(1), ..FailurePolicy::default() },
        ..Options::default()
    };
    let calls = Calls::new(Arc::new(model), log, options).unwrap();
    let mut report = String::new();
    calls.run(
        0..requests,
        async |number| {
            let answers = calls.ask(&Request::chat([Message::user(number.to_string())])).await;
            note(format!("told {number}\n"));
            answers
        },
        |number, answers| {
            assert!(matches!(answers.outcomes[0], Outcome::Answered(_)), "{number}: {answers:?}");
            // Times are not the same in every run.
            let spent = Spending { microseconds: 0, ..answers.spent };
            report += &format!("{number}: {} {spent:?}\n", answers.outcomes[0].text());
        },
    );
    std::fs::write(folder.join("report"), report).unwrap();
}
