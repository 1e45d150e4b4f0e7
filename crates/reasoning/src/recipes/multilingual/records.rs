//! Records for supervised fine-tuning: the text that a trainer reads, with the places of prompt and reply in it.
//!
//! The text is a blank, the prompt, a blank and the reply; the trainer adds its end token. The published trainer lets every
//! token count in the loss, the prompt's too ([`Loss::Everything`]); [`Loss::Reply`] masks the prompt.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use super::pairs::Pair;
use crate::answers::Language;
use crate::suites::{SuiteError, TEMPLATE, language_name, template};

/// Which part of a text a model is to learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The reply alone.
    #[default]
    Reply,
    /// The whole text, as the published trainer does.
    Everything,
}

/// A text for training. Places are in bytes of its UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The name of the item.
    pub id: String,
    /// The language of the reply.
    pub language: Language,
    /// The language of the question.
    pub question_language: Language,
    /// All of it.
    pub text: String,
    /// Where the prompt is.
    pub prompt: Range<usize>,
    /// Where the reply is.
    pub reply: Range<usize>,
    /// What counts in the loss.
    pub loss: Range<usize>,
    /// Its length in tokens, the end token included, as they were counted.
    pub tokens: usize,
}

/// Counts the tokens of a text.
pub trait TokenCount {
    /// How many tokens a text has.
    fn tokens(&self, text: &str) -> usize;
}

/// A function that counts.
impl<F: Fn(&str) -> usize> TokenCount for F {
    fn tokens(&self, text: &str) -> usize {
        self(text)
    }
}

/// Counts without a tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Four ASCII characters a token, every other character one: about what a tokenizer does that knows the script.
    #[default]
    Estimate,
    /// A byte a token: no tokenizer that falls back to bytes makes more.
    Bytes,
}

impl TokenCount for Measure {
    fn tokens(&self, text: &str) -> usize {
        match self {
            Measure::Bytes => text.len(),
            Measure::Estimate => {
                let ascii = text.bytes().filter(u8::is_ascii).count();
                ascii.div_ceil(4) + text.chars().count() - ascii
            }
        }
    }
}

/// Makes the prompts in which questions are put to the trained model.
pub struct Instruction {
    environment: Environment<'static>,
}

impl Instruction {
    /// The usual prompt: a task follows, the language of the reply, the question under a heading, the heading of the reply.
    /// Or a template of one's own, given by its name and text, which sees `language` and `question`.
    ///
    /// # Errors
    /// If the template is wrong.
    pub fn new(own_template: Option<(&str, String)>) -> Result<Self, SuiteError> {
        let (name, text) =
            own_template.unwrap_or(("instruction", include_str!("prompts/instruction.jinja").into()));
        Ok(Instruction { environment: template(name, text)? })
    }

    /// The prompt for a question that is to be answered in a language, without white space at its ends.
    ///
    /// # Errors
    /// If the template fails.
    pub fn render(&self, question: &str, language: Language) -> Result<String, SuiteError> {
        let text = self.environment.get_template(TEMPLATE).and_then(|template| {
            template.render(context! { language => language_name(language), question => question.trim() })
        });
        let text = text.map_err(|error| SuiteError::Template {
            name: "instruction".into(),
            message: error.to_string(),
        })?;
        Ok(text.trim().to_string())
    }
}

/// Lengths of the records of a language, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Records that are short enough.
    pub records: usize,
    /// Records left out because they are longer than the limit.
    pub too_long: usize,
    /// The mean of all, those left out included.
    pub mean: f64,
    /// The median.
    pub median: usize,
    /// At least 95 % are no longer.
    pub percentile_95: usize,
    /// The longest.
    pub longest: usize,
}

/// The records of pairs in their order, without those of more than `limit` tokens (the end token is one of them), and the
/// lengths by language.
///
/// # Errors
/// If the template of the prompt fails.
pub fn records(
    pairs: &[Pair],
    instruction: &Instruction,
    loss: Loss,
    count: &dyn TokenCount,
    limit: usize,
) -> Result<(Vec<TrainingRecord>, BTreeMap<Language, Lengths>), SuiteError> {
    let mut kept = Vec::with_capacity(pairs.len());
    let mut lengths: BTreeMap<Language, Vec<usize>> = BTreeMap::new();
    for pair in pairs {
        let record = record(pair, instruction, loss, count)?;
        lengths.entry(pair.language).or_default().push(record.tokens);
        if record.tokens <= limit {
            kept.push(record);
        }
    }
    let lengths =
        lengths.into_iter().map(|(language, tokens)| (language, Lengths::of(tokens, limit))).collect();
    Ok((kept, lengths))
}

