//! Ways to ask: templates in files, filled with a problem.
//!
//! A template sees `question`, `english` (the question in English), `answer_form` (how the suite wants the final answer),
//! `language` (with `name`, `instruction` and `answer`, the word before the answer), `categories`, and `exemplars` with
//! `question`, `solution` and `answer` each. What it does not know is an error, not an empty text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};

use super::{Dialogue, Exemplar, Problem, Settings, Suite, SuiteError};
use crate::answers::Language;

/// A way to ask.
#[derive(Clone, Debug)]
pub struct Strategy {
    /// Its name.
    pub name: &'static str,
    /// The template.
    pub template: &'static str,
    /// The language that the model is to reason in.
    pub replies: ReplyLanguage,
    /// What is done with the prompt.
    pub procedure: Procedure,
}

/// What is done with a prompt.
#[derive(Clone, Copy, Debug)]
pub enum Procedure {
    /// The model is asked once, and its reply is judged.
    Reply,
    /// The model is asked once for a program, which is run; its result is judged.
    Program,
    /// The model goes on with the prompt as a text, not as a message of a conversation; that is judged.
    Completion,
    /// The model writes nothing: the likeliest option behind the prompt is its answer.
    Options,
    /// The model is asked several times, in a dialogue that is made of the settings.
    Dialogue(fn(&Settings) -> Result<Box<dyn Dialogue>, SuiteError>),
}

/// The language of replies, which decides how numbers in them are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyLanguage {
    /// That of the problem.
    Problem,
    /// English.
    English,
}

impl Strategy {
    /// Only the final answer.
    pub const ZERO_SHOT: Strategy = Strategy::new("zero-shot", include_str!("prompts/zero-shot.jinja"));
    /// Reasoning first.
    pub const CHAIN_OF_THOUGHT: Strategy =
        Strategy::new("chain-of-thought", include_str!("prompts/chain-of-thought.jinja"));
    /// Solved problems first.
    pub const FEW_SHOT: Strategy = Strategy::new("few-shot", include_str!("prompts/few-shot.jinja"));
    /// Question, instruction and reasoning in the language of the problem.
    pub const NATIVE: Strategy = Strategy::new("native", include_str!("prompts/native.jinja"));
    /// The question in its language, the reasoning in English.
    pub const ENGLISH: Strategy = Strategy {
        replies: ReplyLanguage::English,
        ..Strategy::new("english", include_str!("prompts/chain-of-thought.jinja"))
    };
    /// The question in English, the reasoning in the language of the problem.
    pub const CROSS: Strategy = Strategy::new("cross", include_str!("prompts/cross.jinja"));

    /// A program that computes the answer.
    pub const PROGRAM: Strategy = Strategy {
        replies: ReplyLanguage::English,
        procedure: Procedure::Program,
        ..Strategy::new("program", include_str!("prompts/program.jinja"))
    };

    /// The likeliest option behind the question.
    pub const LOG_LIKELIHOOD: Strategy = Strategy {
        procedure: Procedure::Options,
        ..Strategy::new("log-likelihood", include_str!("prompts/log-likelihood.jinja"))
    };
    /// The same with solved problems first.
    pub const FEW_SHOT_LOG_LIKELIHOOD: Strategy = Strategy {
        procedure: Procedure::Options,
        ..Strategy::new("few-shot-log-likelihood", include_str!("prompts/few-shot-log-likelihood.jinja"))
    };

    /// The prompt of an imported task as a text that the model goes on with.
    pub(super) const TASK: Strategy =
        Strategy { procedure: Procedure::Completion, ..Strategy::new("completion", "") };
    /// The same as a message.
    pub(super) const TASK_CHAT: Strategy = Strategy::new("chat", "");
    /// The options of an imported task behind its prompt.
    pub(super) const TASK_OPTIONS: Strategy =
        Strategy { procedure: Procedure::Options, ..Strategy::new("log-likelihood", "") };

