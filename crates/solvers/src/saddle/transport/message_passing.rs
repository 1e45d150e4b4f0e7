//! The star over MPI: every rank a process, started by `mpirun`. Rank 0 is the server and no worker.
//!
//! All transfers are non-blocking and watched, so that a process which hangs or has died ends the run: MPI has no way to go on without
//! it, hence the rank that notices says so on standard error and aborts all others.

use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::MatchedReceiveVec;
use mpi::request::scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};

use super::{Link, LinkError, Tag};

/// One process' end; MPI is shut down when it is dropped.
pub struct MessagePassing {
    world: SimpleCommunicator,
    _universe: Universe,
}

impl MessagePassing {
    /// Start MPI; `None` if it has been started before in this process.
    pub fn start() -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(MessagePassing { world: universe.world(), _universe: universe })
    }

    fn give_up(&self, error: &LinkError) -> ! {
        eprintln!("error: {error}; the run ends on all ranks");
        self.world.abort(1)
    }
}

/// Look again and again, soon at first, until something is there or the time is over.
fn watch<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let mut looks = 0u32;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        looks = looks.wrapping_add(1);
        // Where there are more ranks than cores, the one that is waited for needs this one's.
        std::thread::yield_now();
        if looks.is_multiple_of(64) && start.elapsed() > timeout {
            return None;
        }
    }
}

impl Link for MessagePassing {
    fn rank(&self) -> usize {
        self.world.rank().unsigned_abs() as usize
    }

    fn ranks(&self) -> usize {
        self.world.size().unsigned_abs() as usize
    }

    fn send(&mut self, to: usize, tag: Tag, payload: &[u8], timeout: Duration) -> Result<(), LinkError> {
        scope(|scope| {
            let receiver = self.world.process_at_rank(to as i32);
            let mut request = Some(receiver.immediate_send_with_tag(scope, payload, tag.number()));
            let done = watch(timeout, || match request.take()?.test() {
                Ok(_) => Some(()),
                Err(unfinished) => {
                    request = Some(unfinished);
                    None
                }
            });
            // The buffer of an unfinished transfer must outlive it, which only the end of the process ensures.
            if done.is_none() {
                self.give_up(&LinkError::TimeOut { rank: to, waited: timeout });
            }
        });
        Ok(())
    }

    fn receive(&mut self, from: usize, timeout: Duration) -> Result<(Tag, Vec<u8>), LinkError> {
        let sender = self.world.process_at_rank(from as i32);
        match watch(timeout, || sender.immediate_matched_probe()) {
            Some(message) => {
                let (bytes, status) = message.matched_receive_vec::<u8>();
                Tag::from_number(status.tag()).map(|tag| (tag, bytes)).ok_or(LinkError::Ended { rank: from })
            }
            None => self.give_up(&LinkError::TimeOut { rank: from, waited: timeout }),
        }
    }
}
