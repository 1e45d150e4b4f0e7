//! Every sketch against its written-out matrix, and the law `E[SᵀS] = I`.

use faer::Mat;
use faer::sparse::{SparseRowMat, Triplet};
use proptest::prelude::*;

use super::*;
use crate::hadamard;
use crate::operator::Dense;
use crate::random::Stream;

const NAMES: [&str; 7] = ["srht", "pooling", "chunked pooling", "gaussian", "sign", "count-sketch", "osnap"];

/// A sketch of `m` (a power of two for pooling) by `n`.
fn sketch(name: &str, m: usize, n: usize, seed: u64) -> Box<dyn Sketch> {
    let power = m.next_power_of_two();
    match name {
        "srht" => Box::new(Srht::new(m, n, seed)),
        "pooling" => Box::new(GaussianPooling::new(power, n, 4, seed)),
        "chunked pooling" => Box::new(GaussianPooling::chunked(power, n, n.div_ceil(3), 2, seed)),
        "gaussian" => Box::new(GaussianSketch::new(m, n, seed)),
        "sign" => Box::new(SignSketch::new(m, n, seed)),
        "count-sketch" => Box::new(SparseSketch::count_sketch(m, n, seed)),
        _ => Box::new(SparseSketch::osnap(m, n, 3.min(m), seed)),
    }
}

fn matrix(rows: usize, columns: usize) -> Vec<f64> {
    let stream = Stream::new(11, 5);
    (0..rows * columns).map(|k| stream.normal(k as u64)).collect()
}

fn assert_close(left: &[f64], right: &[f64], what: &str) {
    assert_eq!(left.len(), right.len(), "{what}");
    for (a, b) in left.iter().zip(right) {
        assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{what}: {a} and {b}");
    }
}

fn row_major(matrix: &Mat<f64>) -> Vec<f64> {
    (0..matrix.nrows() * matrix.ncols()).map(|k| matrix[(k / matrix.ncols(), k % matrix.ncols())]).collect()
}

#[test]
fn products_agree_with_the_written_out_matrix() {
    for name in NAMES {
        for (m, n, columns) in [(1, 1, 1), (3, 5, 2), (8, 64, 3), (20, 100, 17), (33, 300, 70), (300, 200, 3)]
        {
            let sketch = sketch(name, m, n, 42);
            let written = sketch.to_dense();
            let values = matrix(n, columns);
            let what = format!("{name} {m} {n} {columns}");
            let expected = row_major(&(&written * MatRef::new(&values, n, columns)));
            assert_close(&sketch.apply_rows(DenseRows::new(&values, n, columns)), &expected, &what);

            // Rows that arrive in blocks.
            let mut sum = vec![0.0; expected.len()];
            let step = sketch.alignment() * 2;
            for first in (0..n).step_by(step) {
                let rows = first..n.min(first + step);
                sketch.accumulate(first, DenseRows::new(&values, n, columns).part(rows), &mut sum);
            }
            assert_close(&sum, &expected, &what);

            // Single precision, sparse rows, and the transpose.
            let single: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            let doubled: Vec<f64> = single.iter().map(|x| f64::from(*x)).collect();
            assert_eq!(
                sketch.apply_rows(DenseRows::single(&single, n, columns)),
                sketch.apply_rows(DenseRows::new(&doubled, n, columns)),
                "{what}"
            );
            let entries: Vec<_> = (0..n).map(|i| Triplet::new(i, i % columns, values[i * columns])).collect();
            let sparse = SparseRowMat::try_new_from_triplets(n, columns, &entries).unwrap();
            if let Some(product) = sketch.apply_sparse(sparse.as_ref()) {
                let full = row_major(&sparse.to_dense());
                assert_close(&product, &sketch.apply_rows(DenseRows::new(&full, n, columns)), &what);
            }
            let right: Vec<f64> = matrix(sketch.shape().0, 1);
            assert_close(&sketch.apply_transpose(&right), &Dense(written).apply_transpose(&right), &what);
        }
    }
}

/// A full matrix from row-major entries.
struct MatRef;

impl MatRef {
    #[allow(clippy::new_ret_no_self)]
    fn new(values: &[f64], rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| values[i * columns + j])
    }
}

