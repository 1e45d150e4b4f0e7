//! Word problems in many languages: the formula check, the builder with a scripted translator, a builder that is killed, and
//! the acceptance figures on the shared data sets. Without `MATHESIS_DATA` the last say so and pass.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mathesis_reasoning::answers::{self, Language, identify, is_in_script};
use mathesis_reasoning::models::calls::{Calls, Caps, Limits, Log, Options, Spending};
use mathesis_reasoning::models::{Behaviour, Sample, ScriptedModel};
use mathesis_reasoning::recipes::multilingual::contamination::TestQuestions;
use mathesis_reasoning::recipes::multilingual::formulas::{
    Finding, Strictness, check_solution, check_translation, equations,
};
use mathesis_reasoning::recipes::multilingual::pairs::{Arrangement, Mixture, mix, question_sets};
use mathesis_reasoning::recipes::multilingual::read_items;
use mathesis_reasoning::recipes::multilingual::translation::{
    DropStatistics, Item, Outcome, Translation, TranslationError, Translator,
};
use mathesis_reasoning::suites::Suite;
use serde_json::Value;

/// The data folder, if it holds these sets.
fn data_with(names: &[&str]) -> Option<PathBuf> {
    let data = std::env::var_os("MATHESIS_DATA").map(PathBuf::from);
    match data {
        Some(data) if names.iter().all(|name| data.join(name).is_dir()) => Some(data),
        _ => {
            println!("skipped: MATHESIS_DATA does not hold {names:?}");
            None
        }
    }
}

fn items_of(data: &Path, split: &str) -> Vec<Item> {
    read_items(&data.join(format!("gsm8k/{split}.jsonl"))).unwrap().0
}

/// What stands behind the last `####`, without commas.
fn reference(answer: &str) -> String {
    answer.rsplit_once("####").unwrap().1.trim().replace(',', "")
}

/// Numbers below a bound, the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn every_annotation_of_gsm8k_holds() {
    let Some(data) = data_with(&["gsm8k"]) else { return };
    let mut all = 0;
    for (split, annotations, without, last_is_answer) in
        [("train", 23_716, 95, 7_001), ("test", 4_282, 18, 1_208)]
    {
        let (mut count, mut none, mut last) = (0, 0, 0);
        for item in items_of(&data, split) {
            let held = equations(&item.answer, Strictness::Strict);
            let held = held.unwrap_or_else(|| panic!("{}: {}", item.id, item.answer));
            assert_eq!(check_translation(&item.answer, &item.answer, Strictness::Strict), []);
            assert_eq!(check_solution(&item.answer, &item.answer, Strictness::Lenient), []);
            assert_eq!(held.len(), item.answer.matches("<<").count());
            count += held.len();
            none += usize::from(held.is_empty());
            let value = held.last().map(|formula| formula.rsplit_once('=').unwrap().1.to_string());
            last += usize::from(value == Some(reference(&item.answer)));
        }
        println!("{split}: {count} annotations, {none} items without any, {last} end with the answer");
        assert_eq!((count, none, last), (annotations, without, last_is_answer), "{split}");
        all += count;
    }
    assert_eq!(all, 27_998);
}

/// The places of annotations with what is between their brackets.
fn annotations(answer: &str) -> Vec<(usize, &str)> {
    answer.match_indices("<<").map(|(at, _)| (at + 2, answer[at + 2..].split(">>").next().unwrap())).collect()
}

fn replaced(text: &str, at: usize, length: usize, by: &str) -> String {
    format!("{}{by}{}", &text[..at], &text[at + length..])
}

/// `a`, the operation and `b` of an annotation `a∘b=c` with different plain numbers.
fn operands(annotation: &str) -> Option<(&str, char, &str)> {
    let (expression, _) = annotation.split_once('=')?;
    let sign = expression.find(['+', '-', '*', '/'])?;
    let (one, rest) = expression.split_at(sign);
    let (operation, other) = rest.split_at(1);
    let plain = |text: &str| text.parse::<f64>().is_ok() && text.starts_with(|c: char| c.is_ascii_digit());
    (plain(one) && plain(other) && one.parse::<f64>() != other.parse::<f64>())
        .then(|| (one, operation.chars().next().unwrap(), other))
}

