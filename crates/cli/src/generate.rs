//! `mathesis generate`: text from a language model in a folder.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mathesis_language::folder::Checkpoint;
use mathesis_language::generation::{Completion, Request, Sampling, generate};
use mathesis_language::text::{ChatTemplate, Message, Tokenizer};
use mathesis_networks::sequence::arithmetic::Arithmetic;
use serde_json::json;

use crate::device::DeviceArgument;
use crate::failure::{Failure, unreadable};
use crate::model_folder::{ModelFolder, Weights};
use crate::progress::{interrupted, listen_for_interrupts};
use crate::run::use_threads;

const EXAMPLES: &str = "\
Examples:
  mathesis generate built-in --chat --prompt 'Tom has 12 marbles and buys 7 more. How many has he?'
  mathesis generate MODEL --prompt 'The sum of'                 the likeliest text, as it comes
  mathesis generate MODEL --chat --prompt 'What is 7 + 5?'      a question, in the model's chat template
  mathesis generate MODEL --prompt A --prompt B --samples 4 --temperature 0.8 --seed 1 --json
  mathesis generate MODEL --messages chat.json --stop $'\\n'     a chat so far: [{\"role\": .., \"content\": ..}, ..]

MODEL is a folder with config.json, *.safetensors and tokenizer.json, or `built-in`: a small model for word problems. What is not given is taken from its
generation_config.json, else: the likeliest token, 256 of them.";

/// Arguments of `generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model's folder, or `built-in`.
    model: PathBuf,
    /// A text to go on from; several are answered together.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Vec<String>,
    /// A file with a text to go on from.
    #[arg(long, value_name = "FILE")]
    prompt_file: Vec<PathBuf>,
    /// A file with a chat so far, a JSON list of objects with `role` and `content`.
    #[arg(long, value_name = "FILE")]
    messages: Vec<PathBuf>,
    /// Each prompt is the message of a user, written as the model's chat template says.
    #[arg(long)]
    chat: bool,
    /// A system message before each prompt.
    #[arg(long, value_name = "TEXT", requires = "chat", allow_hyphen_values = true)]
    system: Option<String>,
    /// Do not put the tokens around prompts that the tokenizer puts around every text.
    #[arg(long, conflicts_with = "chat")]
    raw: bool,
    /// Compute in this arithmetic: f32, bf16, l-mul:K, l-mul:K:attention or wNaM; of few bits, weights are packed.
    #[arg(long, value_name = "A")]
    arithmetic: Option<Arithmetic>,
    /// The most tokens of an answer.
    #[arg(short = 'n', long, value_name = "N")]
    max_tokens: Option<usize>,
    /// What logits are divided by; 0: always the likeliest token.
    #[arg(short, long, value_name = "T")]
    temperature: Option<f64>,
    /// Choose among the K likeliest tokens.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Choose among the likeliest tokens that together have the probability P.
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Choose among tokens that have at least this part of the likeliest one's probability.
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// What the logits of tokens that are there already are divided by.
    #[arg(long, value_name = "R")]
    repetition_penalty: Option<f64>,
    /// A text at which answers end; may be given several times.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Answers to each prompt.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    samples: u16,
    /// The seed of random choices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// With --json: logarithms of probabilities for each token, and for the K likeliest beside it.
    #[arg(long, value_name = "K", requires = "json")]
    log_probabilities: Option<usize>,
    /// How the model's matrices are kept in memory; in bf16 and int8 a half and a quarter of what is read for a token.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Weights::F32)]
    weights: Weights,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgument,
    /// Print the answers as JSON when all are there, instead of text as it comes.
    #[arg(long)]
    json: bool,
    /// Do not tell how long it took.
    #[arg(short, long)]
    quiet: bool,
}

/// A prompt as it was given, and as tokens.
struct Prompt {
    text: String,
    tokens: Vec<u32>,
}

/// Generate.
///
/// # Errors
/// [`Failure::Input`] if the folder is not a model's or an argument does not fit it; [`Failure::Told`] if it was broken off.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let given = arguments.prompt.len() + arguments.prompt_file.len() + arguments.messages.len();
    if given == 0 {
        return Err(Failure::input("nothing to go on from: give --prompt, --prompt-file or --messages"));
    }
    use_threads(arguments.threads)?;
    listen_for_interrupts();
    let device = arguments.device.open()?;
    let folder = ModelFolder::of(&arguments.model)?;
    let (checkpoint, tokenizer) = folder.for_inference(arguments.arithmetic, arguments.weights, &device)?;
    let prompts = prompts(arguments, &checkpoint, &tokenizer)?;
    let request = request(arguments, &checkpoint);
    let tokens: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.tokens.clone()).collect();
    let alone = prompts.len() == 1 && arguments.samples == 1 && !arguments.json;
    let start = Instant::now();
    let mut first = None;
    let mut heard = |_: usize, _: usize, piece: &str| {
        first.get_or_insert_with(|| start.elapsed());
        if alone {
            print!("{piece}");
            // A reader that has gone away ends the answer.
            if std::io::stdout().flush().is_err() {
                return ControlFlow::Break(());
            }
        }
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let answers = generate(&checkpoint.model, &tokenizer, &tokens, &request, &device, &mut heard)
        .map_err(Failure::input)?;
    let elapsed = start.elapsed();
    if arguments.json {
        print_json(&prompts, &answers, elapsed)?;
    } else if alone {
        println!();
    } else {
        for (number, samples) in answers.iter().enumerate() {
            for (sample, completion) in samples.iter().enumerate() {
                println!("--- prompt {}, sample {}", number + 1, sample + 1);
                println!("{}", completion.text);
            }
        }
    }
    if !arguments.quiet && !arguments.json {
        eprintln!("{}", told(&prompts, &answers, first.unwrap_or(elapsed), elapsed));
    }
    if interrupted() { Err(Failure::Told) } else { Ok(()) }
}

