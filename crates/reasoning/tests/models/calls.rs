//! What the call layer keeps, repeats, adapts and gives up.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mathesis_reasoning::models::calls::{
    Calls, FailurePolicy, Limits, Log, LogError, Options, Outcome, Stop,
};
use mathesis_reasoning::models::{
    Answer, Behaviour, Failure, FailureKind, Finish, Identity, Message, Model, Request, Sample, Sampling,
    ScriptedModel, Sending, block_on,
};

fn question(text: &str) -> Request {
    Request::chat([Message::system("Answer."), Message::user(text)])
}

fn quick() -> FailurePolicy {
    FailurePolicy { first_wait: Duration::from_millis(1), ..FailurePolicy::default() }
}

fn calls(model: impl Model + 'static, folder: &Path, failures: FailurePolicy) -> Calls {
    let log = Arc::new(Log::open(folder).unwrap());
    Calls::new(Arc::new(model), log, Options { failures, ..Options::default() }).unwrap()
}

/// A model that repeats the question, with the number of the sample.
fn echo() -> ScriptedModel {
    ScriptedModel::new("echo", |request, index| {
        Ok(Sample::of(format!("{} #{index}", request.prompt.last_text())))
    })
}

#[test]
fn every_outcome_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let model = ScriptedModel::new("moody", |request, _| {
        let text = request.prompt.last_text();
        let finish = |finish| Ok(Sample { text: text.clone(), finish, tokens: None });
        match text.as_str() {
            "long" => finish(Finish::Length),
            "filtered" => finish(Finish::ContentFilter),
            "odd" => finish(Finish::Other("tool_calls".into())),
            "white" => Ok(Sample::of(" \n")),
            "wrong" => Err(Failure::new(FailureKind::Rejected, "no")),
            _ => finish(Finish::Stop),
        }
    });
    let calls = calls(model, folder.path(), quick());
    let names = |text: &str| {
        let answers = block_on(calls.ask(&question(text)));
        answers.outcomes.iter().map(Outcome::name).collect::<Vec<_>>().join(" ")
    };
    for (text, name) in [
        ("plain", "answered"),
        ("odd", "answered"),
        ("long", "truncated"),
        ("filtered", "refused"),
        ("white", "empty"),
        ("wrong", "failed"),
    ] {
        assert_eq!(names(text), name);
    }
    // What is out of range is not sent.
    let sent = calls.status().sent;
    let hot = Sampling { temperature: Some(f64::NAN), ..Sampling::default() };
    assert_eq!(block_on(calls.ask(&question("a").sampled(hot))).outcomes[0].name(), "failed");
    assert_eq!(block_on(calls.ask(&Request::chat([]))).outcomes[0].name(), "failed");
    assert_eq!(block_on(calls.ask(&question("a").times(0))).outcomes.len(), 0);
    assert_eq!(calls.status().sent, sent);
}

/// Only what changed is asked again; what the model does not see does not count.
#[test]
fn a_changed_request_is_one_new_call() {
    const REQUESTS: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let sent = |system: &str, changed: Option<usize>| {
        let log = Arc::new(Log::open(folder.path()).unwrap());
        let limits = Limits { concurrency: 512, ..Limits::default() };
        let calls = Calls::new(Arc::new(echo()), log, Options { limits, ..Options::default() }).unwrap();
        let mut texts = Vec::new();
        calls.run(
            (0..REQUESTS).map(|number| if Some(number) == changed { REQUESTS } else { number }),
            async |number| {
                let question = Message::user(format!("question {number}"));
                calls.ask(&Request::chat([Message::system(system), question])).await
            },
            |number, answers| {
                assert_eq!(number, texts.len());
                texts.push(answers.outcomes[0].text().to_string());
            },
        );
        assert_eq!(texts.len(), REQUESTS);
        assert_eq!(texts[7], "question 7 #0");
        calls.status().sent as usize
    };
    assert_eq!(sent("Be brief.", None), REQUESTS);
    assert_eq!(sent("Be brief.", None), 0);
    assert_eq!(sent("Be brief.", Some(1234)), 1);
    assert_eq!(sent("Be very brief.", None), REQUESTS);
}