/// A damaged solution with the kind of damage; `None` if the item does not have what is to be damaged.
fn damaged(answer: &str, kind: &str, draws: &mut Draws) -> Option<(String, bool)> {
    let all = annotations(answer);
    let (at, annotation) = *all.get(draws.below(all.len().max(1)))?;
    let mut keeps_value = false;
    let text = match kind {
        "digit" => {
            let digits: Vec<usize> =
                annotation.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()).map(|(k, _)| k).collect();
            let place = at + digits[draws.below(digits.len())];
            let digit = answer.as_bytes()[place] - b'0';
            let other = (digit as usize + 1 + draws.below(9)) % 10;
            replaced(answer, place, 1, &other.to_string())
        }
        "dropped" => replaced(answer, at - 2, annotation.len() + 4, ""),
        "swapped" => {
            let (one, operation, other) = operands(annotation)?;
            keeps_value = matches!(operation, '+' | '*');
            let expression = annotation.split_once('=')?.0;
            replaced(answer, at, expression.len(), &format!("{other}{operation}{one}"))
        }
        "native" => {
            let zero = ['০', '๐', '०', '０'][draws.below(4)] as u32;
            let native = |text: &str| -> String {
                text.chars()
                    .map(|c| c.to_digit(10).map_or(c, |value| char::from_u32(zero + value).unwrap()))
                    .collect()
            };
            if draws.below(2) == 0 {
                replaced(answer, at, annotation.len(), &native(annotation))
            } else {
                let start = answer.rfind("####").unwrap();
                format!("{}{}", &answer[..start], native(&answer[start..]))
            }
        }
        _ => {
            let start = answer.rfind("####").unwrap() + 4;
            let value: i64 = reference(answer).parse().unwrap();
            format!("{} {}", &answer[..start], value + 1 + draws.below(50) as i64)
        }
    };
    Some((text, keeps_value))
}

#[test]
fn corruptions_of_gsm8k_are_caught_and_commutative_swaps_are_lenient() {
    let Some(data) = data_with(&["gsm8k"]) else { return };
    let items = items_of(&data, "train");
    let mut draws = Draws(1234);
    let kinds = ["digit", "dropped", "swapped", "native", "changed"];
    let (mut strict, mut lenient, mut to_catch, mut harmless) = (0, 0, 0, 0);
    let mut made = 0;
    while made < 1_000 {
        let item = &items[draws.below(items.len())];
        let Some((text, keeps_value)) = damaged(&item.answer, kinds[made % kinds.len()], &mut draws) else {
            continue;
        };
        made += 1;
        let flagged = |strictness| !check_translation(&item.answer, &text, strictness).is_empty();
        strict += usize::from(flagged(Strictness::Strict));
        if keeps_value {
            harmless += 1;
            assert!(!flagged(Strictness::Lenient), "{text}");
        } else {
            to_catch += 1;
            lenient += usize::from(flagged(Strictness::Lenient));
        }
    }
    println!(
        "caught: strict {strict} of 1000, lenient {lenient} of {to_catch}; {harmless} commutative swaps"
    );
    assert!(strict >= 990, "{strict}");
    assert!(100 * lenient >= 99 * to_catch && harmless > 50, "{lenient} of {to_catch}, {harmless}");

    // Every commutative swap that the training part allows.
    let mut swaps = 0;
    for item in &items {
        for (at, annotation) in annotations(&item.answer) {
            let Some((one, operation @ ('+' | '*'), other)) = operands(annotation) else { continue };
            let length = one.len() + 1 + other.len();
            let text = replaced(&item.answer, at, length, &format!("{other}{operation}{one}"));
            swaps += 1;
            assert_eq!(check_translation(&item.answer, &text, Strictness::Lenient), [], "{text}");
            assert_ne!(check_translation(&item.answer, &text, Strictness::Strict), [], "{text}");
        }
    }
    println!("{swaps} commutative swaps pass the lenient check and fail the strict one");
    assert!(swaps > 10_000);
}

