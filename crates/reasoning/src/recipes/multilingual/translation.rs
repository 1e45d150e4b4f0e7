//! Translated word problems: a model translates question and solution, and what does not pass the checks is translated
//! again, a few times, then put into quarantine with the reasons.
//!
//! A retranslation is the next sample of the same question, so that an interrupted run finds every attempt in the log of
//! calls and goes on where it was.

use std::collections::BTreeMap;

use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use super::contamination::TestQuestions;
use super::formulas::{Finding, Strictness, check_translation};
use crate::answers::{Language, identify, is_in_script};
use crate::models::calls::{Calls, Spending, Stop};
use crate::models::{Message, Request, Sampling};
use crate::suites::{Ending, Reply, SuiteError, TEMPLATE, language_name, template};

/// An English problem with its worked solution, annotations and the line `#### number` included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// The problem.
    pub question: String,
    /// The solution.
    pub answer: String,
}

/// A problem with its solution in some language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// The name of the item that it is a translation of.
    pub id: String,
    /// The language.
    pub language: Language,
    /// The problem.
    pub question: String,
    /// The solution.
    pub answer: String,
    /// The problem in English.
    pub english: String,
    /// How many translations were asked for; 0 for the English source itself.
    pub attempts: usize,
}

/// A translation that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The name of the item.
    pub id: String,
    /// The language.
    pub language: Language,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// A translation that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the model wrote.
    pub reply: String,
    /// What is wrong with it.
    pub reasons: Vec<Reason>,
}

/// Why a translation does not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The kind, for tables.
    pub kind: String,
    /// What it is, in words.
    pub message: String,
}

impl Reason {
    fn new(kind: &str, message: impl Into<String>) -> Self {
        Reason { kind: kind.into(), message: message.into() }
    }
}

/// What became of an item in a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A translation that passes.
    Translated(Translation),
    /// None of the attempts passes.
    Quarantined(Quarantined),
}

/// A worked example in the prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The language of the translation.
    pub language: Language,
    /// The English problem.
    pub question: String,
    /// Its solution.
    pub answer: String,
    /// The translated problem.
    pub translated_question: String,
    /// Its translated solution.
    pub translated_answer: String,
}

/// How problems are translated.
pub struct Translator<'a> {
    environment: Environment<'static>,
    /// Shown in prompts of their language.
    pub examples: Vec<Example>,
    /// How often a translation is asked for at most, at least 1.
    pub attempts: usize,
    /// The formula check.
    pub strictness: Strictness,
    /// How the model writes. At temperature 0 a model may repeat itself, and further attempts are wasted.
    pub sampling: Sampling,
    /// What must not be in a translation.
    pub leaks: &'a TestQuestions,
}

impl<'a> Translator<'a> {
    /// The defaults: three attempts, the strict check, no examples, temperature 0.3, at most 2,048 tokens; with a prompt
    /// template of one's own, given by its name and text, or the usual one. It sees `language`, `question`, `answer` and
    /// `examples`.
    ///
    /// # Errors
    /// If the template is wrong.
    pub fn new(own_template: Option<(&str, String)>, leaks: &'a TestQuestions) -> Result<Self, SuiteError> {
        let (name, text) =
            own_template.unwrap_or(("translate", include_str!("prompts/translate.jinja").into()));
        let sampling = Sampling { temperature: Some(0.3), max_tokens: Some(2048), ..Sampling::default() };
        Ok(Translator {
            environment: template(name, text)?,
            examples: Vec::new(),
            attempts: 3,
            strictness: Strictness::Strict,
            sampling,
            leaks,
        })
    }

    /// The request for the first translation of an item.
    ///
    /// # Errors
    /// If the template fails.
    pub fn request(&self, item: &Item, language: Language) -> Result<Request, SuiteError> {
        let examples: Vec<&Example> =
            self.examples.iter().filter(|example| example.language == language).collect();
        let text = self.environment.get_template(TEMPLATE).and_then(|template| {
            template.render(context! {
                language => language_name(language),
                question => item.question.trim(),
                answer => item.answer.trim(),
                examples => examples,
            })
        });
        let text = text.map_err(|error| SuiteError::Template {
            name: "translate".into(),
            message: format!("{}: {error}", item.id),
        })?;
        Ok(Request::chat([Message::user(text.trim())]).sampled(self.sampling.clone()))
    }

    /// Translates all items into all languages, and hands what became of each over in order, the languages of an item one
    /// after the other, with what its calls cost. English items are taken as they are.
    ///
    /// # Errors
    /// If the calls stop before the end, or the template fails. What was answered by then is in the log of the calls, so
    /// that the same run goes on from there.
    pub fn translate(
        &self,
        calls: &Calls,
        items: &[Item],
        languages: &[Language],
        mut each: impl FnMut(Outcome, Spending),
    ) -> Result<(), TranslationError> {
        let tasks = items.iter().flat_map(|item| languages.iter().map(move |language| (item, *language)));
        let (mut is_stopped, mut wrong) = (false, None);
        calls.run(
            tasks,
            async |(item, language)| self.attempt(calls, item, language).await,
            |_, result| match result {
                Ok(Some((outcome, spent))) => each(outcome, spent),
                Ok(None) => is_stopped = true,
                Err(error) => wrong = wrong.take().or(Some(error)),
            },
        );
        match (wrong, calls.status().stop) {
            (Some(error), _) => Err(TranslationError::Template(error)),
            (None, Some(stop)) if is_stopped => Err(TranslationError::Stopped(stop)),
            _ => Ok(()),
        }
    }

