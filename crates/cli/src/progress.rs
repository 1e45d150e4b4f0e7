//! What a person sees while a method works: a bar on a terminal, a line every few seconds elsewhere; and Ctrl-C.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mathesis_solvers::{Observer, Progress};

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The first Ctrl-C asks the running method to stop with what it has; the second ends the program.
pub fn listen_for_interrupts() {
    let installed = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping; what has been reached is saved (press Ctrl-C again to drop it)");
    });
    if let Err(error) = installed {
        tracing::warn!("Ctrl-C ends the program at once: {error}");
    }
}

/// Whether Ctrl-C has been pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

enum Display {
    None,
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

/// Seconds between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows a solve's progress and stops it when Ctrl-C is pressed or the time is up.
pub struct Monitor {
    label: String,
    step: &'static str,
    display: Display,
    start: Instant,
    /// Steps that an earlier process has done.
    before: usize,
    time_limit: Option<Duration>,
    /// Whether the time limit has ended the solve.
    pub out_of_time: bool,
}

impl Monitor {
    /// Show progress under a label, or nothing if `quiet`.
    pub fn new(label: &str, quiet: bool) -> Self {
        let display = if quiet {
            Display::None
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(Duration::from_millis(200));
            let style = "{spinner} {prefix} {bar:24} {pos}/{len} {elapsed}, {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.set_prefix(label.to_string());
            Display::Bar(bar)
        } else {
            Display::Lines { last: None }
        };
        Monitor {
            label: label.to_string(),
            step: "iteration",
            display,
            start: Instant::now(),
            before: 0,
            time_limit: None,
            out_of_time: false,
        }
    }

    /// Call a step something else than an iteration.
    pub fn counting(mut self, step: &'static str) -> Self {
        self.step = step;
        self
    }

    /// Stop the solve after this time.
    pub fn with_time_limit(mut self, limit: Option<Duration>) -> Self {
        self.time_limit = limit;
        self
    }

    /// Tell that so many steps were done by an earlier process, and took this one no time.
    pub fn go_on_from(&mut self, before: usize) {
        self.before = before;
        if let Display::Bar(bar) = &self.display {
            bar.set_position(before as u64);
            bar.reset_eta();
        }
    }

    /// Show that `done` of `planned` steps are done, with figures in words; tells whether to go on.
    pub fn show(&mut self, done: usize, planned: usize, figures: &str) -> ControlFlow<()> {
        match &mut self.display {
            Display::None => {}
            Display::Bar(bar) => {
                bar.set_length(planned as u64);
                bar.set_position(done as u64);
                bar.set_message(figures.to_string());
            }
            Display::Lines { last } => {
                let due = last.unwrap_or(self.start).elapsed() >= LINE_INTERVAL;
                if due && done > 0 {
                    let elapsed = self.start.elapsed().as_secs_f64();
                    let here = done.saturating_sub(self.before).max(1);
                    let left = elapsed / here as f64 * planned.saturating_sub(done) as f64;
                    let (label, step) = (&self.label, self.step);
                    eprintln!(
                        "{label}: {step} {done} of {planned}, {elapsed:.0} s, about {left:.0} s left; {figures}"
                    );
                    *last = Some(Instant::now());
                }
            }
        }
        if self.time_limit.is_some_and(|limit| self.start.elapsed() >= limit) {
            self.out_of_time = true;
        }
        if interrupted() || self.out_of_time { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Take the bar away.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn figures(progress: &Progress) -> String {
    let figure = |name: &str, value: Option<f64>| value.map(|value| format!("{name} {value:.2e}"));
    [figure("residual", progress.residual), figure("error", progress.error)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

impl Observer for Monitor {
    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        self.show(progress.iteration, progress.planned, &figures(&progress))
    }

    fn note(&mut self, message: &str) {
        match &self.display {
            Display::None => {}
            Display::Bar(bar) => bar.println(format!("note: {message}")),
            Display::Lines { .. } => eprintln!("note: {message}"),
        }
    }
}
