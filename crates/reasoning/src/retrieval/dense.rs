//! Search over given vectors by inner product, exactly.
//!
//! Vectors come from a model that is none of this crate's business; they are read from npy files. Normalised vectors
//! make the inner product the cosine.

use std::path::Path;

use rayon::prelude::*;

use super::files::FileError;

/// Vectors of one dimension, in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    dimension: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// `values` holds the rows one after the other.
    ///
    /// Errors: a dimension of 0, values that do not fill rows, a value that is not finite.
    pub fn new(dimension: usize, values: Vec<f32>) -> Result<Vectors, String> {
        if dimension == 0 || !values.len().is_multiple_of(dimension) {
            return Err(format!("{} values do not make rows of dimension {dimension}", values.len()));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(place) => Err(format!("row {} holds a value that is not finite", place / dimension)),
            None => Ok(Vectors { dimension, values }),
        }
    }

    /// The rows of a two-dimensional npy file of 32-bit or 64-bit floats.
    ///
    /// Errors: another file, shape or type, a value that is not finite.
    pub fn read(path: &Path) -> Result<Vectors, FileError> {
        let fail = |message: String| FileError::new(&path.display().to_string(), 0, message);
        let file = std::fs::File::open(path).map_err(|error| fail(error.to_string()))?;
        let open =
            |file| npyz::NpyFile::new(std::io::BufReader::new(file)).map_err(|error| fail(error.to_string()));
        let npy = open(file)?;
        let [_, dimension] = npy.shape() else {
            return Err(fail(format!("expected rows and columns, found the shape {:?}", npy.shape())));
        };
        let dimension = *dimension as usize;
        if npy.order() != npyz::Order::C {
            return Err(fail("expected rows one after the other, found columns (Fortran order)".to_string()));
        }
        let single = npy.try_data::<f32>().map(|data| data.collect::<Result<Vec<_>, _>>());
        let values = match single {
            Ok(values) => values,
            Err(npy) => match npy.try_data::<f64>() {
                Ok(data) => data.map(|value| value.map(|value| value as f32)).collect(),
                Err(npy) => return Err(fail(format!("expected floats, found {}", npy.dtype().descr()))),
            },
        };
        Vectors::new(dimension, values.map_err(|error| fail(error.to_string()))?).map_err(fail)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The length of every row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// A row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimension..(index + 1) * self.dimension]
    }

    /// Divides every row by its Euclidean norm; rows of zeros stay.
    pub fn normalise(&mut self) {
        for row in self.values.chunks_exact_mut(self.dimension) {
            let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt() as f32;
            if norm > 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
    }
}

/// For every query the `count` rows with the largest inner product and that product, the largest first, equal ones by
/// row. All pairs are looked at, in parallel over queries.
///
/// Panics if the dimensions differ.
pub fn search_exactly(rows: &Vectors, queries: &Vectors, count: usize) -> Vec<Vec<(usize, f32)>> {
    assert_eq!(rows.dimension(), queries.dimension(), "rows and queries must have one dimension");
    let product = Product::new();
    let search = |query: usize| {
        let query = queries.row(query);
        let scores = (0..rows.len()).map(|index| (index, product.of(rows.row(index), query)));
        best(scores.collect(), count)
    };
    (0..queries.len()).into_par_iter().map(search).collect()
}

/// The `count` largest scores, the largest first, equal ones by index.
pub(crate) fn best<S: PartialOrd + Copy>(mut scores: Vec<(usize, S)>, count: usize) -> Vec<(usize, S)> {
    let falling = |a: &(usize, S), b: &(usize, S)| {
        b.1.partial_cmp(&a.1).expect("scores are numbers").then(a.0.cmp(&b.0))
    };
    if count < scores.len() {
        if count > 0 {
            scores.select_nth_unstable_by(count - 1, falling);
        }
        scores.truncate(count);
    }
    scores.sort_unstable_by(falling);
    scores
}

/// The inner product, with the widest instructions that the processor has.
#[derive(Clone, Copy)]
pub(crate) struct Product(fn(&[f32], &[f32]) -> f32);

impl Product {
    pub(crate) fn new() -> Product {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has AVX-512F, the only thing that the function asks for.
                return Product(|a, b| unsafe { wide_avx512(a, b) });
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the processor has AVX2 and FMA, the only things that the function asks for.
                return Product(|a, b| unsafe { wide_avx2(a, b) });
            }
        }
        Product(|a, b| lanes::<8>(a, b, |a, b, sum| a * b + sum))
    }

    /// Of two rows of one length.
    #[inline]
    pub(crate) fn of(self, a: &[f32], b: &[f32]) -> f32 {
        (self.0)(a, b)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide_avx512(a: &[f32], b: &[f32]) -> f32 {
    lanes::<64>(a, b, f32::mul_add)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide_avx2(a: &[f32], b: &[f32]) -> f32 {
    lanes::<32>(a, b, f32::mul_add)
}

/// N sums side by side, which the compiler turns into vector registers.
#[inline(always)]
fn lanes<const N: usize>(a: &[f32], b: &[f32], add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; N];
    let (blocks_a, rest_a) = a.as_chunks::<N>();
    let (blocks_b, rest_b) = b.as_chunks::<N>();
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        for lane in 0..N {
            sums[lane] = add(a[lane], b[lane], sums[lane]);
        }
    }
    for (lane, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
        sums[lane] = add(*a, *b, sums[lane]);
    }
    let mut width = N;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_inner_product_is_the_plain_one() {
        let product = Product::new();
        for length in [0, 1, 7, 8, 31, 33, 64, 65, 100, 255, 768] {
            let a: Vec<f32> = (0..length).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
            let b: Vec<f32> = (0..length).map(|i| ((i * 53 + 29) % 97) as f32 / 48.0 - 1.0).collect();
            let plain: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            assert!((f64::from(product.of(&a, &b)) - plain).abs() < 1e-4, "{length}");
            assert!(
                (f64::from(lanes::<8>(&a, &b, |a, b, sum| a * b + sum)) - plain).abs() < 1e-4,
                "{length}"
            );
        }
    }
}
