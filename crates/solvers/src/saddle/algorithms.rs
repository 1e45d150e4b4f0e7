//! The methods, each written once as the program that every rank runs. Where a worker computes something of its own, the server holds an
//! empty vector; everything else (z, w, F(w), the step) is the same on all ranks.

use super::method::Algorithm;
use super::rank::{Channel, Rank};
use super::transport::Tag;
use super::{Problem, SolveError};

/// Run the planned method to its end.
pub(super) fn run(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    match rank.plan.method.name {
        Algorithm::Extragradient | Algorithm::DistributedExtragradient => extragradient(rank, false),
        Algorithm::MirrorProx => extragradient(rank, true),
        Algorithm::Optimistic => optimistic(rank),
        Algorithm::CompressedExtragradient => compressed_extragradient(rank),
        Algorithm::ErrorFeedbackDescentAscent => error_feedback_descent_ascent(rank),
        Algorithm::Masha1 => masha1(rank),
        Algorithm::Masha2 => masha2(rank),
    }
}

/// prox_{γh}(z − γF).
fn forward_backward(problem: &Problem, z: &[f64], step: f64, value: &[f64]) -> Vec<f64> {
    let mut next: Vec<f64> = z.iter().zip(value).map(|(z, f)| z - step * f).collect();
    problem.constraint.proximal(step, &mut next);
    next
}

/// z^{k+1/2} = prox(z^k − γF(z^k)), z^{k+1} = prox(z^k − γF(z^{k+1/2})); as mirror-prox with mirror steps.
fn extragradient(rank: &mut Rank<'_>, mirror: bool) -> Result<(), SolveError> {
    let problem = rank.problem;
    let advance = |z: &[f64], step: f64, value: &[f64]| {
        if mirror {
            let mut next = z.to_vec();
            problem.constraint.mirror_step(step, value, &mut next);
            next
        } else {
            forward_backward(problem, z, step, value)
        }
    };
    let mut channel = Channel::new(problem.start.len());
    let mut step = rank.plan.step;
    let mut z = problem.start.clone();
    let mut kept = z.clone();
    let mut word = rank.check(0, &z, step)?;
    for k in 1.. {
        match word {
            Tag::Continue => {}
            Tag::Keep => kept.clone_from(&z),
            Tag::Halve => {
                step /= 2.0;
                z.clone_from(&kept);
            }
            _ => break,
        }
        let value = rank.mean(&mut channel, &z)?;
        let half = advance(&z, step, &value);
        rank.visit(&half);
        let value = rank.mean(&mut channel, &half)?;
        z = advance(&z, step, &value);
        word = rank.check(k, &z, step)?;
    }
    Ok(())
}

/// z^{k+1/2} = prox(z^k − γF(z^{k−1/2})), z^{k+1} = prox(z^k − γF(z^{k+1/2})).
fn optimistic(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    let problem = rank.problem;
    let mut channel = Channel::new(problem.start.len());
    let mut step = rank.plan.step;
    let mut z = problem.start.clone();
    let mut kept = z.clone();
    let mut word = rank.check(0, &z, step)?;
    let mut past = rank.mean(&mut channel, &z)?;
    for k in 1.. {
        match word {
            Tag::Continue => {}
            Tag::Keep => kept.clone_from(&z),
            Tag::Halve => {
                step /= 2.0;
                z.clone_from(&kept);
                past = rank.mean(&mut channel, &z)?;
            }
            _ => break,
        }
        let half = forward_backward(problem, &z, step, &past);
        rank.visit(&half);
        past = rank.mean(&mut channel, &half)?;
        z = forward_backward(problem, &z, step, &past);
        word = rank.check(k, &z, step)?;
    }
    Ok(())
}

/// Extragradient with Q_s((1/M) Σ Q_m(F_m(·))) in place of F at both points. The variance does not vanish at the solution.
fn compressed_extragradient(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    let problem = rank.problem;
    let step = rank.plan.step;
    let all: Vec<usize> = (0..problem.operator.workers()).collect();
    let mut z = problem.start.clone();
    let mut word = rank.check(0, &z, step)?;
    for k in 1.. {
        if !matches!(word, Tag::Continue | Tag::Keep) {
            break;
        }
        let value = rank.compressed_mean(2 * k as u64, &all, rank.own(&z)?, None)?;
        let half = forward_backward(problem, &z, step, &value);
        rank.visit(&half);
        let value = rank.compressed_mean(2 * k as u64 + 1, &all, rank.own(&half)?, None)?;
        z = forward_backward(problem, &z, step, &value);
        word = rank.check(k, &z, step)?;
    }
    Ok(())
}

/// z^{k+1} = prox(z^k − g), g the mean of C_m(γF_m(z^k) + e_m) sent through C_s with memory.
fn error_feedback_descent_ascent(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    let problem = rank.problem;
    let step = rank.plan.step;
    let all: Vec<usize> = (0..problem.operator.workers()).collect();
    let mut memory = vec![0.0; problem.start.len()];
    let mut z = problem.start.clone();
    let mut word = rank.check(0, &z, step)?;
    for k in 1.. {
        if !matches!(word, Tag::Continue | Tag::Keep) {
            break;
        }
        let own = rank.own(&z)?.iter().map(|f| step * f).collect();
        let g = rank.compressed_mean(k as u64, &all, own, Some(&mut memory))?;
        rank.visit(&z);
        z.iter_mut().zip(&g).for_each(|(z, g)| *z -= g);
        problem.constraint.proximal(step, &mut z);
        word = rank.check(k, &z, step)?;
    }
    Ok(())
}

