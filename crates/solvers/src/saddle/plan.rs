//! What a method settles before it starts: codecs, τ and the step, from the options and the problem's constants.

use super::compressor::{Codec, Compressor};
use super::method::{Algorithm, Method, StepRule, Target};
use super::operator::Known;
use super::{Problem, SolveError};

/// A checked method for one problem; the same on all ranks.
#[derive(Clone)]
pub(super) struct Plan {
    pub method: Method,
    pub step: f64,
    pub tau: f64,
    pub worker: Codec,
    pub server: Codec,
    /// For what is sent uncompressed.
    pub dense: Codec,
    pub participants: usize,
    pub target: Target,
    pub record_every: usize,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Plan {
    pub fn new(problem: &Problem, method: &Method) -> Result<Plan, SolveError> {
        let operator = problem.operator.as_ref();
        let (dimension, workers) = (operator.dimension(), operator.workers());
        only_own_options(method)?;
        let worker = codec("worker-compressor", method.worker_compressor.as_ref(), dimension, method)?;
        let server = codec("server-compressor", method.server_compressor.as_ref(), dimension, method)?;
        let dense = Compressor::Identity
            .codec(dimension)
            .map_err(|error| SolveError::Problem(format!("uncompressed messages: {error}")))?;
        let tau = match method.tau {
            None if worker.saving() > 1.0 => 1.0 - 1.0 / worker.saving(),
            None if server.saving() > 1.0 => 1.0 - 1.0 / server.saving(),
            None => 0.5,
            Some(tau) if tau > 0.0 && tau < 1.0 => tau,
            Some(tau) => {
                return refuse("tau", format!("{tau}; expected a number between 0 and 1, both excluded"));
            }
        };
        let participants = match method.participants {
            None => workers,
            Some(count) if (1..=workers).contains(&count) => count,
            Some(count) => {
                return refuse(
                    "participants",
                    format!("{count}; expected 1 to {workers}, the number of workers"),
                );
            }
        };
        if method.batch == Some(0) {
            return refuse("batch", "0; expected at least 1".to_string());
        }
        if method.iterations == 0 {
            return refuse("iterations", "0; expected at least 1".to_string());
        }
        if !(method.tolerance >= 0.0 && method.tolerance.is_finite()) {
            return refuse(
                "tolerance",
                format!("{}; expected a finite number, at least 0", method.tolerance),
            );
        }
        if !(method.timeout > 0.0 && method.timeout <= 1e6) {
            return refuse(
                "timeout",
                format!("{}; expected seconds above 0, at most a million", method.timeout),
            );
        }
        if method.record_every == Some(0) {
            return refuse("record-every", "0; expected at least 1".to_string());
        }
        if method.name == Algorithm::Masha2 && !problem.constraint.is_none() {
            return refuse("name", "masha2 is for problems without constraint; expected masha1".to_string());
        }
        let bounded = problem.constraint.support(&vec![1.0; dimension]).is_some();
        let target = match method.target {
            None if problem.solution.is_some() => Target::Distance,
            None if bounded => Target::Gap,
            None => Target::Residual,
            Some(Target::Distance) if problem.solution.is_none() => {
                return refuse(
                    "target",
                    "distance, but the solution is not known; expected residual".to_string(),
                );
            }
            Some(Target::Gap) if !bounded => {
                return refuse("target", "gap, but the set is not bounded; expected residual".to_string());
            }
            Some(target) => target,
        };
        let mut notes = Vec::new();
        let step = match method.step {
            Some(step) if step > 0.0 && step.is_finite() => step,
            Some(step) => return refuse("step", format!("{step}; expected a finite number above 0")),
            None => {
                let known = Known::of(operator, &problem.start).ok_or_else(|| SolveError::Option {
                    key: "step",
                    message: "expected a step, because the operator states no Lipschitz constant, and it has too many \
                              entries, or values that are not finite, to measure one"
                        .to_string(),
                })?;
                if known.estimated {
                    notes.push(
                        "the operator is not affine and states no Lipschitz constant: the step rests on its \
                         Jacobian matrices at three points"
                            .to_string(),
                    );
                }
                let step = step(method, &known, tau, (&worker, &server), participants)?;
                if !(step > 0.0 && step.is_finite()) {
                    return refuse(
                        "step",
                        "expected a step, because the Lipschitz constant is 0".to_string(),
                    );
                }
                step
            }
        };
        let record_every = method.record_every.unwrap_or((method.iterations / 1000).max(1));
        Ok(Plan {
            method: method.clone(),
            step,
            tau,
            worker,
            server,
            dense,
            participants,
            target,
            record_every,
            notes,
        })
    }
}

/// The step by the constants.
///
/// MASHA1: γ = factor·√(1−τ)/C_q, at most (1−τ)/2μ, where E‖g‖² ≤ C_q²‖z^{k+1/2} − w^k‖². With all M workers and whole F_m,
/// C_q² = q_s (L² + (1/M²) Σ_m (q_m − 1) L_m²). When B of the M take part, drawn without replacement, the mean of B differences has second
/// moment at most (1 − c)L² + c·mean L_m² with c = (M − B)/(B(M − 1)), and the compressors' part is divided by BM instead of M²; a batch of b
/// components adds (1/BM) Σ_m (q_m/b) L_{m,i}².
fn step(
    method: &Method,
    known: &Known,
    tau: f64,
    (worker, server): (&Codec, &Codec),
    participants: usize,
) -> Result<f64, SolveError> {
    let factor = match method.step_factor {
        Some(factor) if factor > 0.0 && factor.is_finite() => factor,
        Some(factor) => return refuse("step-factor", format!("{factor}; expected a finite number above 0")),
        None => match method.name {
            Algorithm::Optimistic => 1.0 / 3.0,
            Algorithm::MirrorProx => 1.0,
            Algorithm::Masha2 => 0.25,
            _ => 0.5,
        },
    };
    let (lipschitz, mu) = (known.lipschitz, known.strong_monotonicity);
    let workers = known.workers.len() as f64;
    let mean_square = known.workers.iter().map(|own| own * own).sum::<f64>() / workers;
    let at_most = |limit: f64, step: f64| if mu > 0.0 { step.min(limit / mu) } else { step };
    Ok(match method.name {
        Algorithm::MirrorProx => factor / known.entropy_lipschitz,
        Algorithm::Masha1 => {
            let (q, q_server) = (worker.variance().unwrap_or(1.0), server.variance().unwrap_or(1.0));
            let b = participants as f64;
            let c = if workers > 1.0 { (workers - b) / (b * (workers - 1.0)) } else { 0.0 };
            let mut square =
                (1.0 - c) * lipschitz * lipschitz + c * mean_square + (q - 1.0) / b * mean_square;
            if let Some(batch) = method.batch {
                let components = known.components.iter().map(|own| own * own).sum::<f64>() / workers;
                square += q / (b * batch as f64) * components;
            }
            at_most((1.0 - tau) / 2.0, factor * (1.0 - tau).sqrt() / (q_server * square).sqrt())
        }
        Algorithm::Masha2 => match method.step_rule.unwrap_or_default() {
            StepRule::Practical => factor * (1.0 - tau).sqrt() / lipschitz,
            StepRule::Theory => {
                let delta = worker.contraction().unwrap_or(1.0) * server.contraction().unwrap_or(1.0);
                at_most((1.0 - tau) / 8.0, (1.0 - tau).sqrt() / (165.0 * delta * mean_square.sqrt()))
            }
        },
        _ => factor / lipschitz,
    })
}

/// Options that the method does not have are refused, so that none is silently without effect.
fn only_own_options(method: &Method) -> Result<(), SolveError> {
    let name = method.name;
    let masha = name.has_reference_point();
    let refused = [
        ("worker-compressor", method.worker_compressor.is_some(), name.unbiased().is_some()),
        ("server-compressor", method.server_compressor.is_some(), name.unbiased().is_some()),
        ("tau", method.tau.is_some(), masha),
        ("participants", method.participants.is_some(), name == Algorithm::Masha1),
        ("batch", method.batch.is_some(), name == Algorithm::Masha1),
        ("step-rule", method.step_rule.is_some(), name == Algorithm::Masha2),
    ];
    match refused.into_iter().find(|(_, given, has)| *given && !has) {
        Some((key, _, _)) => refuse(key, format!("{} has no such option", name.name())),
        None if method.step.is_some() && method.step_factor.is_some() => {
            refuse("step-factor", "`step` is given too; expected one of the two".to_string())
        }
        None => Ok(()),
    }
}

fn codec(
    key: &'static str,
    compressor: Option<&Compressor>,
    dimension: usize,
    method: &Method,
) -> Result<Codec, SolveError> {
    let compressor = compressor.unwrap_or(&Compressor::Identity);
    let codec = compressor
        .codec(dimension)
        .map_err(|error| SolveError::Option { key, message: error.to_string() })?;
    let (name, found) = (method.name.name(), compressor.name());
    match method.name.unbiased() {
        Some(true) if codec.variance().is_none() => refuse(
            key,
            format!("{found} is biased; {name} needs rand-k, bernoulli, dithering, natural or identity"),
        ),
        Some(false) if codec.contraction().is_none() => refuse(
            key,
            format!(
                "{found} is not contractive; {name} needs top-k, scaled-sign or {{ name = \"scaled\", of = ... }}"
            ),
        ),
        _ => Ok(codec),
    }
}

fn refuse<T>(key: &'static str, message: String) -> Result<T, SolveError> {
    Err(SolveError::Option { key, message })
}
