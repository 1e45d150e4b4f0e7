//! The protocol with judges whose faults are known.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::task::{NO, YES};
use super::*;
use crate::models::calls::{Calls, Log, Options, Spending};
use crate::models::{Request, Sample, ScriptedModel};
use crate::random::Stream;

/// Judges that see "problem|first|second" or "problem|reply|reference".
const PAIRS: &str = "{{ problem }}|{{ first }}|{{ second }}";
const REPLIES: &str = "{{ problem }}|{{ reply }}|{{ reference }}";

fn task(folder: &Path, text: &str, template: &str, items: &[serde_json::Value]) -> (Task, Items) {
    let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
    std::fs::write(folder.join("items.jsonl"), lines).unwrap();
    std::fs::write(folder.join("template.jinja"), template).unwrap();
    let path = folder.join("task.toml");
    std::fs::write(&path, format!("{text}\nitems = 'items.jsonl'\ntemplate = 'template.jinja'")).unwrap();
    let task = Task::open(path.to_str().unwrap()).unwrap();
    let items = Items::open(&task, &[]).unwrap();
    (task, items)
}

/// The parts of what a judge sees, and random numbers that belong to them and to the sample.
fn seen(request: &Request, sample: usize) -> (Vec<String>, Stream) {
    let text = request.prompt.last_text();
    let digest = blake3::hash(text.as_bytes());
    let word = u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap());
    (text.split('|').map(str::to_string).collect(), Stream::new(&[word, sample as u64]))
}

fn says(label: &str) -> Result<Sample, crate::models::Failure> {
    Ok(Sample::of(format!("{{\"reason\": \"so\", \"verdict\": \"{label}\"}}")))
}

type Script = Box<dyn Fn(&Request, usize) -> Result<Sample, crate::models::Failure> + Send + Sync>;

/// What judges say of all items, and how often they were asked.
fn judged(
    folder: &Path,
    task: &Task,
    items: &Items,
    repeats: usize,
    judges: Vec<(&str, Script)>,
) -> (Metrics, usize) {
    let mut tally = Tally::new(task, repeats);
    let asked = Arc::new(AtomicUsize::new(0));
    let log = Arc::new(Log::open(&folder.join("calls")).unwrap());
    for (name, script) in judges {
        let asked = asked.clone();
        let model = ScriptedModel::new(name, move |request, sample| {
            asked.fetch_add(1, Ordering::Relaxed);
            script(request, sample)
        });
        let calls = Calls::new(Arc::new(model), log.clone(), Options::default()).unwrap();
        tally.begin(name);
        judge(&calls, task, items, repeats, |item, judgement, _| tally.add(item, &judgement)).unwrap();
    }
    (tally.metrics(), asked.load(Ordering::Relaxed))
}

/// Pairs of qualities: the first is better in 3 of 5 cases, the second in 1, and 1 is a tie.
fn pairs(count: usize) -> Vec<serde_json::Value> {
    (0..count)
        .map(|number| {
            let (first, second) = [("9", "1"), ("8", "3"), ("4", "6"), ("5", "5!"), ("7", "2")][number % 5];
            let gold = ["first", "first", "second", "tie", "first"][number % 5];
            serde_json::json!({"id": format!("{number}"), "problem": format!("p{number}"), "first": first,
                "second": second, "gold": gold})
        })
        .collect()
}

fn better(parts: &[String]) -> &'static str {
    match parts[1].as_bytes()[0].cmp(&parts[2].as_bytes()[0]) {
        std::cmp::Ordering::Greater => "first",
        std::cmp::Ordering::Less => "second",
        std::cmp::Ordering::Equal => "tie",
    }
}

fn item_share(verdicts: &Verdicts, label: &str) -> f64 {
    verdicts.shares.iter().find(|share| share.label == label).unwrap().share.value
}

