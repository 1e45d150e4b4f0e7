//! An archive of discussions made from a seed, with what becomes of each in every stage, and the models that reply as
//! planned. Every post has a mark such as `T0017P3`, by which the models know what they are asked about.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mathesis_reasoning::decontamination::{Decontaminator, TextSet};
use mathesis_reasoning::models::calls::{Calls, FailurePolicy, Limits, Log, Options};
use mathesis_reasoning::models::{
    Behaviour, Failure, FailureKind, Model, Prompt, Request, Sample, ScriptedModel,
};
use mathesis_reasoning::recipes::aops_live::Benchmarks;
use serde_json::{Value, json};

/// What a model says when it is asked, and asked again.
type Replies = [Result<String, FailureKind>; 2];

/// A post with what each model makes of it.
#[derive(Clone)]
struct Post {
    user: Option<String>,
    text: String,
    rewrites: [Replies; 2],
}

/// A thread with what is planned.
struct Plan {
    posts: Vec<Post>,
    questions: Replies,
    answers: Replies,
    question: String,
}

/// How many records a stage reads, keeps and loses for which reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub kept: usize,
    pub made: usize,
    pub dropped: usize,
    pub quarantined: usize,
    pub reasons: BTreeMap<String, usize>,
    pub parts: BTreeMap<String, usize>,
}

/// An archive with its truth.
pub struct Archive {
    pub lines: Vec<String>,
    pub truth: BTreeMap<&'static str, Counts>,
    /// The answers that the benchmark has, by thread.
    pub benchmark: BTreeMap<String, String>,
    plans: Arc<BTreeMap<usize, Plan>>,
}

pub const THREADS: usize = 480;

/// Benchmark texts; n-grams of them are planted.
const TRAINING_TEXT: &str = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima";
const SHORT_TEXT: &str = "Papa Quebec";
const BENCHMARK_TEXT: &str = "mike november oscar romeo sierra tango uniform victor whiskey";

pub fn benchmarks() -> Benchmarks {
    let set = |name: &str, texts: &[&str]| TextSet {
        name: name.into(),
        texts: texts.iter().map(|text| text.to_string()).collect(),
    };
    let training = [set("gsm8k", &[TRAINING_TEXT]), set("short", &[SHORT_TEXT])];
    let benchmark = [set("gsm8k", &[TRAINING_TEXT]), set("gsm8k_train", &[BENCHMARK_TEXT])];
    Benchmarks {
        training: Some(Decontaminator::new(&training, 10).unwrap()),
        benchmark: Some(Decontaminator::new(&benchmark, 8).unwrap()),
    }
}

/// The kinds of threads, each as often as the others.
const KINDS: usize = 40;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn said(text: impl Into<String>) -> Replies {
    let text = text.into();
    [Ok(text.clone()), Ok(text)]
}

fn fenced(users: &[(Option<&str>, usize)]) -> String {
    let answers: Vec<Value> =
        users.iter().map(|(user, number)| json!({"user": user, "post_number": number})).collect();
    format!("They discuss it.\n```json\n{}\n```", json!({"answers": answers}))
}

/// The archive of a seed.
pub fn archive(seed: u64) -> Archive {
    let mut random = Random(seed);
    let mut made = Archive {
        lines: Vec::new(),
        truth: ["import", "questions", "answers", "rewriting", "pairs", "candidates", "benchmark"]
            .map(|stage| (stage, Counts::default()))
            .into(),
        benchmark: BTreeMap::new(),
        plans: Arc::default(),
    };
    let mut plans = BTreeMap::new();
    for id in 0..THREADS {
        plan(id, &mut random, &mut made, &mut plans);
    }
    made.plans = Arc::new(plans);
    made
}