/// What a prompt of the translator asks for: language, question, solution.
fn asked(prompt: &str) -> (String, String, String) {
    let last = prompt.rsplit_once("The problem:").unwrap().1;
    let between =
        |open: &str, close: &str| last.split_once(open).unwrap().1.split_once(close).unwrap().0.to_string();
    let language = prompt.rsplit_once("In ").unwrap().1.trim_end_matches(':').to_string();
    (language, between("<question>", "</question>"), between("<solution>", "</solution>"))
}

/// A translation that is none: a sentence of the language before the English text in capitals without letters of another
/// script, and the solution with its formulas and its last line.
fn translated(language: &str, question: &str, answer: &str) -> String {
    let sentence = match language {
        "German" => "Wie viele sind es insgesamt, wenn das so ist",
        "Thai" => "ทั้งหมดมีเท่าไร",
        "Bengali" => "মোট কত হবে",
        "Chinese" => "一共有多少个",
        other => panic!("{other}"),
    };
    let digits: String = question.chars().filter(|c| !c.is_alphabetic()).collect();
    let formulas: String = (answer.split("<<").skip(1))
        .map(|rest| format!("{sentence} <<{}>>.\n", rest.split(">>").next().unwrap()))
        .collect();
    let last = answer.lines().last().unwrap();
    format!("<question>{sentence}: {digits}</question>\n<solution>{formulas}{last}</solution>")
}

fn problem(number: usize) -> Item {
    let (one, other) = (number + 2, 3 * number + 5);
    Item {
        id: format!("train/{number}"),
        question: format!("Ann has {one} pears and buys {other}. How many does she have?"),
        answer: format!("She has <<{one}+{other}={0}>>{0}.\n#### {0}", one + other),
    }
}

fn calls(model: ScriptedModel, log: &Path, caps: Caps) -> Calls {
    let options = Options {
        run: "run".into(),
        limits: Limits { concurrency: 16, ..Limits::default() },
        caps,
        ..Options::default()
    };
    Calls::new(Arc::new(model), Arc::new(Log::open(log).unwrap()), options).unwrap()
}

const LANGUAGES: [Language; 4] = [Language::En, Language::De, Language::Th, Language::Bn];

/// The number of the problem in a question of [`problem`].
fn number_in(question: &str) -> usize {
    let digits: String =
        question.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().unwrap() - 2
}

/// Right at once, but: into Bengali every third problem never, into German every fifth at the second attempt.
fn translator() -> ScriptedModel {
    ScriptedModel::new("translator", |request, index| {
        let (language, question, answer) = asked(&request.prompt.last_text());
        let number = number_in(&question);
        let right = translated(&language, &question, &answer);
        Ok(Sample::of(match language.as_str() {
            "Bengali" if number.is_multiple_of(3) => right.replace("#### ", "#### 1"),
            "German" if number.is_multiple_of(5) && index == 0 => right.replace('+', "-"),
            _ => right,
        }))
    })
}

#[test]
fn what_fails_is_translated_again_and_then_put_into_quarantine() {
    let items: Vec<Item> = (0..30).map(problem).collect();
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(translator(), folder.path(), Caps::default());
    let none = TestQuestions::new(10);
    let mut translator = Translator::new(None, &none).unwrap();
    translator.attempts = 4;
    let mut statistics: BTreeMap<Language, DropStatistics> = BTreeMap::new();
    let mut order = Vec::new();
    let mut cost = Spending::default();
    translator
        .translate(&calls, &items, &LANGUAGES, |outcome, spent| {
            cost = cost.plus(spent);
            let (id, language) = match &outcome {
                Outcome::Translated(translation) => {
                    assert_eq!(translation.english, problem(id_number(&translation.id)).question);
                    assert_eq!(translation.language == Language::En, translation.attempts == 0);
                    (translation.id.clone(), translation.language)
                }
                Outcome::Quarantined(quarantined) => {
                    assert_eq!((quarantined.language, quarantined.attempts.len()), (Language::Bn, 4));
                    for attempt in &quarantined.attempts {
                        let kinds: Vec<&str> = attempt.reasons.iter().map(|r| r.kind.as_str()).collect();
                        assert_eq!(kinds, ["last-number"]);
                        assert!(attempt.reply.contains("<question>"));
                    }
                    (quarantined.id.clone(), quarantined.language)
                }
            };
            statistics.entry(language).or_default().add(&outcome);
            order.push((id_number(&id), language));
        })
        .unwrap();
    let expected: Vec<(usize, Language)> =
        (0..30).flat_map(|n| LANGUAGES.map(|language| (n, language))).collect();
    assert_eq!(order, expected);
    let of = |language| &statistics[&language];
    assert_eq!(
        (of(Language::Bn).translated, of(Language::Bn).dropped, of(Language::Bn).asked),
        (20, 10, 20 + 40)
    );
    assert_eq!(of(Language::Bn).reasons, [("last-number".to_string(), 40)].into());
    assert_eq!(of(Language::De).passed_at, [24, 6]);
    assert_eq!((of(Language::Th).asked, of(Language::En).asked), (30, 0));
    assert_eq!(cost.calls, 60 + 36 + 30);
}

