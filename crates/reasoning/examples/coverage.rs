//! How often 95 % intervals cover the true accuracy: simulated runs of n questions with k samples each.
//!
//! A question is solved with a probability that is drawn from Beta(2, 1), so that the true accuracy is 2/3; its samples
//! are independent given that. Printed are the shares of 10,000 runs whose interval covers 2/3: the interval that reports
//! show, the percentile bootstrap of whole questions (1,000 runs of 1,000 resamples), and the interval that takes all
//! samples as independent.

use mathesis_reasoning::statistics::Interval;
use mathesis_reasoning::statistics::interval::{bootstrap, student_t, wilson};

const RUNS: u64 = 10_000;
const BOOTSTRAP_RUNS: u64 = 1_000;

fn main() {
    println!("n k reported bootstrap independent");
    for questions in [30, 100, 1000] {
        for samples in [1, 8] {
            let (mut reported, mut drawn, mut independent) = (0, 0, 0);
            for run in 0..RUNS {
                let clusters = simulate(questions, samples, run);
                let all: Vec<Vec<f64>> = clusters.iter().flatten().map(|score| vec![*score]).collect();
                let right = all.iter().filter(|score| score[0] == 1.0).count();
                let interval =
                    if samples == 1 { wilson(right, questions, 0.95) } else { student_t(&clusters, 0.95) };
                reported += covers(interval);
                independent += covers(student_t(&all, 0.95));
                if run < BOOTSTRAP_RUNS {
                    drawn += covers(bootstrap(&clusters, 0.95, 1000, run));
                }
            }
            let share = |count: u64, of: u64| count as f64 / of as f64;
            println!(
                "{questions} {samples} {:.4} {:.3} {:.4}",
                share(reported, RUNS),
                share(drawn, BOOTSTRAP_RUNS),
                share(independent, RUNS)
            );
        }
    }
}

fn covers(interval: Interval) -> u64 {
    u64::from(interval.contains(2.0 / 3.0))
}

fn simulate(questions: usize, samples: usize, run: u64) -> Vec<Vec<f64>> {
    let mut state = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((questions as u64) << 32 | samples as u64);
    let mut uniform = move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..questions)
        .map(|_| {
            // The square root of a uniform number is Beta(2, 1).
            let easiness = uniform().sqrt();
            (0..samples).map(|_| f64::from(u8::from(uniform() < easiness))).collect()
        })
        .collect()
}
