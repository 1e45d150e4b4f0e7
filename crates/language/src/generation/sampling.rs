//! The choice of the next token from logits.
//!
//! In this order, as in the ecosystem's programs: the penalty of what is there already (Keskar et al., "CTRL", 2019, section 4.1),
//! temperature, the `top_k` likeliest (Fan et al., 2018), the likeliest that together have `top_p` (Holtzman et al., 2020), those
//! that have at least `min_p` of the likeliest one's probability (Nguyen et al., 2024).

use mathesis_algebra::random::Stream;
use serde::{Deserialize, Serialize};

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Sampling {
    /// What logits are divided by; 0: always the likeliest token.
    pub temperature: f64,
    /// Only this many of the likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// Only tokens that are at least this likely, against the likeliest.
    pub min_p: Option<f64>,
    /// What positive logits of tokens that occur in prompt or answer are divided by, and negative ones multiplied; 1: nothing.
    pub repetition_penalty: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None, repetition_penalty: 1.0 }
    }
}

impl Sampling {
    /// What is wrong, in words: the name of a setting, its value and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let Sampling { temperature, top_k, top_p, min_p, repetition_penalty } = *self;
        let unless = |fine: bool, name: &str, value: String, expected: &str| {
            if fine { Ok(()) } else { Err(format!("{name} is {value}, expected {expected}")) }
        };
        let finite = temperature.is_finite() && temperature >= 0.0;
        unless(finite, "the temperature", temperature.to_string(), "a number of at least 0")?;
        unless(top_k != Some(0), "top-k", "0".into(), "at least 1")?;
        let part = |value: Option<f64>| value.is_none_or(|value| value > 0.0 && value <= 1.0);
        unless(part(top_p), "top-p", format!("{}", top_p.unwrap_or(0.0)), "a number above 0 and up to 1")?;
        let part = |value: Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
        unless(part(min_p), "min-p", format!("{}", min_p.unwrap_or(0.0)), "a number from 0 to 1")?;
        let finite = repetition_penalty.is_finite() && repetition_penalty > 0.0;
        unless(finite, "the repetition penalty", repetition_penalty.to_string(), "a number above 0")
    }

    /// The next token, for the logits after `history` and the number `place` of a stream of random numbers.
    pub fn choose(&self, logits: &[f32], history: &[u32], random: Stream, place: u64) -> u32 {
        let mut logits = logits.to_vec();
        self.penalise(&mut logits, history);
        if self.temperature == 0.0 {
            return likeliest(&logits);
        }
        let kept = self.candidates(&logits);
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut left = random.uniform(place) * total;
        for &(token, weight) in &kept {
            left -= weight;
            if left < 0.0 {
                return token;
            }
        }
        kept.last().map_or(0, |&(token, _)| token)
    }

    fn penalise(&self, logits: &mut [f32], history: &[u32]) {
        if self.repetition_penalty == 1.0 {
            return;
        }
        let mut seen = vec![false; logits.len()];
        for &token in history {
            let Some(seen) = seen.get_mut(token as usize).filter(|seen| !**seen) else { continue };
            *seen = true;
            let (logit, penalty) = (&mut logits[token as usize], self.repetition_penalty as f32);
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }

    /// The tokens that may be chosen, the likeliest first, with weights in proportion to their probabilities.
    fn candidates(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| (f64::from(logit - greatest) / self.temperature).exp();
        let mut kept: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|&logit| weight(logit))).collect();
        // What is far below the likeliest falls early, so that few are put in order.
        if let Some(least) = self.min_p {
            kept.retain(|&(_, weight)| weight >= least);
        }
        let falling = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let most = self.top_k.unwrap_or(usize::MAX).max(1);
        let sum_of_all = |kept: &[(u32, f64)]| kept.iter().map(|(_, weight)| weight).sum::<f64>();
        let Some(part) = self.top_p.filter(|&part| part < 1.0) else {
            if most < kept.len() {
                kept.select_nth_unstable_by(most - 1, falling);
                kept.truncate(most);
            }
            kept.sort_unstable_by(falling);
            return kept;
        };
        // min-p acts on what top-p has left, but top-p counts what min-p drops.
        let total = match self.top_k {
            Some(most) if most < logits.len() => {
                let mut all: Vec<f64> = logits.iter().map(|&logit| weight(logit)).collect();
                all.select_nth_unstable_by(most - 1, |a, b| b.total_cmp(a));
                all[..most].iter().sum()
            }
            _ => logits.iter().map(|&logit| weight(logit)).sum::<f64>(),
        };
        // Put in order as many as are needed, twice as many each time.
        let mut sorted = 64.min(most);
        loop {
            let end = sorted.min(kept.len()).min(most);
            if end < kept.len() {
                kept.select_nth_unstable_by(end, falling);
            }
            if sum_of_all(&kept[..end]) >= part * total || end == kept.len() || end == most {
                kept.truncate(end);
                break;
            }
            sorted *= 2;
        }
        kept.sort_unstable_by(falling);
        let mut sum = 0.0;
        let needed = kept.iter().position(|(_, weight)| {
            sum += weight;
            sum >= part * total
        });
        kept.truncate(needed.map_or(kept.len(), |last| last + 1));
        kept
    }
}

/// The first of the greatest logits.
fn likeliest(logits: &[f32]) -> u32 {
    let better = |best: (u32, f32), next: (u32, f32)| if next.1 > best.1 { next } else { best };
    (0..).zip(logits.iter().copied()).fold((0, f32::NEG_INFINITY), better).0
}

/// The natural logarithm of a token's probability under the model, before temperature, penalties and cuts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogProbability {
    /// The token.
    pub token: u32,
    /// The logarithm.
    pub value: f64,
}

