//! The strategies of CARP that ask several times, with a scripted model: every way in which they end, the calls that they
//! make, and runs that are killed. With 50 problems of the published split `dev` where `MATHESIS_DATA` names the data, and
//! with the four of the example else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mathesis_reasoning::answers::Mode;
use mathesis_reasoning::models::calls::{Calls, FailurePolicy, Limits, Log, Options};
use mathesis_reasoning::models::{
    Behaviour, Failure, FailureKind, Message, Prompt, Request, Role, Sample, ScriptedModel,
};
use mathesis_reasoning::suites::generate::{generate, items};
use mathesis_reasoning::suites::{
    Data, Ending, Grader, Metrics, Prompter, Record, Suite, Trajectory, Verdict, aggregate, grade,
};

const CONCURRENCY: usize = 8;

/// Fifty problems of the split dev where the data are there, else the four of the example.
fn problems() -> (Vec<&'static str>, PathBuf) {
    match std::env::var_os("MATHESIS_DATA").map(PathBuf::from) {
        Some(data) if data.join("carp/carp_zh_dev.json").is_file() => (vec!["split=dev"], data),
        _ => {
            println!("MATHESIS_DATA holds no carp: the example instead");
            (vec!["language=en"], [env!("CARGO_MANIFEST_DIR"), "../../examples"].iter().collect())
        }
    }
}

struct Run {
    records: Vec<Record>,
    metrics: Metrics,
    /// What is written of it.
    bytes: Vec<u8>,
}

/// A run of a strategy over the problems, from the first call to the scores.
fn run(log: &Path, model: ScriptedModel, strategy: &str, settings: &[&str], samples: usize) -> Run {
    let (given, folder) = problems();
    let given: Vec<(String, String)> = (given.iter().chain(settings))
        .filter_map(|text| text.split_once('='))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let suite = Suite::open("carp").unwrap();
    let settings = suite.settings(&given).unwrap();
    let (mut data, _) = suite.load(&folder, &settings).unwrap();
    data.problems = spread(&data);
    let prompter = Prompter::new(&suite, suite.strategy(Some(strategy)).unwrap(), &settings).unwrap();
    let options = Options {
        run: "run".into(),
        limits: Limits { concurrency: CONCURRENCY, ..Limits::default() },
        failures: FailurePolicy {
            tries: 2,
            first_wait: Duration::from_millis(1),
            most_failed: 1.0,
            ..FailurePolicy::default()
        },
        ..Options::default()
    };
    let calls = Calls::new(Arc::new(model), Arc::new(Log::open(log).unwrap()), options).unwrap();
    let items = items(&data, &prompter, "", &settings.sampling(None), samples).unwrap();
    let mut records = Vec::new();
    generate(&calls, &items, &prompter, |_, record, _| records.push(record)).unwrap();
    let grader = Grader::new(Mode::Carp);
    grade::grade(&mut records, &grader);
    let metrics = aggregate::aggregate(&records, &grader);
    let mut bytes = Vec::new();
    Record::write(&records, &mut bytes).unwrap();
    bytes.extend(serde_json::to_vec(&metrics).unwrap());
    Run { records, metrics, bytes }
}

fn spread(data: &Data) -> Vec<mathesis_reasoning::suites::Problem> {
    let (all, most) = (data.problems.len(), data.problems.len().min(50));
    (0..most).map(|number| data.problems[number * all / most].clone()).collect()
}

fn trajectory(record: &Record) -> &Trajectory {
    record.replies[0].trajectory.as_ref().expect("a strategy of several calls")
}

/// What a call is about, as the scripted model sees it.
struct Call {
    stage: Asked,
    /// What the last question says.
    question: String,
    /// The number of the draft that is looked at.
    draft: usize,
    /// Actions since the question.
    actions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Solution,
    Action,
    Output,
    Text,
}

