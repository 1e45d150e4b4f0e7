//! Threads that stay awake between many short parallel computations.
//!
//! A token that a language model writes is some sixty products of a matrix, each of them shared among threads and each over within tens
//! of microseconds: as long as it takes to wake a thread that has gone to sleep after the one before. Here the threads of the pool look
//! for work, without sleeping, for as long as the whole lasts.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long other threads are waited for before the work begins. Those that are busy with something else are left to it.
const PATIENCE: Duration = Duration::from_micros(100);

/// Whether threads are kept awake already: two works at once could each wait for a thread that looks for work for the other.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Do work on a thread of the pool, while the pool's other threads stay awake. Of several at once only the first has threads kept awake
/// for it.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let others = rayon::current_num_threads() - 1;
    if others == 0 || TAKEN.swap(true, Ordering::Acquire) {
        return work();
    }
    let _taken = Lowered(&TAKEN);
    let (going, begun, late) = (AtomicBool::new(true), AtomicUsize::new(0), AtomicBool::new(false));
    rayon::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| {
                begun.fetch_add(1, Ordering::SeqCst);
                // One that begins after the work has begun may be on the work's own thread, which would wait for itself.
                if late.load(Ordering::SeqCst) {
                    return;
                }
                while going.load(Ordering::Acquire) {
                    if rayon::yield_now() != Some(Yield::Executed) {
                        spin_loop();
                    }
                }
            });
        }
        let _going = Lowered(&going);
        let start = Instant::now();
        while begun.load(Ordering::SeqCst) < others && start.elapsed() < PATIENCE {
            spin_loop();
        }
        late.store(true, Ordering::SeqCst);
        work()
    })
}

/// A flag that is lowered in the end, after a panic too.
struct Lowered<'a>(&'a AtomicBool);

impl Drop for Lowered<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rayon::prelude::*;

    use super::*;

    fn parallel_sum(length: usize) -> usize {
        (0..length).into_par_iter().with_max_len(10).sum()
    }

    #[test]
    fn work_is_done_whatever_else_there_is() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let sums = || awake(|| (0..50).map(|_| parallel_sum(1000)).sum::<usize>());
            // From within, from without, one in another, and several at once.
            assert_eq!(pool.install(sums), 50 * 499_500);
            assert_eq!(sums(), 50 * 499_500);
            assert_eq!(pool.install(|| awake(sums)), 50 * 499_500);
            let many = || (0..40).into_par_iter().with_max_len(1).map(|_| sums()).sum::<usize>();
            assert_eq!(pool.install(many), 40 * 50 * 499_500);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert_eq!(pool.install(many), 40 * 50 * 499_500));
                }
            });
        }
    }

    #[test]
    fn a_panic_ends_the_waiting_too() {
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| awake(|| -> usize { panic!("no result") })));
            assert!(caught.is_err());
            assert_eq!(awake(|| parallel_sum(100)), 4950);
        }
    }
}
