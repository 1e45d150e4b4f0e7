//! A child process that runs programs: its start, the conversation with it, its end.
//!
//! The child's standard input is one end of a socket pair on which both sides write frames: one byte of kind, four of
//! length (big endian), the payload. To the child: `P` a program for a fresh interpreter, `C` a snippet that continues.
//! From the child: `S` started (payload: limits that it lowered), then for every program any number of `O` (standard
//! output; python3 writes to its pipe instead), at most one `V` (value) and `E` (error), and `D` done (payload: outcome).
//! A program can forge these frames; it then lies about itself, and about nothing else.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Enforced;

/// How long a child may take to say that it has started.
const START: Duration = Duration::from_secs(20);

/// How long a child that has closed its socket may take to end by itself.
const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    control: UnixStream,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Whether the exit status of the child is 128 + the signal that ended the program, as bubblewrap reports it.
    status_holds_signal: bool,
    pub limits: Vec<Enforced>,
}

/// What came back for one program.
pub(super) struct Reply {
    pub stdout: String,
    pub stderr: String,
    pub value: Option<String>,
    pub error: Option<String>,
    pub outcome: Outcome,
}

pub(super) enum Outcome {
    /// In the child's words.
    Done(String),
    /// Not done in time.
    Deadline,
    /// More output than permitted.
    TooMuch,
    /// The child ended, by a signal or with a status; neither if it had to be killed.
    Ended { signal: Option<i32>, status: Option<i32> },
}

impl Process {
    /// Starts `command` with the socket as its standard input, keeping `inherited` open in it, and waits for its `S`.
    /// `stdout`: whether standard output is the program's.
    pub fn start(
        mut command: Command,
        inherited: Vec<OwnedFd>,
        stdout: bool,
        status_holds_signal: bool,
    ) -> Result<(Process, String), String> {
        let (control, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(if stdout { Stdio::piped() } else { Stdio::null() }).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = spawn(command, inherited).map_err(|error| format!("{program}: {error}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut process = Process { child, control, stdout, stderr, status_holds_signal, limits: Vec::new() };
        let reply = process.read(Instant::now() + START, 1 << 16);
        match reply.outcome {
            Outcome::Done(lowered) => Ok((process, lowered)),
            Outcome::Deadline => Err(format!("{program} did not start within {} s", START.as_secs())),
            Outcome::TooMuch | Outcome::Ended { .. } => Err(format!("{program}: {}", reply.stderr.trim())),
        }
    }

    /// Sends a program and collects what comes back until it is done, `deadline`, or `output` bytes.
    pub fn exchange(&mut self, kind: u8, program: &[u8], deadline: Instant, output: usize) -> Reply {
        let Ok(length) = u32::try_from(program.len()) else {
            let error = Some("the program is longer than 4 GiB".to_owned());
            let (stdout, stderr, value) = (String::new(), String::new(), None);
            return Reply { stdout, stderr, value, error, outcome: Outcome::Done("syntax".into()) };
        };
        let mut frame = Vec::with_capacity(program.len() + 5);
        frame.push(kind);
        frame.extend(length.to_be_bytes());
        frame.extend(program);
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        // A child that does not read is found by `read`, as is one that has ended.
        let _ = self.control.set_write_timeout(Some(left)).and_then(|()| self.control.write_all(&frame));
        self.read(deadline, output)
    }

    /// Ends the child and everything in its process space, and waits for it.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn read(&mut self, deadline: Instant, output: usize) -> Reply {
        let (mut frames, mut stdout, mut stderr) = (Vec::new(), Vec::new(), Vec::new());
        let (mut value, mut error) = (None, None);
        let mut printed = 0;
        let mut buffer = [0; 1 << 16];
        let outcome = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Outcome::Deadline;
            }
            let [control, out, err] = self.ready(left);
            if out {
                drain(&mut self.stdout, &mut buffer, &mut stdout);
            }
            if err {
                drain(&mut self.stderr, &mut buffer, &mut stderr);
            }
            let mut ended = false;
            if control {
                match self.control.read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(count) => frames.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => ended = true,
                }
            }
            let mut done = None;
            while let Some((kind, payload)) = take_frame(&mut frames) {
                match kind {
                    b'O' => stdout.extend_from_slice(&payload),
                    b'V' => {
                        printed = payload.len();
                        value = Some(lossy(payload));
                    }
                    b'E' => error = Some(shortened(lossy(payload), output)),
                    _ => done = Some(lossy(payload)),
                }
            }
            // Errors do not count, but nor may a forged one be large.
            if stdout.len() + stderr.len() + printed > output || frames.len() > 2 * output + (1 << 20) {
                break Outcome::TooMuch;
            }
            if let Some(outcome) = done {
                break Outcome::Done(outcome);
            }
            if ended {
                break self.await_end();
            }
        };
        // What was written before the end is in the pipes.
        let limit = output.saturating_add(1);
        while stdout.len() + stderr.len() < limit {
            let [_, out, err] = self.ready(Duration::ZERO);
            let mut read = 0;
            if out {
                read += drain(&mut self.stdout, &mut buffer, &mut stdout);
            }
            if err {
                read += drain(&mut self.stderr, &mut buffer, &mut stderr);
            }
            if read == 0 {
                break;
            }
        }
        let too_much = stdout.len() + stderr.len() + printed > output;
        let outcome = match outcome {
            Outcome::Done(_) if too_much => Outcome::TooMuch,
            outcome => outcome,
        };
        if too_much {
            value = None;
            stdout.truncate(output);
            stderr.truncate(output - stdout.len());
        }
        Reply { stdout: lossy(stdout), stderr: lossy(stderr), value, error, outcome }
    }

    /// Which of control socket, standard output and standard error can be read, after at most `wait`.
    fn ready(&self, wait: Duration) -> [bool; 3] {
        let mut which = vec![0];
        let mut descriptors = vec![PollFd::new(&self.control, PollFlags::IN)];
        if let Some(stdout) = &self.stdout {
            which.push(1);
            descriptors.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN));
        }
        if let Some(stderr) = &self.stderr {
            which.push(2);
            descriptors.push(PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN));
        }
        let mut ready = [false; 3];
        // Waits of days are cut; the caller asks again.
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).min(86_400);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: wait.subsec_nanos().into() };
        if poll(&mut descriptors, Some(&timeout)).is_ok() {
            for (index, descriptor) in which.iter().zip(&descriptors) {
                ready[*index] = !descriptor.revents().is_empty();
            }
        }
        ready
    }

    /// The exit status of a child that has closed its socket.
    fn await_end(&mut self) -> Outcome {
        let deadline = Instant::now() + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    let signal = status.signal().or_else(|| {
                        let code = status.code().filter(|_| self.status_holds_signal)?;
                        (code > 128 && code < 128 + 65).then(|| code - 128)
                    });
                    return Outcome::Ended { signal, status: status.code() };
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => return Outcome::Ended { signal: None, status: None },
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a child from a thread that lives as long as this process: bubblewrap's `--die-with-parent` means the thread.
fn spawn(command: Command, inherited: Vec<OwnedFd>) -> std::io::Result<Child> {
    struct Request {
        command: Command,
        /// Closed here once the child has them.
        inherited: Vec<OwnedFd>,
        answer: mpsc::Sender<std::io::Result<Child>>,
    }
    static SPAWNER: OnceLock<Option<mpsc::Sender<Request>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        let work = move || {
            for mut request in requests {
                let child = request.command.spawn();
                drop(request.inherited);
                // The command holds the child's end of the socket.
                drop(request.command);
                let _ = request.answer.send(child);
            }
        };
        std::thread::Builder::new().name("python-spawner".into()).spawn(work).ok().map(|_| sender)
    });
    let gone = || std::io::Error::other("no thread to start processes");
    let (answer, child) = mpsc::channel();
    spawner.as_ref().ok_or_else(gone)?.send(Request { command, inherited, answer }).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