impl Call {
    fn of(request: &Request) -> Call {
        let Prompt::Chat(messages) = &request.prompt else { panic!("a conversation") };
        let first = messages[0].text();
        let has_tools = first.contains("solve_multi_ineq(");
        let stage = match messages.get(1) {
            _ if has_tools && messages[1].role == Role::Assistant => Asked::Output,
            _ if has_tools => Asked::Action,
            Some(_) => Asked::Text,
            None => Asked::Solution,
        };
        let is_question = |message: &&Message| message.text().starts_with("Question:");
        let place = match stage {
            Asked::Action | Asked::Output => messages.iter().rposition(|m| is_question(&m)).unwrap(),
            _ => messages.len() - 1,
        };
        let asked = messages[place].text();
        // A prompt with exemplars ends with the question.
        let question =
            asked.rsplit("\n问题: ").next().unwrap().rsplit("\nQuestion: ").next().unwrap().to_string();
        let draft = question.rsplit_once("draft ").map_or(0, |(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        });
        let actions = messages[place..].iter().filter(|m| m.text().starts_with("Action")).count();
        Call { stage, question, draft, actions }
    }
}

/// The twelve things that may happen to a problem; problem `n` of the run has the `n`-th of them, over and over.
const FATES: [&str; 12] = [
    "converges at once",
    "converges at the second turn",
    "converges at the third turn",
    "does not converge",
    "does not change",
    "loops",
    "writes a malformed action",
    "calls an unknown tool",
    "asks too much of a tool",
    "overflows in the tool loop",
    "overflows in the text check",
    "gets no reply",
];

/// A draft of a solution with its answer.
fn draft(number: usize, answer: &str) -> String {
    format!("This is draft {number}. 答案是：{answer}")
}

/// What the model of a fate says. The tools say 2; a text agrees with them where the fate says so.
fn says(fate: &str, call: &Call) -> Result<String, FailureKind> {
    let calculate = "Action: calculate(\"1 + 1\")".to_string();
    Ok(match (call.stage, fate) {
        (Asked::Solution, "gets no reply") => return Err(FailureKind::Timeout),
        (Asked::Solution, _) => draft(0, "7"),
        (Asked::Text, "overflows in the text check") => return Err(FailureKind::ContextOverflow),
        (Asked::Text, "does not change") => draft(0, "7"),
        (Asked::Text, fate) => {
            let turn = call.draft + 1;
            let agrees = match fate {
                "does not converge" => false,
                "converges at the second turn" => turn == 2,
                "converges at the third turn" => turn == 3,
                // The loop has no answer to agree with.
                "loops" => false,
                _ => true,
            };
            draft(turn, if agrees { "2" } else { "7" })
        }
        (Asked::Output, _) => "Output: 2".to_string(),
        (Asked::Action, "overflows in the tool loop") if call.actions == 1 => {
            return Err(FailureKind::ContextOverflow);
        }
        (Asked::Action, "loops") => calculate,
        (Asked::Action, _) if call.actions > 0 => "Final Answer: $2$.".to_string(),
        (Asked::Action, "writes a malformed action") => "Action: calculate 1 + 1".to_string(),
        (Asked::Action, "calls an unknown tool") => "Action: integrate(\"x\")".to_string(),
        (Asked::Action, "asks too much of a tool") => {
            "Action: factor(\"( x ^ { 40 } + y ^ { 41 } + z ^ { 42 } + 1 ) ^ { 40 }\")".to_string()
        }
        (Asked::Action, _) => calculate,
    })
}

/// A model that follows the fates of the problems; what it was asked is counted.
fn fated(asked: Arc<AtomicUsize>) -> ScriptedModel {
    let known = questions();
    ScriptedModel::new("fated", move |request, _| {
        asked.fetch_add(1, Ordering::Relaxed);
        let call = Call::of(request);
        says(FATES[number_of(&call, &known) % FATES.len()], &call)
            .map(Sample::of)
            .map_err(|kind| Failure::new(kind, "as the script says"))
    })
}

/// Which problem a call is about: the longest question in it, as one may hold another.
fn number_of(call: &Call, known: &[String]) -> usize {
    let held = known.iter().enumerate().filter(|(_, question)| call.question.contains(question.as_str()));
    held.max_by_key(|(_, question)| question.len()).expect("a known question").0
}

fn questions() -> Vec<String> {
    let (given, folder) = problems();
    let given = [given[0], "exemplars=fixed"].map(|text| text.split_once('=').unwrap());
    let given = given.map(|(key, value)| (key.to_string(), value.to_string()));
    let suite = Suite::open("carp").unwrap();
    let settings = suite.settings(&given).unwrap();
    let (data, _) = suite.load(&folder, &settings).unwrap();
    spread(&data).into_iter().map(|problem| problem.question.trim().to_string()).collect()
}