fn record(
    pair: &Pair,
    instruction: &Instruction,
    loss: Loss,
    count: &dyn TokenCount,
) -> Result<TrainingRecord, SuiteError> {
    let prompt = instruction.render(&pair.question, pair.language)?;
    let answer = pair.answer.trim();
    let text = format!(" {prompt} {answer}");
    let reply = text.len() - answer.len()..text.len();
    Ok(TrainingRecord {
        id: pair.id.clone(),
        language: pair.language,
        question_language: pair.question_language,
        prompt: 1..1 + prompt.len(),
        loss: match loss {
            Loss::Reply => reply.clone(),
            Loss::Everything => 0..text.len(),
        },
        reply,
        tokens: count.tokens(&text) + 1,
        text,
    })
}

impl Lengths {
    fn of(mut tokens: Vec<usize>, limit: usize) -> Self {
        tokens.sort_unstable();
        let too_long = tokens.iter().filter(|length| **length > limit).count();
        let at = |share: f64| {
            let rank = (share * tokens.len() as f64).ceil() as usize;
            tokens.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Lengths {
            records: tokens.len() - too_long,
            too_long,
            mean: tokens.iter().sum::<usize>() as f64 / tokens.len().max(1) as f64,
            median: at(0.5),
            percentile_95: at(0.95),
            longest: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(question: &str, answer: &str) -> Pair {
        Pair {
            id: "1".into(),
            language: Language::Th,
            question_language: Language::En,
            question: question.into(),
            answer: answer.into(),
        }
    }

    #[test]
    fn places_are_those_of_prompt_and_reply() {
        let instruction = Instruction::new(None).unwrap();
        let pairs = [pair(" How many <b>? ", "มี <<1+1=2>>2\n#### 2 ")];
        for loss in [Loss::Reply, Loss::Everything] {
            let (records, _) = records(&pairs, &instruction, loss, &Measure::Estimate, 512).unwrap();
            let record = &records[0];
            let prompt = &record.text[record.prompt.clone()];
            assert!(prompt.contains("Thai") && prompt.contains("\nHow many <b>?\n"), "{prompt}");
            assert!(prompt.ends_with("### Response"));
            assert_eq!(&record.text[record.reply.clone()], "มี <<1+1=2>>2\n#### 2");
            assert_eq!(record.text, format!(" {prompt} {}", &record.text[record.reply.clone()]));
            let expected = if loss == Loss::Reply { record.reply.clone() } else { 0..record.text.len() };
            assert_eq!(record.loss, expected);
        }
    }

    #[test]
    fn long_records_are_left_out_and_counted() {
        let words = |text: &str| text.split_whitespace().count();
        let instruction = Instruction::new(Some(("own", "{{ question }}".into()))).unwrap();
        let pairs: Vec<Pair> = (1..=20).map(|n| pair("q", &"w ".repeat(n))).collect();
        let (kept, lengths) = records(&pairs, &instruction, Loss::Reply, &words, 12).unwrap();
        // A question of one word, n words, the end token: n + 2.
        assert_eq!((kept.len(), kept.last().unwrap().tokens), (10, 12));
        let expected =
            Lengths { records: 10, too_long: 10, mean: 12.5, median: 12, percentile_95: 21, longest: 22 };
        assert_eq!(lengths[&Language::Th], expected);
        assert!(
            Instruction::new(Some(("own", "{{ qestion }}".into())))
                .unwrap()
                .render("q", Language::De)
                .is_err()
        );
    }

    #[test]
    fn measures_need_no_tokenizer() {
        assert_eq!(Measure::Bytes.tokens("aมี"), 7);
        assert_eq!(Measure::Estimate.tokens("abcde"), 2);
        assert_eq!(Measure::Estimate.tokens("aมี"), 3);
        assert_eq!(Measure::Estimate.tokens(""), 0);
    }
}