/// Reads once; closes the pipe at its end.
fn drain<R: Read>(pipe: &mut Option<R>, buffer: &mut [u8], into: &mut Vec<u8>) -> usize {
    let Some(source) = pipe else { return 0 };
    match source.read(buffer) {
        Ok(count) if count > 0 => {
            into.extend_from_slice(&buffer[..count]);
            count
        }
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
        _ => {
            *pipe = None;
            0
        }
    }
}

fn take_frame(frames: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let length = u32::from_be_bytes(frames.get(1..5)?.try_into().ok()?) as usize;
    let payload = frames.get(5..length.checked_add(5)?)?.to_vec();
    let kind = frames[0];
    frames.drain(..length + 5);
    Some((kind, payload))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// At most about `limit` bytes of `text`, the end kept: the last line of a traceback says most.
fn shortened(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let mut start = text.len() - limit;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("…{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_complete() {
        let mut frames = vec![b'V', 0, 0, 0, 2, b'4', b'2', b'D', 0, 0];
        assert_eq!(take_frame(&mut frames), Some((b'V', b"42".to_vec())));
        assert_eq!(take_frame(&mut frames), None);
        frames.extend([0, 0]);
        assert_eq!(take_frame(&mut frames), Some((b'D', Vec::new())));
        assert!(frames.is_empty());
        let mut endless = vec![b'V', 255, 255, 255, 255, 1];
        assert_eq!(take_frame(&mut endless), None);
    }

    #[test]
    fn long_errors_keep_their_end() {
        assert_eq!(shortened("abc".into(), 3), "abc");
        assert_eq!(shortened("aébc".into(), 3), "…bc");
    }
}
