//! Hostile texts in every mode: the longest comparison, the longest extraction, and the peak memory of the process. Times are those of the
//! processor.
//!
//! Memory is what Linux reports as `VmHWM`; invalid UTF-8 is read as a command line or a file would, with replacement.

mod texts;

use std::time::Duration;

use mathesis_reasoning::answers::{Mode, Options, check, extract};
use rustix::time::{ClockId, clock_gettime};

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The peak memory of this process in MiB, as Linux reports it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}

fn main() {
    let (mut compared, mut extracted) = ((Duration::ZERO, String::new()), (Duration::ZERO, String::new()));
    for (name, text) in texts::hostile() {
        for mode in Mode::ALL {
            let options = Options::of(mode);
            let before = peak();
            let start = processor_time();
            extract(&text, &options);
            let time = processor_time() - start;
            if time > extracted.0 {
                extracted = (time, format!("{name}, {}", mode.name()));
            }
            let other = format!("{text}+0");
            for (gold, answer) in
                [(text.as_str(), "1"), ("10^{10^9}", text.as_str()), (text.as_str(), other.as_str())]
            {
                let start = processor_time();
                check(gold, answer, &options);
                let time = processor_time() - start;
                if mode == Mode::Strict && time > Duration::from_millis(50) {
                    println!("over the budget: {name}: {time:?}");
                }
                if mode != Mode::Strict && time > Duration::from_secs(1) {
                    println!("slow: {name}, {}: {time:?}", mode.name());
                }
                if time > compared.0 {
                    compared = (time, format!("{name}, {}", mode.name()));
                }
            }
            if peak() > before + 4 {
                println!("memory: {name}, {}: {} to {} MiB", mode.name(), before, peak());
            }
        }
    }
    println!(
        "longest comparison {:?} ({}), longest extraction {:?} ({})",
        compared.0, compared.1, extracted.0, extracted.1
    );
    println!("peak memory: {} MiB", peak());
}