    /// Asks until a translation passes. `None` if the calls have stopped.
    async fn attempt(
        &self,
        calls: &Calls,
        item: &Item,
        language: Language,
    ) -> Result<Option<(Outcome, Spending)>, SuiteError> {
        let mut spent = Spending::default();
        let mut translation = Translation {
            id: item.id.clone(),
            language,
            question: item.question.clone(),
            answer: item.answer.clone(),
            english: item.question.clone(),
            attempts: 0,
        };
        if language == Language::En {
            return Ok(Some((Outcome::Translated(translation), spent)));
        }
        let mut request = self.request(item, language)?;
        let mut attempts = Vec::new();
        for number in 0..self.attempts.max(1) {
            request.first_sample = number;
            let answers = calls.ask(&request).await;
            spent = spent.plus(answers.spent);
            let Some(reply) = answers.outcomes.first().and_then(Reply::of) else { return Ok(None) };
            match self.read(item, language, &reply) {
                Ok((question, answer)) => {
                    translation.question = question;
                    translation.answer = answer;
                    translation.attempts = number + 1;
                    return Ok(Some((Outcome::Translated(translation), spent)));
                }
                Err(reasons) => attempts.push(Attempt { reply: reply.text, reasons }),
            }
        }
        let quarantined = Quarantined { id: item.id.clone(), language, attempts };
        Ok(Some((Outcome::Quarantined(quarantined), spent)))
    }

    /// The translated question and solution of a reply, or why it does not pass.
    pub fn read(
        &self,
        item: &Item,
        language: Language,
        reply: &Reply,
    ) -> Result<(String, String), Vec<Reason>> {
        match reply.ending {
            Ending::Complete => {}
            Ending::Truncated => return Err(vec![Reason::new("truncated", "cut at the token limit")]),
            Ending::Refused => return Err(vec![Reason::new("refused", "the model or its provider refused")]),
            Ending::Failed => {
                let why = reply.failure.as_deref().unwrap_or("no reply");
                return Err(vec![Reason::new("failed", why)]);
            }
        }
        let part = |name: &str| {
            let (open, close) = (format!("<{name}>"), format!("</{name}>"));
            let text = reply.text.split_once(&open)?.1.split_once(&close)?.0.trim();
            (!text.is_empty()).then(|| text.to_string())
        };
        let (Some(question), Some(answer)) = (part("question"), part("solution")) else {
            return Err(vec![Reason::new("form", "no <question> and <solution> with something in them")]);
        };
        let mut reasons: Vec<Reason> = (check_translation(&item.answer, &answer, self.strictness).iter())
            .map(|finding: &Finding| Reason::new(finding.kind(), finding.to_string()))
            .collect();
        reasons.extend(other_language(&question, language));
        for text in [&question, &answer] {
            if let Some(what) = self.leaks.leak(text, language) {
                reasons.push(Reason::new("leak", what));
                break;
            }
        }
        if reasons.is_empty() { Ok((question, answer)) } else { Err(reasons) }
    }
}

/// Why a question is not in a language: another script, or words of another language.
fn other_language(question: &str, language: Language) -> Option<Reason> {
    let is_wrong = is_in_script(question, language) == Some(false)
        || identify(question).is_some_and(|found| found != language);
    is_wrong.then(|| Reason::new("language", format!("the question is not in {}", language_name(language))))
}

/// Why a translation stopped.
#[derive(Debug, thiserror::Error)]
pub enum TranslationError {
    /// The calls stopped.
    #[error(transparent)]
    Stopped(#[from] Stop),
    /// The template is wrong.
    #[error(transparent)]
    Template(#[from] SuiteError),
}

/// What became of the items of a language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropStatistics {
    /// Items.
    pub items: usize,
    /// Translated ones.
    pub translated: usize,
    /// Those given up.
    pub dropped: usize,
    /// Translations that were asked for.
    pub asked: usize,
    /// How many passed at the first, second ... attempt.
    pub passed_at: Vec<usize>,
    /// How often each reason occurred, once an attempt.
    pub reasons: BTreeMap<String, usize>,
}

impl DropStatistics {
    /// Counts what became of an item.
    pub fn add(&mut self, outcome: &Outcome) {
        self.items += 1;
        match outcome {
            Outcome::Translated(translation) => {
                self.translated += 1;
                self.asked += translation.attempts;
                if let Some(at) = translation.attempts.checked_sub(1) {
                    if self.passed_at.len() <= at {
                        self.passed_at.resize(at + 1, 0);
                    }
                    self.passed_at[at] += 1;
                }
            }
            Outcome::Quarantined(quarantined) => {
                self.dropped += 1;
                self.asked += quarantined.attempts.len();
                for attempt in &quarantined.attempts {
                    let kinds: std::collections::BTreeSet<&str> =
                        attempt.reasons.iter().map(|reason| reason.kind.as_str()).collect();
                    for kind in kinds {
                        *self.reasons.entry(kind.into()).or_default() += 1;
                    }
                }
            }
        }
    }

    /// The share of items that were given up.
    pub fn dropped_share(&self) -> f64 {
        self.dropped as f64 / self.items.max(1) as f64
    }
}
