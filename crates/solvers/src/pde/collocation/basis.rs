//! The functions of one variable in which collocation expands a solution.
//!
//! Along a bounded axis on which the equations are of order `m`: `T_0, ..., T_{m-1}` and the m-fold integrals of
//! `T_0, T_1, ...`, where `T_j` are the Chebyshev polynomials. The m-th derivative, which dominates the equation, is then
//! a plain Chebyshev series: its matrix at the Chebyshev points is well conditioned, whereas differentiation matrices
//! of point values have condition numbers that grow like `N^{2m}` (Greengard 1991, Spectral integration and two-point
//! boundary value problems; Wang, Samson, Zhao 2014, A well-conditioned collocation method using a pseudospectral
//! integration matrix). The integrals are `∫T_0 = T_1`, `∫T_1 = T_2/4`, `∫T_j = T_{j+1}/(2(j+1)) − T_{j−1}/(2(j−1))`.
//!
//! Along a periodic axis: `1, cos z, sin z, cos 2z, ...` with `z = 2π (x − lower)/length`.

use std::f64::consts::PI;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use mathesis_algebra::tensor::Tensor;

use crate::pde::Basis;

/// The basis along one axis.
#[derive(Clone, Debug)]
pub struct Spectral {
    lower: f64,
    length: f64,
    count: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Chebyshev { order: usize },
    Fourier,
}

impl Spectral {
    /// Integrated Chebyshev polynomials: `count` functions for equations of order `order` on `[lower, lower + length]`.
    pub fn chebyshev(lower: f64, length: f64, count: usize, order: usize) -> Self {
        Spectral { lower, length, count, kind: Kind::Chebyshev { order } }
    }

    /// `count` trigonometric functions of period `length`.
    pub fn fourier(lower: f64, length: f64, count: usize) -> Self {
        Spectral { lower, length, count, kind: Kind::Fourier }
    }

    /// `count` points for the equations: the roots of `T_count`, none of them at the ends, or equally spaced ones.
    pub fn inner_points(&self, count: usize) -> Vec<f64> {
        match self.kind {
            // sin of the small angle to the midpoint instead of cos: symmetric to the last digit.
            Kind::Chebyshev { .. } => (0..count)
                .map(|i| {
                    self.place((PI * (2.0 * i as f64 + 1.0 - count as f64) / (2.0 * count as f64)).sin())
                })
                .collect(),
            Kind::Fourier => self.equispaced(count),
        }
    }

    /// `count` points up to the ends: the extrema of `T_{count−1}`, or equally spaced ones.
    pub fn outer_points(&self, count: usize) -> Vec<f64> {
        match self.kind {
            Kind::Chebyshev { .. } if count == 1 => vec![self.place(0.0)],
            Kind::Chebyshev { .. } => (0..count)
                .map(|i| {
                    let last = count as f64 - 1.0;
                    self.place((PI * (2.0 * i as f64 - last) / (2.0 * last)).sin())
                })
                .collect(),
            Kind::Fourier => self.equispaced(count),
        }
    }

    fn equispaced(&self, count: usize) -> Vec<f64> {
        (0..count).map(|i| self.lower + self.length * i as f64 / count as f64).collect()
    }

    fn place(&self, s: f64) -> f64 {
        if s <= -1.0 { self.lower } else { self.lower + 0.5 * self.length * (s + 1.0) }
    }

    /// Coefficients in this basis turned into those of the orthogonal series (Chebyshev, Fourier) along `axis`.
    pub fn series(&self, coefficients: &Tensor, axis: usize) -> Tensor {
        let Kind::Chebyshev { order } = self.kind else { return coefficients.clone() };
        let (outer, extent, inner) = coefficients.strides_around(axis);
        let mut series = Tensor::zeros(coefficients.shape().to_vec());
        let source = coefficients.values();
        let target = series.values_mut();
        for j in 0..extent {
            for (degree, factor) in expansion(j, order, 0) {
                for o in 0..outer {
                    let (from, to) = ((o * extent + j) * inner, (o * extent + degree) * inner);
                    for i in 0..inner {
                        target[to + i] += factor * source[from + i];
                    }
                }
            }
        }
        series
    }
}

