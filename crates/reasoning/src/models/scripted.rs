//! A model that answers by rules, with latency and failures drawn from a seed: for tests, and for trying out a suite
//! without a server.
//!
//! What it answers depends on the request and the number of the sample, never on the order of requests; whether a try
//! fails depends on the seed, the request and how often this request was sent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;

use super::{
    Answer, Failure, FailureKind, Finish, Identity, Model, Prompt, Request, Sample, Sending, Token, Usage,
};
use crate::random::Stream;

/// A model that answers by rules.
#[derive(Clone)]
pub struct ScriptedModel {
    identity: Identity,
    script: Arc<Script>,
    behaviour: Behaviour,
    /// How often each request was sent, by its key, while tries may fail.
    sent: Arc<Mutex<HashMap<u64, u64>>>,
}

type Script = dyn Fn(&Request, usize) -> Result<Sample, Failure> + Send + Sync;

/// How a scripted model behaves apart from what it says. Default: instant, and never fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// The median time to a reply.
    pub latency: Duration,
    /// The standard deviation of the logarithm of that time, which is log-normal.
    pub spread: f64,
    /// Kinds of failures with the probability of each, for one try.
    pub faults: Vec<(FailureKind, f64)>,
    /// Where the random numbers start.
    pub seed: u64,
}

impl ScriptedModel {
    /// A model that writes sample `index` of a request by a function. The name stands for the function in the identity.
    pub fn new(
        name: impl Into<String>,
        script: impl Fn(&Request, usize) -> Result<Sample, Failure> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity {
            provider: "scripted".into(),
            endpoint: String::new(),
            model: name.into(),
            revision: None,
        };
        ScriptedModel {
            identity,
            script: Arc::new(script),
            behaviour: Behaviour::default(),
            sent: Arc::default(),
        }
    }

    /// The model with another behaviour.
    pub fn behaving(self, behaviour: Behaviour) -> Self {
        ScriptedModel { behaviour, ..self }
    }

