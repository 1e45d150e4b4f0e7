//! A language model in a folder as a model that benchmarks can ask: `local:FOLDER`, or `local:built-in`.
//!
//! It is asked in this process, one request at a time on all cores. Samples of a request are written together; the options of a problem are read
//! beside each other behind the prompt, which is read once.

use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use mathesis_language::folder::Checkpoint;
use mathesis_language::generation::{self, Decoder, GenerationError, Sampling, log_likelihoods};
use mathesis_language::text::{Message, Tokenizer};
use mathesis_reasoning::models::{
    self, Answer, Failure, FailureKind, Finish, Identity, Model, OpenError, Prompt, Request, Sample, Sending,
    Token, Usage,
};

use crate::model_folder::{ModelFolder, Weights};

/// The model that a name stands for: one in a folder, or one of those that [`models::open`] knows.
///
/// # Errors
/// If the name stands for no usable model.
pub fn open(name: &str) -> Result<Arc<dyn Model>, OpenError> {
    match name.strip_prefix("local:") {
        Some(folder) => LocalModel::read(Path::new(folder))
            .map(|model| Arc::new(model) as Arc<dyn Model>)
            .map_err(|message| OpenError::Name { name: name.into(), message }),
        None => models::open(name),
    }
}

/// A model in a folder.
struct LocalModel {
    identity: Identity,
    /// Requests wait for each other, as each uses all cores.
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    device: Device,
}

impl LocalModel {
    fn read(model: &Path) -> Result<Self, String> {
        let folder = ModelFolder::of(model).map_err(|failure| failure.to_string())?;
        let device = Device::flex();
        let (checkpoint, tokenizer) =
            folder.for_inference(None, Weights::F32, &device).map_err(|failure| failure.to_string())?;
        let (name, folder) = (folder.name(), folder.path());
        let identity = Identity {
            provider: "local".into(),
            endpoint: String::new(),
            model: name,
            revision: Some(digest(folder).map_err(|error| format!("{}: {error}", folder.display()))?),
        };
        Ok(LocalModel { identity, inner: Arc::new(Mutex::new(Inner { checkpoint, tokenizer, device })) })
    }
}

/// A digest of the files of a folder: answers of other weights are other answers.
fn digest(folder: &Path) -> std::io::Result<String> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update_reader(std::fs::File::open(path)?)?;
    }
    Ok(hasher.finalize().to_hex()[..32].to_string())
}

/// Samples of a request that are written together: each has a state of its own.
const TOGETHER: usize = 16;

impl Model for LocalModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn most_samples(&self) -> usize {
        TOGETHER
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        let (inner, request, name) = (self.inner.clone(), request.clone(), self.identity.model.clone());
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || {
                let inner = inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                inner.answer(&request, name).map(|answer| answer.to_reply())
            });
            asked.await.unwrap_or_else(|error| Err(Failure::new(FailureKind::Rejected, error.to_string())))
        })
    }
}

fn rejected(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Rejected, error.to_string())
}

fn failure(error: &GenerationError) -> Failure {
    let kind = match error {
        GenerationError::TooLong { .. } => FailureKind::ContextOverflow,
        _ => FailureKind::Rejected,
    };
    Failure::new(kind, error.to_string())
}

impl Inner {
    fn answer(&self, request: &Request, model: String) -> Result<Answer, Failure> {
        let (samples, usage) = match &request.prompt {
            Prompt::Continuations { context, continuations } => {
                let first = request.first_sample.min(continuations.len());
                let end = (first + request.samples).min(continuations.len());
                self.read(context, &continuations[first..end], request.log_probabilities.unwrap_or(1))?
            }
            Prompt::Completion(text) => self.write(text, true, request)?,
            Prompt::Chat(messages) => {
                let template = (self.checkpoint.chat.as_ref())
                    .ok_or_else(|| rejected("the model has no chat template"))?;
                let message = |message: &models::Message| Message {
                    role: message.role.name().into(),
                    content: message.text(),
                };
                let messages: Vec<Message> = messages.iter().map(message).collect();
                // The template writes the special tokens itself.
                self.write(&template.render(&messages, true).map_err(rejected)?, false, request)?
            }
        };
        Ok(Answer { samples, usage: Some(usage), model })
    }

