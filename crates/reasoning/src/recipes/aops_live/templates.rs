//! The prompts of the recipe: templates in files, with examples, any of which a user may replace.

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use crate::models::{Message, Request, Sampling};

/// The templates, checked.
pub struct Templates {
    environment: Environment<'static>,
    /// The texts, on which the fate of records depends.
    texts: [String; 4],
    pub(super) examples: Examples,
}

/// Which template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// Is the first post a question?
    Questions,
    /// Which posts answer it?
    Answers,
    /// Rewrite the question.
    Question,
    /// Rewrite a solution.
    Solution,
}

/// Files of templates that replace ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateFiles {
    /// Sees `title`, `post` and `examples`.
    pub questions: Option<PathBuf>,
    /// Sees `posts` (each with `post_number`, `user`, `text`) and `examples`.
    pub answers: Option<PathBuf>,
    /// Sees `post` and `solution`.
    pub question: Option<PathBuf>,
    /// Sees `question` and `solution`.
    pub solution: Option<PathBuf>,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("template {name}: {message}")]
pub struct TemplateError {
    name: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Examples {
    pub(super) question: Vec<QuestionExample>,
    pub(super) topic: Vec<TopicExample>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionExample {
    post: String,
    reason: String,
    verdict: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicExample {
    posts: String,
    summary: String,
    answers: String,
}

const NAMES: [&str; 4] = ["questions", "answers", "question", "solution"];
const TEXTS: [&str; 4] = [
    include_str!("prompts/questions.jinja"),
    include_str!("prompts/answers.jinja"),
    include_str!("prompts/question.jinja"),
    include_str!("prompts/solution.jinja"),
];

impl Default for Templates {
    fn default() -> Self {
        Templates::read(&TemplateFiles::default()).expect("the templates of this crate are tested")
    }
}

impl Templates {
    /// Our templates, or those of files.
    ///
    /// # Errors
    /// If a file cannot be read, or its template is wrong or uses a name that it does not see.
    pub fn read(files: &TemplateFiles) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let given = [&files.questions, &files.answers, &files.question, &files.solution];
        let mut texts = TEXTS.map(str::to_string);
        for (at, file) in given.into_iter().enumerate() {
            let name =
                file.as_deref().map_or(NAMES[at].to_string(), |path: &Path| path.display().to_string());
            let wrong = |message: String| TemplateError { name: name.clone(), message };
            if let Some(path) = file {
                texts[at] = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            }
            environment
                .add_template_owned(NAMES[at], texts[at].clone())
                .map_err(|error| wrong(error.to_string()))?;
            let seen: &[&str] = match at {
                0 => &["title", "post", "examples"],
                1 => &["posts", "examples"],
                2 => &["post", "solution"],
                _ => &["question", "solution"],
            };
            let template = environment.get_template(NAMES[at]).map_err(|error| wrong(error.to_string()))?;
            let used = template.undeclared_variables(false);
            if let Some(other) = used.iter().find(|name| !seen.contains(&name.as_str())) {
                return Err(wrong(format!("it sees {}, and not `{other}`", seen.join(", "))));
            }
        }
        let examples = toml::from_str(include_str!("prompts/examples.toml"))
            .map_err(|error| TemplateError { name: "examples".into(), message: error.to_string() })?;
        Ok(Templates { environment, texts, examples })
    }

    pub(super) fn text(&self, template: Template) -> &str {
        &self.texts[template as usize]
    }

    /// A request with the text of a template; a template that fails on these values says so in the place of a request.
    pub(super) fn request(
        &self,
        template: Template,
        context: minijinja::Value,
        sampling: &Sampling,
    ) -> Result<Request, String> {
        let template = self.environment.get_template(NAMES[template as usize]).map_err(|e| e.to_string())?;
        let text = template.render(context).map_err(|error| error.to_string())?;
        Ok(Request::chat([Message::user(text.trim())]).sampled(sampling.clone()))
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn the_examples_are_as_many_as_published_and_stand_in_the_prompts() {
        let templates = Templates::default();
        let Examples { question, topic } = &templates.examples;
        assert_eq!((question.len(), topic.len()), (10, 3));
        for example in topic {
            assert!(
                serde_json::from_str::<serde_json::Value>(&example.answers).unwrap()["answers"].is_array()
            );
        }
        let sampling = Sampling::default();
        let values = context! { title => "T", post => "P {1}", examples => question };
        let text = templates.request(Template::Questions, values, &sampling).unwrap().prompt.last_text();
        assert_eq!((text.matches("\nPost: ").count(), text.matches("\\boxed{1}").count()), (11, 6));
        assert!(text.ends_with("Post: T\nP {1}"), "{text}");
        let posts = [context! { post_number => 4, user => (), text => "<b>" }];
        let values = context! { posts => posts, examples => topic };
        let text = templates.request(Template::Answers, values, &sampling).unwrap().prompt.last_text();
        assert!(text.ends_with("[post 4, user unknown]\n<b>"), "{text}");
    }

    #[test]
    fn templates_of_users_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jinja");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Templates::read(&TemplateFiles { question: Some(path.clone()), ..TemplateFiles::default() })
        };
        assert!(read("{% if %}").err().unwrap().to_string().contains("own.jinja"));
        assert!(
            read("{{ posts }}").err().unwrap().to_string().contains("sees post, solution, and not `posts`")
        );
        assert_eq!(read("Q: {{ post }}").unwrap().text(Template::Question), "Q: {{ post }}");
    }
}
