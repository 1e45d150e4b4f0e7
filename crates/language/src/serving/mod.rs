//! A model that many ask at once: a queue, and one thread that owns the [`Decoder`] and answers from it.
//!
//! Prompts leave the queue in the order in which they came, each as soon as there is room for its samples, while others are being
//! answered. What comes of them is told to a function of the one who asks, piece by piece; who loses interest drops the
//! [`Ticket`], and the rows are free at the next step. What a sample becomes is what [`generate`](crate::generation::generate) makes
//! of the same prompts and the same request alone.
//!
//! Memory is bounded: by [`Limits`] in rows and prompts, and by the requests in their length.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use crate::generation::{Completion, Decoder, Event, GenerationError, Request, TokenLogProbability, check};
use crate::model::{LanguageModel, LanguageModelConfig};
use crate::text::Tokenizer;

/// How much is done, and how much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples that are written at the same time, at least 1.
    pub running: usize,
    /// Prompts that wait for their turn.
    pub waiting: usize,
    /// The time from the question to the end of its last answer.
    pub time: Duration,
}

/// A model that answers in a thread of its own.
pub struct Service {
    shared: Arc<Shared>,
    config: LanguageModelConfig,
    limits: Limits,
    thread: Option<JoinHandle<()>>,
}

/// What is heard of a question.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The prompt of this number has left the queue.
    Begun(usize),
    /// Something new of a sample.
    Piece(Piece),
    /// There will be no answer, or no more of it; the last that is heard.
    Failed(Failure),
}

/// Something new of a sample.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The number of the prompt in the question.
    pub prompt: usize,
    /// The number of the sample.
    pub sample: usize,
    /// Text that is now certain; it may be empty.
    pub text: String,
    /// For the tokens that begin in it, if they were asked for.
    pub log_probabilities: Vec<TokenLogProbability>,
    /// The whole answer, if this is its end. Where the time was over it is
    /// [interrupted](crate::generation::Finish::Interrupted).
    pub completion: Option<Completion>,
}

/// Why an accepted question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The time was over before there was anything of an answer.
    #[error("the time limit of {} s was over before the first token", .0.as_secs_f64())]
    Late(Duration),
    /// The service has been stopped.
    #[error("the service has been stopped")]
    Stopped,
    /// The model or the tokenizer failed.
    #[error("{0}")]
    Generation(String),
}

/// Why a question is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A prompt or a setting is impossible.
    #[error(transparent)]
    Impossible(#[from] GenerationError),
    /// More samples of a prompt than are written at the same time.
    #[error("{samples} samples of a prompt; at most {most} are written at the same time")]
    Samples {
        /// Those that were asked for.
        samples: usize,
        /// [`Limits::running`].
        most: usize,
    },
    /// More prompts than could ever wait.
    #[error("{prompts} prompts in one question; at most {most} can wait")]
    Prompts {
        /// Those of the question.
        prompts: usize,
        /// What fits at most.
        most: usize,
    },
    /// Too many prompts wait already.
    #[error("{0} prompts are waiting already")]
    Full(usize),
    /// Nothing is accepted any more.
    #[error("the service is stopping")]
    Stopping,
}

/// Interest in the answers to a question: dropped, they end.
#[derive(Debug)]
#[must_use = "dropping it ends the answers"]
pub struct Ticket {
    gone: Arc<AtomicBool>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Samples that are being written, or whose prompts are being read.
    pub running: usize,
    /// Prompts that wait.
    pub waiting: usize,
    /// Whether questions are accepted.
    pub open: bool,
}