    fn write(&self, text: &str, is_plain: bool, request: &Request) -> Result<(Vec<Sample>, Usage), Failure> {
        if request.prompt.images() > 0 {
            return Err(rejected("the model sees no images"));
        }
        let prompt = self.tokenizer.encode(text, is_plain).map_err(rejected)?;
        let defaults = &self.checkpoint.generation;
        let asked = &request.sampling;
        let seed = asked.seed.unwrap_or(0);
        let sampling = Sampling {
            temperature: asked.temperature.unwrap_or(defaults.sampling.temperature),
            top_p: asked.top_p.or(defaults.sampling.top_p),
            ..defaults.sampling
        };
        let wanted = generation::Request {
            max_tokens: asked.max_tokens.map_or(256, |most| usize::try_from(most).unwrap_or(usize::MAX)),
            sampling,
            stop: asked.stop.clone(),
            end: defaults.end.clone(),
            seed,
            samples: 1,
            log_probabilities: request.log_probabilities.map(|count| count as usize),
            of_prompt: false,
        };
        // Sample i has the seed `seed + i`, whichever of them are asked for.
        let mut decoder = Decoder::new(&self.checkpoint.model, &self.tokenizer, &self.device);
        for number in request.first_sample..request.first_sample + request.samples {
            let wanted = generation::Request { seed: seed.wrapping_add(number as u64), ..wanted.clone() };
            decoder.begin(&prompt, 0, &wanted).map_err(|error| failure(&error))?;
        }
        let mut completions = vec![None; request.samples];
        while !decoder.is_idle() {
            for event in decoder.step().map_err(|error| failure(&error))? {
                if event.completion.is_some() {
                    completions[event.sequence] = event.completion;
                }
            }
        }
        let mut samples = Vec::with_capacity(request.samples);
        let mut written = 0;
        for completion in completions.into_iter().flatten() {
            written += completion.tokens.len() as u64;
            let finish = match completion.finish {
                generation::Finish::Length => Finish::Length,
                generation::Finish::Stop | generation::Finish::Interrupted => Finish::Stop,
            };
            let tokens = completion.log_probabilities.iter().map(|found| self.token(found)).collect();
            let tokens = request.log_probabilities.is_some().then_some(tokens);
            samples.push(Sample { text: completion.text, finish, tokens });
        }
        let usage = Usage { input_tokens: prompt.len() as u64, output_tokens: written };
        Ok((samples, usage))
    }

    /// How likely continuations are.
    fn read(
        &self,
        context: &str,
        continuations: &[String],
        top: u32,
    ) -> Result<(Vec<Sample>, Usage), Failure> {
        let (prompt, rows) = tokens(&self.tokenizer, context, continuations)?;
        let found = log_likelihoods(&self.checkpoint.model, &prompt, &rows, top as usize, &self.device)
            .map_err(|error| failure(&error))?;
        let samples = (continuations.iter().zip(found))
            .map(|(text, found)| {
                let tokens = found.iter().map(|found| self.token(found)).collect();
                Sample { tokens: Some(tokens), ..Sample::of(text.as_str()) }
            })
            .collect();
        let input_tokens = (prompt.len() + rows.iter().map(Vec::len).sum::<usize>()) as u64;
        Ok((samples, Usage { input_tokens, output_tokens: 0 }))
    }

    fn token(&self, found: &generation::TokenLogProbability) -> Token {
        let text = |token: u32| self.tokenizer.decode(&[token]).unwrap_or_default();
        Token {
            text: text(found.chosen.token),
            log_probability: found.chosen.value,
            alternatives: found.top.iter().map(|other| (text(other.token), other.value)).collect(),
        }
    }
}

