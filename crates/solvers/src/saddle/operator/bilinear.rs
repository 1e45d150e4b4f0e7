//! Bilinear saddle points f_m(x, y) = xᵀA_m y + a_mᵀx + b_mᵀy + (λ/2)‖x‖² − (λ/2)‖y‖², λ ≥ 0: the standard tests of the field.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};

use super::{Constants, Operator};
use crate::saddle::random::{Purpose, Stream};

/// F_m(x, y) = (A_m y + a_m + λx, −A_mᵀx − b_m + λy); A_m may be a mean of components.
#[derive(Clone, Debug)]
pub struct Bilinear {
    /// Of each worker: the components of A_m, at least one, n × m.
    components: Vec<Vec<Mat<f64>>>,
    /// Of each worker: A_m.
    matrices: Vec<Mat<f64>>,
    /// Of each worker: (a_m, b_m), together D = n + m entries.
    linear: Vec<Vec<f64>>,
    regularisation: f64,
    entropy_lipschitz: f64,
}

impl Bilinear {
    /// From one matrix for each worker, with the linear terms (a_m, b_m), n + m entries each.
    ///
    /// # Errors
    /// What is wrong, if there are no workers, the shapes differ or a value is not finite.
    pub fn new(matrices: Vec<Mat<f64>>, linear: Vec<Vec<f64>>, regularisation: f64) -> Result<Self, String> {
        Self::from_components(matrices.into_iter().map(|m| vec![m]).collect(), linear, regularisation)
    }

    /// The same with A_m as the mean of components, which stochastic methods evaluate one by one.
    ///
    /// # Errors
    /// As [`Bilinear::new`].
    pub fn from_components(
        components: Vec<Vec<Mat<f64>>>,
        linear: Vec<Vec<f64>>,
        regularisation: f64,
    ) -> Result<Self, String> {
        let Some(first) = components.first().and_then(|own| own.first()) else {
            return Err("there is no matrix; expected at least one for each worker".to_string());
        };
        let (n, m) = (first.nrows(), first.ncols());
        if n == 0 || m == 0 {
            return Err(format!("the matrix is {n} by {m}; expected at least 1 by 1"));
        }
        if linear.len() != components.len() {
            return Err(format!("linear terms of {} workers; expected {}", linear.len(), components.len()));
        }
        for (worker, (own, linear)) in components.iter().zip(&linear).enumerate() {
            if own.is_empty() || own.iter().any(|a| a.nrows() != n || a.ncols() != m) {
                return Err(format!("worker {worker} has a matrix of another shape than {n} by {m}"));
            }
            if linear.len() != n + m {
                return Err(format!("worker {worker} has {} linear terms; expected {}", linear.len(), n + m));
            }
            let finite = own.iter().all(|a| a.is_all_finite()) && linear.iter().all(|v| v.is_finite());
            if !finite {
                return Err(format!("the data of worker {worker} are not finite"));
            }
        }
        if !(regularisation >= 0.0 && regularisation.is_finite()) {
            return Err(format!(
                "the regularisation is {regularisation}; expected a finite number, at least 0"
            ));
        }
        let matrices: Vec<Mat<f64>> = components
            .iter()
            .map(|own| {
                let sum = own.iter().skip(1).fold(own[0].clone(), |sum, a| sum + a);
                sum * faer::Scale(1.0 / own.len() as f64)
            })
            .collect();
        let mean = mean_matrix(&matrices);
        let entropy_lipschitz = mean.norm_max() + regularisation;
        Ok(Bilinear { components, matrices, linear, regularisation, entropy_lipschitz })
    }

    /// Gaussian matrices with entries of variance 1/d and standard normal linear terms, λ = 0.
    pub fn gaussian(dimension: usize, workers: usize, seed: u64) -> Self {
        let scale = 1.0 / (dimension as f64).sqrt();
        let matrices = (0..workers)
            .map(|m| gaussian(dimension, dimension, &mut data(seed, m)) * faer::Scale(scale))
            .collect();
        Self::generated(matrices, normal_terms(dimension, workers, seed), 0.0)
    }