#[test]
fn every_way_to_end_makes_the_calls_that_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let first = run(folder.path(), fated(asked.clone()), "deli", &[], 1);
    let mut sent = 0i64;
    for (number, record) in first.records.iter().enumerate() {
        let fate = FATES[number % FATES.len()];
        let trajectory = trajectory(record);
        // Calls: a solution; in each turn actions, outputs that the model writes, and a text. Then what was sent besides:
        // tries that failed are more, a turn that repeats the one before is known from the log.
        let (ended, answer, calls, tries) = match fate {
            "converges at once" => ("converged-1", Some("2"), 1 + 3, 0),
            "converges at the second turn" => ("converged-2", Some("2"), 1 + 2 * 3, 0),
            "converges at the third turn" => ("converged-3", Some("2"), 1 + 3 * 3, 0),
            "does not converge" => ("turn-limit", Some("2"), 1 + 3 * 3, 0),
            // The first turn has no transcript before it.
            "does not change" => ("unchanged", Some("2"), 1 + 2 * 3, -3),
            "loops" => ("turn-limit", Some("-10000"), 1 + 3 * (15 + 1), 0),
            "writes a malformed action" | "calls an unknown tool" | "asks too much of a tool" => {
                ("converged-1", Some("2"), 1 + 4, 0)
            }
            // The output of the first action is taken; the call layer tries once more with half the reply.
            "overflows in the tool loop" => ("converged-1", Some("2"), 1 + 3, 1),
            "overflows in the text check" => ("context-overflow", Some("2"), 1 + 3, 1),
            _ => ("failed", None, 1, 1),
        };
        assert_eq!((trajectory.ended.as_str(), trajectory.answer.as_deref()), (ended, answer), "{fate}");
        assert_eq!(trajectory.calls, calls, "{fate}");
        sent += calls as i64 + tries;
        let tools: Vec<&str> = trajectory.tools.keys().map(String::as_str).collect();
        match fate {
            "writes a malformed action" => assert_eq!(tools, ["malformed action"]),
            "calls an unknown tool" => assert_eq!(tools, ["unknown tool"]),
            "asks too much of a tool" => assert_eq!(trajectory.tools["factor"].refused, 1),
            "gets no reply" => {
                assert_eq!(
                    (record.replies[0].ending, record.grades[0].verdict),
                    (Ending::Failed, Verdict::Error)
                );
                assert!(record.grades[0].reason.starts_with("timeout"), "{}", record.grades[0].reason);
            }
            "loops" => assert!(trajectory.stages.iter().any(|stage| stage.ended == "step-limit")),
            "overflows in the tool loop" => {
                assert!(trajectory.stages.iter().any(|stage| stage.ended == "context-overflow"));
            }
            _ => {}
        }
        assert!(calls <= 1 + 3 * (2 * 15 + 1));
    }
    assert_eq!(asked.load(Ordering::Relaxed) as i64, sent);
    let ways = first.metrics.trajectories.as_ref().unwrap();
    assert_eq!(ways.replies, first.records.len());
    assert_eq!(ways.ended.values().map(|count| count.replies).sum::<usize>(), first.records.len());
    println!("{} problems, {sent} requests, ended: {:?}", first.records.len(), ways.ended);
    // What failed for good is tried again, what has an answer is not.
    let before = asked.load(Ordering::Relaxed);
    let again = run(folder.path(), fated(asked.clone()), "deli", &[], 1);
    let failing: usize = (0..first.records.len())
        .map(|number| match FATES[number % FATES.len()] {
            "overflows in the tool loop" | "overflows in the text check" | "gets no reply" => 2,
            _ => 0,
        })
        .sum();
    assert_eq!(asked.load(Ordering::Relaxed) - before, failing);
    assert!(first.bytes == again.bytes);
}