fn id_number(id: &str) -> usize {
    id.rsplit_once('/').unwrap().1.parse().unwrap()
}

#[test]
fn replies_that_are_no_translations_are_named() {
    let leaks = {
        let mut leaks = TestQuestions::new(4);
        leaks.add("Wie viele sind es insgesamt", Language::De);
        leaks
    };
    let folder = tempfile::tempdir().unwrap();
    let model = ScriptedModel::new("bad", |request, index| {
        let (language, question, answer) = asked(&request.prompt.last_text());
        let right = translated(&language, &question, &answer);
        Ok(match index {
            0 => Sample::of("I cannot."),
            1 => Sample::of(format!("<question>{question}</question><solution>{answer}</solution>")),
            2 => Sample { finish: mathesis_reasoning::models::Finish::Length, ..Sample::of(&right) },
            3 => Sample { finish: mathesis_reasoning::models::Finish::ContentFilter, ..Sample::of(&right) },
            4 => Sample::of(right.replace("<<", "<")),
            _ => Sample::of(right),
        })
    });
    let calls = calls(model, folder.path(), Caps::default());
    let mut translator = Translator::new(None, &leaks).unwrap();
    translator.attempts = 6;
    let mut kinds = Vec::new();
    translator
        .translate(&calls, &[problem(1)], &[Language::De], |outcome, _| {
            let Outcome::Quarantined(quarantined) = outcome else { panic!("{outcome:?}") };
            for attempt in quarantined.attempts {
                kinds.push(
                    attempt.reasons.into_iter().map(|reason| reason.kind).collect::<Vec<_>>().join(" "),
                );
            }
        })
        .unwrap();
    assert_eq!(kinds, ["form", "language", "truncated", "refused", "missing leak", "leak"]);
}

/// The lines of all translations, given up ones among them.
fn report(calls: &Calls, items: &[Item]) -> Result<String, TranslationError> {
    let none = TestQuestions::new(10);
    let translator = Translator::new(None, &none).unwrap();
    let mut report = String::new();
    translator.translate(calls, items, &LANGUAGES, |outcome, spent| {
        // Times are no part of what is the same in every run.
        let spent = Spending { microseconds: 0, ..spent };
        report += &format!("{outcome:?} {spent:?}\n");
    })?;
    Ok(report)
}

#[test]
fn a_run_that_stops_goes_on_where_it_was() {
    let items: Vec<Item> = (0..40).map(problem).collect();
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = report(&calls(translator(), whole.path(), Caps::default()), &items).unwrap();
    for most in [50, 90] {
        let caps = Caps { calls: Some(most), ..Caps::default() };
        let stopped = report(&calls(translator(), broken.path(), caps), &items).unwrap_err();
        assert!(stopped.to_string().contains("calls"), "{stopped}");
    }
    assert_eq!(report(&calls(translator(), broken.path(), Caps::default()), &items).unwrap(), expected);
}

const KILL_ITEMS: usize = 120;

