//! One rank of the computation, as the methods see it: it evaluates, exchanges, and asks how to go on.

use super::monitor::Monitor;
use super::plan::Plan;
use super::random::{Purpose, Stream};
use super::solution::Solution;
use super::transport::{Star, Tag, Traffic};
use super::{Problem, SolveError};

/// A server, a worker, or a process on its own (which is a server that evaluates everything itself).
pub(super) struct Rank<'a> {
    pub problem: &'a Problem,
    pub plan: &'a Plan,
    star: Option<Star<'a>>,
    monitor: Option<Monitor<'a>>,
    /// Largest |z| at the last measurement; a growth far beyond it calls for the next one.
    scale: f64,
}

/// The memory of one channel for uncompressed vectors. Only differences to what the receiver already has are sent, so that rounding to
/// 32-bit floats falls with them and leaves no error in the limit.
pub(super) struct Channel {
    /// At a worker: F_m as the server knows it. At the server: the mean of these.
    own: Vec<f64>,
    /// F as all ranks know it.
    held: Vec<f64>,
}

impl Channel {
    pub fn new(dimension: usize) -> Self {
        Channel { own: vec![0.0; dimension], held: vec![0.0; dimension] }
    }
}

impl<'a> Rank<'a> {
    pub fn alone(problem: &'a Problem, plan: &'a Plan, monitor: Monitor<'a>) -> Self {
        Rank { problem, plan, star: None, monitor: Some(monitor), scale: 0.0 }
    }

    pub fn of_star(
        problem: &'a Problem,
        plan: &'a Plan,
        star: Star<'a>,
        monitor: Option<Monitor<'a>>,
    ) -> Self {
        Rank { problem, plan, star: Some(star), monitor, scale: 0.0 }
    }

    /// This rank's worker, if it is one.
    pub fn worker(&self) -> Option<usize> {
        self.star.as_ref().and_then(Star::worker)
    }

    fn number(&self) -> usize {
        self.worker().map_or(0, |worker| worker + 1)
    }

    /// F_m(z) at worker m; empty at the server.
    pub fn own(&self, z: &[f64]) -> Result<Vec<f64>, SolveError> {
        let Some(worker) = self.worker() else { return Ok(Vec::new()) };
        let mut value = vec![0.0; z.len()];
        self.problem.operator.evaluate(worker, z, &mut value);
        finite(worker, value)
    }

    /// At worker m, the mean over a batch drawn for this iteration of F_{m,i}(u) − F_{m,i}(v).
    pub fn own_batch_difference(
        &self,
        iteration: usize,
        batch: usize,
        u: &[f64],
        v: &[f64],
    ) -> Result<Vec<f64>, SolveError> {
        let Some(worker) = self.worker() else { return Ok(Vec::new()) };
        let operator = self.problem.operator.as_ref();
        let mut stream = Stream::new(self.plan.method.seed, Purpose::Batch, worker, iteration as u64);
        let mut sum = vec![0.0; u.len()];
        let (mut at_u, mut at_v) = (vec![0.0; u.len()], vec![0.0; u.len()]);
        for _ in 0..batch {
            let component = stream.below(operator.components(worker));
            operator.evaluate_component(worker, component, u, &mut at_u);
            operator.evaluate_component(worker, component, v, &mut at_v);
            (0..sum.len()).for_each(|i| sum[i] += (at_u[i] - at_v[i]) / batch as f64);
        }
        finite(worker, sum)
    }

    /// F(z) on all ranks, from F_m(z) of each worker, uncompressed.
    pub fn mean(&mut self, channel: &mut Channel, z: &[f64]) -> Result<Vec<f64>, SolveError> {
        let own = self.own(z)?;
        self.mean_of(channel, z, &own)
    }

    /// The same with F_m(z) at hand.
    pub fn mean_of(&mut self, channel: &mut Channel, z: &[f64], own: &[f64]) -> Result<Vec<f64>, SolveError> {
        let Some(star) = &mut self.star else {
            let mut value = vec![0.0; z.len()];
            self.problem.operator.mean(z, &mut value);
            return finite(0, value);
        };
        let codec = &self.plan.dense;
        // Uncompressed messages draw nothing.
        let mut idle = Stream::new(0, Purpose::Compression, 0, 0);
        let change = if star.worker().is_some() {
            let difference: Vec<f64> = own.iter().zip(&channel.own).map(|(own, sent)| own - sent).collect();
            let sent = star.send_up(codec, &difference, &mut idle)?;
            add(&mut channel.own, &sent, 1.0);
            star.receive_down(codec)?
        } else {
            let workers = star.workers();
            let sum = star.gather(codec, &(0..workers).collect::<Vec<_>>())?;
            add(&mut channel.own, &sum, 1.0 / workers as f64);
            let difference: Vec<f64> =
                channel.own.iter().zip(&channel.held).map(|(mean, held)| mean - held).collect();
            star.send_down(codec, &difference, &mut idle)?
        };
        add(&mut channel.held, &change, 1.0);
        Ok(channel.held.clone())
    }

