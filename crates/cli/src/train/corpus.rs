//! What a language model is trained on, as a file states it, and the sources of batches that come of it.

use std::path::{Path, PathBuf};

use mathesis_language::data::corpus::{
    CorpusError, Document, SetAside, documents, prompt_text, write_tokens,
};
use mathesis_language::data::masking::{MaskedRows, Masking};
use mathesis_language::data::packing::{PackedRows, Packing, RowOptions};
use mathesis_language::data::synthetic::{Copying, Recall, Task};
use mathesis_language::data::tokenizer_training::{TokenizerOptions, train_tokenizer};
use mathesis_language::data::word_problems::word_problem;
use mathesis_language::data::{Side, Source};
use mathesis_language::text::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::failure::absent;

/// The token that ends documents, where a tokenizer is made.
const END: &str = "<|end|>";
/// The token that hides others, where a tokenizer is made.
const MASK: &str = "<|mask|>";

/// The table `[language-model.data]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataPlan {
    /// Copying of symbols.
    Copying(CopyingPlan),
    /// Recall of values by their keys.
    Recall(RecallPlan),
    /// Arithmetic and algebra in words, made by rule.
    WordProblems(WordProblemPlan),
    /// Texts and records in files.
    Files(FilesPlan),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CopyingPlan {
    #[serde(default = "copying::length")]
    length: usize,
    #[serde(default = "copying::vocabulary")]
    vocabulary: usize,
    #[serde(default = "rows::batch")]
    batch: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecallPlan {
    #[serde(default = "recall::length")]
    length: usize,
    #[serde(default = "recall::pairs")]
    pairs: usize,
    #[serde(default = "recall::vocabulary")]
    vocabulary: usize,
    #[serde(default = "recall::power")]
    power: f64,
    /// Different rows to train on; without it, no row comes twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    examples: Option<u64>,
    #[serde(default = "rows::batch")]
    batch: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WordProblemPlan {
    /// Problems to train on.
    problems: u64,
    /// Problems to validate on.
    #[serde(default = "rows::validation_problems")]
    validation_problems: u64,
    #[serde(default = "rows::time")]
    time: usize,
    #[serde(default = "rows::batch")]
    batch: usize,
    #[serde(default)]
    packing: Packing,
    #[serde(default = "rows::mask_prompts")]
    mask_prompts: bool,
    /// Tokens are hidden and to be found, for models over both sides; without it, the next tokens are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    masking: Option<MaskingPlan>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilesPlan {
    files: Vec<PathBuf>,
    /// Files to validate on, instead of a part of the others.
    #[serde(default)]
    validation_files: Vec<PathBuf>,
    /// The part of records, and of the end of texts, to validate on.
    #[serde(default = "rows::validation")]
    validation: f64,
    #[serde(default = "rows::time")]
    time: usize,
    #[serde(default = "rows::batch")]
    batch: usize,
    #[serde(default)]
    packing: Packing,
    #[serde(default = "rows::mask_prompts")]
    mask_prompts: bool,
    /// Tokens are hidden and to be found, for models over both sides; without it, the next tokens are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    masking: Option<MaskingPlan>,
}

/// How many tokens are hidden. The defaults are those of M2-BERT.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaskingPlan {
    /// The part of tokens that are to be predicted.
    part: f64,
    /// The same in validations.
    validation_part: f64,
}

impl Default for MaskingPlan {
    fn default() -> Self {
        MaskingPlan { part: 0.3, validation_part: 0.15 }
    }
}

/// The table `[language-model.tokenizer]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenizerPlan {
    /// A token for each byte.
    #[default]
    Bytes,
    /// Learnt from the texts to train on.
    #[serde(rename_all = "kebab-case")]
    Bpe {
        /// Tokens at most.
        vocabulary: usize,
        /// Whether every digit is a token of its own.
        #[serde(default = "rows::split_digits")]
        split_digits: bool,
    },
    /// One that there is.
    File {
        /// `tokenizer.json`.
        path: PathBuf,
        /// The token that ends documents.
        end: String,
        /// The token that hides others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mask: Option<String>,
    },
}