#[test]
fn a_bias_to_the_first_place_is_found_and_taken_away_by_the_swap() {
    let folder = tempfile::tempdir().unwrap();
    let (task, items) = task(folder.path(), "kind = 'preference'", PAIRS, &pairs(400));
    let perfect: Script = Box::new(|request, sample| says(better(&seen(request, sample).0)));
    // In 2 of 5 replies it says "first" without looking.
    let biased: Script = Box::new(|request, sample| {
        let (parts, mut random) = seen(request, sample);
        says(if random.uniform() < 0.4 { "first" } else { better(&parts) })
    });
    let always: Script = Box::new(|_, _| says("first"));
    let judges = vec![("perfect", perfect), ("biased", biased), ("always first", always)];
    let (metrics, asked) = judged(folder.path(), &task, &items, 1, judges);
    assert_eq!(asked, 3 * 2 * 400);
    let [perfect, biased, always] = &metrics.judges[..] else { panic!("three judges") };

    let place = perfect.position.as_ref().unwrap();
    assert_eq!((place.consistent, place.decided, place.first.value), (400, 640, 0.5));
    assert_eq!((place.test.only_first, place.test.only_second, place.test.exact), (0, 0, 1.0));
    assert_eq!(perfect.calibration.as_ref().unwrap().accuracy.value, 1.0);
    let shares = ["first", "tie", "second"].map(|label| item_share(&perfect.verdicts, label));
    assert_eq!(shares, [0.6, 0.2, 0.2]);

    // Decided replies: of 320 decided cases in either order 0.4 + 0.6 / 2 prefer the first place, and of 80 ties 0.4.
    let place = biased.position.as_ref().unwrap();
    assert!(
        (place.first.value - (640.0 * 0.7 + 160.0 * 0.4) / (640.0 + 160.0 * 0.4)).abs() < 0.03,
        "{place:?}"
    );
    assert!(place.test.exact < 1e-12 && place.first.interval.low > 0.6, "{place:?}");
    // A decided case is said the same in both orders with 0.6, unless the order that puts the better one first says so
    // anyway; a tie with 0.36.
    let expected = 0.8 * 0.6 + 0.2 * 0.36;
    let consistent = place.consistent as f64 / place.in_both_orders as f64;
    assert!((consistent - expected).abs() < 0.07, "{consistent} {expected}");
    // What is said in the straight order alone favours the first; after the swap wins and losses are as 3 to 1.
    let difference = biased.verdicts.preference.as_ref().unwrap().difference.unwrap();
    assert!(difference.interval.contains(0.4 * 0.6), "{difference:?}");

    let place = always.position.as_ref().unwrap();
    assert_eq!((place.consistent, place.first.value, place.test.only_first), (0, 1.0, 400));
    assert_eq!(item_share(&always.verdicts, "tie"), 1.0);
    assert_eq!(always.verdicts.preference.as_ref().unwrap().sign.exact, 1.0);
}

#[test]
fn malformed_replies_are_asked_again_and_never_become_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let script = || -> Script {
        Box::new(|request, sample| {
            let (parts, mut random) = seen(request, sample);
            // The last item is never answered well.
            match random.below(5) == 0 || parts[0] == "p199" {
                true => Ok(Sample::of("I would say the first.")),
                false => says(better(&parts)),
            }
        })
    };
    let (one, items) = task(folder.path(), "kind = 'preference'\ntries = 1", PAIRS, &pairs(200));
    let (metrics, asked) = judged(folder.path(), &one, &items, 2, vec![("m", script())]);
    let judge = &metrics.judges[0];
    assert_eq!((asked, judge.malformed, judge.unread), (800, judge.unread, judge.unread));
    assert!((120..220).contains(&judge.malformed), "{}", judge.malformed);
    let total: usize = judge.verdicts.shares.iter().map(|share| share.items).sum();
    assert!(judge.verdicts.none > 0);
    assert_eq!(total + judge.verdicts.none, 200);
    // What was said is right, and the rest counts as not right.
    let calibration = judge.calibration.as_ref().unwrap();
    assert_eq!(calibration.accuracy.value, total as f64 / 200.0);
    assert_eq!((calibration.kappa, calibration.alpha.alpha), (Some(1.0), Some(1.0)));

    // With more tries the same first replies are there, and only what is missing is asked for.
    let (many, items) = task(folder.path(), "kind = 'preference'\ntries = 9", PAIRS, &pairs(200));
    let (metrics, more) = judged(folder.path(), &many, &items, 2, vec![("m", script())]);
    let judge = &metrics.judges[0];
    assert_eq!((judge.verdicts.none, judge.unread), (1, 4));
    assert_eq!(more + asked, 800 + judge.malformed - 4);
    let (again, none) = judged(folder.path(), &many, &items, 2, vec![("m", script())]);
    assert_eq!((again, none), (metrics, 0));
}

