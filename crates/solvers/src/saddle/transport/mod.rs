//! How ranks reach each other: a star with the server, rank 0, in the middle and workers m = 1, ..., M around it.
//!
//! A [`Link`] is one rank's end. There are two kinds: [`threads`] of one process, and processes over MPI (cargo feature `mpi`,
//! `message_passing`). Both carry the same messages in the same order, so that a method gives the same iterates bit for bit.
//!
//! What a message is, its tag says, which travels in the envelope (an MPI tag, a field beside the bytes in a channel): the payload holds
//! encoded vectors only, and [`Traffic`] counts its bytes where it is sent. Broadcasts are M sends of the same message, because only
//! point-to-point transfers can be given up after a time.

#[cfg(feature = "mpi")]
pub mod message_passing;
pub mod threads;

use std::time::Duration;

use super::SolveError;
use super::compressor::Codec;
use super::random::Stream;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// An encoded vector.
    Vector,
    /// The server's word on how to go on: continue.
    Continue,
    /// Remember the present state as the best.
    Keep,
    /// Go back to the best state and halve the step.
    Halve,
    /// The solve is over.
    Stop,
    /// The sender cannot go on; the payload says why.
    Failure,
}

impl Tag {
    const ALL: [Tag; 6] = [Tag::Vector, Tag::Continue, Tag::Keep, Tag::Halve, Tag::Stop, Tag::Failure];

    /// As a number from 1.
    pub fn number(self) -> i32 {
        self as i32 + 1
    }

    /// From its number.
    pub fn from_number(number: i32) -> Option<Tag> {
        Tag::ALL.into_iter().find(|tag| tag.number() == number)
    }
}

/// Why a message did not arrive.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// Nothing came in time.
    #[error("{} sent nothing for {} s (`timeout`); it hangs, has died or is too slow", name(*.rank), .waited.as_secs_f64())]
    TimeOut {
        /// Who was waited for.
        rank: usize,
        /// How long.
        waited: Duration,
    },
    /// The other end is gone.
    #[error("{} has ended without a word", name(*.rank))]
    Ended {
        /// Who is gone.
        rank: usize,
    },
}

fn name(rank: usize) -> String {
    if rank == 0 { "the server (rank 0)".to_string() } else { format!("worker {} (rank {rank})", rank - 1) }
}

/// One rank's end of the star.
pub trait Link {
    /// This rank: 0 for the server, m for the worker of F_{m−1}.
    fn rank(&self) -> usize;
    /// All ranks, the server included.
    fn ranks(&self) -> usize;
    /// Send; workers only to the server.
    ///
    /// # Errors
    /// If the other end is gone or takes nothing in time.
    fn send(&mut self, to: usize, tag: Tag, payload: &[u8], timeout: Duration) -> Result<(), LinkError>;
    /// The next message of a rank.
    ///
    /// # Errors
    /// If the other end is gone or sends nothing in time.
    fn receive(&mut self, from: usize, timeout: Duration) -> Result<(Tag, Vec<u8>), LinkError>;
}

/// What has been sent: payloads only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from workers to the server.
    pub bytes_up: u64,
    /// Bytes from the server to workers, each copy counted.
    pub bytes_down: u64,
    /// Encoded numbers from workers to the server.
    pub numbers_up: u64,
    /// Messages with vectors from workers to the server.
    pub messages_up: u64,
    /// Messages with vectors from the server to workers.
    pub messages_down: u64,
}

/// One rank in a collective computation.
pub(super) struct Star<'a> {
    link: &'a mut dyn Link,
    timeout: Duration,
    dimension: usize,
    /// At the server everything that it has received and sent; at a worker what it has sent.
    pub traffic: Traffic,
    buffer: Vec<f64>,
}

impl<'a> Star<'a> {
    pub fn new(link: &'a mut dyn Link, timeout: Duration, dimension: usize) -> Self {
        Star { link, timeout, dimension, traffic: Traffic::default(), buffer: vec![0.0; dimension] }
    }

    /// The worker's number from 0; `None` at the server.
    pub fn worker(&self) -> Option<usize> {
        self.link.rank().checked_sub(1)
    }

    pub fn workers(&self) -> usize {
        self.link.ranks() - 1
    }

