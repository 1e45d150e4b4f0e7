//! The star within one process: every worker a thread, every edge a pair of channels.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Link, LinkError, Tag};

type Letter = (Tag, Vec<u8>);

/// One thread's end.
pub struct ThreadLink {
    rank: usize,
    ranks: usize,
    /// At the server one edge for each worker; at a worker the one to the server.
    edges: Vec<(Sender<Letter>, Receiver<Letter>)>,
}

/// The ends of a star with some workers: the server's and those of the workers in order.
pub fn star(workers: usize) -> (ThreadLink, Vec<ThreadLink>) {
    let ranks = workers + 1;
    let mut edges = Vec::with_capacity(workers);
    let mut others = Vec::with_capacity(workers);
    for rank in 1..ranks {
        let (to_worker, from_server) = channel();
        let (to_server, from_worker) = channel();
        edges.push((to_worker, from_worker));
        others.push(ThreadLink { rank, ranks, edges: vec![(to_server, from_server)] });
    }
    (ThreadLink { rank: 0, ranks, edges }, others)
}

impl ThreadLink {
    fn edge(&self, other: usize) -> Option<&(Sender<Letter>, Receiver<Letter>)> {
        if self.rank == 0 { self.edges.get(other.checked_sub(1)?) } else { self.edges.first() }
    }
}

impl Link for ThreadLink {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn send(&mut self, to: usize, tag: Tag, payload: &[u8], _: Duration) -> Result<(), LinkError> {
        let edge = self.edge(to).ok_or(LinkError::Ended { rank: to })?;
        edge.0.send((tag, payload.to_vec())).map_err(|_| LinkError::Ended { rank: to })
    }

    fn receive(&mut self, from: usize, timeout: Duration) -> Result<(Tag, Vec<u8>), LinkError> {
        let edge = self.edge(from).ok_or(LinkError::Ended { rank: from })?;
        edge.1.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => LinkError::TimeOut { rank: from, waited: timeout },
            RecvTimeoutError::Disconnected => LinkError::Ended { rank: from },
        })
    }
}