/// The logarithms for a token, and for the `top` likeliest tokens.
pub(super) fn log_probabilities(
    logits: &[f32],
    token: u32,
    top: usize,
) -> (LogProbability, Vec<LogProbability>) {
    let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - greatest).exp()).sum();
    let of =
        |token: u32| LogProbability { token, value: f64::from(logits[token as usize]) - greatest - sum.ln() };
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let falling = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let top = top.min(order.len());
    if top > 0 && top < order.len() {
        order.select_nth_unstable_by(top - 1, falling);
    }
    order.truncate(top);
    order.sort_unstable_by(falling);
    (of(token), order.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [1.0, 3.0, 2.0, -1.0, 3.0, 0.0];

    /// The probabilities after all cuts, one rule after the other on the whole list.
    fn reference(sampling: &Sampling, logits: &[f32], history: &[u32]) -> Vec<f64> {
        let mut logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let penalty = sampling.repetition_penalty;
        for (token, logit) in logits.iter_mut().enumerate() {
            if history.contains(&(token as u32)) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
            *logit /= sampling.temperature;
        }
        let probabilities = |logits: &[f64]| -> Vec<f64> {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            logits.iter().map(|logit| logit.exp() / sum).collect()
        };
        let order = |logits: &[f64]| {
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            order
        };
        if let Some(most) = sampling.top_k {
            for token in order(&logits).into_iter().skip(most) {
                logits[token] = f64::NEG_INFINITY;
            }
        }
        if let Some(part) = sampling.top_p {
            let (p, mut sum) = (probabilities(&logits), 0.0);
            for token in order(&logits) {
                if sum >= part {
                    logits[token] = f64::NEG_INFINITY;
                }
                sum += p[token];
            }
        }
        if let Some(least) = sampling.min_p {
            let p = probabilities(&logits);
            let greatest = p.iter().copied().fold(0.0, f64::max);
            for (logit, p) in logits.iter_mut().zip(&p) {
                if *p < least * greatest {
                    *logit = f64::NEG_INFINITY;
                }
            }
        }
        probabilities(&logits)
    }

    #[test]
    fn tokens_come_as_often_as_the_rules_say() {
        let plain = Sampling { temperature: 1.3, ..Sampling::default() };
        let mut random = mathesis_algebra::random::Sequence::new(1);
        let many: Vec<f32> = (0..300).map(|_| (2.0 * random.normal()) as f32).collect();
        for (number, sampling) in [
            plain,
            Sampling { top_k: Some(3), ..plain },
            Sampling { top_p: Some(0.6), ..plain },
            Sampling { min_p: Some(0.2), ..plain },
            Sampling { top_k: Some(4), top_p: Some(0.9), min_p: Some(0.3), ..plain },
            Sampling { top_p: Some(0.95), repetition_penalty: 1.7, ..plain },
            Sampling { top_k: Some(100), top_p: Some(0.97), ..plain },
            Sampling { top_p: Some(0.8), min_p: Some(0.05), ..plain },
        ]
        .into_iter()
        .enumerate()
        {
            for logits in [&LOGITS[..], &many] {
                let history = [1, 3, 3];
                let expected = reference(&sampling, logits, &history);
                let stream = Stream::new(5, number as u64);
                let draws = 20_000;
                let mut counts = vec![0; logits.len()];
                for place in 0..draws {
                    counts[sampling.choose(logits, &history, stream, place) as usize] += 1;
                }
                for (token, (count, p)) in counts.iter().zip(&expected).enumerate() {
                    let mean = draws as f64 * p;
                    // Five standard deviations, and what rare tokens need.
                    let bound = if *p == 0.0 { 0.0 } else { 5.0 * mean.sqrt() + 5.0 };
                    let far = (f64::from(*count) - mean).abs() > bound;
                    assert!(!far, "{sampling:?}: token {token} came {count} times for {mean}");
                }
            }
        }
    }

    #[test]
    fn without_temperature_the_first_of_the_likeliest_is_chosen() {
        let greedy = Sampling::default();
        let stream = Stream::new(0, 0);
        assert_eq!(greedy.choose(&LOGITS, &[], stream, 0), 1);
        let penalised = Sampling { repetition_penalty: 2.0, ..greedy };
        assert_eq!(penalised.choose(&LOGITS, &[1, 1], stream, 0), 4);
        assert_eq!(penalised.choose(&[-1.0, -1.5], &[0], stream, 0), 1);
    }

    #[test]
    fn logarithms_are_those_of_the_softmax() {
        let (chosen, top) = log_probabilities(&LOGITS, 2, 3);
        let sum: f64 = LOGITS.iter().map(|&logit| f64::from(logit).exp()).sum();
        assert!((chosen.value - (2.0 - sum.ln())).abs() < 1e-12);
        assert_eq!(top.iter().map(|top| top.token).collect::<Vec<_>>(), [1, 4, 2]);
        let all: f64 = log_probabilities(&LOGITS, 0, 9).1.iter().map(|top| top.value.exp()).sum();
        assert!((all - 1.0).abs() < 1e-12);
    }

    #[test]
    fn impossible_settings_are_named() {
        let plain = Sampling::default();
        assert_eq!(plain.check(), Ok(()));
        for (sampling, name) in [
            (Sampling { temperature: -1.0, ..plain }, "temperature"),
            (Sampling { temperature: f64::NAN, ..plain }, "temperature"),
            (Sampling { top_k: Some(0), ..plain }, "top-k"),
            (Sampling { top_p: Some(0.0), ..plain }, "top-p"),
            (Sampling { min_p: Some(1.5), ..plain }, "min-p"),
            (Sampling { repetition_penalty: 0.0, ..plain }, "repetition penalty"),
        ] {
            assert!(sampling.check().unwrap_err().contains(name));
        }
    }
}