    /// At a worker: send C(v); returns C(v) as the server reads it.
    pub fn send_up(&mut self, codec: &Codec, v: &[f64], stream: &mut Stream) -> Result<Vec<f64>, SolveError> {
        let worker = self.worker().unwrap_or(0);
        let message = codec.encode(v, stream).map_err(|error| SolveError::Encoding { worker, error })?;
        self.link.send(0, Tag::Vector, &message.bytes, self.timeout)?;
        self.traffic.bytes_up += message.bytes.len() as u64;
        self.traffic.numbers_up += message.numbers as u64;
        self.traffic.messages_up += 1;
        let mut value = vec![0.0; self.dimension];
        decode(codec, &message.bytes, &mut value, worker)?;
        Ok(value)
    }

    /// At the server: the sum of what the workers of a list send, added in the order of the list.
    pub fn gather(&mut self, codec: &Codec, workers: &[usize]) -> Result<Vec<f64>, SolveError> {
        let mut sum = vec![0.0; self.dimension];
        let mut failure = None;
        for &worker in workers {
            // After a failure the others are still heard, so that none is left with a message that nobody takes.
            let received = self.link.receive(worker + 1, self.timeout);
            let outcome = match received {
                Ok((Tag::Vector, bytes)) => {
                    self.traffic.bytes_up += bytes.len() as u64;
                    self.traffic.messages_up += 1;
                    let decoded = decode(codec, &bytes, &mut self.buffer, worker);
                    sum.iter_mut().zip(&self.buffer).for_each(|(sum, v)| *sum += v);
                    decoded.map(|numbers| self.traffic.numbers_up += numbers as u64)
                }
                Ok((Tag::Failure, why)) => {
                    Err(SolveError::Worker { worker, message: String::from_utf8_lossy(&why).into_owned() })
                }
                Ok((tag, _)) => {
                    Err(SolveError::Worker { worker, message: format!("unexpected message {tag:?}") })
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                // Nobody who hangs is waited for twice.
                let gone = matches!(error, SolveError::Link(_));
                failure.get_or_insert(error);
                if gone {
                    break;
                }
            }
        }
        failure.map_or(Ok(sum), Err)
    }

    /// At the server: send C(v) to all; returns C(v) as the workers read it.
    pub fn send_down(
        &mut self,
        codec: &Codec,
        v: &[f64],
        stream: &mut Stream,
    ) -> Result<Vec<f64>, SolveError> {
        let message = codec.encode(v, stream).map_err(SolveError::ServerEncoding)?;
        for rank in 1..self.link.ranks() {
            self.link.send(rank, Tag::Vector, &message.bytes, self.timeout)?;
            self.traffic.bytes_down += message.bytes.len() as u64;
            self.traffic.messages_down += 1;
        }
        let mut value = vec![0.0; self.dimension];
        decode(codec, &message.bytes, &mut value, 0)?;
        Ok(value)
    }

    /// At a worker: what the server sends.
    pub fn receive_down(&mut self, codec: &Codec) -> Result<Vec<f64>, SolveError> {
        let (tag, bytes) = self.receive_from_server()?;
        if tag != Tag::Vector {
            return Err(SolveError::ToldToEnd);
        }
        let mut value = vec![0.0; self.dimension];
        decode(codec, &bytes, &mut value, 0)?;
        Ok(value)
    }

    /// The server's word to all; the server passes it, the workers hear it.
    pub fn word(&mut self, word: Option<Tag>) -> Result<Tag, SolveError> {
        match word {
            Some(word) => {
                for rank in 1..self.link.ranks() {
                    self.link.send(rank, word, &[], self.timeout)?;
                }
                Ok(word)
            }
            None => Ok(self.receive_from_server()?.0),
        }
    }

    /// Tell the others that this rank cannot go on. Nothing is done about those that cannot be told.
    pub fn fail(&mut self, error: &SolveError) {
        let text = error.to_string();
        if self.worker().is_some() {
            if !matches!(error, SolveError::ToldToEnd) {
                let _ = self.link.send(0, Tag::Failure, text.as_bytes(), self.timeout);
            }
        } else {
            for rank in 1..self.link.ranks() {
                let _ = self.link.send(rank, Tag::Failure, text.as_bytes(), self.timeout);
            }
        }
    }

    fn receive_from_server(&mut self) -> Result<(Tag, Vec<u8>), SolveError> {
        // The server may itself wait for a slow worker first, so it is given longer than a worker is.
        let (tag, bytes) = self.link.receive(0, self.timeout * 3)?;
        if tag == Tag::Failure { Err(SolveError::ToldToEnd) } else { Ok((tag, bytes)) }
    }
}

fn decode(codec: &Codec, bytes: &[u8], value: &mut [f64], worker: usize) -> Result<usize, SolveError> {
    codec.decode(bytes, value).map_err(|error| SolveError::Encoding { worker, error })
}