    /// Problem P*: A_m = A₀ + heterogeneity·(H_m − mean_j H_j) with A₀ = Q diag(10^linspace(0, log₁₀ condition, d)) Qᵀ, Q the orthogonal
    /// factor of a Gaussian matrix and H_m Gaussian with entries of variance 1/d; a_m and b_m standard normal.
    pub fn regularised(
        dimension: usize,
        workers: usize,
        regularisation: f64,
        condition: f64,
        heterogeneity: f64,
        seed: u64,
    ) -> Self {
        let d = dimension;
        let rotation = orthogonal(d, &mut data(seed, workers));
        let spectrum: Vec<f64> =
            (0..d).map(|i| condition.powf(if d > 1 { i as f64 / (d - 1) as f64 } else { 1.0 })).collect();
        let common = congruence(&rotation, &spectrum);
        let noise: Vec<Mat<f64>> = (0..workers).map(|m| gaussian(d, d, &mut data(seed, m))).collect();
        let centre = mean_matrix(&noise);
        let scale = heterogeneity / (d as f64).sqrt();
        let matrices = noise.iter().map(|h| &common + (h - &centre) * faer::Scale(scale)).collect();
        Self::generated(matrices, normal_terms(d, workers, seed), regularisation)
    }

    /// The easier instance: A_m = mean over components of Q diag(uniform in [0, largest]) Qᵀ, each with a rotation of its own.
    pub fn positive_semidefinite(
        dimension: usize,
        workers: usize,
        components: usize,
        regularisation: f64,
        largest: f64,
        seed: u64,
    ) -> Self {
        let matrices = (0..workers)
            .map(|m| {
                let mut stream = data(seed, m);
                (0..components.max(1))
                    .map(|_| {
                        let rotation = orthogonal(dimension, &mut stream);
                        let spectrum: Vec<f64> = (0..dimension).map(|_| largest * stream.uniform()).collect();
                        congruence(&rotation, &spectrum)
                    })
                    .collect()
            })
            .collect();
        let linear = normal_terms(dimension, workers, seed);
        Self::from_components(matrices, linear, regularisation).unwrap_or_else(|_| Self::trivial())
    }

    /// A matrix game with payoffs uniform in [−1, 1], each worker with a matrix of its own.
    pub fn random_game(rows: usize, columns: usize, workers: usize, seed: u64) -> Self {
        let matrices = (0..workers)
            .map(|m| {
                let mut stream = data(seed, m);
                Mat::from_fn(rows, columns, |_, _| 2.0 * stream.uniform() - 1.0)
            })
            .collect();
        Self::generated(matrices, vec![vec![0.0; rows + columns]; workers], 0.0)
    }

    /// The policeman and the burglar (Nemirovski): the policeman chooses a post i, the burglar a house j, on a square grid of unit
    /// spacing; the burglar's expected loot is w_j(1 − exp(−0.8·distance(i, j))). Each worker has wealths w_j = |standard normal| of its
    /// own.
    pub fn policeman_and_burglar(houses: usize, workers: usize, seed: u64) -> Self {
        let side = (houses as f64).sqrt().ceil().max(1.0) as usize;
        let place = |i: usize| ((i / side) as f64, (i % side) as f64);
        let matrices = (0..workers)
            .map(|m| {
                let mut stream = data(seed, m);
                let wealth: Vec<f64> = (0..houses).map(|_| stream.normal().abs()).collect();
                Mat::from_fn(houses, houses, |i, j| {
                    let ((xi, yi), (xj, yj)) = (place(i), place(j));
                    wealth[j] * (1.0 - (-0.8 * (xi - xj).hypot(yi - yj)).exp())
                })
            })
            .collect();
        Self::generated(matrices, vec![vec![0.0; 2 * houses]; workers], 0.0)
    }

    /// The same function on simplices with smaller matrices: A = Ã + r1ᵀ + 1cᵀ with the row means r and what is left of the column means
    /// c, so that xᵀAy = xᵀÃy + rᵀx + cᵀy where the entries of x and of y sum to 1. The Lipschitz constant falls to that of Ã.
    pub fn centred_for_simplices(&self) -> Self {
        let (n, m) = self.shape();
        let mut linear = self.linear.clone();
        let components = self
            .components
            .iter()
            .zip(&mut linear)
            .map(|(own, linear)| {
                let weight = 1.0 / own.len() as f64;
                own.iter()
                    .map(|a| {
                        let rows: Vec<f64> =
                            (0..n).map(|i| (0..m).map(|j| a[(i, j)]).sum::<f64>() / m as f64).collect();
                        let columns: Vec<f64> = (0..m)
                            .map(|j| (0..n).map(|i| a[(i, j)] - rows[i]).sum::<f64>() / n as f64)
                            .collect();
                        let (x, y) = linear.split_at_mut(n);
                        x.iter_mut().zip(&rows).for_each(|(x, r)| *x += weight * r);
                        y.iter_mut().zip(&columns).for_each(|(y, c)| *y += weight * c);
                        Mat::from_fn(n, m, |i, j| a[(i, j)] - rows[i] - columns[j])
                    })
                    .collect()
            })
            .collect();
        Self::from_components(components, linear, self.regularisation).unwrap_or_else(|_| self.clone())
    }