impl Service {
    /// Begin to serve a model, best one without derivatives (`valid`).
    ///
    /// # Errors
    /// If no thread can be started.
    ///
    /// # Panics
    /// If nothing may run.
    pub fn start(
        model: LanguageModel,
        tokenizer: Arc<Tokenizer>,
        device: Device,
        limits: Limits,
    ) -> std::io::Result<Self> {
        assert!(limits.running > 0, "at least one sample at a time");
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::new()), changed: Condvar::new() });
        let (queue, config) = (shared.clone(), model.config().clone());
        let decode = move || {
            // Closed also if this thread panics: nobody waits for what never comes.
            let _closing = Closing(&queue);
            Worker {
                model: &model,
                tokenizer: &tokenizer,
                decoder: Decoder::new(&model, &tokenizer, &device),
                device: &device,
                active: Vec::new(),
                shared: &queue,
                limits,
            }
            .run();
        };
        let thread = std::thread::Builder::new().name("decoding".into()).spawn(decode)?;
        Ok(Service { shared, config, limits, thread: Some(thread) })
    }

    /// Ask for answers to prompts; `heard` is called in the thread of the service and must not wait.
    ///
    /// # Errors
    /// If the question is impossible or there is no room for it; nothing is heard then.
    pub fn ask(
        &self,
        prompts: Vec<Vec<u32>>,
        request: &Request,
        heard: impl FnMut(Heard) + Send + 'static,
    ) -> Result<Ticket, Refusal> {
        for prompt in &prompts {
            check(&self.config, prompt, request)?;
        }
        let Limits { running, waiting, time } = self.limits;
        if request.samples > running {
            return Err(Refusal::Samples { samples: request.samples, most: running });
        }
        let at_once = running / request.samples;
        if prompts.len() > at_once + waiting {
            return Err(Refusal::Prompts { prompts: prompts.len(), most: at_once + waiting });
        }
        let gone = Arc::new(AtomicBool::new(false));
        let question = Arc::new(Question {
            heard: Mutex::new(Box::new(heard)),
            gone: gone.clone(),
            answering: AtomicBool::new(false),
            deadline: Instant::now().checked_add(time),
        });
        let mut queue = self.shared.lock();
        if !queue.open {
            return Err(Refusal::Stopping);
        }
        queue.waiting.retain(|job| !job.question.is_gone());
        // What waits and finds room at once does not count as waiting.
        let ahead: usize = queue.waiting.iter().map(|job| job.request.samples).sum();
        let at_once = running.saturating_sub(queue.running + ahead) / request.samples;
        if prompts.len().saturating_sub(at_once) + queue.waiting.len() > waiting {
            return Err(Refusal::Full(queue.waiting.len()));
        }
        let jobs = prompts.into_iter().enumerate().map(|(number, prompt)| Job {
            prompt,
            number,
            request: request.clone(),
            question: question.clone(),
        });
        queue.waiting.extend(jobs);
        drop(queue);
        self.shared.changed.notify_all();
        Ok(Ticket { gone })
    }

    /// What is being done.
    pub fn load(&self) -> Load {
        let queue = self.shared.lock();
        Load { running: queue.running, waiting: queue.waiting.len(), open: queue.open }
    }

    /// Accept nothing more; what has been accepted is answered.
    pub fn close(&self) {
        self.shared.lock().open = false;
        self.shared.changed.notify_all();
    }

    /// Accept nothing more, and end at once what has been accepted.
    pub fn stop(&self) {
        let mut queue = self.shared.lock();
        (queue.open, queue.stopped) = (false, true);
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

struct Shared {
    queue: Mutex<Queue>,
    /// Told when something has come, or an end.
    changed: Condvar,
}

struct Queue {
    waiting: VecDeque<Job>,
    /// Samples that are being written.
    running: usize,
    open: bool,
    stopped: bool,
}

/// A prompt that waits.
struct Job {
    prompt: Vec<u32>,
    number: usize,
    request: Request,
    question: Arc<Question>,
}

/// What the prompts of a question have in common.
struct Question {
    heard: Mutex<Box<dyn FnMut(Heard) + Send>>,
    /// Nobody listens any more.
    gone: Arc<AtomicBool>,
    /// Something of an answer has been told.
    answering: AtomicBool,
    deadline: Option<Instant>,
}

/// A prompt that is being answered.
struct Active {
    number: usize,
    /// The decoder's number of the first sample.
    first: usize,
    samples: usize,
    /// Samples that are not whole yet.
    left: usize,
    question: Arc<Question>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new() -> Self {
        Queue { waiting: VecDeque::new(), running: 0, open: true, stopped: false }
    }
}

impl Question {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn tell(&self, heard: Heard) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)(heard);
    }

    /// Tell the last that is heard.
    fn fail(&self, failure: Failure) {
        if !self.gone.swap(true, Ordering::Relaxed) {
            self.tell(Heard::Failed(failure));
        }
    }
}

/// Closes a queue when it is dropped: what waits in it is dropped too.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        (queue.open, queue.running) = (false, 0);
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for job in waiting {
            job.question.fail(Failure::Stopped);
        }
    }
}