/// Defaults of the tasks and rows.
mod copying {
    use mathesis_language::data::synthetic::Copying;

    pub fn length() -> usize {
        Copying::default().length
    }
    pub fn vocabulary() -> usize {
        Copying::default().vocabulary
    }
}

mod recall {
    use mathesis_language::data::synthetic::Recall;

    pub fn length() -> usize {
        Recall::default().length
    }
    pub fn pairs() -> usize {
        Recall::default().pairs
    }
    pub fn vocabulary() -> usize {
        Recall::default().vocabulary
    }
    pub fn power() -> f64 {
        Recall::default().power
    }
}

mod rows {
    use mathesis_language::data::packing::RowOptions;

    pub fn time() -> usize {
        RowOptions::default().time
    }
    pub fn batch() -> usize {
        RowOptions::default().batch
    }
    pub fn mask_prompts() -> bool {
        RowOptions::default().mask_prompts
    }
    pub fn validation() -> f64 {
        0.05
    }
    pub fn validation_problems() -> u64 {
        200
    }
    pub fn split_digits() -> bool {
        true
    }
}

/// Data that are ready.
pub struct Corpus {
    /// To train on.
    pub training: Box<dyn Source>,
    /// To validate on, if anything is set aside.
    pub validation: Option<Box<dyn Source>>,
    /// The tokenizer of texts, and the token that ends them.
    pub text: Option<(Tokenizer, u32)>,
    /// Tokens in a row.
    pub time: usize,
    /// What they are, in words.
    pub about: String,
}

/// Why there are no data.
pub enum Missing {
    /// The plan is wrong.
    Plan(String),
    /// The work failed.
    Work(String),
}

impl From<CorpusError> for Missing {
    fn from(error: CorpusError) -> Self {
        match error {
            CorpusError::Tokens(error) => Missing::Work(error.to_string()),
            error => Missing::Plan(error.to_string()),
        }
    }
}

type Documents<'a> = Box<dyn Iterator<Item = Result<Document, CorpusError>> + Send + 'a>;

/// Documents, which pass by one after the other as often as they are needed and are never all in memory.
struct Texts<'a> {
    of: Box<dyn Fn(Side) -> Documents<'a> + 'a>,
}

impl DataPlan {
    /// What is wrong with the plan, if it can be told before anything is made.
    pub fn wrong(
        &self,
        tokenizer: &Option<TokenizerPlan>,
        beside: &dyn Fn(&Path) -> PathBuf,
    ) -> Option<String> {
        let missing = |path: &PathBuf| !beside(path).is_file();
        if let Some(wrong) = self.masking().and_then(MaskingPlan::wrong) {
            return Some(wrong);
        }
        match self {
            DataPlan::Copying(_) | DataPlan::Recall(_) if tokenizer.is_some() => {
                Some("the task is made of tokens, not of texts: expected no table `tokenizer`".to_string())
            }
            DataPlan::Files(plan) => {
                let listed = plan.files.iter().chain(&plan.validation_files).find(|path| missing(path));
                match listed {
                    Some(path) => Some(absent("file", &beside(path))),
                    None if plan.files.is_empty() => Some("no files: expected at least one".to_string()),
                    None if !(0.0..1.0).contains(&plan.validation) => {
                        Some(format!("validation is {}: expected a part from 0 to below 1", plan.validation))
                    }
                    None => None,
                }
            }
            DataPlan::WordProblems(plan) if plan.problems == 0 => {
                Some("no problems: expected at least 1".to_string())
            }
            _ => None,
        }
    }

    /// How tokens are hidden, if they are.
    pub fn masking(&self) -> Option<MaskingPlan> {
        match self {
            DataPlan::Copying(_) | DataPlan::Recall(_) => None,
            DataPlan::WordProblems(plan) => plan.masking,
            DataPlan::Files(plan) => plan.masking,
        }
    }