    /// Entries of x and of y.
    pub fn shape(&self) -> (usize, usize) {
        (self.matrices[0].nrows(), self.matrices[0].ncols())
    }

    /// The mean of the A_m.
    pub fn matrix(&self) -> Mat<f64> {
        mean_matrix(&self.matrices)
    }

    /// The mean of the (a_m, b_m).
    pub fn linear_terms(&self) -> Vec<f64> {
        let count = self.linear.len() as f64;
        (0..self.dimension()).map(|i| self.linear.iter().map(|own| own[i]).sum::<f64>() / count).collect()
    }

    /// f(x, y), the mean over the workers.
    pub fn value(&self, z: &[f64]) -> f64 {
        // f = ½(⟨F(z), (x, −y)⟩ + ⟨(a, b), z⟩) because every term but the linear one is of second order in z.
        let n = self.shape().0;
        let mut value = vec![0.0; z.len()];
        self.mean(z, &mut value);
        let linear = self.linear_terms();
        (0..z.len()).map(|i| 0.5 * z[i] * (if i < n { value[i] } else { -value[i] } + linear[i])).sum()
    }

    /// The A_m and the (a_m, b_m).
    pub fn into_parts(self) -> (Vec<Mat<f64>>, Vec<Vec<f64>>) {
        (self.matrices, self.linear)
    }

    fn generated(matrices: Vec<Mat<f64>>, linear: Vec<Vec<f64>>, regularisation: f64) -> Self {
        // Refused only where a size is zero or a setting is not finite, which [`super::super::Statement`] excludes.
        Self::new(matrices, linear, regularisation).unwrap_or_else(|_| Self::trivial())
    }

    /// The problem xy in one dimension each.
    fn trivial() -> Self {
        let one = Mat::from_fn(1, 1, |_, _| 1.0);
        Bilinear {
            components: vec![vec![one.clone()]],
            matrices: vec![one],
            linear: vec![vec![0.0; 2]],
            regularisation: 0.0,
            entropy_lipschitz: 1.0,
        }
    }

    fn apply(&self, matrix: MatRef<'_, f64>, worker: usize, z: &[f64], value: &mut [f64]) {
        let (n, m) = (matrix.nrows(), matrix.ncols());
        let (x, y) = z.split_at(n);
        let (a, b) = self.linear[worker].split_at(n);
        let (first, second) = value.split_at_mut(n);
        first.iter_mut().zip(a).zip(x).for_each(|((v, a), x)| *v = a + self.regularisation * x);
        // One pass over A for both products: column j adds y_j A_j to the first and gives A_jᵀx to the second.
        for j in 0..m {
            let column = matrix.col(j).try_as_col_major().map(|column| column.as_slice());
            let product = match column {
                Some(column) => {
                    first.iter_mut().zip(column).for_each(|(v, a)| *v += a * y[j]);
                    dot(column, x)
                }
                None => {
                    (0..n).for_each(|i| first[i] += matrix[(i, j)] * y[j]);
                    (0..n).map(|i| matrix[(i, j)] * x[i]).sum()
                }
            };
            second[j] = self.regularisation * y[j] - product - b[j];
        }
    }
}

impl Operator for Bilinear {
    fn dimension(&self) -> usize {
        self.linear[0].len()
    }

    fn workers(&self) -> usize {
        self.matrices.len()
    }

    fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]) {
        self.apply(self.matrices[worker].as_ref(), worker, z, value);
    }

    fn components(&self, worker: usize) -> usize {
        self.components[worker].len()
    }

    fn evaluate_component(&self, worker: usize, component: usize, z: &[f64], value: &mut [f64]) {
        self.apply(self.components[worker][component].as_ref(), worker, z, value);
    }

    /// ‖J_m‖ = √(λ² + ‖A_m‖²) because J_m = λI + a skew-symmetric matrix with the singular values of A_m; the symmetric part is λI.
    fn constants(&self) -> Constants {
        let of = |a: MatRef<'_, f64>| self.regularisation.hypot(spectral_norm(a));
        let workers = self.matrices.iter().map(|a| of(a.as_ref())).collect();
        let components = self
            .components
            .iter()
            .zip(&self.matrices)
            .map(|(own, mean)| match own.as_slice() {
                [_] => of(mean.as_ref()),
                own => own.iter().map(|a| of(a.as_ref())).fold(0.0, f64::max),
            })
            .collect();
        Constants {
            lipschitz: Some(of(self.matrix().as_ref())),
            workers: Some(workers),
            components: Some(components),
            strong_monotonicity: Some(self.regularisation),
            entropy_lipschitz: Some(self.entropy_lipschitz),
        }
    }

    /// (λI, A; −Aᵀ, λI) z = (−a, b), solved by LU.
    fn root(&self) -> Option<Vec<f64>> {
        let (n, m) = self.shape();
        if self.regularisation == 0.0 && n != m {
            return None;
        }
        let a = self.matrix();
        let system = Mat::from_fn(n + m, n + m, |i, j| match (i < n, j < n) {
            (true, false) => a[(i, j - n)],
            (false, true) => -a[(j, i - n)],
            _ => f64::from(i == j) * self.regularisation,
        });
        let linear = self.linear_terms();
        let right = Mat::from_fn(n + m, 1, |i, _| if i < n { -linear[i] } else { linear[i] });
        let solution = system.partial_piv_lu().solve(&right);
        let solution: Vec<f64> = (0..n + m).map(|i| solution[(i, 0)]).collect();
        solution.iter().all(|v| v.is_finite()).then_some(solution)
    }
}

/// The largest singular value: exact up to 600 rows or columns, by power iteration above.
pub(super) fn spectral_norm(matrix: MatRef<'_, f64>) -> f64 {
    let (n, m) = (matrix.nrows(), matrix.ncols());
    if n.min(m) <= 600
        && let Ok(values) = matrix.singular_values()
    {
        return values.into_iter().fold(0.0, f64::max);
    }
    let mut vector = Stream::new(0, Purpose::Measurement, 0, 0).normals(m);
    let mut estimate = 0.0;
    for _ in 0..1000 {
        let v = faer::ColRef::from_slice(&vector);
        let image = matrix * v;
        let back = matrix.transpose() * &image;
        let norm = back.norm_l2();
        if norm == 0.0 || !norm.is_finite() {
            return norm;
        }
        let value = norm / v.norm_l2();
        vector = back.iter().map(|b| b / norm).collect();
        if (value - estimate).abs() <= 1e-8 * value {
            estimate = value;
            break;
        }
        estimate = value;
    }
    // ‖AᵀA v‖/‖v‖ approaches ‖A‖² from below; a thousandth more covers what is missing.
    estimate.sqrt() * 1.001
}

/// Eight partial sums, so that the compiler may use vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum::<f64>() + tail
}

fn data(seed: u64, part: usize) -> Stream {
    Stream::new(seed, Purpose::Data, part, 0)
}

fn normal_terms(dimension: usize, workers: usize, seed: u64) -> Vec<Vec<f64>> {
    (0..workers).map(|m| Stream::new(seed, Purpose::Data, m, 1).normals(2 * dimension)).collect()
}

fn gaussian(rows: usize, columns: usize, stream: &mut Stream) -> Mat<f64> {
    Mat::from_fn(rows, columns, |_, _| stream.normal())
}

fn orthogonal(dimension: usize, stream: &mut Stream) -> Mat<f64> {
    gaussian(dimension, dimension, stream).qr().compute_thin_Q()
}

/// Q diag(s) Qᵀ.
fn congruence(rotation: &Mat<f64>, spectrum: &[f64]) -> Mat<f64> {
    let d = spectrum.len();
    let scaled = Mat::from_fn(d, d, |i, j| rotation[(i, j)] * spectrum[j]);
    scaled * rotation.transpose()
}