/// What the thread does.
struct Worker<'a> {
    model: &'a LanguageModel,
    tokenizer: &'a Tokenizer,
    device: &'a Device,
    decoder: Decoder<'a>,
    active: Vec<Active>,
    shared: &'a Shared,
    limits: Limits,
}

impl Worker<'_> {
    fn run(mut self) {
        while let Some((jobs, late)) = self.next() {
            for job in late {
                job.question.fail(Failure::Late(self.limits.time));
            }
            for job in jobs {
                self.begin(job);
            }
            let stepped = self.end_what_is_over().and_then(|()| self.decoder.step());
            match stepped {
                Ok(events) => self.tell(events),
                Err(error) => self.fail(&Failure::Generation(error.to_string())),
            }
        }
        self.fail(&Failure::Stopped);
    }

    /// What is to begin now, and what has waited too long; waits until there is something to do. None if there will be nothing.
    fn next(&self) -> Option<(Vec<Job>, Vec<Job>)> {
        let mut queue = self.shared.lock();
        loop {
            queue.running = self.decoder.running();
            if queue.stopped {
                return None;
            }
            queue.waiting.retain(|job| !job.question.is_gone());
            let now = Instant::now();
            let late: Vec<Job> = (0..queue.waiting.len())
                .rev()
                .filter(|&place| queue.waiting[place].question.is_late(now))
                .collect::<Vec<_>>()
                .into_iter()
                .filter_map(|place| queue.waiting.remove(place))
                .collect();
            let mut jobs = Vec::new();
            while let Some(job) = queue.waiting.front() {
                let running = queue.running + job.request.samples;
                if running > self.limits.running {
                    break;
                }
                queue.running = running;
                jobs.extend(queue.waiting.pop_front());
            }
            if !jobs.is_empty() || !late.is_empty() || !self.decoder.is_idle() {
                return Some((jobs, late));
            }
            if !queue.open {
                return None;
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin(&mut self, job: Job) {
        let Job { prompt, number, request, question } = job;
        match self.decoder.begin(&prompt, number as u64, &request) {
            Ok(first) => {
                question.tell(Heard::Begun(number));
                let samples = request.samples;
                self.active.push(Active { number, first, samples, left: samples, question });
            }
            Err(error) => question.fail(Failure::Generation(error.to_string())),
        }
    }

    /// End the samples in which nobody is interested, and those whose time is over.
    fn end_what_is_over(&mut self) -> Result<(), GenerationError> {
        let now = Instant::now();
        for question in self.active.iter().map(|active| &active.question) {
            if question.is_late(now) && !question.answering.load(Ordering::Relaxed) {
                question.fail(Failure::Late(self.limits.time));
            }
        }
        let over: Vec<(usize, usize)> = self
            .active
            .iter()
            .filter(|active| active.question.is_gone() || active.question.is_late(now))
            .map(|active| (active.first, active.samples))
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let chosen = |sequence: usize| {
            over.iter().any(|&(first, samples)| (first..first + samples).contains(&sequence))
        };
        let events = self.decoder.interrupt(chosen)?;
        self.tell(events);
        Ok(())
    }

    fn tell(&mut self, events: Vec<Event>) {
        for Event { sequence, text, log_probabilities, completion } in events {
            let place = self
                .active
                .iter()
                .position(|active| (active.first..active.first + active.samples).contains(&sequence));
            let Some(active) = place.map(|place| &mut self.active[place]) else { continue };
            active.left -= usize::from(completion.is_some());
            if !active.question.is_gone() {
                active.question.answering.store(true, Ordering::Relaxed);
                let (prompt, sample) = (active.number, sequence - active.first);
                active.question.tell(Heard::Piece(Piece {
                    prompt,
                    sample,
                    text,
                    log_probabilities,
                    completion,
                }));
            }
        }
        // With the last prompt of a question its function is dropped.
        self.active.retain(|active| active.left > 0);
    }

    /// Fail in all that is being answered, and begin anew.
    fn fail(&mut self, failure: &Failure) {
        self.decoder = Decoder::new(self.model, self.tokenizer, self.device);
        for active in self.active.drain(..) {
            active.question.fail(failure.clone());
        }
    }
}

#[cfg(test)]
mod tests;