/// The same outcomes in the same order for any number of calls in flight, with latencies and failures.
#[test]
fn the_number_of_calls_in_flight_changes_nothing() {
    let run = |concurrency| {
        let folder = tempfile::tempdir().unwrap();
        let behaviour = Behaviour {
            latency: Duration::from_micros(300),
            spread: 1.0,
            faults: vec![(FailureKind::Server, 0.1), (FailureKind::Rejected, 0.02)],
            seed: 5,
        };
        let log = Arc::new(Log::open(folder.path()).unwrap());
        let limits = Limits { concurrency, ..Limits::default() };
        let options = Options { limits, failures: quick(), ..Options::default() };
        let calls = Calls::new(Arc::new(echo().behaving(behaviour)), log, options).unwrap();
        let mut outcomes = Vec::new();
        calls.run(
            0..300,
            async |number| calls.ask(&question(&format!("question {number}")).times(2)).await,
            |_, answers| outcomes.push(answers),
        );
        assert!(calls.status().sent > 300);
        assert_eq!(calls.status().in_flight, 0);
        outcomes
    };
    let one = run(1);
    let failed = one.iter().filter(|answers| matches!(answers.outcomes[0], Outcome::Failed(_))).count();
    assert!((1..30).contains(&failed), "{failed}");
    assert_eq!(one, run(8));
    assert_eq!(one, run(256));
}

#[test]
fn more_samples_keep_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(echo(), folder.path(), quick());
    let texts = |samples, first_sample| {
        let request = Request { first_sample, ..question("a").times(samples) };
        let answers = block_on(calls.ask(&request));
        answers.outcomes.iter().map(|outcome| outcome.text().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(3, 0), ["a #0", "a #1", "a #2"]);
    assert_eq!((calls.status().sent, calls.status().reused), (1, 0));
    assert_eq!(texts(5, 0), ["a #0", "a #1", "a #2", "a #3", "a #4"]);
    assert_eq!((calls.status().sent, calls.status().reused), (2, 3));
    // What is in the middle is not asked for again: 5 is new before, 8 after the known 6 and 7.
    assert_eq!(texts(2, 6), ["a #6", "a #7"]);
    assert_eq!(texts(4, 5), ["a #5", "a #6", "a #7", "a #8"]);
    assert_eq!((calls.status().sent, calls.status().reused), (5, 5));
}

/// A model that gives two samples at most, whatever is asked.
struct Sparing(ScriptedModel);

impl Model for Sparing {
    fn identity(&self) -> &Identity {
        self.0.identity()
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        Box::pin(async move {
            let mut answer: Answer = serde_json::from_slice(&self.0.send(request).await?).unwrap();
            answer.samples.truncate(2);
            Ok(answer.to_reply())
        })
    }
}

#[test]
fn samples_that_did_not_come_are_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = || Sparing(echo());
    let ask = |calls: &Calls| {
        let answers = block_on(calls.ask(&question("a").times(5)));
        answers.outcomes.iter().map(|outcome| outcome.text().to_string()).collect::<Vec<_>>()
    };
    let first = calls(model(), folder.path(), quick());
    let expected = ["a #0", "a #1", "a #2", "a #3", "a #4"];
    assert_eq!(ask(&first), expected);
    assert_eq!(first.status().sent, 3);
    drop(first);
    let second = calls(model(), folder.path(), quick());
    assert_eq!(ask(&second), expected);
    assert_eq!(second.status().sent, 0);
}

#[test]
fn a_question_that_is_being_asked_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() };
    let calls = calls(echo().behaving(behaviour), folder.path(), quick());
    let mut texts = Vec::new();
    calls.run(
        0..50,
        async |_| calls.ask(&question("a")).await,
        |_, answers| texts.push(answers.outcomes[0].text().to_string()),
    );
    assert_eq!(texts, vec!["a #0"; 50]);
    assert_eq!(calls.status().sent, 1);
}

#[test]
fn failures_are_tried_again_and_end_as_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicUsize::new(5));
    let model = || {
        let failing = failing.clone();
        ScriptedModel::new("failing", move |_, _| match failing.load(Ordering::Relaxed) {
            0 => Ok(Sample::of("at last")),
            left => {
                failing.store(left - 1, Ordering::Relaxed);
                Err(Failure::new(FailureKind::Server, format!("{left} to go")))
            }
        })
    };
    let policy = FailurePolicy { tries: 3, ..quick() };
    let calls = calls(model(), folder.path(), policy);
    let ask = || block_on(calls.ask(&question("a"))).outcomes.remove(0);
    assert!(matches!(ask(), Outcome::Failed(Failure { kind: FailureKind::Server, .. })));
    assert_eq!(calls.status().sent, 3);
    let log = || Log::open(folder.path()).unwrap().dead_letters().unwrap();
    assert_eq!(calls.status().failed, 1);
    // Two more failures are left: the third try succeeds, and the letter is gone.
    assert_eq!(ask().text(), "at last");
    assert_eq!(calls.status().sent, 6);
    drop(calls);
    assert_eq!(log(), []);

    failing.store(100, Ordering::Relaxed);
    let calls = self::calls(model(), folder.path(), FailurePolicy { tries: 2, ..quick() });
    block_on(calls.ask(&question("b")));
    drop(calls);
    let letters = log();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].message.as_str()), ("server", "99 to go"));
    assert!(letters[0].question.contains("\"b\""), "{}", letters[0].question);
}