fn prompts(
    arguments: &Arguments,
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
) -> Result<Vec<Prompt>, Failure> {
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)));
    let template = || {
        checkpoint.chat.as_ref().ok_or_else(|| {
            Failure::input(format!(
                "{} has no chat template (chat_template.jinja, or in tokenizer_config.json)",
                arguments.model.display()
            ))
        })
    };
    let tokens = |text: String, special: bool| {
        let tokens = tokenizer.encode(&text, special).map_err(Failure::input)?;
        Ok::<_, Failure>(Prompt { text, tokens })
    };
    let chat = |template: &ChatTemplate, messages: &[Message]| {
        // The template writes the special tokens itself.
        tokens(template.render(messages, true).map_err(Failure::input)?, false)
    };
    let mut texts = arguments.prompt.clone();
    for path in &arguments.prompt_file {
        texts.push(read(path)?);
    }
    let mut prompts = Vec::new();
    for text in texts {
        prompts.push(if arguments.chat {
            let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
            let system = arguments.system.iter().map(|system| message("system", system));
            let messages: Vec<Message> = system.chain([message("user", &text)]).collect();
            chat(template()?, &messages)?
        } else {
            tokens(text, !arguments.raw)?
        });
    }
    for path in &arguments.messages {
        let messages: Vec<Message> = serde_json::from_str(&read(path)?)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        prompts.push(chat(template()?, &messages)?);
    }
    Ok(prompts)
}

fn request(arguments: &Arguments, checkpoint: &Checkpoint) -> Request {
    let defaults = &checkpoint.generation;
    // A temperature that is given asks for sampling, or for none, whatever the folder says about its cuts.
    let known = defaults.sampling;
    let sampling = Sampling {
        temperature: arguments.temperature.unwrap_or(known.temperature),
        top_k: arguments.top_k.or(known.top_k),
        top_p: arguments.top_p.or(known.top_p),
        min_p: arguments.min_p.or(known.min_p),
        repetition_penalty: arguments.repetition_penalty.unwrap_or(known.repetition_penalty),
    };
    let plain = Request::default();
    Request {
        max_tokens: arguments.max_tokens.or(defaults.max_tokens).unwrap_or(plain.max_tokens),
        sampling,
        stop: arguments.stop.clone(),
        end: defaults.end.clone(),
        seed: arguments.seed,
        samples: usize::from(arguments.samples),
        log_probabilities: arguments.log_probabilities,
        of_prompt: false,
    }
}

fn print_json(prompts: &[Prompt], answers: &[Vec<Completion>], elapsed: Duration) -> Result<(), Failure> {
    let each = prompts.iter().zip(answers).map(|(prompt, completions)| {
        json!({ "prompt": prompt.text, "prompt_tokens": prompt.tokens.len(), "completions": completions })
    });
    let record = json!({ "answers": each.collect::<Vec<_>>(), "seconds": elapsed.as_secs_f64() });
    println!("{}", serde_json::to_string_pretty(&record).map_err(Failure::work)?);
    Ok(())
}

/// What was read and written, and how fast.
fn told(prompts: &[Prompt], answers: &[Vec<Completion>], first: Duration, elapsed: Duration) -> String {
    let read: usize = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
    let written: usize = answers.iter().flatten().map(|completion| completion.tokens.len()).sum();
    let rate = written as f64 / elapsed.saturating_sub(first).as_secs_f64().max(1e-9);
    format!(
        "{read} tokens read, the first text after {:.2} s; {written} tokens written in {:.2} s ({rate:.1} a second after that)",
        first.as_secs_f64(),
        elapsed.as_secs_f64()
    )
}
