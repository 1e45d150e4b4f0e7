//! The worker process of monty: the host's own executable, started again.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use monty::MontyRepl;
use monty_types::{
    AssertMessageAnnotations, CompileOptions, ExcType, MontyException, MontyObject, PrintWriter,
    PrintWriterCallback, ResourceLimits, ResourceTracker,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::process::Process;
use super::{Enforced, Limits, filter};

/// Set in a worker's environment: `memory in bytes:processor time in milliseconds`.
const VARIABLE: &str = "MATHESIS_PYTHON_WORKER";

/// Stack of the interpreter's thread in bytes; a recursion of the depth that Python permits needs a part of it.
const STACK: usize = 256 << 20;

static HOSTED: AtomicBool = AtomicBool::new(false);

/// Call this first in `main`. In a process that was started as a worker for monty it serves until its parent ends, and
/// does not return; in every other process it returns at once, and from then on the tool may start this executable
/// again as a worker. An executable that never calls it runs all programs in python3.
pub fn host() {
    match std::env::var(VARIABLE) {
        Ok(limits) => serve(&limits),
        Err(_) => HOSTED.store(true, Ordering::Relaxed),
    }
}

/// Whether this executable can be started as a worker.
pub(super) fn is_hosted() -> bool {
    HOSTED.load(Ordering::Relaxed)
}

/// Starts a worker.
pub(super) fn start(executable: &Path, arguments: &[String], limits: &Limits) -> Result<Process, String> {
    let mut command = Command::new(executable);
    let cpu = limits.cpu.as_millis();
    command.args(arguments).env_clear().env(VARIABLE, format!("{}:{cpu}", limits.memory)).current_dir("/");
    let (mut process, lowered) = Process::start(command, Vec::new(), false, false)?;
    process.limits = [("network, files, processes", "monty has no access")]
        .into_iter()
        .chain((lowered.contains("seccomp")).then_some(("system calls", "seccomp")))
        .chain((lowered.contains("RLIMIT_AS")).then_some(("memory", "RLIMIT_AS")))
        .chain([
            ("processor time", "monty's clock"),
            ("wall time", "kill by the parent"),
            ("output", "kill by the parent"),
        ])
        .map(|(limit, by)| Enforced { limit, by })
        .collect();
    Ok(process)
}

/// Runs what comes over standard input until it is closed. Never returns.
fn serve(limits: &str) -> ! {
    // A second thread runs the programs, so that this one sees the parent's end at once and takes them with it.
    let (sender, programs) = mpsc::channel();
    let cpu = limits
        .split(':')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .map_or(Duration::from_secs(10), Duration::from_millis);
    let socket = || std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let (Ok(mut control), Ok(mut started), Ok(replies)) = (socket(), socket(), socket()) else {
        std::process::exit(1)
    };
    let work = move || run_all(programs, Replies { control: replies, pending: Vec::new() }, cpu);
    if std::thread::Builder::new().stack_size(STACK).spawn(work).is_err() {
        std::process::exit(1);
    }
    let lowered = lower(limits);
    if started.write_all(&frame(b'S', lowered.as_bytes())).is_err() {
        std::process::exit(0);
    }
    loop {
        let mut head = [0; 5];
        if control.read_exact(&mut head).is_err() {
            std::process::exit(0);
        }
        let mut program = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize];
        if control.read_exact(&mut program).is_err() || sender.send((head[0], program)).is_err() {
            std::process::exit(0);
        }
    }
}

/// Gives up what an interpreter does not need; the names of what worked.
fn lower(limits: &str) -> String {
    let mut lowered = Vec::new();
    let memory = limits.split(':').next().and_then(|text| text.parse::<u64>().ok());
    // The executable's own mappings and the stack come on top of what a program may use.
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    if let (Some(memory), Some(pages)) = (memory, pages) {
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64).saturating_add(memory);
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        if setrlimit(Resource::As, limit).is_ok() {
            lowered.push("RLIMIT_AS");
        }
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let _ = setrlimit(Resource::Fsize, none);
    if filter::worker().is_some_and(|filter| seccompiler::apply_filter_all_threads(&filter).is_ok()) {
        lowered.push("seccomp");
    }
    lowered.join(",")
}

fn run_all(programs: mpsc::Receiver<(u8, Vec<u8>)>, mut replies: Replies, cpu: Duration) {
    let fresh = || {
        let limits = ResourceLimits::default().max_duration(cpu);
        let options = CompileOptions { assert_message_annotations: AssertMessageAnnotations::Off };
        MontyRepl::new("<program>", ResourceTracker::new(limits), options)
    };
    let mut interpreter = fresh();
    for (kind, program) in programs {
        if kind == b'P' {
            interpreter = fresh();
        }
        interpreter.tracker_mut().set_max_duration(cpu);
        let Ok(program) = String::from_utf8(program) else {
            replies.send(b'D', b"syntax UnicodeDecodeError");
            continue;
        };
        let result = interpreter.feed_run(&program, Vec::new(), PrintWriter::Callback(&mut replies));
        replies.flush();
        match result {
            Ok(MontyObject::None) => replies.send(b'D', b"ok"),
            Ok(value) => {
                replies.send(b'V', value.py_repr().as_bytes());
                replies.send(b'D', b"ok");
            }
            Err(error) => {
                replies.send(b'E', error.to_string().trim_end().as_bytes());
                let kind = match error.exc_type() {
                    ExcType::SyntaxError => "syntax",
                    ExcType::TimeoutError => "timeout",
                    ExcType::MemoryError => "memory",
                    _ => "exception",
                };
                replies.send(b'D', format!("{kind} {}", error.exc_type()).as_bytes());
            }
        }
        if kind == b'P' {
            interpreter = fresh();
        }
    }
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(kind);
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame
}

/// The way back to the parent; standard output is gathered into frames.
struct Replies {
    control: UnixStream,
    pending: Vec<u8>,
}

impl Replies {
    fn send(&mut self, kind: u8, payload: &[u8]) {
        if self.control.write_all(&frame(kind, payload)).is_err() {
            std::process::exit(0);
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.send(b'O', &pending);
        }
    }

    fn print(&mut self, text: &str) {
        self.pending.extend(text.as_bytes());
        if self.pending.len() >= 1 << 13 {
            self.flush();
        }
    }
}

impl PrintWriterCallback for Replies {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.print(&output);
        Ok(())
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.print(end.encode_utf8(&mut [0; 4]));
        Ok(())
    }
}