    pub(super) const fn new(name: &'static str, template: &'static str) -> Self {
        Strategy { name, template, replies: ReplyLanguage::Problem, procedure: Procedure::Reply }
    }
}

/// What templates know of a language.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguageWords {
    name: String,
    instruction: String,
    answer: String,
}

/// By the codes of languages.
static WORDS: LazyLock<BTreeMap<String, LanguageWords>> = LazyLock::new(|| {
    toml::from_str(include_str!("prompts/languages.toml")).expect("the file is part of this crate and tested")
});

/// A text with places to be filled.
pub(crate) struct Template {
    name: String,
    environment: Environment<'static>,
}

impl Template {
    /// Reads a template; `name` stands in errors.
    pub(crate) fn new(name: &str, text: &str) -> Result<Self, SuiteError> {
        let environment = template(name, text.to_string())?;
        Ok(Template { name: name.to_string(), environment })
    }

    /// The text for these values, without white space around it.
    pub(crate) fn render(&self, values: impl Serialize) -> Result<String, SuiteError> {
        let wrong = |error| wrong(&self.name, &error);
        let template = self.environment.get_template(TEMPLATE).map_err(wrong)?;
        Ok(template.render(values).map_err(wrong)?.trim().to_string())
    }

    /// Whether the template has a place of this name.
    pub(crate) fn shows(&self, name: &str) -> bool {
        let template = self.environment.get_template(TEMPLATE);
        template.is_ok_and(|template| template.undeclared_variables(false).contains(name))
    }
}

/// Makes prompts of problems.
pub struct Prompter {
    template: Template,
    answer_form: &'static str,
    replies: ReplyLanguage,
    shots: usize,
    dialogue: Option<Box<dyn Dialogue>>,
    procedure: Procedure,
    /// The most tokens of prompt and reply together, where exemplars are left out for them.
    context: Option<u64>,
    longest_reply: u64,
}

/// The name of the one template of an environment.
pub(crate) const TEMPLATE: &str = "prompt";

/// An environment with a template for prompts, or what is wrong with the one of this name or file.
pub(crate) fn template(name: &str, text: String) -> Result<Environment<'static>, SuiteError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    // Prompts are no HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_template_owned(TEMPLATE, text).map_err(|error| wrong(name, &error))?;
    Ok(environment)
}

/// The English name of a language.
pub(crate) fn language_name(language: Language) -> &'static str {
    WORDS.get(language.code()).map_or(language.code(), |words| &words.name)
}

impl Prompter {
    /// The prompts of a suite by a strategy, or by the template that the settings name.
    pub fn new(suite: &Suite, strategy: &Strategy, settings: &Settings) -> Result<Self, SuiteError> {
        let file = settings.get("template");
        let (name, template) = if file.is_empty() {
            (strategy.name.to_string(), strategy.template.to_string())
        } else {
            let text = std::fs::read_to_string(file).map_err(|error| SuiteError::File {
                path: Path::new(file).into(),
                message: error.to_string(),
            })?;
            (file.to_string(), text)
        };
        let template = Template::new(&name, &template)?;
        let dialogue = match strategy.procedure {
            Procedure::Dialogue(open) => Some(open(settings)?),
            Procedure::Reply | Procedure::Program | Procedure::Completion | Procedure::Options => None,
        };
        Ok(Prompter {
            template,
            answer_form: suite.answer_form,
            replies: strategy.replies,
            shots: settings.shots(),
            dialogue,
            procedure: strategy.procedure,
            context: settings.get("context").parse().ok(),
            longest_reply: settings.get("max-tokens").parse().unwrap_or(0),
        })
    }

    /// Whether the template shows exemplars.
    pub fn shows_exemplars(&self) -> bool {
        self.template.shows("exemplars")
    }

    /// The dialogue of a strategy that asks several times.
    pub fn dialogue(&self) -> Option<&dyn Dialogue> {
        self.dialogue.as_deref()
    }

    /// What is done with the prompts.
    pub fn procedure(&self) -> Procedure {
        self.procedure
    }