#[test]
fn the_srht_is_its_definition() {
    for (m, n) in [(5, 7), (40, 300)] {
        let sketch = Srht::new(m, n, 9);
        let written = sketch.to_dense();
        for k in 0..m {
            for i in 0..n {
                let definition =
                    hadamard::entry(sketch.samples[k], i) * sketch.signs.sign(i as u64) / (m as f64).sqrt();
                assert!((written[(k, i)] - definition).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn gaussian_pooling_is_its_definition() {
    let (m, n, pool) = (8, 50, 16);
    let sketch = GaussianPooling::new(m, n, pool, 9);
    let order = m * pool;
    let signs = Stream::new(9, 0);
    let place = Stream::new(9, 1).permutation(order);
    let weights = Stream::new(9, 2);
    let written = sketch.to_dense();
    for i in 0..n {
        let mut column = vec![0.0; m];
        for r in 0..order {
            column[place[r] / pool] += weights.normal(place[r] as u64) * hadamard::entry(r, i)
                / (order as f64).sqrt()
                * signs.sign(i as u64);
        }
        for k in 0..m {
            assert!((written[(k, i)] - column[k]).abs() < 1e-13);
        }
    }
}

#[test]
fn the_gram_matrix_is_the_identity_on_average() {
    let (m, n, draws) = (16, 12, 3000);
    for name in NAMES {
        let mut mean = Mat::<f64>::zeros(n, n);
        for seed in 0..draws {
            let written = sketch(name, m, n, seed).to_dense();
            mean += written.transpose() * &written;
        }
        for i in 0..n {
            for j in 0..n {
                // An entry's standard deviation is at most √(2 + E γ⁴ ...) / √m < 1; five of them for the mean of the draws.
                let error = mean[(i, j)] / draws as f64 - f64::from(u8::from(i == j));
                assert!(error.abs() < 5.0 / (draws as f64).sqrt(), "{name}: ({i}, {j}) is off by {error}");
            }
        }
    }
}

#[test]
fn the_tensor_transform_is_its_definition() {
    for (n1, d1, n2, d2, m) in [(1, 1, 1, 1, 3), (3, 2, 5, 4, 10), (8, 3, 6, 1, 7), (16, 5, 16, 5, 40)] {
        let sketch = TensorSrht::new(m, [n1, n2], 3);
        let (one, two) = (matrix(n1, d1), matrix(n2, d2));
        let product =
            Mat::from_fn(n1 * n2, d1 * d2, |i, j| one[i / n2 * d1 + j / d2] * two[i % n2 * d2 + j % d2]);
        let written = sketch.to_dense();
        assert_close(
            &sketch.apply_product(DenseRows::new(&one, n1, d1), DenseRows::new(&two, n2, d2)),
            &row_major(&(&written * &product)),
            "product",
        );
        for k in 0..m {
            for i in 0..n1 * n2 {
                let (row, column) = (sketch.samples[k], (i / n2, i % n2));
                let definition = hadamard::entry(row.0, column.0)
                    * hadamard::entry(row.1, column.1)
                    * sketch.signs[0].sign(column.0 as u64)
                    * sketch.signs[1].sign(column.1 as u64)
                    / (m as f64).sqrt();
                assert!((written[(k, i)] - definition).abs() < 1e-14);
            }
        }
        let right = matrix(m, 1);
        assert_close(&sketch.apply_transpose(&right), &Dense(written).apply_transpose(&right), "transpose");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (m, n, columns) = (256, 9000, 40);
    let values = matrix(n, columns);
    for name in NAMES {
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sketch(name, m, n, 1).apply_rows(DenseRows::new(&values, n, columns)))
        };
        assert_eq!(in_pool(1), in_pool(3), "{name}");
        assert_ne!(
            sketch(name, m, n, 2).apply_rows(DenseRows::new(&values, n, columns)),
            in_pool(1),
            "{name}: another seed, another sketch"
        );
    }
}

#[test]
fn embedding_constants_tell_dense_from_sparse() {
    // Two unit vectors on one coordinate each, which CountSketch either keeps apart or mixes completely.
    let (m, n) = (64, 256);
    let mut g = vec![0.0; n];
    let mut h = vec![0.0; n];
    for i in 0..32 {
        g[i] = 1.0;
        h[n - 1 - i] = 1.0;
    }
    let constant = |name: &'static str| oce_constant(|seed| sketch(name, m, n, seed), &g, &h, 200);
    for name in ["gaussian", "sign", "srht", "pooling"] {
        let constant = constant(name);
        assert!(constant.ninth_decile > 0.8 && constant.maximum < 5.5, "{name}: {constant:?}");
    }
    let mut one = vec![0.0; n];
    one[0] = 1.0;
    let mut other = vec![0.0; n];
    other[1] = 1.0;
    // A collision has probability 1/m and size √m: seen in 600 draws, and impossible for dense signs.
    let worst = |name: &'static str| oce_constant(|seed| sketch(name, m, n, seed), &one, &other, 600).maximum;
    assert!((worst("count-sketch") - (m as f64).sqrt()).abs() < 1e-9);
    assert!(worst("sign") < 5.5 && worst("srht") < 5.5);
}

#[test]
fn nothing_is_sketched_to_nothing() {
    for name in NAMES {
        let sketch = sketch(name, 4, 8, 0);
        assert!(sketch.apply_rows(DenseRows::new(&[], 8, 0)).is_empty());
        assert_eq!(sketch.apply_rows(DenseRows::new(&[], 0, 3)), vec![0.0; sketch.shape().0 * 3]);
    }
}

proptest! {
    #[test]
    fn sketches_are_linear(m in 1usize..40, n in 1usize..200, a in -3.0..3.0f64) {
        for name in NAMES {
            let sketch = sketch(name, m, n, 77);
            let (x, y) = (matrix(n, 1), matrix(2 * n, 1)[n..].to_vec());
            let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| a * x + y).collect();
            let (sx, sy) = (sketch.apply(&x), sketch.apply(&y));
            for (left, (x, y)) in sketch.apply(&sum).iter().zip(sx.iter().zip(&sy)) {
                prop_assert!((left - (a * x + y)).abs() < 1e-10);
            }
        }
    }
}