    /// Make the data; token files and tokenizer go into the folder.
    ///
    /// # Errors
    /// If the plan does not fit the data, or a file cannot be read or written.
    pub fn prepare(
        &self,
        tokenizer: &TokenizerPlan,
        folder: &Path,
        beside: &dyn Fn(&Path) -> PathBuf,
        seed: u64,
    ) -> Result<Corpus, Missing> {
        let task = |task: Task, batch: usize, about: String| -> Result<Corpus, Missing> {
            let rows = |side| task.rows(side, batch, seed).map_err(Missing::Plan);
            let (training, validation) = (Box::new(rows(Side::Training)?), Box::new(rows(Side::Test)?));
            Ok(Corpus { training, validation: Some(validation), text: None, time: task.time(), about })
        };
        match self {
            DataPlan::Copying(CopyingPlan { length, vocabulary, batch }) => {
                let about = format!("copying of {length} of {vocabulary} symbols");
                task(Task::Copying(Copying { length: *length, vocabulary: *vocabulary }), *batch, about)
            }
            DataPlan::Recall(RecallPlan { length, pairs, vocabulary, power, examples, batch }) => {
                let about = format!("recall of {pairs} values by their keys in rows of {length} tokens");
                let recall = Recall {
                    length: *length,
                    pairs: *pairs,
                    vocabulary: *vocabulary,
                    power: *power,
                    examples: *examples,
                };
                task(Task::Recall(recall), *batch, about)
            }
            DataPlan::WordProblems(plan) => {
                let WordProblemPlan { problems, validation_problems, .. } = *plan;
                let problem = move |side, number| {
                    let problem = word_problem(seed, side, number);
                    Ok(Document { prompt: problem.question, text: problem.solution })
                };
                let of = move |side| -> Documents<'static> {
                    let count = if side == Side::Training { problems } else { validation_problems };
                    Box::new((0..count).map(move |number| problem(side, number)))
                };
                let WordProblemPlan { time, batch, packing, mask_prompts, masking, .. } = *plan;
                let rows = RowOptions { time, batch, packing, mask_prompts, seed };
                Texts { of: Box::new(of) }.corpus(tokenizer, rows, masking, folder, beside)
            }
            DataPlan::Files(plan) => {
                let FilesPlan { time, batch, packing, mask_prompts, masking, .. } = *plan;
                let rows = RowOptions { time, batch, packing, mask_prompts, seed };
                let of = Box::new(|side| plan.documents(beside, side));
                Texts { of }.corpus(tokenizer, rows, masking, folder, beside)
            }
        }
    }
}

impl MaskingPlan {
    fn wrong(self) -> Option<String> {
        let parts = [("part", self.part), ("validation-part", self.validation_part)];
        let (key, part) = parts.into_iter().find(|&(_, part)| !(part > 0.0 && part <= 1.0))?;
        Some(format!("masking.{key} is {part}: expected a part of tokens above 0 and at most 1"))
    }
}

impl FilesPlan {
    fn documents(&self, beside: &dyn Fn(&Path) -> PathBuf, side: Side) -> Documents<'static> {
        let aside = SetAside(if self.validation_files.is_empty() { self.validation } else { 0.0 });
        let opened =
            |path: PathBuf| documents(&path).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))));
        let paths = |paths: &[PathBuf]| -> Vec<PathBuf> { paths.iter().map(|path| beside(path)).collect() };
        let parts = paths(&self.files).into_iter().flat_map(opened).filter_map(move |document| {
            let [training, validation] = match document {
                Ok(document) => aside.split(document),
                Err(error) => return Some(Err(error)),
            };
            if side == Side::Training { training.map(Ok) } else { validation.map(Ok) }
        });
        let apart = if side == Side::Test { paths(&self.validation_files) } else { Vec::new() };
        Box::new(parts.chain(apart.into_iter().flat_map(opened)))
    }
}

