//! What the arithmetic of its products costs a language model: loss and perplexity after training in 32 bits, and after a few more
//! steps of training in the arithmetic itself.
//!
//! ```text
//! cargo run -p mathesis-language --example arithmetics -- FOLDER TRAINING.txt TEST.txt STEPS TOKENS ROWS ARITHMETIC ...
//! ```
//! trains a tokenizer and a model of about a million parameters on the first text, for so many steps, unless FOLDER has one. It reads
//! the model in every arithmetic and tells its loss on so many tokens of the second text; one that is written with a `+` before it is
//! also trained on for 200 steps of so many rows, three times with other rows. For weights of few bits it tells how far the logits of
//! packed weights are from those of rounded ones.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use mathesis_algebra::random::Stream;
use mathesis_language::data::tokenizer_training::{TokenizerOptions, train_tokenizer};
use mathesis_language::data::windows::Windows;
use mathesis_language::data::{Batch, Source};
use mathesis_language::folder::{Checkpoint, NumberFormat, read_model_in};
use mathesis_language::model::{LanguageModel, LanguageModelConfig, Size};
use mathesis_language::training::{Course, Schedule, TrainingOptions, evaluate, train};
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::arithmetic::Arithmetic;

const VOCABULARY: usize = 2048;
const TIME: usize = 128;
const ROWS: usize = 8;

/// Rows from anywhere in a text.
struct RandomRows {
    tokens: Vec<u32>,
    rows: usize,
    seed: u64,
}

impl Source for RandomRows {
    fn batch(&self, number: u64) -> Batch {
        let stream = Stream::new(self.seed, number);
        let last = (self.tokens.len() - TIME) as u64;
        let starts: Vec<usize> = (0..self.rows as u64).map(|row| stream.below(row, last) as usize).collect();
        let rows = |shift: usize| {
            starts.iter().flat_map(|start| &self.tokens[start + shift..][..TIME]).copied().collect()
        };
        Batch {
            tokens: rows(0),
            targets: rows(1),
            weights: vec![1.0; self.rows * TIME],
            documents: Documents::whole(self.rows, TIME),
            origin: format!("rows {number}"),
        }
    }

    fn batches(&self) -> Option<u64> {
        None
    }

    fn vocabulary(&self) -> usize {
        VOCABULARY
    }

    fn digest(&self) -> String {
        format!("random rows of {} tokens, seed {}", self.tokens.len(), self.seed)
    }
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, training, test, steps, tokens, rows, words @ ..] = &arguments[..] else {
        return Err("expected: folder, training text, test text, steps, tokens, rows, arithmetics".into());
    };
    let folder = Path::new(folder);
    let (training, test) = (std::fs::read_to_string(training)?, std::fs::read_to_string(test)?);
    if !folder.exists() {
        first_training(folder, &training, steps.parse()?)?;
    }
    let device = Device::flex();
    let checkpoint = Checkpoint::read(folder, &device)?;
    let tokenizer = checkpoint.tokenizer.as_ref().ok_or("no tokenizer")?;
    let (count, rows): (usize, usize) = (tokens.parse()?, rows.parse()?);
    let mut tokens = tokenizer.encode(&test, false)?;
    tokens.truncate(count + 1);
    let test = Windows::new(tokens, TIME, ROWS, VOCABULARY)?;
    let training = tokenizer.encode(&training, false)?;
    let loss = |model: &LanguageModel| evaluate(model, &test, u64::MAX, 0).loss;
    println!("{} parameters, {count} tokens", checkpoint.model.config().parameters());
    let plain = loss(&checkpoint.model);
    let tell = |what: &str, loss: f64| {
        println!(
            "{what:28} loss {loss:.5} ({:+.2} %), perplexity {:.2}",
            100.0 * (loss / plain - 1.0),
            loss.exp()
        );
    };
    let options = TrainingOptions {
        steps: 200,
        schedule: Schedule { course: Course::Cosine, peak: 5e-4, warmup: 10, ..Schedule::default() },
        ..TrainingOptions::default()
    };
    for word in words {
        let (word, train_on) = word.strip_prefix('+').map_or((word.as_str(), false), |word| (word, true));
        let arithmetic: Arithmetic = word.parse()?;
        let model = read_model_in(folder, Some(arithmetic), &device)?;
        let packed = model.clone().packed()?;
        tell(word, loss(&packed));
        if let Arithmetic::BitPlanes { .. } = arithmetic {
            let batch = test.batch(0);
            let logits = |model: &LanguageModel| model.forward(batch.inputs(&device), &batch.documents);
            let (a, b): (Tensor<3>, Tensor<3>) = (logits(&packed), logits(&model));
            let size = b.clone().abs().max().into_scalar::<f32>();
            let difference = (a - b).abs().max().into_scalar::<f32>();
            println!("    packed logits differ by at most {difference:.1e}; the largest is {size:.1}");
        }
        if train_on {
            for seed in 2..5 {
                let more = RandomRows { tokens: training.clone(), rows, seed };
                let trained =
                    train(model.clone(), &options, &more, None, None, &mut |_| ControlFlow::Continue(()))?;
                tell(&format!("{word}, 200 steps later"), loss(&trained.model.packed()?));
            }
        }
    }
    Ok(())
}

fn first_training(folder: &Path, text: &str, steps: u64) -> Result<(), Failure> {
    let options = TokenizerOptions { vocabulary: VOCABULARY, split_digits: false, special: &["<end>"] };
    let tokenizer = train_tokenizer(std::iter::once(text.to_string()), options)?;
    let source = RandomRows { tokens: tokenizer.encode(text, false)?, rows: ROWS, seed: 1 };
    let size = Size {
        vocabulary: VOCABULARY,
        width: 128,
        hidden: 344,
        layers: 4,
        heads: 4,
        key_value_heads: 4,
        context: TIME,
    };
    let mut config = LanguageModelConfig::llama(size);
    config.tied = true;
    let options = TrainingOptions {
        steps,
        schedule: Schedule { course: Course::Cosine, peak: 3e-3, warmup: 100, ..Schedule::default() },
        ..TrainingOptions::default()
    };
    println!("{} tokens to train on, {} parameters", source.tokens.len(), config.parameters());
    let trained = train(config.init(1, &Device::flex())?, &options, &source, None, None, &mut |progress| {
        if progress.record.step.is_multiple_of(100) {
            let (step, loss, speed) =
                (progress.record.step, progress.recent_loss, progress.tokens_per_second);
            println!("step {step}: loss {loss:.4}, {speed:.0} tokens/s");
        }
        ControlFlow::Continue(())
    })?;
    let mut checkpoint = Checkpoint::new(trained.model);
    checkpoint.tokenizer = Some(tokenizer);
    checkpoint.write(folder, NumberFormat::F32)?;
    Ok(())
}