#[test]
fn one_check_alone_is_an_ablation() {
    let folder = tempfile::tempdir().unwrap();
    let ended = |checks: &str, fate: &'static str| {
        let log = folder.path().join(format!("{checks} {fate}"));
        let model = ScriptedModel::new(fate, move |request, _| {
            says(fate, &Call::of(request)).map(Sample::of).map_err(|kind| Failure::new(kind, "script"))
        });
        let run = run(&log, model, "deli", &[&format!("checks={checks}")], 1);
        let one = trajectory(&run.records[0]);
        (one.ended.clone(), one.answer.clone().unwrap_or_default(), one.calls)
    };
    assert_eq!(ended("tool", "converges at once"), ("final-answer".into(), "2".into(), 3));
    assert_eq!(ended("tool", "loops"), ("step-limit".into(), "-10000".into(), 16));
    // 7, then 2, then 2 again.
    assert_eq!(ended("text", "converges at once"), ("converged-2".into(), "2".into(), 3));
    // The same answer in another text.
    assert_eq!(ended("text", "does not converge"), ("converged-1".into(), "7".into(), 2));
}

/// The tool loop alone: what ends it, who writes the output, and the majority of several.
#[test]
fn the_tool_loop_ends_as_published() {
    let folder = tempfile::tempdir().unwrap();
    let solved = |name: &str, settings: &[&str], script: fn(&[Message], usize) -> String| {
        let model = ScriptedModel::new(name, move |request, index| {
            let Prompt::Chat(messages) = &request.prompt else { panic!("a conversation") };
            Ok(Sample::of(script(messages, index)))
        });
        let run = run(&folder.path().join(name), model, "react", settings, 1);
        let one = trajectory(&run.records[0]).clone();
        let turns: Vec<String> =
            one.stages.last().unwrap().turns.iter().map(|turn| turn.text.clone()).collect();
        (one.ended, one.answer.unwrap(), one.calls, turns)
    };
    // Neither an action nor an answer: the last output, which is a list of one.
    let (ended, answer, calls, _) =
        solved("stops", &[], |messages, _| match messages.last().unwrap().text().starts_with("Output:") {
            true => "That is all.".into(),
            false => "Action: solve_eq(\"x + 1 = 3\")\nOutput: nonsense of the model".into(),
        });
    assert_eq!((ended.as_str(), answer.as_str(), calls), ("no-action", "x = 2", 2));
    // A new question, although there is an answer before it.
    let (ended, answer, ..) =
        solved("drifts", &[], |_, _| "Final Answer: 3\n\nQuestion: what is 1 + 1?".into());
    assert_eq!((ended.as_str(), answer.as_str()), ("new-question", "-10000"));
    let (ended, answer, ..) = solved("finishes", &[], |_, _| "Action: finish(\"5\")".into());
    assert_eq!((ended.as_str(), answer.as_str()), ("finish", "5"));
    // A refusal is written over by the model, or shown with feedback.
    let refused = |messages: &[Message], _: usize| {
        let last = messages.last().unwrap();
        match (messages[1].role, last.text()) {
            (Role::Assistant, text) => {
                assert_eq!((last.role, text.starts_with("Action:")), (Role::User, true));
                "Output: no value\nAction: more".to_string()
            }
            (_, text) if text.starts_with("Output: ") => {
                format!("Final Answer: {}", &text["Output: ".len()..])
            }
            _ => "Action: solve_eq(\"y = y\")".to_string(),
        }
    };
    let (ended, answer, calls, turns) = solved("refused", &[], refused);
    assert_eq!((ended.as_str(), answer.as_str(), calls), ("final-answer", "no value", 3));
    assert_eq!(turns[1], "Output: no value");
    let (_, answer, calls, _) = solved("feedback", &["feedback=yes"], refused);
    assert_eq!((answer.as_str(), calls), ("方程无解或含有多个未知数", 2));
    // Of five loops three say 2: loops of one sample have numbers of their own.
    let (_, answer, calls, _) =
        solved("votes", &["votes=5"], |_, index| format!("Final Answer: {}", [1, 2, 3, 2, 2][index]));
    assert_eq!((answer.as_str(), calls), ("2", 5));
    let (ended, _, calls, _) = solved("short", &["steps=4"], |_, _| "Action: calculate(\"1 + 1\")".into());
    assert_eq!((ended.as_str(), calls), ("step-limit", 4));
}