/// The tokens of a context and of what each continuation adds to them. Where a token would reach over the border between the two it belongs to the
/// continuation, and with it all behind it.
fn tokens(
    tokenizer: &Tokenizer,
    context: &str,
    continuations: &[String],
) -> Result<(Vec<u32>, Vec<Vec<u32>>), Failure> {
    let encode = |text: &str, special| tokenizer.encode(text, special).map_err(rejected);
    // White space at the end belongs to the first word behind it in most vocabularies.
    let plain = encode(context.trim_end(), false)?;
    let special = encode(context.trim_end(), true)?;
    let begin = special.strip_suffix(plain.as_slice()).unwrap_or_default();
    let wholes = continuations
        .iter()
        .map(|text| encode(&format!("{context}{text}"), false))
        .collect::<Result<Vec<_>, _>>()?;
    let common = |whole: &Vec<u32>| plain.iter().zip(whole).take_while(|(a, b)| a == b).count();
    let shared = wholes.iter().map(common).min().unwrap_or(plain.len());
    let prompt: Vec<u32> = begin.iter().chain(&plain[..shared]).copied().collect();
    if prompt.is_empty() {
        return Err(rejected(
            "the first token of a text has no probability, and the tokenizer puts none before it",
        ));
    }
    Ok((prompt, wholes.into_iter().map(|whole| whole[shared..].to_vec()).collect()))
}

#[cfg(test)]
mod tests {
    use mathesis_language::folder::NumberFormat;
    use mathesis_language::model::{LanguageModelConfig, Size};

    use super::*;

    fn model() -> LocalModel {
        let size = Size {
            vocabulary: 258,
            width: 16,
            hidden: 24,
            layers: 2,
            heads: 4,
            key_value_heads: 2,
            context: 64,
        };
        let device = Device::flex();
        let config = LanguageModelConfig { deviation: 0.4, ..LanguageModelConfig::llama(size) };
        let tokenizer = Tokenizer::of_bytes(&["<s>", "</s>"]);
        let mut checkpoint = Checkpoint::new(config.init(1, &device).unwrap());
        checkpoint.tokenizer = Some(tokenizer.clone());
        let folder = tempfile::tempdir().unwrap();
        checkpoint.write(folder.path(), NumberFormat::F32).unwrap();
        LocalModel::read(folder.path()).unwrap()
    }

    #[test]
    fn options_are_scored_the_same_alone_and_together() {
        let model = model();
        let request =
            Request::continuations("What is it? ", vec![" A".into(), "BC".into(), "the third one".into()]);
        let ask = |request: &Request| models::block_on(models::ask(&model, request)).unwrap();
        let together = ask(&request);
        assert_eq!(together.samples.len(), 3);
        for (number, sample) in together.samples.iter().enumerate() {
            let alone = ask(&Request { first_sample: number, ..request.clone().times(1) });
            let (a, b) = (sample.log_likelihood().unwrap(), alone.samples[0].log_likelihood().unwrap());
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
            assert_eq!(alone.samples[0].text, sample.text);
        }
        // The blank at the end of the context is scored with each of them.
        assert_eq!(together.samples[1].tokens.as_ref().unwrap().len(), 3);
        let long = Request::continuations("x", vec!["y".repeat(80)]);
        let failure = models::block_on(models::ask(&model, &long)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::ContextOverflow);
    }

    #[test]
    fn texts_are_gone_on_with_and_the_likeliest_text_is_known_as_such() {
        let model = model();
        let sampling = models::Sampling { temperature: Some(0.0), max_tokens: Some(4), ..Default::default() };
        let request = Request::completion("What is it?").sampled(sampling);
        let ask = |request: &Request| models::block_on(models::ask(&model, request)).unwrap();
        let written = ask(&request).samples.remove(0);
        assert_eq!(written.finish, Finish::Length);
        if written.text.is_ascii() && !written.text.is_empty() {
            let read = ask(&Request::continuations("What is it?", vec![written.text.clone()]));
            assert!(read.samples[0].is_likeliest());
        }
        let chat =
            models::block_on(models::ask(&model, &Request::chat([models::Message::user("?")]))).unwrap_err();
        assert!(chat.message.contains("no chat template"), "{chat}");
    }
}