/// 1,200 replies, 3 of 10 right; the first 400 have labels.
fn replies(count: usize, labelled: usize) -> Vec<serde_json::Value> {
    (0..count)
        .map(|number| {
            let right = number * 7 % 10 < 3;
            let mut item = serde_json::json!({"id": format!("{number}"), "problem": format!("p{number}"),
                "reply": if right { "2" } else { "3" }, "reference": "2"});
            if number < labelled {
                item["gold"] = if right { "yes" } else { "no" }.into();
            }
            item
        })
        .collect()
}

/// Says yes to `hits` of the right replies and to `alarms` of the others.
fn noisy(hits: f64, alarms: f64) -> Script {
    Box::new(move |request, sample| {
        let (parts, mut random) = seen(request, sample);
        let yes = if parts[1] == parts[2] { hits } else { alarms };
        says(if random.uniform() < yes { "yes" } else { "no" })
    })
}

#[test]
fn the_correction_gets_the_true_share_back() {
    let folder = tempfile::tempdir().unwrap();
    let (task, items) = task(folder.path(), "kind = 'correctness'", REPLIES, &replies(1200, 400));
    let judges = vec![("lenient", noisy(0.95, 0.3)), ("strict", noisy(0.7, 0.02)), ("yes", noisy(1.0, 1.0))];
    let (metrics, _) = judged(folder.path(), &task, &items, 1, judges);
    let yes = |judge: &JudgeMetrics| judge.calibration.as_ref().unwrap().yes.clone().unwrap();
    for (judge, said) in [(0, 0.3 * 0.95 + 0.7 * 0.3), (1, 0.3 * 0.7 + 0.7 * 0.02)] {
        let yes = yes(&metrics.judges[judge]);
        assert_eq!(yes.rest, 800);
        assert!((yes.said.value - said).abs() < 0.05, "{yes:?}");
        // The true share is outside of the interval of what is said, and inside of that of what is corrected.
        assert!(!yes.said.interval.contains(0.3), "{yes:?}");
        assert!(yes.corrected.unwrap().interval.contains(0.3), "{yes:?}");
    }
    let always = yes(&metrics.judges[2]);
    assert_eq!((always.corrected, always.said.value), (None, 1.0));
    assert!(always.uncorrected.unwrap().contains("do not exceed 1"));
    assert_eq!(metrics.judges[2].calibration.as_ref().unwrap().balanced_accuracy, 0.5);
    // Three judges together: the majority.
    let together = metrics.together.as_ref().unwrap();
    assert_eq!((together.verdicts.tied, together.verdicts.none), (0, 0));
    let agreement = metrics.agreement.as_ref().unwrap();
    assert_eq!((agreement.raters.len(), agreement.pairs.len(), agreement.alpha.items), (3, 3, 1200));
    // Whoever always says yes agrees by chance with anybody.
    assert!(agreement.pairs[1].kappa.unwrap().abs() < 1e-12);
}