    /// Reads a script:
    ///
    /// ```toml
    /// model = "pupil"             # its name; default: the name of the file
    /// seed = 1                    # default: 0
    /// latency = 0.02              # the median in seconds; default: 0
    /// spread = 0.5                # of the logarithm of the latency; default: 0
    /// answers = "answers.jsonl"   # lines {"prompt": ..., "answers": [...]}, found by the whole text of the last message;
    ///                             # with "likelihoods" instead where continuations are asked for
    ///
    /// [faults]                    # probabilities that a try fails in this way
    /// rate-limited = 0.01
    /// server = 0.02
    ///
    /// [[rule]]                    # where no line fits, the first rule that does
    /// contains = "2 + 2"          # in the last message
    /// answers = ["4", "5"]        # sample i is answer i, over and over
    ///
    /// [[rule]]
    /// matches = "^Prove"          # a regular expression
    /// fails = "content-filter"
    ///
    /// [[rule]]
    /// contains = "Which is it?"
    /// likelihoods = [-1.5, -0.3]  # the log-likelihood of each continuation that is asked for
    ///
    /// [[rule]]                    # no condition: everything else
    /// answers = ["I do not know."]
    /// finish = "length"           # default: stop
    /// ```
    ///
    /// Answers are cut at the stop texts and at `max_tokens`; a token is four characters. Where nothing fits, the
    /// request is rejected.
    pub fn from_file(path: &Path) -> Result<Self, ScriptError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| ScriptError::Read { path: path.into(), source })
        };
        let invalid = |path: &Path, message: String| ScriptError::Invalid { path: path.into(), message };
        let text = read(path)?;
        let file: File = toml::from_str(&text).map_err(|error| invalid(path, error.to_string()))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());

        let mut lines: HashMap<String, Vec<String>> = HashMap::new();
        let mut likelihoods: HashMap<String, Vec<f64>> = HashMap::new();
        if let Some(answers) = &file.answers {
            let answers = path.parent().unwrap_or(Path::new("")).join(answers);
            let text = read(&answers)?;
            hasher.update(text.as_bytes());
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let line: Line = serde_json::from_str(line)
                    .map_err(|error| invalid(&answers, format!("line {}: {error}", number + 1)))?;
                match (line.answers, line.likelihoods) {
                    (Some(texts), None) if !texts.is_empty() => drop(lines.insert(line.prompt, texts)),
                    (None, Some(values)) if !values.is_empty() => {
                        drop(likelihoods.insert(line.prompt, values))
                    }
                    _ => {
                        let message = "expected `answers` or `likelihoods`, not empty";
                        return Err(invalid(&answers, format!("line {}: {message}", number + 1)));
                    }
                }
            }
        }
        let rules: Vec<Rule> = (file.rule.into_iter().enumerate())
            .map(|(number, rule)| {
                Rule::new(rule).map_err(|error| invalid(path, format!("rule {}: {error}", number + 1)))
            })
            .collect::<Result<_, _>>()?;
        let mut faults = Vec::new();
        for (name, probability) in file.faults {
            let kind = FailureKind::from_name(&name)
                .ok_or_else(|| invalid(path, format!("no kind of failure is called `{name}`")))?;
            if !(0.0..=1.0).contains(&probability) {
                return Err(invalid(path, format!("{name} = {probability} is no probability")));
            }
            faults.push((kind, probability));
        }
        let latency = Duration::try_from_secs_f64(file.latency)
            .map_err(|error| invalid(path, format!("latency = {}: {error}", file.latency)))?;
        if !file.spread.is_finite() || file.spread < 0.0 {
            return Err(invalid(path, format!("spread = {} is negative or no number", file.spread)));
        }

        let name = file.model.unwrap_or_else(|| {
            path.file_stem().map(|stem| stem.to_string_lossy().into()).unwrap_or_default()
        });
        let mut model = ScriptedModel::new(name, move |request, index| {
            let asked = request.prompt.last_text();
            if let Prompt::Continuations { continuations, .. } = &request.prompt {
                return likelihood(likelihoods.get(&asked), &rules, &asked, &continuations[index], index);
            }
            if let Some(answers) = lines.get(&asked) {
                return Ok(Sample::of(&answers[index % answers.len()]));
            }
            let written = |rule: &&Rule| !matches!(rule.outcome, Outcome::Likelihoods(_));
            match rules.iter().filter(written).find(|rule| rule.fits(&asked)).map(|rule| &rule.outcome) {
                Some(Outcome::Answers(answers, finish)) => Ok(Sample {
                    text: answers[index % answers.len()].clone(),
                    finish: finish.clone(),
                    tokens: None,
                }),
                Some(Outcome::Fails(kind)) => Err(Failure::new(*kind, "as the script says")),
                Some(Outcome::Likelihoods(_)) | None => {
                    Err(Failure::new(FailureKind::Rejected, "the script has no rule for this prompt"))
                }
            }
        });
        model.identity.revision = Some(hasher.finalize().to_hex().to_string());
        model.behaviour = Behaviour { latency, spread: file.spread, faults, seed: file.seed };
        Ok(model)
    }

    fn reply(&self, request: &Request) -> Result<Vec<u8>, Failure> {
        let mut samples = Vec::with_capacity(request.samples);
        let mut usage = Usage { input_tokens: request.prompt.texts().map(tokens).sum(), output_tokens: 0 };
        for index in 0..request.samples {
            let mut sample = (self.script)(request, request.first_sample + index)?;
            if !matches!(request.prompt, Prompt::Continuations { .. }) {
                cut(&mut sample, request);
            }
            usage.output_tokens += tokens(&sample.text);
            samples.push(sample);
        }
        Ok(Answer { samples, usage: Some(usage), model: self.identity.model.clone() }.to_reply())
    }

    /// The random numbers of the next try of a request.
    fn draw(&self, request: &Request) -> Stream {
        let request = serde_json::to_vec(request).expect("a request has no maps with odd keys");
        let digest = blake3::hash(&request);
        let key = u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"));
        let mut sent = self.sent.lock().expect("no panic while counting");
        let tries = sent.entry(key).or_default();
        *tries += 1;
        Stream::new(&[self.behaviour.seed, key, *tries])
    }
}