/// `SIGKILL` at several moments of a run; in the end the translations are those of an undisturbed run.
#[test]
fn a_run_that_is_killed_comes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    assert!(sitting_in(&whole).wait().unwrap().success());
    let mut draws = Draws(7);
    let mut killed = 0;
    for _ in 0..4 {
        let mut sitting = sitting_in(&broken);
        std::thread::sleep(Duration::from_millis(150 + draws.below(250) as u64));
        if sitting.try_wait().unwrap().is_none() {
            sitting.kill().unwrap();
            killed += 1;
        }
        sitting.wait().unwrap();
    }
    assert!(killed > 0);
    assert!(sitting_in(&broken).wait().unwrap().success());
    let read = |folder: &Path| std::fs::read_to_string(folder.join("report")).unwrap();
    assert!(read(&whole) == read(&broken), "after {killed} kills");
    assert_eq!(read(&whole).lines().count(), KILL_ITEMS * LANGUAGES.len());
}

fn sitting_in(folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["sitting", "--exact", "--ignored"])
        .env("MATHESIS_KILL_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by a_run_that_is_killed_comes_to_the_same_end"]
fn sitting() {
    let Ok(folder) = std::env::var("MATHESIS_KILL_FOLDER").map(PathBuf::from) else { return };
    let behaviour = Behaviour { latency: Duration::from_millis(40), spread: 0.3, ..Behaviour::default() };
    let items: Vec<Item> = (0..KILL_ITEMS).map(problem).collect();
    let report = report(&calls(translator().behaving(behaviour), &folder, Caps::default()), &items).unwrap();
    std::fs::write(folder.join("report"), report).unwrap();
}

/// Words in lower case, for a check that shares no code with the one that is tested.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

#[test]
fn no_test_question_of_gsm8k_or_mgsm_comes_into_training() {
    let Some(data) = data_with(&["gsm8k", "mgsm"]) else { return };
    let mut unseen = TestQuestions::new(10);
    let (mut exact, mut grams): (HashSet<Vec<String>>, HashSet<Vec<String>>) = Default::default();
    for name in ["gsm8k", "mgsm"] {
        let suite = Suite::open(name).unwrap();
        for problem in suite.load(&data, &suite.settings(&[]).unwrap()).unwrap().0.problems {
            let language = problem.language.unwrap_or(Language::En);
            unseen.add(&problem.question, language);
            if language == Language::En {
                let words = words(&problem.question);
                grams.extend(words.windows(10).map(<[String]>::to_vec));
                exact.insert(words);
            }
        }
    }
    let is_leak = |text: &str| {
        let words = words(text);
        exact.contains(&words) || words.windows(10).any(|gram| grams.contains(gram))
    };
    let items = items_of(&data, "train");
    let (kept, left_out): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| {
        [&item.question, &item.answer].iter().all(|text| unseen.leak(text, Language::En).is_none())
    });
    println!("{} of 7473 training items share text with test questions", left_out.len());
    assert_eq!((kept.len(), left_out.len()), (7_462, 11));
    assert!(left_out.iter().all(|item| is_leak(&item.question) || is_leak(&item.answer)));

    // Translated, mixed in both ways: the same questions, none of the test's.
    let sample: Vec<Item> = kept.iter().step_by(10).cloned().collect();
    let model = ScriptedModel::new("all", |request, _| {
        let (language, question, answer) = asked(&request.prompt.last_text());
        Ok(Sample::of(translated(&language, &question, &answer)))
    });
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(model, folder.path(), Caps::default());
    let mut translations: BTreeMap<Language, Vec<Translation>> = BTreeMap::new();
    let mut given_up = 0;
    Translator::new(None, &unseen)
        .unwrap()
        .translate(&calls, &sample, &[Language::En, Language::Zh], |outcome, _| match outcome {
            Outcome::Translated(translation) => {
                translations.entry(translation.language).or_default().push(translation);
            }
            Outcome::Quarantined(quarantined) => {
                given_up += 1;
                println!("{}: {:?}", quarantined.id, quarantined.attempts[0].reasons);
            }
        })
        .unwrap();
    assert_eq!((translations[&Language::Zh].len(), given_up), (sample.len(), 0));
    let mixed =
        |arrangement| mix(&translations, &Mixture { arrangement, temperature: 3.0, ..Mixture::default() });
    let (parallel, cross) = (mixed(Arrangement::Parallel), mixed(Arrangement::Cross));
    assert_eq!(question_sets(&parallel), question_sets(&cross));
    for pair in parallel.iter().chain(&cross) {
        assert_eq!(unseen.leak(&pair.question, pair.question_language), None);
        assert!(pair.question_language != Language::En || !is_leak(&pair.question), "{pair:?}");
    }
    // The check is not blind: what was left out would have been found.
    assert!(unseen.leak(&left_out[0].question, Language::En).is_some());
}