/// The point w with F_m(w) at each worker and F(w) at all ranks.
struct Reference {
    channel: Channel,
    point: Vec<f64>,
    own: Vec<f64>,
    mean: Vec<f64>,
}

impl Reference {
    fn at(rank: &mut Rank<'_>, point: &[f64]) -> Result<Self, SolveError> {
        let channel = Channel::new(point.len());
        let mut reference = Reference { channel, point: Vec::new(), own: Vec::new(), mean: Vec::new() };
        reference.move_to(rank, point)?;
        Ok(reference)
    }

    fn move_to(&mut self, rank: &mut Rank<'_>, point: &[f64]) -> Result<(), SolveError> {
        self.point = point.to_vec();
        self.own = rank.own(point)?;
        self.mean = rank.mean_of(&mut self.channel, point, &self.own)?;
        Ok(())
    }

    /// z̄ = τz + (1−τ)w.
    fn anchor(&self, tau: f64, z: &[f64]) -> Vec<f64> {
        z.iter().zip(&self.point).map(|(z, w)| tau * z + (1.0 - tau) * w).collect()
    }
}

/// MASHA1: z^{k+1/2} = prox(z̄ − γF(w)), g = Q_s((1/M) Σ Q_m(F_m(z^{k+1/2}) − F_m(w))), z^{k+1} = prox(z̄ − γ(g + F(w))), and w moves to
/// z^{k+1} with probability 1 − τ.
fn masha1(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    let (problem, tau) = (rank.problem, rank.plan.tau);
    let mut step = rank.plan.step;
    let mut z = problem.start.clone();
    let mut kept = z.clone();
    let mut word = rank.check(0, &z, step)?;
    if word == Tag::Stop {
        return Ok(());
    }
    let mut w = Reference::at(rank, &z)?;
    for k in 1.. {
        match word {
            Tag::Continue => {}
            Tag::Keep => kept.clone_from(&z),
            Tag::Halve => {
                step /= 2.0;
                z.clone_from(&kept);
                w.move_to(rank, &z)?;
            }
            _ => break,
        }
        let anchor = w.anchor(tau, &z);
        let half = forward_backward(problem, &anchor, step, &w.mean);
        rank.visit(&half);
        let participants = rank.participants(k);
        let takes_part = rank.worker().is_some_and(|worker| participants.contains(&worker));
        let difference = match rank.plan.method.batch {
            _ if !takes_part => Vec::new(),
            Some(batch) => rank.own_batch_difference(k, batch, &half, &w.point)?,
            None => rank.own(&half)?.iter().zip(&w.own).map(|(f, at_w)| f - at_w).collect(),
        };
        let g = rank.compressed_mean(k as u64, &participants, difference, None)?;
        let value: Vec<f64> = g.iter().zip(&w.mean).map(|(g, f)| g + f).collect();
        z = forward_backward(problem, &anchor, step, &value);
        word = rank.check(k, &z, step)?;
        if rank.coin(k) && matches!(word, Tag::Continue | Tag::Keep) {
            w.move_to(rank, &z)?;
        }
    }
    Ok(())
}

/// MASHA2 (no constraint): v_m = γF_m(z^{k+1/2}) − γF_m(w) + e_m, c_m = C_m(v_m), e_m ← v_m − c_m; g = C_s((1/M) Σ c_m + e) with the server's
/// memory likewise; z^{k+1} = z^{k+1/2} − g. A refresh of w leaves the memories; they hold γ, so they are rescaled with it.
fn masha2(rank: &mut Rank<'_>) -> Result<(), SolveError> {
    let (problem, tau) = (rank.problem, rank.plan.tau);
    let all: Vec<usize> = (0..problem.operator.workers()).collect();
    let mut step = rank.plan.step;
    let mut z = problem.start.clone();
    let mut memory = vec![0.0; z.len()];
    let mut kept = (z.clone(), memory.clone(), step);
    let mut word = rank.check(0, &z, step)?;
    if word == Tag::Stop {
        return Ok(());
    }
    let mut w = Reference::at(rank, &z)?;
    for k in 1.. {
        match word {
            Tag::Continue => {}
            Tag::Keep => kept = (z.clone(), memory.clone(), step),
            Tag::Halve => {
                step /= 2.0;
                z.clone_from(&kept.0);
                memory = kept.1.iter().map(|e| e * (step / kept.2)).collect();
                w.move_to(rank, &z)?;
            }
            _ => break,
        }
        let anchor = w.anchor(tau, &z);
        let half = forward_backward(problem, &anchor, step, &w.mean);
        rank.visit(&half);
        let difference =
            rank.own(&half)?.iter().zip(&w.own).map(|(f, at_w)| step * f - step * at_w).collect();
        let g = rank.compressed_mean(k as u64, &all, difference, Some(&mut memory))?;
        z = half.iter().zip(&g).map(|(half, g)| half - g).collect();
        word = rank.check(k, &z, step)?;
        if rank.coin(k) && matches!(word, Tag::Continue | Tag::Keep) {
            w.move_to(rank, &z)?;
        }
    }
    Ok(())
}
