//! The frequencies that a known solution really has, to be marked in the learned spectrum.

use std::f64::consts::PI;

use mathesis_solvers::pde::{Problem, SolveError, evaluate_on_grid};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// The frequencies of the exact solution along an axis, in cycles per unit length, strongest first: the peaks of its windowed
/// Fourier transform above a hundredth of the largest amplitude.
///
/// # Errors
/// If the exact solution cannot be evaluated.
pub fn true_frequencies(problem: &Problem, unknown: usize, axis: usize) -> Result<Vec<f64>, SolveError> {
    let Some(exact) = &problem.exact else { return Ok(Vec::new()) };
    const SAMPLES: usize = 4096;
    const PADDED: usize = 8 * SAMPLES;
    const STRONGEST: usize = 12;
    let axes: Vec<Vec<f64>> = problem
        .axes
        .iter()
        .enumerate()
        .map(|(k, other)| {
            if k == axis {
                other.uniform_points(SAMPLES)
            } else {
                // A few lines, off the middle, so that not all lie in the solution's zeros.
                (0..5).map(|i| other.lower.1 + other.length() * (0.0731 + 0.1973 * f64::from(i))).collect()
            }
        })
        .collect();
    let values = evaluate_on_grid(problem, &exact[unknown..=unknown], &axes)?.swap_remove(0);
    let inner: usize = axes[axis + 1..].iter().map(Vec::len).product();
    let transform = FftPlanner::new().plan_fft_forward(PADDED);
    let mut power = vec![0.0; PADDED / 2];
    for line in 0..values.len() / SAMPLES {
        let start = line / inner * inner * SAMPLES + line % inner;
        let line: Vec<f64> = (0..SAMPLES).map(|i| values[start + i * inner]).collect();
        if line.iter().any(|value| !value.is_finite()) {
            continue;
        }
        let mean = line.iter().sum::<f64>() / SAMPLES as f64;
        let mut buffer: Vec<Complex<f64>> = line
            .iter()
            .enumerate()
            .map(|(i, value)| Complex::new((value - mean) * window(i, SAMPLES), 0.0))
            .collect();
        buffer.resize(PADDED, Complex::default());
        transform.process(&mut buffer);
        for (power, value) in power.iter_mut().zip(&buffer) {
            *power += value.norm_sqr();
        }
    }
    let largest = power.iter().copied().fold(0.0, f64::max);
    let step = 1.0 / problem.axes[axis].length() * (SAMPLES - 1) as f64 / PADDED as f64;
    let mut peaks: Vec<(f64, f64)> = (1..power.len().saturating_sub(1))
        .filter(|&k| power[k] > power[k - 1] && power[k] >= power[k + 1] && power[k] > 1e-4 * largest)
        .map(|k| {
            // The vertex of the parabola through the logarithms.
            let [left, middle, right] = [k - 1, k, k + 1].map(|i| power[i].max(f64::MIN_POSITIVE).ln());
            let shift = 0.5 * (left - right) / (left - 2.0 * middle + right);
            (power[k], (k as f64 + if shift.is_finite() { shift } else { 0.0 }) * step)
        })
        .collect();
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(peaks.into_iter().take(STRONGEST).map(|(_, frequency)| frequency).collect())
}

/// The Blackman-Harris window: side lobes 92 dB down, so that a weak frequency beside a strong one is seen.
fn window(i: usize, count: usize) -> f64 {
    let angle = 2.0 * PI * i as f64 / (count - 1) as f64;
    0.35875 - 0.48829 * angle.cos() + 0.14128 * (2.0 * angle).cos() - 0.01168 * (3.0 * angle).cos()
}

#[cfg(test)]
mod tests {
    use mathesis_solvers::pde::Statement;

    use super::*;

    #[test]
    fn finds_the_two_frequencies_of_a_product() {
        let text = r#"
            [domain]
            x = [0, "2*pi"]
            [equation]
            unknown = "u"
            equation = "u = sin(6*x)*cos(100*x)"
            [exact]
            u = "sin(6*x)*cos(100*x)"
        "#;
        let problem = Statement::parse(text).expect("well stated").problem;
        let mut found = true_frequencies(&problem, 0, 0).expect("can be evaluated");
        found.sort_by(f64::total_cmp);
        assert_eq!(found.len(), 2);
        assert!((found[0] - 94.0 / (2.0 * PI)).abs() < 1e-3, "{found:?}");
        assert!((found[1] - 106.0 / (2.0 * PI)).abs() < 1e-3, "{found:?}");
    }
}