    /// The mean of compressed vectors, compressed again by the server, on all ranks: g = Q_s((1/B) Σ Q_m(own_m)).
    ///
    /// With a `memory` both compressions feed their errors back: v = own + e, c = C(v), e ← v − c, and e is the rank's memory.
    pub fn compressed_mean(
        &mut self,
        round: u64,
        participants: &[usize],
        own: Vec<f64>,
        memory: Option<&mut Vec<f64>>,
    ) -> Result<Vec<f64>, SolveError> {
        let number = self.number();
        let mut stream = Stream::new(self.plan.method.seed, Purpose::Compression, number, round);
        let Some(star) = &mut self.star else { return Ok(own) };
        let feed = |mut v: Vec<f64>, memory: &Option<&mut Vec<f64>>| {
            if let Some(memory) = memory {
                add(&mut v, memory, 1.0);
            }
            v
        };
        let keep = |v: Vec<f64>, sent: &[f64], memory: Option<&mut Vec<f64>>| {
            if let Some(memory) = memory {
                *memory = v;
                add(memory, sent, -1.0);
            }
        };
        match star.worker() {
            Some(worker) => {
                if participants.contains(&worker) {
                    let v = feed(own, &memory);
                    let sent = star.send_up(&self.plan.worker, &v, &mut stream)?;
                    keep(v, &sent, memory);
                }
                star.receive_down(&self.plan.server)
            }
            None => {
                let mut mean = star.gather(&self.plan.worker, participants)?;
                let count = participants.len() as f64;
                mean.iter_mut().for_each(|v| *v /= count);
                let v = feed(mean, &memory);
                let sent = star.send_down(&self.plan.server, &v, &mut stream)?;
                keep(v, &sent, memory);
                Ok(sent)
            }
        }
    }

    /// The workers that take part in an iteration, ascending; all ranks draw the same.
    pub fn participants(&self, iteration: usize) -> Vec<usize> {
        let workers = self.problem.operator.workers();
        if self.plan.participants == workers {
            return (0..workers).collect();
        }
        Stream::new(self.plan.method.seed, Purpose::Participation, 0, iteration as u64)
            .subset(self.plan.participants, workers)
    }

    /// The refresh coin of an iteration: true with probability 1 − τ; all ranks draw the same, so it need not be sent.
    pub fn coin(&self, iteration: usize) -> bool {
        let mut stream = Stream::new(self.plan.method.seed, Purpose::Coin, 0, iteration as u64);
        stream.uniform() < 1.0 - self.plan.tau
    }

    /// Count a point into the average whose gap is measured.
    pub fn visit(&mut self, point: &[f64]) {
        if let Some(monitor) = &mut self.monitor {
            monitor.visit(point);
        }
    }

    /// How to go on after `iteration` iterations at z with this step: measured now and then, else continue.
    pub fn check(&mut self, iteration: usize, z: &[f64], step: f64) -> Result<Tag, SolveError> {
        let size = z.iter().fold(0.0_f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) });
        let last = iteration >= self.plan.method.iterations;
        let explodes = !size.is_finite() || size > 1e6 * self.scale.max(1.0);
        if !(last || explodes || iteration.is_multiple_of(self.plan.record_every)) {
            return Ok(Tag::Continue);
        }
        let traffic = self.traffic();
        let word = self.monitor.as_mut().map(|monitor| monitor.check(iteration, z, step, traffic));
        let word = match &mut self.star {
            Some(star) => star.word(word)?,
            None => word.unwrap_or(Tag::Stop),
        };
        // A point that is given up sets no scale for what comes after it.
        if word != Tag::Halve {
            self.scale = size;
        }
        Ok(word)
    }

    fn traffic(&self) -> Traffic {
        self.star.as_ref().map_or(Traffic::default(), |star| star.traffic)
    }

    /// The solution, where the monitor is.
    pub fn finish(self) -> Option<Solution> {
        let traffic = self.traffic();
        self.monitor.map(|monitor| monitor.finish(traffic))
    }

    /// Tell the other ranks of a failure.
    pub fn fail(&mut self, error: &SolveError) {
        if let Some(star) = &mut self.star {
            star.fail(error);
        }
    }
}

/// sum ← sum + factor·v.
fn add(sum: &mut [f64], v: &[f64], factor: f64) {
    sum.iter_mut().zip(v).for_each(|(sum, v)| *sum += factor * v);
}

fn finite(worker: usize, value: Vec<f64>) -> Result<Vec<f64>, SolveError> {
    match value.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(SolveError::NotFinite { worker, index, value: value[index] }),
        None => Ok(value),
    }
}
