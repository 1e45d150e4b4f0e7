//! Python programs that nobody has read, run in a sandbox.
//!
//! One tool, two interpreters. `monty`, an interpreter written in Rust that has no access to anything outside, runs
//! programs that need only what it has, in worker processes that stay ready. `python3` inside bubblewrap runs the rest:
//! with its own user, process, network, IPC and host-name spaces, a read-only view of the system, a private `/tmp`, a
//! list of permitted system calls, and resource limits. [`Interpreter::Auto`] chooses by what the program imports and
//! uses, and starts a program again in python3 where monty lacks something; nothing is lost, as a monty program
//! cannot have had an effect. Every [`Run`] says which interpreter ran and which limits were in force.
//!
//! Where the sandbox cannot be had, [`Error::Unavailable`] says what is missing. A program never runs outside a
//! sandbox unless the caller asks for [`Isolation::None`].
//!
//! ```no_run
//! use mathesis_reasoning::tools::python::{Ending, Options, Python, host};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     host(); // lets this executable serve as monty's worker; the first line of main
//!     let python = Python::new(Options::default());
//!     let run = python.run("import sympy\nx = sympy.Symbol('x')\nsympy.integrate(x**2, x)")?;
//!     assert_eq!(run.ending, Ending::Ok);
//!     assert_eq!(run.value.as_deref(), Some("x**3/3"));
//!     Ok(())
//! }
//! ```

mod bubblewrap;
mod filter;
mod needs;
mod process;
mod worker;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bubblewrap::Sandbox;
use process::{Outcome, Process};

pub use worker::host;

/// What a program may use. Times and sizes are upper bounds; a program that reaches one is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall time of one program, or of one snippet of a session. Default 10 s.
    pub wall: Duration,
    /// Processor time of one program; for python3 of a whole session. Whole seconds, rounded up. Default 10 s.
    pub cpu: Duration,
    /// Memory of the interpreter in bytes (its address space), at least 64 MiB. Default 1 GiB.
    pub memory: u64,
    /// Size of the private `/tmp` in bytes; it lies in memory, in addition to `memory`. Default 64 MiB.
    pub temporary: u64,
    /// Size of one file in bytes. Default 16 MiB.
    pub file: u64,
    /// Open files. Default 64.
    pub files: u64,
    /// Threads and processes at one time. With the system-call filter, no second process can be started at all.
    /// Default 32.
    pub tasks: u64,
    /// Output of one program or snippet in bytes: standard output, standard error and the value together.
    /// Default 1 MiB.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            wall: Duration::from_secs(10),
            cpu: Duration::from_secs(10),
            memory: 1 << 30,
            temporary: 64 << 20,
            file: 16 << 20,
            files: 64,
            tasks: 32,
            output: 1 << 20,
        }
    }
}

/// Which interpreter runs a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpreter {
    /// By what the program imports and uses. Sessions get python3, as their state could not move.
    #[default]
    Auto,
    /// monty in a worker process.
    Monty,
    /// python3 in the sandbox.
    Python3,
}

/// What stands between a python3 program and the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// bubblewrap; an error where it cannot be had.
    #[default]
    Sandbox,
    /// Nothing but the resource limits: the program can read, write and connect as the caller can. Only for programs
    /// that the caller trusts.
    None,
}

/// How the tool runs programs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// What every program and session may use.
    pub limits: Limits,
    /// The isolation of python3.
    pub isolation: Isolation,
    /// python3 to use, for example the one of a virtual environment with SymPy. `None`: `/usr/bin/python3`.
    pub python3: Option<PathBuf>,
    /// Executable and arguments that end in [`host`]. `None`: the running executable, if its `main` has called
    /// [`host`]; otherwise monty is not used.
    pub worker: Option<(PathBuf, Vec<String>)>,
}

/// How a program or snippet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It ran to its end.
    Ok,
    /// It raised an exception.
    Exception,
    /// It is not Python.
    SyntaxError,
    /// It used up its wall or processor time.
    Timeout,
    /// It used up its memory.
    Memory,
    /// It wrote more than it may.
    OutputLimit,
    /// The interpreter ended before the program: `os._exit`, a signal, a crash.
    Killed,
    /// It raised an error because the sandbox refused what it asked for.
    Refused,
}

/// A limit in force.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Enforced {
    /// What is limited.
    pub limit: &'static str,
    /// The mechanism.
    pub by: &'static str,
}