fn mean_matrix(matrices: &[Mat<f64>]) -> Mat<f64> {
    let sum = matrices.iter().skip(1).fold(matrices[0].clone(), |sum, a| sum + a);
    sum * faer::Scale(1.0 / matrices.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite_difference(operator: &dyn Fn(&[f64]) -> f64, z: &[f64], i: usize) -> f64 {
        let h = 1e-5;
        let shifted = |by: f64| {
            let mut z = z.to_vec();
            z[i] += by;
            operator(&z)
        };
        (shifted(h) - shifted(-h)) / (2.0 * h)
    }

    #[test]
    fn the_operator_is_the_gradient_of_the_function() {
        let problem = Bilinear::regularised(7, 3, 0.5, 10.0, 2.0, 4);
        let z = Stream::new(1, Purpose::Measurement, 0, 0).normals(14);
        let mut value = vec![0.0; 14];
        problem.mean(&z, &mut value);
        for i in 0..14 {
            let slope = finite_difference(&|z| problem.value(z), &z, i);
            let expected = if i < 7 { slope } else { -slope };
            assert!((value[i] - expected).abs() < 1e-6, "{i}: {} {expected}", value[i]);
        }
    }

    #[test]
    fn the_reference_problem_has_the_stated_constants() {
        let problem = Bilinear::regularised(100, 10, 1.0, 1000.0, 50.0, 1);
        let constants = problem.constants();
        // ‖A₀‖ = 1000 exactly, λ = 1; the workers' matrices differ by noise of norm about 100 in random directions.
        assert!((constants.lipschitz.unwrap() - 1000.0005).abs() < 1e-6);
        let largest = constants.workers.unwrap().into_iter().fold(0.0, f64::max);
        assert!(largest > 1000.0 && largest < 1040.0, "{largest}");
        let root = problem.root().unwrap();
        let mut value = vec![0.0; 200];
        problem.mean(&root, &mut value);
        assert!(value.iter().all(|v| v.abs() < 1e-9));
    }

    #[test]
    fn components_average_to_the_worker() {
        let problem = Bilinear::positive_semidefinite(5, 2, 4, 0.1, 3.0, 2);
        let z = Stream::new(3, Purpose::Measurement, 0, 0).normals(10);
        for worker in 0..2 {
            let mut whole = vec![0.0; 10];
            problem.evaluate(worker, &z, &mut whole);
            let mut mean = vec![0.0; 10];
            for component in 0..problem.components(worker) {
                let mut part = vec![0.0; 10];
                problem.evaluate_component(worker, component, &z, &mut part);
                mean.iter_mut().zip(&part).for_each(|(m, p)| *m += p / 4.0);
            }
            assert!(whole.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    #[test]
    fn centring_keeps_the_game_and_lowers_the_norm() {
        let game = Bilinear::policeman_and_burglar(23, 2, 3);
        let centred = game.centred_for_simplices();
        let mut z: Vec<f64> = (0..46).map(|i| 1.0 + (i % 7) as f64).collect();
        for part in z.chunks_mut(23) {
            let sum: f64 = part.iter().sum();
            part.iter_mut().for_each(|v| *v /= sum);
        }
        assert!((game.value(&z) - centred.value(&z)).abs() < 1e-12);
        assert!(centred.constants().lipschitz < game.constants().lipschitz);
    }

    #[test]
    fn power_iteration_agrees_with_singular_values() {
        let a = gaussian(40, 30, &mut data(1, 0));
        let wide = Mat::from_fn(700, 610, |i, j| if i < 40 && j < 30 { a[(i, j)] } else { 0.0 });
        let (exact, power) = (spectral_norm(a.as_ref()), spectral_norm(wide.as_ref()));
        assert!(power >= exact && power <= 1.002 * exact, "{exact} {power}");
    }

    #[test]
    fn bad_data_are_refused() {
        assert!(Bilinear::new(vec![], vec![], 0.0).is_err());
        let a = Mat::<f64>::zeros(2, 3);
        assert!(Bilinear::new(vec![a.clone()], vec![vec![0.0; 4]], 0.0).is_err());
        assert!(Bilinear::new(vec![a.clone()], vec![vec![f64::NAN; 5]], 0.0).is_err());
        assert!(Bilinear::new(vec![a.clone(), Mat::zeros(3, 2)], vec![vec![0.0; 5]; 2], 0.0).is_err());
        assert!(Bilinear::new(vec![a.clone()], vec![vec![0.0; 5]], -1.0).is_err());
        assert!(Bilinear::new(vec![a], vec![vec![0.0; 5]], 0.0).is_ok());
    }
}