impl Model for ScriptedModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        Box::pin(async move {
            let Behaviour { latency, spread, ref faults, .. } = self.behaviour;
            if !latency.is_zero() || !faults.is_empty() {
                let mut random = self.draw(request);
                if !latency.is_zero() {
                    // A spread may ask for more than a clock holds; an hour is long enough to be a timeout.
                    let seconds = (latency.as_secs_f64() * (spread * random.normal()).exp()).min(3600.0);
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                }
                for &(kind, probability) in faults {
                    if random.uniform() < probability {
                        return Err(Failure::new(kind, "drawn by the script"));
                    }
                }
            }
            self.reply(request)
        })
    }
}

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not as it should be.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Option<String>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    latency: f64,
    #[serde(default)]
    spread: f64,
    answers: Option<PathBuf>,
    #[serde(default)]
    faults: std::collections::BTreeMap<String, f64>,
    #[serde(default)]
    rule: Vec<RuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    contains: Option<String>,
    matches: Option<String>,
    answers: Option<Vec<String>>,
    likelihoods: Option<Vec<f64>>,
    finish: Option<Finish>,
    fails: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    prompt: String,
    answers: Option<Vec<String>>,
    likelihoods: Option<Vec<f64>>,
}

struct Rule {
    contains: Option<String>,
    matches: Option<Regex>,
    outcome: Outcome,
}

enum Outcome {
    Answers(Vec<String>, Finish),
    Likelihoods(Vec<f64>),
    Fails(FailureKind),
}

impl Rule {
    fn new(table: RuleTable) -> Result<Self, String> {
        let matches =
            table.matches.as_deref().map(Regex::new).transpose().map_err(|error| error.to_string())?;
        let outcome = match (table.answers, table.likelihoods, table.fails) {
            (Some(answers), None, None) if !answers.is_empty() => {
                Outcome::Answers(answers, table.finish.unwrap_or_default())
            }
            (None, Some(values), None) if !values.is_empty() => {
                if let Some(wrong) = values.iter().find(|value| !(value.is_finite() && **value <= 0.0)) {
                    return Err(format!("{wrong} is no logarithm of a probability"));
                }
                Outcome::Likelihoods(values)
            }
            (None, None, Some(name)) => Outcome::Fails(
                FailureKind::from_name(&name)
                    .ok_or_else(|| format!("no kind of failure is called `{name}`"))?,
            ),
            _ => return Err("needs one of `answers` and `likelihoods`, not empty, and `fails`".into()),
        };
        Ok(Rule { contains: table.contains, matches, outcome })
    }

    fn fits(&self, asked: &str) -> bool {
        self.contains.as_ref().is_none_or(|text| asked.contains(text))
            && self.matches.as_ref().is_none_or(|regex| regex.is_match(asked))
    }
}

/// A continuation with its log-likelihood, known or by the first rule that fits and has any, as that of a single token.
fn likelihood(
    known: Option<&Vec<f64>>,
    rules: &[Rule],
    asked: &str,
    text: &str,
    index: usize,
) -> Result<Sample, Failure> {
    let is_meant = |rule: &&Rule| !matches!(rule.outcome, Outcome::Answers(..)) && rule.fits(asked);
    let values = match (known, rules.iter().find(is_meant).map(|rule| &rule.outcome)) {
        (Some(values), _) | (None, Some(Outcome::Likelihoods(values))) => values,
        (None, Some(Outcome::Fails(kind))) => return Err(Failure::new(*kind, "as the script says")),
        (None, _) => {
            let message = "the script has no likelihoods for this prompt";
            return Err(Failure::new(FailureKind::Rejected, message));
        }
    };
    let log_probability = values[index % values.len()];
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let token = Token { text: text.into(), log_probability, alternatives: vec![(String::new(), best)] };
    Ok(Sample { tokens: Some(vec![token]), ..Sample::of(text) })
}

/// Tokens of a text: four characters each.
fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