/// The result of one program or snippet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise. Tracebacks are in `error`.
    pub stderr: String,
    /// `repr` of the last statement if it is an expression and not `None`.
    pub value: Option<String>,
    /// The traceback, or a sentence on what ended the program.
    pub error: Option<String>,
    /// The interpreter that ran it.
    pub interpreter: Interpreter,
    /// Wall time from sending the program to its result, without the start of the interpreter.
    pub elapsed: Duration,
    /// The limits in force.
    pub limits: Vec<Enforced>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interpreter or its sandbox cannot be had on this machine.
    #[error("{0}")]
    Unavailable(String),
    /// A session that has ended was asked to go on.
    #[error("the session has ended: {0}")]
    Ended(String),
    /// The interpreter was there before and did not start this time.
    #[error("the Python interpreter did not start: {0}")]
    Start(String),
}

/// From where on a program continues in python3 rather than in monty, which is slower.
const HANDOVER: Duration = Duration::from_secs(1);

/// The tool. It can be shared between threads; every thread's programs run at the same time.
#[derive(Debug)]
pub struct Python {
    options: Options,
    sandbox: OnceLock<Result<Sandbox, String>>,
    /// Workers of monty that have nothing to do.
    idle: Mutex<Vec<Process>>,
}

impl Python {
    /// A tool. Nothing is started yet.
    pub fn new(mut options: Options) -> Self {
        options.limits.memory = options.limits.memory.max(64 << 20);
        Python { options, sandbox: OnceLock::new(), idle: Mutex::default() }
    }

    /// Starts python3 once and ends it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what is missing and how to install it.
    pub fn check_python3(&self) -> Result<(), Error> {
        self.sandbox().map(drop)
    }

    /// Whether a worker for monty is known.
    pub fn has_monty(&self) -> bool {
        self.options.worker.is_some() || worker::is_hosted()
    }

    /// Runs a program in a fresh interpreter.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the interpreter that the program needs cannot be had; [`Error::Start`]. What the
    /// program does wrong is in the [`Run`].
    pub fn run(&self, program: &str) -> Result<Run, Error> {
        let limits = &self.options.limits;
        match self.options.interpreter {
            Interpreter::Python3 => self.run_in_python3(program),
            Interpreter::Monty => self.run_in_monty(program, limits.wall).map(|(run, _)| run),
            Interpreter::Auto => {
                if !self.has_monty() || !needs::only_monty(program) {
                    return self.run_in_python3(program);
                }
                // Without python3 a long program has to end in monty.
                let alone = limits.wall > HANDOVER && self.sandbox().is_err();
                let wall = if alone { limits.wall } else { limits.wall.min(HANDOVER) };
                let (run, is_final) = self.run_in_monty(program, wall)?;
                let timed_out = run.ending == Ending::Timeout && wall == limits.wall;
                if is_final || timed_out { Ok(run) } else { self.run_in_python3(program) }
            }
        }
    }

    /// An interpreter that keeps its state between snippets.
    ///
    /// # Errors
    /// As of [`Python::run`].
    pub fn session(&self) -> Result<Session, Error> {
        let (process, interpreter) = match self.options.interpreter {
            Interpreter::Monty => (self.start_worker()?, Interpreter::Monty),
            Interpreter::Auto | Interpreter::Python3 => {
                (self.start_python3("session")?, Interpreter::Python3)
            }
        };
        Ok(Session {
            process: Some(process),
            ended: String::new(),
            interpreter,
            limits: self.options.limits.clone(),
        })
    }

    fn sandbox(&self) -> Result<&Sandbox, Error> {
        self.sandbox
            .get_or_init(|| Sandbox::find(&self.options))
            .as_ref()
            .map_err(|missing| Error::Unavailable(missing.clone()))
    }

    fn start_python3(&self, kind: &str) -> Result<Process, Error> {
        self.sandbox()?.start(kind, &self.options.limits).map_err(Error::Start)
    }

    fn run_in_python3(&self, program: &str) -> Result<Run, Error> {
        let mut process = self.start_python3("program")?;
        Ok(exchange(&mut process, b'P', program, &self.options.limits, Interpreter::Python3).run)
    }

    fn start_worker(&self) -> Result<Process, Error> {
        let (executable, arguments) = match &self.options.worker {
            Some((executable, arguments)) => (executable.clone(), arguments.as_slice()),
            None if worker::is_hosted() => (PathBuf::from("/proc/self/exe"), [].as_slice()),
            None => {
                return Err(Error::Unavailable(
                    "monty has no worker process: call `tools::python::host()` first in main, or name an executable \
                     that does in `Options::worker`"
                        .into(),
                ));
            }
        };
        worker::start(&executable, arguments, &self.options.limits).map_err(Error::Start)
    }