fn plan(id: usize, random: &mut Random, made: &mut Archive, plans: &mut BTreeMap<usize, Plan>) {
    let kind = id % KINDS;
    let mark = format!("T{id:04}");
    let answer = random.below(900) + 2;
    // Half of the threads are for the benchmark; of them some at its first moment, some just before.
    let is_new = (id / KINDS).is_multiple_of(2);
    let date = match (is_new, id / KINDS % 6) {
        (true, 0) => "2024-01-01T00:00:00Z".to_string(),
        (true, _) => format!("2024-{:02}-{:02}T12:00:00Z", 1 + random.below(8), 1 + random.below(28)),
        (false, 1) => "2023-12-31T23:59:59Z".to_string(),
        (false, _) => format!("2023-{:02}-{:02}T12:00:00Z", 1 + random.below(12), 1 + random.below(28)),
    };
    let solution = |number: usize, text: String| {
        let text = format!("{mark}P{number} {text}");
        // A model copies the post, without a box of the post's own.
        let copy = text.replace("\\boxed", "");
        let rewrite = said(format!("{copy} So it is \\boxed{{{answer}}}."));
        Post { user: Some(format!("user{number}")), text, rewrites: [rewrite.clone(), rewrite] }
    };
    let mut posts = vec![
        Post {
            user: Some("asker".into()),
            text: format!("{mark}P1 find value{id}"),
            rewrites: [said(""), said("")],
        },
        solution(2, format!("because reason{id}")),
        solution(3, format!("thanks{id}")),
    ];
    let mut questions = said("A task. \\boxed{1}");
    let mut answers = said(fenced(&[(Some("user2"), 2)]));
    let mut question = format!("Rewritten {mark}: find value{id}.");
    let mut attachments = json!([]);
    // Where the thread ends and why; none: it goes as far as its date lets it.
    let mut end: Option<(&'static str, &'static str, bool)> = None;
    let mut parts: Vec<(&'static str, &'static str)> = Vec::new();
    let mut solutions = 1;
    // Why all its pairs are left out of the training data, why it is no candidate, why it has no answer.
    let (mut contaminated, mut no_candidate, mut undecided) = (None, None, None);
    let mut final_answer = answer.to_string();
    let with = |number: usize, first: String, second: String| Post {
        rewrites: [said(first), said(second)],
        ..solution(number, format!("because reason{number}x{id}"))
    };
    match kind {
        0 | 1 => {}
        // Chatter.
        2 => {
            questions = said("Just a greeting. \\boxed{0}");
            end = Some(("questions", "not a question", false));
        }
        3 => {
            posts.truncate(1);
            end = Some(("questions", "no reply to the post", false));
        }
        // Replies of the first model that are not as they should be.
        4 => {
            questions = said("  ");
            end = Some(("questions", "not a question", false));
        }
        5 => questions = said("\\boxed{0}? No: \\boxed{1}"),
        6 => {
            questions = said("It asks something: \\boxed{1");
            end = Some(("questions", "unreadable reply", true));
        }
        7 => questions = [Ok("No verdict.".into()), Ok("\\boxed{1}".into())],
        8 => {
            questions = said("\\boxed{2}");
            end = Some(("questions", "unreadable reply", true));
        }
        9 => {
            questions = [Err(FailureKind::ContentFilter), Err(FailureKind::ContentFilter)];
            end = Some(("questions", "refused", true));
        }
        10 => {
            questions = [Err(FailureKind::Rejected), Err(FailureKind::Rejected)];
            end = Some(("questions", "no reply", true));
        }
        // Replies of the second model.
        11 => {
            answers = said("```json\n{\"answers\": [{\"user\": \"user2\",\n```");
            end = Some(("answers", "unreadable reply", true));
        }
        12 => answers = [Ok("It is post 2.".into()), Ok(fenced(&[(Some("user2"), 2)]))],
        13 => answers = said("```python\n{'answers': [{'user': 'user2', 'post_number': 2,},]}\n```"),
        14 => {
            answers = said(fenced(&[(Some("user3"), 2)]));
            end = Some(("answers", "no answer", false));
            parts.push(("answers", "wrong user"));
        }
        15 => {
            answers = said(fenced(&[(Some("user2"), 2), (Some("user9"), 9)]));
            parts.push(("answers", "no such post"));
        }
        16 => {
            answers = said(fenced(&[]));
            end = Some(("answers", "no answer", false));
        }
        17 => {
            answers = said("");
            end = Some(("answers", "unreadable reply", true));
        }
        // A user who is gone, named as such, and one named by a guess.
        18 => {
            posts[1].user = None;
            answers = said(fenced(&[(None, 2)]));
        }
        19 => {
            posts[1].user = None;
            answers = said(fenced(&[(Some("user2"), 2)]));
            end = Some(("answers", "no answer", false));
            parts.push(("answers", "wrong user"));
        }
        // Rewriting.
        20 => {
            question = String::new();
            end = Some(("rewriting", "unreadable reply", true));
        }
        21 => {
            let no_end = format!("{mark}P2 and so on, \\boxed{{{answer}");
            posts[1] = with(2, no_end.clone(), no_end);
            end = Some(("rewriting", "no solution", false));
            parts.extend([("rewriting", "no ending"); 2].iter().take(if is_new { 2 } else { 1 }));
        }
        // Several solutions that agree, one of them in another form.
        22 => {
            posts[2] =
                with(3, format!("{mark}P3 \\boxed{{{answer}.0}}"), format!("{mark}P3 \\boxed{{{answer}}}"));
            answers = said(fenced(&[(Some("user2"), 2), (Some("user3"), 3)]));
            solutions = 2;
        }
        // Named twice.
        23 => {
            answers = said(fenced(&[(Some("user2"), 2), (Some("user2"), 2)]));
            parts.push(("answers", "named twice"));
        }
        24 => {
            question = format!("Prove that {mark} holds.");
            posts[1] = with(
                2,
                format!("{mark}P2 clear. $\\blacksquare$"),
                format!("{mark}P2 clear. $\\blacksquare$"),
            );
            no_candidate = Some("proof");
        }
        25 => {
            posts[1] = with(2, format!("{mark}P2 clear. ∎"), format!("{mark}P2 clear. ∎"));
            no_candidate = Some("proof");
            if is_new {
                parts.push(("candidates", "proof"));
            }
        }
        26 => {
            posts[1] = solution(2, format!("see https://example.org/{id}"));
            end = Some(("pairs", "no solution", false));
            parts.push(("pairs", "link"));
        }
        27 => attachments = json!(["figure.png"]),
        28 => {
            posts[0].text = format!("{mark}P1 see the Figure below{id}");
            no_candidate = Some("figure");
        }
        29 => {
            question = format!("(a) find {mark}. (b) and more.");
            no_candidate = Some("several parts");
        }
        30 => {
            question = format!("{mark}: this? that? or those?");
            no_candidate = Some("several questions");
        }
        // In other benchmarks.
        31 => {
            posts[0].text = format!("{mark}P1 {TRAINING_TEXT}");
            (contaminated, no_candidate) = (Some("gsm8k_match"), Some("gsm8k_match"));
        }
        32 => {
            // Ten words of the twelve.
            let words: Vec<&str> = TRAINING_TEXT.split(' ').skip(1).take(10).collect();
            posts[0].text = format!("{mark}P1 {}", words.join("\t").to_uppercase());
            (contaminated, no_candidate) = (Some("gsm8k_match_10gram"), Some("gsm8k_match_8gram"));
        }
        33 => {
            question = format!("Rewritten {mark}: xpapa quebecx");
            contaminated = Some("short_match");
        }
        34 => {
            let words: Vec<&str> = BENCHMARK_TEXT.split(' ').take(8).collect();
            question = format!("Rewritten {mark}: {}", words.join("  "));
            no_candidate = Some("gsm8k_train_match_8gram");
        }
        // Answers that nobody agrees on.
        35 => {
            posts[1] = with(
                2,
                format!("{mark}P2 \\boxed{{{answer}}}"),
                format!("{mark}P2 \\boxed{{{}}}", answer + 1),
            );
            undecided = Some("no vote");
            if is_new {
                parts.push(("benchmark", "rewrites disagree"));
            }
        }
        36 => {
            let other = format!("{mark}P3 \\boxed{{{}}}", answer + 1);
            posts[2] = with(3, other.clone(), other);
            answers = said(fenced(&[(Some("user2"), 2), (Some("user3"), 3)]));
            solutions = 2;
            undecided = Some("tie");
        }
        37 => {
            let text = format!("{mark}P2 \\boxed{{\\text{{odd}}}}");
            posts[1] = with(2, text.clone(), text);
            undecided = Some("text in the answer");
        }
        // The box of an original post decides against a later wrong solution, or rejects a wrong rewrite.
        38 => {
            posts[1] = solution(2, format!("clearly \\boxed{{x = {answer}}}"));
            let other = format!("{mark}P3 \\boxed{{{}}}", answer + 1);
            posts[2] = with(3, other.clone(), other);
            answers = said(fenced(&[(Some("user3"), 3), (Some("user2"), 2)]));
            solutions = 2;
            final_answer = format!("x = {answer}");
        }
        _ => {
            posts[1].text = format!("{mark}P2 clearly \\boxed{{{}}}", answer + 7);
            undecided = Some("no vote");
            if is_new {
                parts.push(("benchmark", "against the original box"));
            }
        }
    }

    let posted: Vec<Value> = (posts.iter().enumerate())
        .map(|(at, post)| {
            let attachments = if at == 0 { attachments.clone() } else { json!([]) };
            json!({"post_number": at + 1, "user": post.user, "time": date, "text": post.text, "attachments": attachments})
        })
        .collect();
    let line = json!({"id": id, "category": "High School Math", "crawled": 20, "posts": posted});
    // Some threads were crawled before, and some lines are torn.
    if id.is_multiple_of(48) {
        made.lines.push(json!({"id": id, "crawled": 10, "posts": posted}).to_string());
        count(&mut made.truth, "import", Some(("older copy", false)), 0);
    }
    if id.is_multiple_of(60) {
        made.lines.push(line.to_string()[..40].to_string());
        count(&mut made.truth, "import", Some(("unreadable", true)), 0);
    }
    made.lines.push(line.to_string());

    count(&mut made.truth, "import", None, 1);
    for (stage, reason) in parts {
        *made.truth.get_mut(stage).unwrap().parts.entry(reason.into()).or_default() += 1;
    }
    let mut goes_on = true;
    for stage in ["questions", "answers", "rewriting"] {
        if goes_on {
            let lost =
                end.filter(|(at, ..)| *at == stage).map(|(_, reason, quarantined)| (reason, quarantined));
            count(&mut made.truth, stage, lost, 1);
            goes_on = lost.is_none();
        }
    }
    if goes_on {
        let lost = end.filter(|(at, ..)| *at == "pairs").map(|(_, reason, _)| reason).or(contaminated);
        count(&mut made.truth, "pairs", lost.map(|reason| (reason, false)), solutions);
        let no_candidate = if is_new { no_candidate } else { Some("outside the window") };
        count(&mut made.truth, "candidates", no_candidate.map(|reason| (reason, false)), 1);
        if no_candidate.is_none() {
            count(&mut made.truth, "benchmark", undecided.map(|reason| (reason, false)), 1);
            if undecided.is_none() {
                made.benchmark.insert(id.to_string(), final_answer);
            }
        }
    }
    plans.insert(id, Plan { posts, questions, answers, question });
}