#[test]
fn the_sets_are_as_published_and_bad_rows_are_named_by_file_and_line() {
    let Some(data) = data_with(&["mgsm", "msvamp"]) else { return };
    let raw = std::fs::read_to_string(data.join("mgsm/mgsm_en.tsv")).unwrap();
    let with_commas = raw.lines().filter(|line| line.rsplit_once('\t').unwrap().1.contains(',')).count();
    assert_eq!((raw.lines().count(), with_commas), (250, 4));
    for language in Language::ALL {
        let other = std::fs::read_to_string(data.join(format!("mgsm/mgsm_{}.tsv", language.code()))).unwrap();
        let answers = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.rsplit_once('\t').unwrap().1.to_string()).collect()
        };
        assert_eq!(answers(&other), answers(&raw), "{}", language.code());
    }

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let message = |name: &str, languages: &str| {
        let suite = Suite::open(name).unwrap();
        let settings = suite.settings(&[("languages".to_string(), languages.to_string())]).unwrap();
        suite.load(folder.path(), &settings).unwrap_err().to_string()
    };
    let mut lines: Vec<&str> = raw.lines().collect();
    lines[6] = "no answer here";
    lines[41] = "an answer in words\tseven";
    write("mgsm/mgsm_en.tsv", lines.join("\n"));
    let told = message("mgsm", "en");
    assert!(told.contains("mgsm_en.tsv:7: 1 columns instead of 2"), "{told}");
    assert!(told.contains("mgsm_en.tsv:42: the answer `seven` is no number"), "{told}");
    let raw = std::fs::read_to_string(data.join("msvamp/test_German.json")).unwrap();
    let mut lines: Vec<&str> = raw.lines().collect();
    lines[2] = r#"{"m_query": "ohne Antwort"}"#;
    lines[999] = r#"{"m_query": "halb", "resp"#;
    write("msvamp/test_German.json", lines.join("\n"));
    let told = message("msvamp", "de");
    assert!(told.contains("test_German.json:3: the field `response` is missing"), "{told}");
    assert!(told.contains("test_German.json:1000: EOF"), "{told}");
}

#[test]
fn questions_are_in_their_languages() {
    let Some(data) = data_with(&["mgsm", "msvamp"]) else { return };
    for (name, least) in [("mgsm", 2_750), ("msvamp", 9_990)] {
        let suite = Suite::open(name).unwrap();
        let problems = suite.load(&data, &suite.settings(&[]).unwrap()).unwrap().0.problems;
        let of_language = |problem: &&mathesis_reasoning::suites::Problem| {
            let language = problem.language.unwrap();
            assert_eq!(is_in_script(&problem.question, language), Some(true), "{}", problem.id);
            let found = identify(&problem.question);
            if found != Some(language) {
                println!("{}: {found:?}: {}", problem.id, problem.question);
            }
            found == Some(language)
        };
        let right = problems.iter().filter(of_language).count();
        println!("{name}: {right} of {}", problems.len());
        assert!(right >= least, "{right}");
    }
}

#[test]
fn all_language_rows_are_extracted() {
    let Some(data) = data_with(&["answer-pairs"]) else { return };
    let text = std::fs::read_to_string(data.join("answer-pairs/extraction.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows: Vec<&Value> = rows.iter().filter(|row| row["category"] == "lang").collect();
    assert_eq!(rows.len(), 22);
    for row in rows {
        let language = Language::from_code(row["lang"].as_str().unwrap());
        let options = answers::Options { language, ..answers::Options::default() };
        let found = answers::extract(row["response"].as_str().unwrap(), &options);
        assert_eq!(found.map(|found| found.answer).as_deref(), row["extracted"].as_str(), "{row}");
    }
}

#[test]
fn findings_are_written_and_read() {
    let finding = Finding::Missing("1+1=2".into());
    let text = serde_json::to_string(&finding).unwrap();
    assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding);
}