    /// The text that asks a problem: its own prompt, or one by the template. Exemplars are the first of those in a fitting language that do not ask the same;
    /// those chosen for the problem stand with the best one last. Where the suite knows the context of the model, the last
    /// in rank are left out until prompt and reply are shorter.
    pub fn render(&self, problem: &Problem, exemplars: &[Exemplar]) -> Result<String, SuiteError> {
        if let Some(prompt) = &problem.prompt {
            return Ok(prompt.clone());
        }
        let language = problem.language.unwrap_or(Language::En);
        let is_chosen = !problem.exemplars.is_empty();
        let ranked = if is_chosen { &problem.exemplars } else { exemplars };
        let mut shown: Vec<&Exemplar> = (ranked.iter())
            .filter(|exemplar| exemplar.language.is_none_or(|known| known == language))
            .filter(|exemplar| exemplar.question != problem.question)
            .take(self.shots)
            .collect();
        loop {
            let mut exemplars = shown.clone();
            if is_chosen {
                exemplars.reverse();
            }
            let text = self.template.render(context! {
                question => problem.question.trim(),
                english => problem.english.as_deref().unwrap_or(&problem.question).trim(),
                answer_form => self.answer_form,
                language => WORDS.get(language.code()),
                categories => problem.categories,
                exemplars,
            })?;
            let is_long = self.context.is_some_and(|most| tokens(&text) + self.longest_reply >= most);
            if !is_long || shown.pop().is_none() {
                return Ok(text);
            }
        }
    }

    /// The language in which numbers of replies to a problem are read.
    pub fn reply_language(&self, problem: &Problem) -> Option<Language> {
        match self.replies {
            ReplyLanguage::Problem => problem.language,
            ReplyLanguage::English => problem.language.map(|_| Language::En),
        }
    }
}

/// About how many tokens a text has, for tokenizers with a vocabulary of 100,000: one for every four letters of a Latin
/// word, for every three digits, and for every other sign.
pub(crate) fn tokens(text: &str) -> u64 {
    let kind = |c: char| match c {
        _ if c.is_ascii_alphabetic() => Some((0, 4)),
        _ if c.is_ascii_digit() => Some((1, 3)),
        _ => None,
    };
    let (mut count, mut run) = (0, (None, 0));
    for c in text.chars() {
        match kind(c) {
            Some((kind, size)) => {
                run = if run.0 == Some(kind) { (Some(kind), run.1 + 1) } else { (Some(kind), 0) };
                count += u64::from(run.1 % size == 0);
            }
            None => {
                run = (None, 0);
                count += u64::from(!c.is_whitespace());
            }
        }
    }
    count
}