#[test]
fn a_server_that_asks_for_too_long_a_wait_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = ScriptedModel::new("closed", |_, _| {
        let retry_after = Some(Duration::from_secs(86_400));
        Err(Failure { retry_after, ..Failure::new(FailureKind::RateLimited, "tomorrow") })
    });
    let calls = calls(model, folder.path(), quick());
    assert_eq!(block_on(calls.ask(&question("a"))).outcomes[0].name(), "failed");
    assert_eq!(calls.status().sent, 1);
}

#[test]
fn a_run_stops_when_too_much_fails() {
    let run = |kind: FailureKind, share: usize| {
        let folder = tempfile::tempdir().unwrap();
        let model = ScriptedModel::new("failing", move |request, _| {
            let number: usize = request.prompt.last_text().parse().unwrap();
            match number % 10 < share {
                true => Err(Failure::new(kind, "no")),
                false => Ok(Sample::of("yes")),
            }
        });
        let log = Arc::new(Log::open(folder.path()).unwrap());
        let limits = Limits { concurrency: 1, ..Limits::default() };
        let options = Options { limits, failures: quick(), ..Options::default() };
        let calls = Calls::new(Arc::new(model), log, options).unwrap();
        let mut unasked = 0;
        calls.run(
            0..500,
            async |number| calls.ask(&question(&number.to_string())).await,
            |_, answers| unasked += usize::from(matches!(answers.outcomes[0], Outcome::Unasked(_))),
        );
        (unasked, calls.status().stop)
    };
    assert_eq!(run(FailureKind::Rejected, 5), (0, None));
    let (unasked, stop) = run(FailureKind::Rejected, 6);
    assert!(unasked > 300 && matches!(stop, Some(Stop::Failures { failed: 51.., .. })), "{unasked} {stop:?}");
    // A key that is not accepted will not be accepted the next time.
    let (unasked, stop) = run(FailureKind::Unauthorized, 1);
    assert!(unasked > 490 && matches!(stop, Some(Stop::Refused(_))), "{unasked} {stop:?}");
}

#[test]
fn the_token_limit_is_changed_once() {
    let limits = Arc::new(Mutex::new(Vec::new()));
    let model = || {
        let limits = limits.clone();
        ScriptedModel::new("limited", move |request, _| {
            let limit = request.sampling.max_tokens.unwrap();
            limits.lock().unwrap().push(limit);
            match limit {
                1000.. => Err(Failure::new(FailureKind::ContextOverflow, "too long")),
                _ => Ok(Sample::of("four".repeat(100))),
            }
        })
    };
    let ask = |limit: u64, policy: FailurePolicy, folder: &Path| {
        limits.lock().unwrap().clear();
        let calls = calls(model(), folder, policy);
        let request = question("a").sampled(Sampling { max_tokens: Some(limit), ..Sampling::default() });
        let outcome = block_on(calls.ask(&request)).outcomes.remove(0);
        (outcome.name(), outcome.text().len(), limits.lock().unwrap().clone())
    };
    let folder = tempfile::tempdir().unwrap();
    let larger = || FailurePolicy { limit_after_truncation: Some(200), ..quick() };
    assert_eq!(ask(50, quick(), folder.path()), ("truncated", 200, vec![50]));
    assert_eq!(ask(50, larger(), folder.path()), ("answered", 400, vec![200]));
    // Both are in the log now.
    assert_eq!(ask(50, larger(), folder.path()), ("answered", 400, vec![]));
    assert_eq!(ask(1500, quick(), folder.path()), ("answered", 400, vec![1500, 750]));
    assert_eq!(ask(9000, quick(), folder.path()), ("failed", 0, vec![9000, 4500]));
    let stubborn = FailurePolicy { halve_after_overflow: false, ..quick() };
    assert_eq!(ask(1600, stubborn, folder.path()), ("failed", 0, vec![1600]));
}

