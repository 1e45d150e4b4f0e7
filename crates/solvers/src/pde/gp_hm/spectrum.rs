//! Which frequencies a problem's data hold along an axis: a first guess for the kernel's.
//!
//! Source terms and face data are windowed, transformed with zero padding, and the maxima of their mean amplitude spectrum are
//! refined by a parabola through the logarithms around each. Two windows are used: the four-term Blackman-Harris (side lobes
//! below −92 dB, main lobe of ±4 cycles over the box) for all but the lowest lines, and Hann's (±2 cycles) for those that the
//! other's lobe around zero would hide.

use std::f64::consts::TAU;

use rustfft::{FftPlanner, num_complex::Complex};

use super::grid::{Block, Grid};
use crate::pde::Derivative;

/// A line of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Cycles per unit length.
    pub frequency: f64,
    /// Amplitude the solution would have at this frequency, relative to the largest line's.
    pub amplitude: f64,
}

/// A cosine window.
struct Window {
    /// `w(t) = Σ_k (−1)^k coefficients[k] cos(2πkt)`, with mean 1 so that amplitudes compare between windows.
    coefficients: [f64; 4],
    /// Half the width of its main lobe, in cycles over the box.
    half_lobe: f64,
    /// Peaks below this fraction of the largest are taken for side lobes.
    floor: f64,
}

const BLACKMAN_HARRIS: Window =
    Window { coefficients: [1.0, 1.36109, 0.39381, 0.032557], half_lobe: 4.0, floor: 1e-4 };

const HANN: Window = Window { coefficients: [1.0, 1.0, 0.0, 0.0], half_lobe: 2.0, floor: 1e-2 };

/// The lines along `axis` in all data of the problem, strongest first, without the one at zero frequency.
pub fn lines(grid: &Grid, axis: usize) -> Vec<Line> {
    let n = grid.shape[axis];
    let mut found: Vec<Line> = Vec::new();
    for block in grid.equations.iter().chain(&grid.conditions) {
        if block.face.is_some_and(|face| face.axis == axis) {
            continue;
        }
        let shape: Vec<usize> = match block.face {
            None => grid.shape.clone(),
            Some(face) => {
                grid.shape.iter().enumerate().map(|(k, &m)| if k == face.axis { 1 } else { m }).collect()
            }
        };
        let order = highest_order(grid, block, axis);
        for window in [&BLACKMAN_HARRIS, &HANN] {
            let spectrum = amplitude_spectrum(&block.source, &shape, axis, window);
            let bins_per_cycle = spectrum.len() as f64 * 2.0 / n as f64;
            let lobe = |w: &Window| (w.half_lobe * bins_per_cycle).ceil();
            let hidden = window.half_lobe < BLACKMAN_HARRIS.half_lobe;
            let highest = if hidden { lobe(&BLACKMAN_HARRIS) } else { f64::INFINITY };
            for (bin, amplitude) in peaks(&spectrum, lobe(window), highest, window.floor) {
                // Bins are those of the padded transform of n samples at distance h.
                let frequency = bin / (spectrum.len() as f64 * 2.0 * grid.steps[axis]);
                let amplitude = amplitude / (TAU * frequency).powi(order as i32);
                found.push(Line { frequency, amplitude });
            }
        }
    }
    found.sort_by(|a, b| b.amplitude.total_cmp(&a.amplitude));
    let strongest = found.first().map_or(1.0, |line| line.amplitude);
    let resolution = 2.0 / (n as f64 * grid.steps[axis]);
    let mut distinct: Vec<Line> = Vec::new();
    for line in found {
        if line.amplitude > 1e-4 * strongest
            && distinct.iter().all(|known| (known.frequency - line.frequency).abs() > resolution)
        {
            distinct.push(Line { amplitude: line.amplitude / strongest, ..line });
        }
    }
    distinct
}

fn highest_order(grid: &Grid, block: &Block, axis: usize) -> usize {
    block.jets.iter().map(|&j| &grid.derivatives[j]).map(|d: &Derivative| d.orders[axis]).max().unwrap_or(0)
}