/// The Chebyshev series of the derivative of order `derivative` of basis function `j`, as (degree, coefficient) pairs.
fn expansion(j: usize, order: usize, derivative: usize) -> Vec<(usize, f64)> {
    let (degree, integrals) = if j < order { (j, 0) } else { (j - order, order) };
    let mut series = vec![(degree, 1.0)];
    for _ in derivative..integrals {
        let mut integral: Vec<(usize, f64)> = Vec::with_capacity(series.len() + 1);
        let mut add = |degree: usize, value: f64| match integral.iter_mut().find(|(d, _)| *d == degree) {
            Some((_, sum)) => *sum += value,
            None => integral.push((degree, value)),
        };
        for (degree, value) in series {
            match degree {
                0 => add(1, value),
                1 => add(2, value / 4.0),
                _ => {
                    add(degree + 1, value / (2.0 * (degree as f64 + 1.0)));
                    add(degree - 1, -value / (2.0 * (degree as f64 - 1.0)));
                }
            }
        }
        series = integral;
    }
    for _ in integrals..derivative {
        let highest = series.iter().map(|(d, _)| *d).max().unwrap_or(0);
        let mut dense = vec![0.0; highest + 1];
        for (degree, value) in series {
            // T_n' = 2n (T_{n−1} + T_{n−3} + ...), with half the T_0 term.
            let mut lower = degree;
            while lower >= 1 {
                lower -= 1;
                dense[lower] += value * degree as f64 * if lower == 0 { 1.0 } else { 2.0 };
                if lower == 0 {
                    break;
                }
                lower -= 1;
                if lower == 0 {
                    break;
                }
            }
        }
        series = dense.into_iter().enumerate().filter(|(_, value)| *value != 0.0).collect();
    }
    series
}

impl Basis for Spectral {
    fn len(&self) -> usize {
        self.count
    }

    fn matrix(&self, points: &[f64], order: usize) -> Mat<f64> {
        match self.kind {
            Kind::Chebyshev { order: smoothness } => {
                let polynomials = Mat::from_fn(points.len(), self.count, |i, j| {
                    let s = (2.0 * (points[i] - self.lower) / self.length - 1.0).clamp(-1.0, 1.0);
                    (j as f64 * s.acos()).cos()
                });
                let scale = (2.0 / self.length).powi(order as i32);
                if order > smoothness {
                    let mut combination = Mat::zeros(self.count, self.count);
                    for j in 0..self.count {
                        for (degree, value) in expansion(j, smoothness, order) {
                            combination[(degree, j)] = scale * value;
                        }
                    }
                    let mut matrix = Mat::zeros(points.len(), self.count);
                    matmul(&mut matrix, Accum::Replace, &polynomials, &combination, 1.0, Par::rayon(0));
                    return matrix;
                }
                let mut matrix = Mat::zeros(points.len(), self.count);
                for j in 0..self.count {
                    for (degree, value) in expansion(j, smoothness, order) {
                        for i in 0..points.len() {
                            matrix[(i, j)] += scale * value * polynomials[(i, degree)];
                        }
                    }
                }
                matrix
            }
            Kind::Fourier => Mat::from_fn(points.len(), self.count, |i, j| {
                let wave = j.div_ceil(2) as f64;
                if j == 0 {
                    return if order == 0 { 1.0 } else { 0.0 };
                }
                let turn = ((points[i] - self.lower) / self.length).rem_euclid(1.0);
                // d/dz cos = cos(· + π/2): a quarter turn for each order, and sin is cos three quarters on.
                let quarters = (order + if j % 2 == 1 { 0 } else { 3 }) % 4;
                let angle = 2.0 * PI * (wave * turn).rem_euclid(1.0);
                let value = match quarters {
                    0 => angle.cos(),
                    1 => -angle.sin(),
                    2 => -angle.cos(),
                    _ => angle.sin(),
                };
                value * (2.0 * PI * wave / self.length).powi(order as i32)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivatives of every basis function agree with differences of the one below.
    #[test]
    fn derivatives_are_those_of_the_functions() {
        for order in 0..=4 {
            check(&Spectral::chebyshev(-0.5, 2.5, 9, order));
        }
        check(&Spectral::fourier(-0.5, 2.5, 6));
        check(&Spectral::fourier(-0.5, 2.5, 7));
    }

    fn check(basis: &Spectral) {
        let step = 1e-5;
        let points: Vec<f64> = (1..12).map(|i| -0.5 + 2.5 * f64::from(i) / 12.0).collect();
        let shifted = |sign: f64| points.iter().map(|x| x + sign * step).collect::<Vec<_>>();
        for order in 0..4 {
            let (plus, minus) = (basis.matrix(&shifted(1.0), order), basis.matrix(&shifted(-1.0), order));
            let exact = basis.matrix(&points, order + 1);
            let scale = exact.norm_max().max(1.0);
            for i in 0..points.len() {
                for j in 0..basis.len() {
                    let difference = (plus[(i, j)] - minus[(i, j)]) / (2.0 * step);
                    assert!((difference - exact[(i, j)]).abs() < 1e-6 * scale, "{basis:?} {order} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn the_series_of_a_state_is_its_function() {
        let basis = Spectral::chebyshev(0.0, 1.0, 7, 2);
        let plain = Spectral::chebyshev(0.0, 1.0, 7, 0);
        let coefficients = Tensor::new(vec![7], (0..7).map(|i| f64::from(i).cos()).collect());
        let points = [0.0, 0.1, 0.7, 1.0];
        let a = coefficients.mode_product(0, basis.matrix(&points, 0).as_ref(), Par::Seq);
        let b = basis.series(&coefficients, 0).mode_product(0, plain.matrix(&points, 0).as_ref(), Par::Seq);
        for (a, b) in a.values().iter().zip(b.values()) {
            assert!((a - b).abs() < 1e-14);
        }
    }
}
