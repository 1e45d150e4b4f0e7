//! The `mathesis` binary: argument parsing, progress, tables and reports around the library crates. No method lives here.

mod check;
mod compare;
mod decontaminate;
mod device;
mod direction_network;
mod eval;
mod experiments;
mod export;
mod failure;
mod generate;
mod judge;
mod local_model;
mod make;
mod model_folder;
mod outcome;
mod papers;
mod perplexity;
mod progress;
mod record;
mod report;
mod reproduce;
mod run;
mod run_folder;
mod serve;
mod solve;
mod train;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  mathesis solve examples/poisson-high-frequency.toml    solve a problem file and write a report
  mathesis solve heat.toml --method collocation --json   another method; the result as JSON
  mathesis check '\\frac{1}{2}' 0.5                         are two answers equal, and why
  mathesis eval gsm8k --model openai:NAME@URL            a benchmark on a model, with a report
  mathesis judge correctness runs/A --judge openai:NAME  models judge replies, and are judged themselves
  mathesis generate MODEL --prompt 'The sum of'          text from a language model in a folder
  mathesis serve MODEL                                   the same over OpenAI's HTTP interface
  mathesis view                                          finished runs in a web page
  mathesis papers                                        the published methods and their state
  mathesis reproduce gp-hm --quick                       a published experiment, in about two minutes

Exit codes: 0 done; 1 the work failed, for example did not converge; 2 the input was wrong (nothing is written).";

/// Mathematics by machine: exact, numeric and learned, and every result judged.
#[derive(Parser)]
#[command(name = "mathesis", version, about, after_help = EXAMPLES, max_term_width = 110)]
struct CommandLine {
    /// Log what happens inside (-v: progress of the parts, -vv: details); RUST_LOG takes precedence.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Solve the problem that a file states, and write a run folder with a report.
    Solve(solve::Arguments),
    /// Say whether two mathematical answers are equal, and why; one pair or a file of pairs.
    Check(check::Arguments),
    /// Train the network that a file states, and write its weights and a run folder with a report.
    Train(train::Arguments),
    /// Go on from a text, or answer a chat, with a language model in a folder.
    Generate(Box<generate::Arguments>),
    /// Say how well a language model in a folder predicts a text.
    Perplexity(perplexity::Arguments),
    /// Answer requests of OpenAI's HTTP interface with a language model in a folder.
    Serve(serve::Arguments),
    /// Write a language model in a folder as a file for llama.cpp.
    Export(export::Arguments),
    /// Run a benchmark on a model, resumable, and write a run folder with every transcript.
    Eval(Box<eval::Arguments>),
    /// Compare runs of one benchmark, problem by problem, with paired tests; or two graders of one run.
    Compare(compare::Arguments),
    /// Let models judge replies or pairs of them, and say how far they can be believed.
    Judge(Box<judge::Arguments>),
    /// Leave out the records that hold text of a benchmark, or show how much of them a corpus holds.
    Decontaminate(decontaminate::Arguments),
    /// Browse finished runs in a web page: figures, transcripts, two runs side by side.
    View(view::Arguments),
    /// Make problems or a data set by a recipe, and write a run folder with the records.
    Make(make::Arguments),
    /// List the published methods with their state.
    Papers(papers::Arguments),
    /// Run a published experiment and set the measured figures beside the published ones.
    Reproduce(reproduce::Arguments),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    mathesis_reasoning::tools::python::host();
    end_quietly_without_reader();
    let command_line = CommandLine::parse();
    let level = ["warn", "info", "debug"][usize::from(command_line.verbose.min(2))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();

    let outcome = match command_line.verb {
        Verb::Solve(arguments) => solve::run(&arguments),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Generate(arguments) => generate::run(&arguments),
        Verb::Perplexity(arguments) => perplexity::run(&arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Export(arguments) => export::run(&arguments),
        Verb::Eval(arguments) => eval::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
        Verb::Judge(arguments) => judge::run(&arguments),
        Verb::Decontaminate(arguments) => decontaminate::run(&arguments),
        Verb::View(arguments) => view::run(&arguments),
        Verb::Make(arguments) => make::run(&arguments),
        Verb::Papers(arguments) => papers::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}

/// Lets output that nobody reads any more (`| head`) end the program as a shell's other programs are ended: without a
/// word, and with the exit code of SIGPIPE.
fn end_quietly_without_reader() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>();
        if message.is_some_and(|message| message.starts_with("failed printing to stdout: Broken pipe")) {
            std::process::exit(141);
        }
        report(panic);
    }));
}