    /// The run, and whether python3 would surely not give another.
    fn run_in_monty(&self, program: &str, wall: Duration) -> Result<(Run, bool), Error> {
        let limits = Limits { wall, ..self.options.limits.clone() };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut process = match idle {
            Some(process) => process,
            None => self.start_worker()?,
        };
        let exchanged = exchange(&mut process, b'P', program, &limits, Interpreter::Monty);
        if !exchanged.ended {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        }
        let is_final = match exchanged.run.ending {
            Ending::Ok | Ending::OutputLimit | Ending::Memory => true,
            Ending::Exception => needs::is_final(&exchanged.exception),
            Ending::SyntaxError | Ending::Timeout | Ending::Killed | Ending::Refused => false,
        };
        Ok((exchanged.run, is_final))
    }
}

/// An interpreter that keeps its state between snippets. Dropping it ends the interpreter.
#[derive(Debug)]
pub struct Session {
    process: Option<Process>,
    ended: String,
    interpreter: Interpreter,
    limits: Limits,
}

impl Session {
    /// Runs a snippet after those before it. An exception leaves the session usable; a limit ends it.
    ///
    /// # Errors
    /// [`Error::Ended`] with the reason once the session has ended.
    pub fn run(&mut self, snippet: &str) -> Result<Run, Error> {
        let Some(process) = &mut self.process else {
            return Err(Error::Ended(self.ended.clone()));
        };
        let exchanged = exchange(process, b'C', snippet, &self.limits, self.interpreter);
        if exchanged.ended {
            self.process = None;
            self.ended = exchanged.run.error.clone().unwrap_or_default();
        }
        Ok(exchanged.run)
    }

    /// Whether snippets can still be run.
    pub fn is_alive(&self) -> bool {
        self.process.is_some()
    }
}

struct Exchanged {
    run: Run,
    /// The interpreter can not be used again.
    ended: bool,
    /// Name of the exception, from monty.
    exception: String,
}

/// Sends a program and waits for what becomes of it.
fn exchange(
    process: &mut Process,
    kind: u8,
    program: &str,
    limits: &Limits,
    interpreter: Interpreter,
) -> Exchanged {
    let start = Instant::now();
    let reply = process.exchange(kind, program.as_bytes(), start + limits.wall, limits.output);
    let elapsed = start.elapsed();
    let mut exception = String::new();
    let memory = || (Ending::Memory, format!("memory limit of {} MiB reached", limits.memory >> 20));
    let cpu = || (Ending::Timeout, format!("processor time limit of {} s reached", limits.cpu.as_secs_f64()));
    let (ending, reason) = match reply.outcome {
        Outcome::Done(outcome) => {
            let (kind, name) = outcome.split_once(' ').unwrap_or((&outcome, ""));
            exception = name.to_owned();
            match kind {
                "ok" => (Ending::Ok, String::new()),
                "exception" => (Ending::Exception, String::new()),
                "syntax" => (Ending::SyntaxError, String::new()),
                "refused" => (Ending::Refused, String::new()),
                "timeout" => cpu(),
                "memory" => memory(),
                _ => (Ending::Killed, "the program wrote on the interpreter's connection".into()),
            }
        }
        Outcome::Deadline => {
            (Ending::Timeout, format!("wall time limit of {} s reached", limits.wall.as_secs_f64()))
        }
        Outcome::TooMuch => (Ending::OutputLimit, format!("output limit of {} bytes reached", limits.output)),
        Outcome::Ended { signal: Some(libc::SIGXCPU), .. } => cpu(),
        // The hard limit, for a program that ignores the signal of the soft one.
        Outcome::Ended { signal: Some(libc::SIGKILL), .. } if elapsed >= limits.cpu => cpu(),
        Outcome::Ended { signal: Some(libc::SIGABRT), .. }
            if reply.stderr.contains("memory allocation of") =>
        {
            memory()
        }
        Outcome::Ended { signal: Some(signal), .. } => {
            (Ending::Killed, format!("the interpreter was ended by signal {signal}"))
        }
        Outcome::Ended { signal: None, status: Some(status) } => {
            (Ending::Killed, format!("the interpreter ended with status {status} before the program did"))
        }
        Outcome::Ended { signal: None, status: None } => {
            (Ending::Killed, "the program closed the interpreter's connection".into())
        }
    };
    // After a limit nothing is known about the state inside.
    let ended = !matches!(ending, Ending::Ok | Ending::Exception | Ending::SyntaxError | Ending::Refused);
    if ended {
        process.end();
    }
    let error = match (reply.error, reason.is_empty()) {
        (error, true) => error,
        (None, false) => Some(reason),
        (Some(error), false) => Some(format!("{error}\n{reason}")),
    };
    let run = Run {
        ending,
        stdout: reply.stdout,
        stderr: reply.stderr,
        value: reply.value,
        error,
        interpreter,
        elapsed,
        limits: process.limits.clone(),
    };
    Exchanged { run, ended, exception }
}