#[test]
fn repeats_are_samples_of_their_own_and_agree_as_far_as_a_judge_is_sure() {
    let folder = tempfile::tempdir().unwrap();
    let (task, items) = task(folder.path(), "kind = 'correctness'", REPLIES, &replies(600, 600));
    let judges = || vec![("sure", noisy(1.0, 0.0)), ("tossing", noisy(0.5, 0.5)), ("noisy", noisy(0.8, 0.2))];
    let (three, asked) = judged(folder.path(), &task, &items, 3, judges());
    assert_eq!(asked, 3 * 3 * 600);
    let alpha = |judge: usize| three.judges[judge].repeats.unwrap();
    assert_eq!((alpha(0).alpha, alpha(0).items), (Some(1.0), 600));
    assert!(alpha(1).interval.unwrap().contains(0.0), "{:?}", alpha(1));
    // Of 0.3 right ones the share of yes is 0.38; two repeats are the same with 0.68 against 0.38² + 0.62² by chance.
    let expected = 1.0 - (1.0 - 0.68) / (1.0 - 0.38 * 0.38 - 0.62 * 0.62);
    assert!(alpha(2).interval.unwrap().contains(expected), "{:?} {expected}", alpha(2));
    // The majority of three is right with 0.8³ + 3 · 0.8² · 0.2.
    let accuracy = |metrics: &Metrics| metrics.judges[2].calibration.as_ref().unwrap().accuracy.value;
    assert!((accuracy(&three) - 0.896).abs() < 0.04, "{}", accuracy(&three));
    // More repeats keep those that are there; fewer ask nothing.
    let (five, more) = judged(folder.path(), &task, &items, 5, judges());
    assert_eq!(more, 3 * 2 * 600);
    assert!(accuracy(&five) > accuracy(&three));
    let (again, none) = judged(folder.path(), &task, &items, 3, judges());
    assert_eq!((again, none), (three, 0));
}

#[test]
fn ratings_are_calibrated_on_their_scale() {
    let folder = tempfile::tempdir().unwrap();
    let rated: Vec<serde_json::Value> = (0..300)
        .map(|number| {
            serde_json::json!({"id": format!("{number}"), "group": format!("g{}", number / 2), "problem": "p",
                "reply": format!("{number}:{}", 1 + number % 4), "gold": 1 + number % 4})
        })
        .collect();
    let (task, items) =
        task(folder.path(), "kind = 'score'\nscale = [1, 5]\nmetric = 'interval'", REPLIES, &rated);
    let quality =
        |request: &Request| -> i64 { seen(request, 0).0[1].rsplit(':').next().unwrap().parse().unwrap() };
    let number = |value: i64| Ok(Sample::of(format!("{{\"verdict\": {value}}}")));
    let kind: Script = Box::new(move |request, _| number(quality(request) + 1));
    let reversed: Script = Box::new(move |request, _| number(5 - quality(request)));
    let (metrics, _) = judged(folder.path(), &task, &items, 1, vec![("kind", kind), ("reversed", reversed)]);
    assert_eq!((metrics.items, metrics.problems), (300, 150));
    let [kind, reversed] = &metrics.judges[..] else { panic!("two judges") };
    let mean = kind.verdicts.mean.unwrap();
    assert_eq!((mean.value, mean.items), (3.5, 300));
    let errors = kind.calibration.as_ref().unwrap().errors.unwrap();
    assert_eq!((errors.mean, errors.absolute), (1.0, 1.0));
    assert!((errors.spearman.unwrap() - 1.0).abs() < 1e-12);
    // Observed 1; by chance the mean square of gold + 1 - gold': 2 · 1.25 + 1.
    assert!((errors.quadratic_kappa.unwrap() - (1.0 - 1.0 / 3.5)).abs() < 1e-12, "{errors:?}");
    assert_eq!(kind.calibration.as_ref().unwrap().accuracy.value, 0.0);
    let errors = reversed.calibration.as_ref().unwrap().errors.unwrap();
    assert!((errors.spearman.unwrap() + 1.0).abs() < 1e-12);
    // Medians of two judges: the lower of the two.
    let together = metrics.together.as_ref().unwrap();
    assert_eq!(
        (together.verdicts.tied, together.verdicts.mean.unwrap().value),
        (225, (2.0 + 3.0 + 2.0 + 1.0) / 4.0)
    );
    assert_eq!(metrics.agreement.unwrap().alpha.scale.name(), "interval");
}