#[test]
fn exemplars_are_chosen_as_asked() {
    let (given, data) = problems();
    let suite = Suite::open("carp").unwrap();
    let load = |settings: &[&str]| {
        let given: Vec<(String, String)> = (settings.iter().chain(&given))
            .filter_map(|text| text.split_once('='))
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        suite.load(&data, &suite.settings(&given).unwrap()).unwrap().0
    };
    let fixed = load(&["exemplars=fixed"]);
    assert!(fixed.exemplars.len() >= 3 && fixed.problems.iter().all(|problem| problem.exemplars.is_empty()));
    let complex = load(&["exemplars=complex"]);
    let lengths: Vec<usize> = complex.exemplars.iter().map(|e| e.solution.chars().count()).collect();
    assert!(lengths.is_sorted_by(|a, b| a >= b));
    for choice in ["retrieved", "bm25", "characters"] {
        let found = load(&[&format!("exemplars={choice}"), "shots=2"]);
        assert!(found.problems.iter().all(|problem| problem.exemplars.len() == 2), "{choice}");
        let own =
            |p: &mathesis_reasoning::suites::Problem| p.exemplars.iter().any(|e| e.question == p.question);
        assert!(!found.problems.iter().any(own), "{choice}");
    }
    if given != ["split=dev"] {
        return;
    }
    // The published lists of the test split come as they are.
    let suite = Suite::open("carp").unwrap();
    let (test, files) = suite.load(&data, &suite.settings(&[]).unwrap()).unwrap();
    assert_eq!((test.problems.len(), files.len()), (976, 3));
    assert!(test.problems.iter().all(|problem| problem.exemplars.len() == 8));
    assert!(test.problems[0].exemplars[0].solution.ends_with("答案是：8"));
    let english = [("language".to_string(), "en".to_string())];
    let (english, _) = suite.load(&data, &suite.settings(&english).unwrap()).unwrap();
    assert_eq!(english.problems.len(), 976);
    assert_eq!(english.problems[0].exemplars.len(), 8);
    println!("pool for dev: {}", load(&["exemplars=bm25"]).exemplars.len());
}