fn count(
    truth: &mut BTreeMap<&'static str, Counts>,
    stage: &'static str,
    lost: Option<(&str, bool)>,
    made: usize,
) {
    let counts = truth.get_mut(stage).unwrap();
    match lost {
        None => {
            counts.kept += 1;
            counts.made += made;
        }
        Some((reason, quarantined)) => {
            *(if quarantined { &mut counts.quarantined } else { &mut counts.dropped }) += 1;
            *counts.reasons.entry(reason.into()).or_default() += 1;
        }
    }
}

/// The two models, which reply as planned.
pub fn models(archive: &Archive, latency: Duration) -> [Arc<dyn Model>; 2] {
    [0, 1].map(|which| {
        let plans = archive.plans.clone();
        let model = ScriptedModel::new(format!("model{which}"), move |request: &Request, _| {
            reply(&plans, which, request)
        });
        let behaviour = Behaviour { latency, ..Behaviour::default() };
        Arc::new(model.behaving(behaviour)) as Arc<dyn Model>
    })
}

/// Calls to both models with a log in a folder.
pub fn calls(models: &[Arc<dyn Model>; 2], folder: &Path) -> [Calls; 2] {
    let log = Arc::new(Log::open(folder).unwrap());
    [0, 1].map(|which| {
        let options = Options {
            run: format!("run{which}"),
            limits: Limits { concurrency: 8, ..Limits::default() },
            failures: FailurePolicy { tries: 1, ..FailurePolicy::default() },
            ..Options::default()
        };
        Calls::new(models[which].clone(), log.clone(), options).unwrap()
    })
}

fn reply(plans: &BTreeMap<usize, Plan>, which: usize, request: &Request) -> Result<Sample, Failure> {
    let Prompt::Chat(messages) = &request.prompt else { panic!("a chat is asked") };
    let (text, again) = (messages[0].text(), usize::from(messages.len() > 1));
    let mark = text.rfind("T0").or(text.rfind("T1")).expect("a mark");
    let id: usize = text[mark + 1..mark + 5].parse().expect("four digits");
    let plan = &plans[&id];
    let replies = if text.starts_with("You see the first post") {
        &plan.questions
    } else if text.starts_with("You see all posts") {
        &plan.answers
    } else if text.starts_with("Rewrite a question") {
        return Ok(Sample::of(&plan.question));
    } else {
        let number: usize = text[mark + 6..mark + 7].parse().expect("a post");
        &plan.posts[number - 1].rewrites[which]
    };
    match &replies[again] {
        Ok(text) => Ok(Sample::of(text)),
        Err(kind) => Err(Failure::new(*kind, "as planned")),
    }
}