/// Ends a sample at the first stop text, or at the token limit.
fn cut(sample: &mut Sample, request: &Request) {
    let stops = request.sampling.stop.iter().filter(|stop| !stop.is_empty());
    if let Some(end) = stops.filter_map(|stop| sample.text.find(stop.as_str())).min() {
        sample.text.truncate(end);
    }
    if let Some(limit) = request.sampling.max_tokens
        && let Some((end, _)) = sample.text.char_indices().nth((limit as usize).saturating_mul(4))
    {
        sample.text.truncate(end);
        sample.finish = Finish::Length;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, Sampling, ask, block_on};
    use super::*;

    fn script(text: &str, answers: &str) -> Result<ScriptedModel, ScriptError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("answers.jsonl"), answers).unwrap();
        let path = folder.path().join("pupil.toml");
        std::fs::write(&path, text).unwrap();
        ScriptedModel::from_file(&path)
    }

    fn texts(model: &ScriptedModel, request: Request) -> Result<Vec<String>, FailureKind> {
        let answer = block_on(ask(model, &request)).map_err(|failure| failure.kind)?;
        Ok(answer.samples.into_iter().map(|sample| sample.text).collect())
    }

    #[test]
    fn lines_come_before_rules_and_rules_in_order() {
        let model = script(
            "answers = 'answers.jsonl'\n\
             [[rule]]\ncontains = '2 + 2'\nanswers = ['4', '5']\n\
             [[rule]]\nmatches = '^Prove'\nfails = 'content-filter'\n\
             [[rule]]\nanswers = ['?']",
            "{\"prompt\": \"2 + 2\", \"answers\": [\"four\"]}\n\n",
        )
        .unwrap();
        let user = |text: &str| Request::chat([Message::system("2 + 2"), Message::user(text)]);
        assert_eq!(texts(&model, user("2 + 2").times(2)).unwrap(), ["four", "four"]);
        assert_eq!(texts(&model, user("2 + 2?").times(3)).unwrap(), ["4", "5", "4"]);
        assert_eq!(texts(&model, Request { first_sample: 1, ..user("2 + 2?") }).unwrap(), ["5"]);
        assert_eq!(texts(&model, user("Prove it")).unwrap_err(), FailureKind::ContentFilter);
        assert_eq!(texts(&model, Request::completion("else")).unwrap(), ["?"]);
        assert_eq!(model.identity().model, "pupil");
    }

    #[test]
    fn answers_end_at_stop_texts_and_at_the_token_limit() {
        let model = ScriptedModel::new("long", |_, _| Ok(Sample::of("ünity is one. Next")));
        let answer = |sampling| {
            let request = Request::completion("a").sampled(sampling);
            block_on(ask(&model, &request)).unwrap().samples.remove(0)
        };
        let stopped =
            answer(Sampling { stop: vec!["Next".into(), ".".into(), "".into()], ..Sampling::default() });
        assert_eq!((stopped.text.as_str(), stopped.finish), ("ünity is one", Finish::Stop));
        let cut = answer(Sampling { max_tokens: Some(2), ..Sampling::default() });
        assert_eq!((cut.text.as_str(), cut.finish), ("ünity is", Finish::Length));
    }

    #[test]
    fn wrong_scripts_are_named() {
        for (text, answers, expected) in [
            ("modell = 'a'", "", "unknown field"),
            ("[faults]\nfire = 0.5", "", "`fire`"),
            ("[faults]\nserver = 1.5", "", "no probability"),
            ("[[rule]]\nanswers = []", "", "rule 1"),
            ("[[rule]]\nmatches = '('\nanswers = ['a']", "", "rule 1"),
            ("latency = -1.0", "", "latency"),
            ("answers = 'answers.jsonl'", "{\"prompt\": 1}", "line 1"),
            ("answers = 'none.jsonl'", "", "cannot read"),
        ] {
            let message = script(text, answers).err().expect(text).to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn faults_come_as_often_as_asked_and_the_same_way_for_a_seed() {
        let run = |seed| {
            let behaviour =
                Behaviour { faults: vec![(FailureKind::Server, 0.25)], seed, ..Behaviour::default() };
            let model = ScriptedModel::new("faulty", |_, _| Ok(Sample::of("a"))).behaving(behaviour);
            (0..1000)
                .map(|number| texts(&model, Request::completion(format!("{}", number / 2))).is_err())
                .collect::<Vec<_>>()
        };
        let first = run(1);
        assert_eq!(first, run(1));
        assert_ne!(first, run(2));
        // A second try of one request is another draw.
        assert!(first.chunks(2).any(|tries| tries[0] && !tries[1]));
        let failed = first.iter().filter(|failed| **failed).count();
        assert!((200..300).contains(&failed), "{failed}");
    }
}
