//! How long a computation may take, on the clock of the processor.
//!
//! What a computation gets done should depend on the computation, not on what else the machine does. So a [`Budget`] counts the
//! time that its thread is given by the processor, where the system tells that (`CLOCK_THREAD_CPUTIME_ID`), and the wall clock is only an outer
//! limit. A thread cannot use more processor time than passes on the wall: as long as that is within the budget the clock
//! of the thread, which takes a call of the system, is not read at all.

use std::time::{Duration, Instant};

/// The outer limit on the wall clock, in budgets.
const WALL_FACTOR: u32 = 100;

/// How long a computation may take.
///
/// A budget belongs to the thread that made it: on another thread, that one's processor time would be taken for its own.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Until then no budget can be spent.
    unspent_until: Instant,
    /// From then on it is spent in any case.
    deadline: Instant,
    /// The processor time of the thread at which it is spent; `None` where the system does not tell.
    spent_at: Option<Duration>,
}

impl Budget {
    /// A budget that ends when this thread has had `time` more of the processor, and after a hundred times as long on the wall
    /// clock whatever it had.
    pub fn new(time: Duration) -> Self {
        let now = Instant::now();
        let after = |time: Duration| now.checked_add(time).unwrap_or(now + Duration::from_secs(86_400));
        Budget {
            unspent_until: after(time),
            deadline: after(time.saturating_mul(WALL_FACTOR)),
            spent_at: processor_time().map(|used| used.saturating_add(time)),
        }
    }

    /// Whether the time is over.
    pub fn is_spent(&self) -> bool {
        let now = Instant::now();
        if now < self.unspent_until {
            return false;
        }
        match self.spent_at.zip(processor_time()) {
            Some((spent_at, used)) => used >= spent_at || now >= self.deadline,
            None => true,
        }
    }
}

/// What this thread has had of the processor.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// What this thread has had of the processor: not known here.
#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that waits uses no budget; one that computes does.
    #[test]
    fn only_the_time_of_the_processor_counts() {
        let budget = Budget::new(Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!budget.is_spent());
        let start = processor_time().unwrap();
        while !budget.is_spent() {
            assert!(processor_time().unwrap() - start < Duration::from_secs(1));
        }
        assert!(processor_time().unwrap() - start > Duration::from_millis(3));
    }

    #[test]
    fn the_wall_clock_is_the_outer_limit() {
        let budget = Budget::new(Duration::from_micros(50));
        std::thread::sleep(Duration::from_millis(6));
        assert!(budget.is_spent());
        assert!(Budget::new(Duration::ZERO).is_spent());
        assert!(!Budget::new(Duration::MAX).is_spent());
    }
}