fn wrong(name: &str, error: &minijinja::Error) -> SuiteError {
    SuiteError::Template { name: name.into(), message: format!("{error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompter(strategy: &str, given: &[(&str, &str)]) -> Result<Prompter, SuiteError> {
        let suite = Suite::open("mgsm").unwrap();
        let given: Vec<(String, String)> =
            given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let settings = suite.settings(&given)?;
        Prompter::new(&suite, suite.strategy(Some(strategy)).unwrap(), &settings)
    }

    fn problem() -> Problem {
        Problem {
            question: "Was ist 1 + 1 <x>?".into(),
            english: Some("What is 1 + 1 <x>?".into()),
            language: Some(Language::De),
            ..Problem::default()
        }
    }

    #[test]
    fn all_languages_have_words() {
        for language in Language::ALL {
            let words = &WORDS[language.code()];
            assert!(words.instruction.contains(&words.answer), "{words:?}");
        }
    }

    #[test]
    fn every_strategy_of_every_suite_asks_the_question() {
        for suite in Suite::all() {
            let settings = suite.settings(&[]).unwrap();
            for strategy in &suite.strategies {
                let prompter = Prompter::new(&suite, strategy, &settings).unwrap();
                let text = prompter.render(&problem(), &[]).unwrap();
                assert!(text.contains("1 + 1 <x>?"), "{}: {text}", strategy.name);
            }
        }
    }

    #[test]
    fn languages_of_questions_instructions_and_replies_are_apart() {
        let text = |strategy| prompter(strategy, &[]).unwrap().render(&problem(), &[]).unwrap();
        assert!(text("native").contains("Was ist") && text("native").contains("Antwort:"));
        assert!(text("english").contains("Was ist") && text("english").contains("Answer:"));
        assert!(text("cross").contains("What is") && text("cross").contains("German"));
        assert_eq!(prompter("english", &[]).unwrap().reply_language(&problem()), Some(Language::En));
        assert_eq!(prompter("cross", &[]).unwrap().reply_language(&problem()), Some(Language::De));
    }

    #[test]
    fn exemplars_are_in_a_fitting_language_and_never_the_question_itself() {
        let exemplar = |question: &str, language| Exemplar {
            question: question.into(),
            solution: format!("solution of {question}"),
            language,
            ..Exemplar::default()
        };
        let exemplars = [
            exemplar("Was ist 1 + 1 <x>?", None),
            exemplar("one", Some(Language::Fr)),
            exemplar("two", Some(Language::De)),
            exemplar("three", None),
            exemplar("four", None),
        ];
        let prompter = prompter("few-shot", &[("shots", "2")]).unwrap();
        assert!(prompter.shows_exemplars());
        let text = prompter.render(&problem(), &exemplars).unwrap();
        assert_eq!(text.matches("solution of").count(), 2, "{text}");
        assert!(
            text.contains("two") && text.contains("three") && text.ends_with("Was ist 1 + 1 <x>?"),
            "{text}"
        );
    }

    #[test]
    fn chosen_exemplars_end_with_the_best_and_the_last_in_rank_go_first() {
        let suite = Suite::open("carp").unwrap();
        let chosen = ["best", "second", "third"].map(|question| Exemplar {
            question: format!("exemplar {question}"),
            solution: "x ".repeat(40),
            ..Exemplar::default()
        });
        let problem = Problem { exemplars: chosen.to_vec(), ..problem() };
        let text = |context: &str| {
            let given = [("context".to_string(), context.to_string())];
            let settings = suite.settings(&given).unwrap();
            let strategy = suite.strategy(Some("chain-of-thought")).unwrap();
            Prompter::new(&suite, strategy, &settings).unwrap().render(&problem, &[]).unwrap()
        };
        let whole = text("4090");
        let place = |name: &str| whole.find(&format!("exemplar {name}")).unwrap();
        assert!(place("third") < place("second") && place("second") < place("best"), "{whole}");
        // 512 tokens are kept for the reply.
        let short = text(&(512 + tokens(&whole)).to_string());
        assert!(short.contains("second") && !short.contains("third"), "{short}");
        assert!(text("512").contains("1 + 1"));
    }

    #[test]
    fn tokens_are_counted_in_runs() {
        assert_eq!([tokens(""), tokens("abcd"), tokens("abcde"), tokens("12345 + x")], [0, 1, 2, 4]);
        assert_eq!(tokens("解方程 \\frac"), 3 + 2);
    }

    #[test]
    fn templates_of_users_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jinja");
        let path = path.to_str().unwrap();
        assert!(matches!(prompter("native", &[("template", path)]), Err(SuiteError::File { .. })));
        std::fs::write(path, "{% if %}").unwrap();
        assert!(matches!(prompter("native", &[("template", path)]), Err(SuiteError::Template { .. })));
        std::fs::write(path, "{{ qestion }}").unwrap();
        let error = prompter("native", &[("template", path)]).unwrap().render(&problem(), &[]).unwrap_err();
        assert!(error.to_string().contains("undefined"), "{error}");
        std::fs::write(path, "Q: {{ question }}\n").unwrap();
        let prompter = prompter("native", &[("template", path)]).unwrap();
        assert_eq!(prompter.render(&problem(), &[]).unwrap(), "Q: Was ist 1 + 1 <x>?");
        assert!(!prompter.shows_exemplars());
    }
}