/// After a stop only what is missing is asked for, and the figures are those of a run without one.
#[test]
fn an_interrupted_run_goes_on_and_asks_nothing_twice() {
    use crate::models::calls::Caps;
    let folder = tempfile::tempdir().unwrap();
    let (task, items) = task(folder.path(), "kind = 'preference'", PAIRS, &pairs(100));
    let asked = Arc::new(AtomicUsize::new(0));
    let sitting = |calls: Option<u64>| {
        let log = Arc::new(Log::open(&folder.path().join("calls")).unwrap());
        let counted = asked.clone();
        let model = ScriptedModel::new("m", move |request, sample| {
            counted.fetch_add(1, Ordering::Relaxed);
            says(better(&seen(request, sample).0))
        });
        let options = Options { caps: Caps { calls, ..Caps::default() }, ..Options::default() };
        let calls = Calls::new(Arc::new(model), log, options).unwrap();
        let mut tally = Tally::new(&task, 1);
        tally.begin("m");
        let mut spent = Spending::default();
        let ended = judge(&calls, &task, &items, 1, |item, judgement, cost| {
            spent = spent.plus(cost);
            tally.add(item, &judgement);
        });
        (ended, tally.metrics(), spent.calls)
    };
    let (stopped, _, _) = sitting(Some(70));
    assert!(matches!(stopped, Err(JudgeError::Stop(_))), "{stopped:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 70);
    let (ended, metrics, spent) = sitting(None);
    ended.unwrap();
    assert_eq!((asked.load(Ordering::Relaxed), spent, metrics.judges[0].verdicts.none), (200, 200, 0));
    assert_eq!(sitting(None).1, metrics);
    assert_eq!(asked.load(Ordering::Relaxed), 200);
}

/// An item, and what a judge says of it without being asked.
fn added(tally: &mut Tally<'_>, number: usize, replies: usize, gold: Option<Label>, verdict: Option<Label>) {
    let item = Item {
        id: number.to_string(),
        group: number.to_string(),
        problem: String::new(),
        replies: vec![String::new(); replies],
        reference: None,
        gold,
        checker: None,
    };
    tally.add(&item, &Judgement { verdict, ..Judgement::default() });
}

#[test]
fn replies_that_are_missing_are_no_noes() {
    let task = Task::open("correctness").unwrap();
    let mut tally = Tally::new(&task, 1);
    tally.begin("one");
    // Every other reply is right, and the judge says so; half of the items without a label have lost their reply.
    for number in 0..60 {
        let label = if number % 2 == 0 { YES } else { NO };
        let is_missing = number >= 40;
        let gold = (number < 20).then_some(label);
        added(&mut tally, number, usize::from(!is_missing), gold, (!is_missing).then_some(label));
    }
    let metrics = tally.metrics();
    let yes = metrics.judges[0].calibration.as_ref().unwrap().yes.clone().unwrap();
    assert_eq!((metrics.not_asked, yes.rest, yes.said.value), (20, 20, 0.5));
    assert_eq!(yes.corrected.unwrap().share, 0.5);
}

#[test]
fn a_judge_without_a_verdict_has_no_errors_and_no_mean() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("task.toml");
    std::fs::write(&file, "kind = 'score'\nscale = [1, 5]").unwrap();
    let task = Task::open(file.to_str().unwrap()).unwrap();
    let mut tally = Tally::new(&task, 1);
    for (judge, verdict) in [("mute", None), ("other", Some(2))] {
        tally.begin(judge);
        (0..4).for_each(|number| added(&mut tally, number, 1, Some(2), verdict));
    }
    let metrics = tally.metrics();
    let errors = |judge: usize| metrics.judges[judge].calibration.as_ref().unwrap().errors;
    assert_eq!((errors(0), metrics.judges[0].verdicts.mean), (None, None));
    assert_eq!((errors(1).unwrap().absolute, metrics.judges[1].verdicts.mean.unwrap().value), (0.0, 3.0));
    assert_eq!(metrics.agreement.unwrap().pairs[0].same, None);
}

#[test]
fn repeats_that_cannot_be_told_apart_from_tries_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (task, items) = task(folder.path(), "kind = 'preference'", PAIRS, &pairs(2));
    let log = Arc::new(Log::open(&folder.path().join("calls")).unwrap());
    let model = ScriptedModel::new("one", |_: &Request, _| says("tie"));
    let calls = Calls::new(Arc::new(model), log, Options::default()).unwrap();
    for repeats in [0, MOST_REPEATS + 1] {
        let error = judge(&calls, &task, &items, repeats, |_, _, _| {}).unwrap_err();
        assert_eq!(error.to_string(), format!("{repeats} repeats: expected 1 to 1000"));
    }
}
