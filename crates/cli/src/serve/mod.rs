//! `mathesis serve`: a language model in a folder behind OpenAI's HTTP interface.
//!
//! The model answers in a thread of its own (`mathesis_language::serving`); here are connections, requests and replies.

mod connections;
mod error;
mod metrics;
mod parameters;
mod question;
mod reply;
mod routes;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mathesis_language::folder::{Checkpoint, GenerationDefaults};
use mathesis_language::model::LanguageModelConfig;
use mathesis_language::serving::{self, Service};
use mathesis_language::text::{ChatTemplate, Tokenizer};
use mathesis_networks::sequence::arithmetic::Arithmetic;

use crate::device::DeviceArgument;
use crate::failure::Failure;
use crate::model_folder::{ModelFolder, Weights};
use crate::run::use_threads;
use metrics::Metrics;

const EXAMPLES: &str = "\
Examples:
  mathesis serve MODEL                          the model at http://127.0.0.1:8000/v1
  mathesis serve MODEL --port 0 --name tutor    any free port; `tutor` in requests
  curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' \\
       -d '{\"model\": \"MODEL\", \"prompt\": \"The sum of\", \"max_tokens\": 32}'

MODEL is a folder with config.json, *.safetensors and tokenizer.json. Chats need its chat template. There are
/v1/chat/completions, /v1/completions, /v1/models, /health and /metrics. Ctrl-C or SIGTERM lets what runs end.";

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model's folder, or `built-in`.
    model: PathBuf,
    /// The address to listen on; others than loopback ones let other machines ask.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    port: u16,
    /// The model's name in requests [default: that of its folder].
    #[arg(long)]
    name: Option<String>,
    /// Compute in this arithmetic: f32, bf16, l-mul:K, l-mul:K:attention or wNaM; of few bits, weights are packed.
    #[arg(long, value_name = "A")]
    arithmetic: Option<Arithmetic>,
    /// How the model's matrices are kept in memory; in bf16 and int8 a half and a quarter of what is read for a token.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Weights::F32)]
    weights: Weights,
    /// Answers that are written at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_running: u16,
    /// Prompts that wait for their turn; beyond them requests are turned away (429).
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_waiting: u16,
    /// The most tokens of a prompt [default: what the total allows].
    #[arg(long, value_name = "TOKENS")]
    max_prompt: Option<NonZeroUsize>,
    /// The most tokens of prompt and answer together [default: the model's context].
    #[arg(long, value_name = "TOKENS")]
    max_total: Option<NonZeroUsize>,
    /// The time of a request, from its arrival to the end of its answers; what there is then is the answer.
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = humantime::parse_duration)]
    max_time: Duration,
    /// The most bytes of a request.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_body: usize,
    /// Connections at the same time; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// How long what runs may take to end after Ctrl-C or SIGTERM.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    grace: Duration,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgument,
}

/// What is served, and within which limits: all that answering a request needs.
struct Served {
    name: String,
    /// Seconds since 1970.
    since: u64,
    service: Service,
    tokenizer: Arc<Tokenizer>,
    chat: Option<ChatTemplate>,
    defaults: GenerationDefaults,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// Limits of requests.
struct Limits {
    /// Tokens of a prompt.
    prompt: usize,
    /// Tokens of prompt and answer.
    total: usize,
    /// Samples of a prompt.
    samples: usize,
    /// Bytes of a request.
    body: usize,
}

/// Serve until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`Failure::Input`] if the folder is not a model's, a limit does not fit it, or the port is taken; [`Failure::Work`] if requests
/// had to be cut off at the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    use_threads(arguments.threads)?;
    let served = Arc::new(served(arguments)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Requests are read and made into tokens in these: more of them only take memory.
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::work)?;
    let grace = humantime::format_duration(arguments.grace);
    let outcome = runtime.block_on(async {
        let address = SocketAddr::from((arguments.host, arguments.port));
        let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::input(format!(
                "port {} is taken; name another with --port, or --port 0 for any that is free",
                arguments.port
            )),
            _ => Failure::input(format!("cannot listen on {address}: {error}")),
        })?;
        let address = listener.local_addr().map_err(Failure::work)?;
        println!("{} at http://{address}/v1 (Ctrl-C ends this)", served.name);
        let cut_off = Cell::new(0);
        connections::serve(
            listener,
            routes::router(served.clone()),
            usize::from(arguments.max_connections),
            || {
                served.service.close();
                eprintln!("stopping; what runs may take {grace} (Ctrl-C again: none)");
                arguments.grace
            },
            || {
                let load = served.service.load();
                cut_off.set(load.running + load.waiting);
                served.service.stop();
            },
        )
        .await
        .map_err(Failure::work)?;
        match cut_off.get() {
            0 => Ok(()),
            cut_off => Err(Failure::work(format!("{cut_off} answers were cut off after {grace}"))),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

fn served(arguments: &Arguments) -> Result<Served, Failure> {
    let device = arguments.device.open()?;
    let folder = ModelFolder::of(&arguments.model)?;
    let (Checkpoint { model, chat, generation, .. }, tokenizer) =
        folder.for_inference(arguments.arithmetic, arguments.weights, &device)?;
    let tokenizer = Arc::new(tokenizer);
    let limits = limits(arguments, model.config())?;
    let limits_of_service = serving::Limits {
        running: usize::from(arguments.max_running),
        waiting: usize::from(arguments.max_waiting),
        time: arguments.max_time,
    };
    let service = Service::start(model, tokenizer.clone(), device, limits_of_service)
        .map_err(|error| Failure::work(format!("cannot start a thread: {error}")))?;
    Ok(Served {
        name: arguments.name.clone().unwrap_or_else(|| folder.name()),
        since: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        service,
        tokenizer,
        chat,
        defaults: generation,
        limits,
        metrics: Arc::new(Metrics::new().map_err(Failure::work)?),
    })
}

fn limits(arguments: &Arguments, config: &LanguageModelConfig) -> Result<Limits, Failure> {
    let total = arguments.max_total.map_or(config.context, NonZeroUsize::get);
    if total > config.context || total < 2 {
        let context = config.context;
        return Err(Failure::input(format!(
            "--max-total is {total}, expected from 2 to the model's context, {context}"
        )));
    }
    let prompt = arguments.max_prompt.map_or(total - 1, NonZeroUsize::get);
    if prompt >= total {
        return Err(Failure::input(format!(
            "--max-prompt is {prompt}, expected less than the {total} tokens of prompt and answer together"
        )));
    }
    Ok(Limits { prompt, total, samples: usize::from(arguments.max_running), body: arguments.max_body })
}