impl Texts<'_> {
    fn corpus(
        self,
        plan: &TokenizerPlan,
        mut options: RowOptions,
        masking: Option<MaskingPlan>,
        folder: &Path,
        beside: &dyn Fn(&Path) -> PathBuf,
    ) -> Result<Corpus, Missing> {
        let refuse = |error: &dyn std::fmt::Display| Missing::Plan(error.to_string());
        let special: &[&str] = if masking.is_some() { &[END, MASK] } else { &[END] };
        let (tokenizer, end, mask) = match plan {
            TokenizerPlan::Bytes => (Tokenizer::of_bytes(special), END, Some(MASK)),
            TokenizerPlan::Bpe { vocabulary, split_digits } => {
                let options =
                    TokenizerOptions { vocabulary: *vocabulary, split_digits: *split_digits, special };
                let mut failed = None;
                let texts = (self.of)(Side::Training).map_while(|document| match document {
                    Ok(Document { prompt, text }) => Some(prompt_text(&prompt) + &text),
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                });
                let learnt = train_tokenizer(texts, options).map_err(|error| refuse(&error))?;
                if let Some(error) = failed {
                    return Err(error.into());
                }
                (learnt, END, Some(MASK))
            }
            TokenizerPlan::File { path, end, mask } => {
                let tokenizer = Tokenizer::read(&beside(path)).map_err(|error| refuse(&error))?;
                (tokenizer, end.as_str(), mask.as_deref())
            }
        };
        let token = |name: &str| {
            let missing = || Missing::Plan(format!("the tokenizer has no token `{name}`"));
            tokenizer.token(name).ok_or_else(missing)
        };
        let end = token(end)?;
        let mask = match (masking, mask) {
            (Some(masking), Some(mask)) => Some((masking, token(mask)?)),
            (Some(_), None) => {
                let message =
                    "tokens are to be hidden: expected `mask` in the table `tokenizer`, its token for that";
                return Err(Missing::Plan(message.to_string()));
            }
            (None, _) => None,
        };
        // Hidden tokens may be of prompts too.
        options.mask_prompts &= mask.is_none();
        let written = tokenizer.to_json().map_err(|error| refuse(&error))?;
        let tokens = |name: &str, side| -> Result<Option<(PackedRows, usize)>, Missing> {
            let mut origin = blake3::Hasher::new();
            origin.update(written.as_bytes()).update(&end.to_le_bytes());
            let mut count = 0;
            for document in (self.of)(side) {
                let Document { prompt, text } = document?;
                for part in [prompt, text] {
                    origin.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
                }
                count += 1;
            }
            if count == 0 {
                return Ok(None);
            }
            let path = folder.join(format!("{name}.tokens"));
            let file = write_tokens(&path, &tokenizer, end, *origin.finalize().as_bytes(), (self.of)(side))?;
            Ok(Some((PackedRows::new(file, options).map_err(Missing::Plan)?, count)))
        };
        let Some((training, count)) = tokens("training", Side::Training)? else {
            return Err(Missing::Plan("there is nothing to train on".to_string()));
        };
        let validation = tokens("validation", Side::Test)?;
        let mut about = format!(
            "{count} documents in {} rows, {:.1} % full; {} set aside",
            training.rows(),
            100.0 * training.filled(),
            validation.as_ref().map_or(0, |(_, count)| *count)
        );
        if let Some((MaskingPlan { part, .. }, _)) = mask {
            about += &format!("; {:.1} % of tokens hidden", 100.0 * part);
        }
        let hidden = |rows: PackedRows, part: fn(MaskingPlan) -> f64| -> Result<Box<dyn Source>, Missing> {
            let Some((masking, token)) = mask else { return Ok(Box::new(rows)) };
            let masking = Masking { part: part(masking), token, seed: options.seed };
            Ok(Box::new(MaskedRows::new(rows, masking).map_err(Missing::Plan)?))
        };
        Ok(Corpus {
            training: hidden(training, |masking| masking.part)?,
            validation: match validation {
                Some((rows, _)) => Some(hidden(rows.once(), |masking| masking.validation_part)?),
                None => None,
            },
            text: Some((tokenizer, end)),
            time: options.time,
            about,
        })
    }
}