/// The worked solutions as replies of a chain of thought: the figures of the scorer, by way of the suite.
#[test]
fn the_suite_scores_as_the_scorer_does() {
    let (given, data) = problems();
    if given != ["split=dev"] {
        return;
    }
    let suite = Suite::open("carp").unwrap();
    let settings = suite.settings(&[("exemplars".to_string(), "fixed".to_string())]).unwrap();
    let (data_read, _) = suite.load(&data, &settings).unwrap();
    let text = std::fs::read_to_string(data.join("carp/carp_zh_test.json")).unwrap();
    let steps = text.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["steps"].as_str().unwrap().to_string()
    });
    let mut records: Vec<Record> = (data_read.problems.iter().zip(steps))
        .map(|(problem, steps)| {
            let reply = mathesis_reasoning::suites::Reply::complete(format!("{steps} 答案是：-10000"));
            Record::new(problem, String::new(), None, vec![reply])
        })
        .collect();
    let grader = Grader::new(Mode::Carp);
    grade::grade(&mut records, &grader);
    let scores = aggregate::aggregate(&records, &grader).expressions.unwrap();
    assert!((scores.accuracy - 0.474684).abs() < 1e-6, "{}", scores.accuracy);
    let failures = scores.failures;
    assert_eq!((failures.right, failures.first, failures.middle, failures.last), (0, 199, 77, 700));
    assert!((scores.failures.shares().iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

/// Bad input reaches the tools through the loop: a reply within a tenth of a second, and never a hang.
#[test]
fn hostile_actions_are_answered_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = [
        "{ ".repeat(300),
        "x + ".repeat(25_000),
        "x ^ { 1000000000 } - 1 = 0".into(),
        "\\frac { 1 } { 0 }".into(),
        "9 ^ { 9 ^ { 9 ^ { 9 } } } = x ^ { 2 } - x".into(),
        "( ".repeat(5000),
    ];
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    for (number, text) in hostile.into_iter().enumerate() {
        for tool in ["calculate", "solve_eq", "expand", "factor", "complete_the_square"] {
            let (text, seen) = (text.clone(), longest.clone());
            let last = Arc::new(Mutex::new(None::<Instant>));
            let model = ScriptedModel::new(format!("{tool} {number}"), move |request, _| {
                let Prompt::Chat(messages) = &request.prompt else { panic!("a conversation") };
                // From an action to the next call is the time of the tool.
                let mut last = last.lock().unwrap();
                if let Some(begun) = last.take() {
                    let mut seen = seen.lock().unwrap();
                    *seen = (*seen).max(begun.elapsed());
                    return Ok(Sample::of("Final Answer: 1"));
                }
                assert!(messages.len() > 1);
                *last = Some(Instant::now());
                Ok(Sample::of(format!("Action: {tool}(\"{text}\")")))
            });
            let one = ["max-tokens=100000", "context=1000000", "feedback=yes"];
            let run = run_one(&folder.path().join(format!("{tool} {number}")), model, &one);
            assert_eq!(trajectory(&run).ended, "final-answer");
        }
    }
    println!("the longest call of a tool, with the call layer around it: {:?}", longest.lock().unwrap());
}

/// The first problem alone, by the tool loop.
fn run_one(log: &Path, model: ScriptedModel, settings: &[&str]) -> Record {
    let example: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../examples"].iter().collect();
    let given: Vec<(String, String)> = (settings.iter().chain(&["language=en"]))
        .filter_map(|text| text.split_once('='))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let suite = Suite::open("carp").unwrap();
    let settings = suite.settings(&given).unwrap();
    let (mut data, _) = suite.load(&example, &settings).unwrap();
    data.problems.truncate(1);
    let prompter = Prompter::new(&suite, suite.strategy(Some("react")).unwrap(), &settings).unwrap();
    let calls = Calls::new(Arc::new(model), Arc::new(Log::open(log).unwrap()), Options::default()).unwrap();
    let items = items(&data, &prompter, "", &settings.sampling(None), 1).unwrap();
    let mut record = None;
    generate(&calls, &items, &prompter, |_, found, _| record = Some(found)).unwrap();
    record.unwrap()
}

/// `SIGKILL` in the middle of a deliberation, several times: the run goes on from the log, pays at most for what was in
/// flight twice, and comes to the same bytes as a run that was left alone.
#[test]
fn a_killed_run_goes_on_and_comes_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    assert!(sitting_in(&whole).wait().unwrap().success());
    let requests = |folder: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join("journal")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    };
    let all = requests(&whole);
    let broken = folder.path().join("broken");
    let mut killed = 0;
    for kill in 1..=6 {
        let target = all.len() * kill / 8;
        let mut sitting = sitting_in(&broken);
        while requests(&broken).len() < target && sitting.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
        if sitting.try_wait().unwrap().is_none() {
            sitting.kill().unwrap();
            killed += 1;
        }
        sitting.wait().unwrap();
    }
    assert!(killed > 0);
    assert!(sitting_in(&broken).wait().unwrap().success());
    let read = |folder: &Path| std::fs::read(folder.join("result")).unwrap();
    assert!(read(&whole) == read(&broken));
    let paid = requests(&broken).len();
    println!("{killed} kills, {} requests, {} of them twice", all.len(), paid - all.len());
    assert!(paid >= all.len() && paid - all.len() <= killed * CONCURRENCY, "{paid}, {}", all.len());
}

fn sitting_in(folder: &Path) -> std::process::Child {
    std::fs::create_dir_all(folder).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["sitting", "--exact", "--ignored"])
        .env("MATHESIS_KILL_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by a_killed_run_goes_on_and_comes_to_the_same"]
fn sitting() {
    let Ok(folder) = std::env::var("MATHESIS_KILL_FOLDER").map(PathBuf::from) else { return };
    let journal = Arc::new(File::options().append(true).create(true).open(folder.join("journal")).unwrap());
    let known = questions();
    let model = ScriptedModel::new("fated", move |request, _| {
        // One write call a line, so that no kill tears it.
        (&*journal).write_all(b"paid\n").unwrap();
        let call = Call::of(request);
        // Of the fates those whose calls all have a reply.
        says(FATES[number_of(&call, &known) % 9], &call)
            .map(Sample::of)
            .map_err(|kind| Failure::new(kind, "script"))
    })
    .behaving(Behaviour { latency: Duration::from_millis(2), spread: 0.5, ..Behaviour::default() });
    let result = run(&folder.join("log"), model, "deli", &["exemplars=fixed"], 1);
    std::fs::write(folder.join("result"), result.bytes).unwrap();
}