/// A model whose replies cannot be read at first.
struct Garbled {
    model: ScriptedModel,
    readable: bool,
}

impl Model for Garbled {
    fn identity(&self) -> &Identity {
        self.model.identity()
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        self.model.send(request)
    }

    fn read(&self, request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
        match self.readable {
            true => self.model.read(request, reply),
            false => Err(Failure::new(FailureKind::Unreadable, "what is this?")),
        }
    }
}

#[test]
fn a_reply_that_cannot_be_read_is_kept_for_a_better_reader() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |readable, tries| {
        let model = Garbled { model: echo(), readable };
        let calls = calls(model, folder.path(), FailurePolicy { tries, ..quick() });
        let outcome = block_on(calls.ask(&question("a"))).outcomes.remove(0);
        (outcome.text().to_string(), calls.status().sent)
    };
    assert_eq!(ask(false, 1), (String::new(), 1));
    assert_eq!(ask(true, 1), ("a #0".to_string(), 0));
}

#[test]
fn texts_go_out_in_the_form_that_is_keyed() {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(echo(), folder.path(), quick());
    let text = |text: &str| block_on(calls.ask(&question(text))).outcomes[0].text().to_string();
    assert_eq!(text("cafe\u{301}"), "caf\u{e9} #0");
    assert_eq!(text("caf\u{e9}"), "caf\u{e9} #0");
    assert_eq!(calls.status().sent, 1);
}

#[test]
fn a_log_in_use_or_out_of_reach_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path()).unwrap();
    assert!(matches!(Log::open(folder.path()), Err(LogError::InUse { .. })));
    drop(log);
    let mut read_only = std::fs::metadata(folder.path()).unwrap().permissions();
    let before = read_only.clone();
    read_only.set_readonly(true);
    std::fs::set_permissions(folder.path(), read_only).unwrap();
    // Root may write everywhere: only then is there no error.
    let writable = std::fs::write(folder.path().join("probe"), "").is_ok();
    let inside = Log::open(&folder.path().join("inside"));
    std::fs::set_permissions(folder.path(), before).unwrap();
    match inside {
        Ok(_) => assert!(writable),
        Err(error) => assert!(!writable && matches!(error, LogError::Open { .. }), "{error}"),
    }
}

#[test]
fn an_estimate_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(echo(), folder.path(), quick());
    let sampling = Sampling { max_tokens: Some(100), ..Sampling::default() };
    let request = |text: &str| question(text).sampled(sampling.clone()).times(2);
    block_on(calls.ask(&request("a")));
    let requests = [request("a"), request("bcdefghi"), request("c")];
    let estimate = calls.estimate(&requests).times(10.0);
    assert_eq!((estimate.reused, estimate.calls, estimate.output_tokens), (20.0, 20.0, 4000.0));
    // Texts of 7 + 8 and 7 + 1 bytes.
    assert_eq!(estimate.input_tokens, 60.0);
    assert_eq!(calls.status().sent, 1);
}

/// On a real disk that is too small: `MATHESIS_SMALL_DISK=FOLDER cargo test -p mathesis-reasoning --test models full_disk --
/// --ignored`, with a few megabytes in the folder.
#[test]
#[ignore = "needs a small disk"]
fn a_full_disk_stops_the_run() {
    let folder = std::env::var("MATHESIS_SMALL_DISK").expect("a folder on a small disk");
    let folder = Path::new(&folder).join("calls");
    let run = |numbers: Vec<usize>| {
        let calls = calls(echo(), &folder, quick());
        let mut answered = Vec::new();
        calls.run(
            numbers,
            async |number| {
                let answers = calls.ask(&question(&format!("{number:>1000}"))).await;
                (number, answers)
            },
            |_, (number, answers)| match &answers.outcomes[0] {
                Outcome::Answered(_) => answered.push(number),
                Outcome::Unasked(Stop::Log(message)) => assert!(message.contains("full"), "{message}"),
                other => panic!("{other:?}"),
            },
        );
        (answered, calls.status())
    };
    let (answered, status) = run((0..100_000).collect());
    println!("{} answered, then: {}", answered.len(), status.stop.unwrap());
    assert!(!answered.is_empty() && answered.len() < 100_000);
    let (again, status) = run(answered.clone());
    assert_eq!((again, status.sent), (answered, 0));
}