/// Root mean square over all fibres along `axis` of the windowed amplitude spectrum; half of the padded length.
fn amplitude_spectrum(values: &[f64], shape: &[usize], axis: usize, window: &Window) -> Vec<f64> {
    let n = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let length = (8 * n).next_power_of_two();
    let transform = FftPlanner::new().plan_fft_forward(length);
    let window: Vec<f64> = (0..n)
        .map(|i| {
            let t = TAU * (i as f64 + 0.5) / n as f64;
            let [a, b, c, d] = window.coefficients;
            a - b * t.cos() + c * (2.0 * t).cos() - d * (3.0 * t).cos()
        })
        .collect();
    let mut power = vec![0.0; length / 2];
    // At most 64 fibres: they share their frequencies.
    let stride = (outer * inner / 64).max(1);
    for fibre in (0..outer * inner).step_by(stride) {
        let (o, k) = (fibre / inner, fibre % inner);
        let mut buffer = vec![Complex::new(0.0, 0.0); length];
        for i in 0..n {
            buffer[i].re = window[i] * values[(o * n + i) * inner + k];
        }
        transform.process(&mut buffer);
        for (p, b) in power.iter_mut().zip(&buffer) {
            *p += b.norm_sqr();
        }
    }
    power.iter().map(|p| p.sqrt()).collect()
}

/// Local maxima from the given bin up to another, above a fraction of the largest value: (bin, amplitude).
fn peaks(spectrum: &[f64], lowest: f64, highest: f64, floor: f64) -> Vec<(f64, f64)> {
    let largest = spectrum.iter().copied().fold(0.0, f64::max);
    let first = (lowest as usize).max(1);
    let mut found = Vec::new();
    if largest.is_nan() || largest <= 0.0 {
        return found;
    }
    for k in first.min(spectrum.len())..spectrum.len().saturating_sub(1).min(highest as usize) {
        let (before, here, after) = (spectrum[k - 1], spectrum[k], spectrum[k + 1]);
        if here > floor * largest && here >= before && here > after && before > 0.0 && after > 0.0 {
            let (a, b, c) = (before.ln(), here.ln(), after.ln());
            let curvature = a - 2.0 * b + c;
            let shift = if curvature < 0.0 { (0.5 * (a - c) / curvature).clamp(-0.5, 0.5) } else { 0.0 };
            found.push((k as f64 + shift, here));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_at_their_frequencies() {
        let (n, h) = (900, 1.0 / 899.0);
        let values: Vec<f64> = (0..n)
            .map(|i| {
                let x = i as f64 * h;
                x.sin() + 40.0 * (20.0 * x).sin() + 500.0 * (100.0 * x).sin()
            })
            .collect();
        let spectrum = amplitude_spectrum(&values, &[n], 0, &BLACKMAN_HARRIS);
        let bins_per_cycle = spectrum.len() as f64 * 2.0 / n as f64;
        let high = peaks(&spectrum, 4.0 * bins_per_cycle, f64::INFINITY, 1e-4);
        assert_eq!(high.len(), 1, "{high:?}");
        assert!((high[0].0 / bins_per_cycle - 100.0 / TAU).abs() < 0.05);
        let spectrum = amplitude_spectrum(&values, &[n], 0, &HANN);
        let low = peaks(&spectrum, 2.0 * bins_per_cycle, 4.0 * bins_per_cycle, 1e-2);
        assert_eq!(low.len(), 1, "{low:?}");
        assert!((low[0].0 / bins_per_cycle - 20.0 / TAU).abs() < 0.2);
    }

    #[test]
    fn no_lines_in_constant_or_empty_data() {
        for values in [vec![0.0; 50], vec![3.0; 50]] {
            let spectrum = amplitude_spectrum(&values, &[50], 0, &BLACKMAN_HARRIS);
            assert!(peaks(&spectrum, 40.0, f64::INFINITY, 1e-4).is_empty());
        }
    }
}
