//! Two-factor Monarch matrices between spaces of different dimensions, and the nearest one to a dense matrix.
//!
//! ```text
//! z[k, q] = Σ_p first[k, q, p] x[k, p]          x as K blocks of P, z as K blocks of Q
//! y[l, r] = z, read as an R by L array, transposed
//! out[s, l] = Σ_r second[l, s, r] y[l, r]       the output has l as its fast index
//! ```

use faer::Mat;

use super::{BlockDiagonal, MonarchError, Scalar, expect_length};

/// The product of two block-diagonal factors with a transposition between them and one behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct RectangularMonarch<T> {
    first: BlockDiagonal<T>,
    second: BlockDiagonal<T>,
}

/// Gradients of a function of the product of a [`RectangularMonarch`] with a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct RectangularGradients<T> {
    /// Of the panel.
    pub input: Vec<T>,
    /// Of the first factor's entries.
    pub first: Vec<T>,
    /// Of the second factor's entries.
    pub second: Vec<T>,
}

impl<T: Scalar> RectangularMonarch<T> {
    /// From its factors; the first has as many rows as the second has columns.
    ///
    /// # Errors
    /// If they have not.
    pub fn new(first: BlockDiagonal<T>, second: BlockDiagonal<T>) -> Result<Self, MonarchError> {
        let (rows, columns) = (first.shape().0, second.shape().1);
        if rows != columns {
            return Err(MonarchError::Shape(format!(
                "the first factor has {rows} rows, the second {columns} columns; expected the same number"
            )));
        }
        Ok(RectangularMonarch { first, second })
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.second.shape().0, self.first.shape().1)
    }

    /// The factor that acts first.
    pub fn first(&self) -> &BlockDiagonal<T> {
        &self.first
    }

    /// The factor that acts second.
    pub fn second(&self) -> &BlockDiagonal<T> {
        &self.second
    }

    /// The product with a panel of `width` vectors.
    ///
    /// # Errors
    /// If the panel has another length than columns times width.
    pub fn apply(&self, input: &[T], width: usize) -> Result<Vec<T>, MonarchError> {
        let (rows, columns) = self.shape();
        expect_length("the input panel", input.len(), columns * width)?;
        let (blocks, block_rows, _) = self.second.extents();
        let mut middle = vec![T::zero(); self.first.shape().0 * width];
        self.first.apply(input, width, &mut middle)?;
        let mut product = vec![T::zero(); rows * width];
        self.second.apply_from(&|l, r| r * blocks + l, &middle, width, &mut product);
        let mut output = Vec::with_capacity(product.len());
        for s in 0..block_rows {
            for l in 0..blocks {
                output.extend_from_slice(&product[(l * block_rows + s) * width..][..width]);
            }
        }
        Ok(output)
    }

    /// The gradients of a function of the product, from that of the product.
    ///
    /// # Errors
    /// If a panel has another length than its shape asks for.
    pub fn backward(
        &self,
        input: &[T],
        output_gradient: &[T],
        width: usize,
    ) -> Result<RectangularGradients<T>, MonarchError> {
        let (rows, columns) = self.shape();
        expect_length("the input panel", input.len(), columns * width)?;
        expect_length("the output's gradient", output_gradient.len(), rows * width)?;
        let (blocks, block_rows, block_columns) = self.second.extents();
        let mut middle = vec![T::zero(); self.first.shape().0 * width];
        self.first.apply(input, width, &mut middle)?;
        let mut transposed = Vec::with_capacity(middle.len());
        for l in 0..blocks {
            for r in 0..block_columns {
                transposed.extend_from_slice(&middle[(r * blocks + l) * width..][..width]);
            }
        }
        let mut gradient = Vec::with_capacity(output_gradient.len());
        for l in 0..blocks {
            for s in 0..block_rows {
                gradient.extend_from_slice(&output_gradient[(s * blocks + l) * width..][..width]);
            }
        }
        let mut second = vec![T::zero(); self.second.entries().len()];
        self.second.accumulate_gradient(&transposed, &gradient, width, &mut second)?;
        self.second.adjoint().apply(&gradient, width, &mut transposed)?;
        for l in 0..blocks {
            for r in 0..block_columns {
                middle[(r * blocks + l) * width..][..width]
                    .copy_from_slice(&transposed[(l * block_columns + r) * width..][..width]);
            }
        }
        let mut first = vec![T::zero(); self.first.entries().len()];
        self.first.accumulate_gradient(input, &middle, width, &mut first)?;
        let mut input_gradient = vec![T::zero(); input.len()];
        self.first.adjoint().apply(&middle, width, &mut input_gradient)?;
        Ok(RectangularGradients { input: input_gradient, first, second })
    }

    /// The matrix entry by entry, row-major: the sum over the paths between input and output, without any panel.
    pub fn to_dense(&self) -> Vec<T> {
        let (rows, columns) = self.shape();
        let (_, q_count, p_count) = self.first.extents();
        let (blocks, _, r_count) = self.second.extents();
        let mut entries = vec![T::zero(); rows * columns];
        for row in 0..rows {
            let (s, l) = (row / blocks, row % blocks);
            for column in 0..columns {
                let (k, p) = (column / p_count, column % p_count);
                for q in 0..q_count {
                    let middle = k * q_count + q;
                    if middle % blocks == l {
                        let r = middle / blocks;
                        entries[row * columns + column] +=
                            self.second.block(l)[s * r_count + r] * self.first.block(k)[q * p_count + p];
                    }
                }
            }
        }
        entries
    }
}

impl RectangularMonarch<f64> {
    /// The nearest matrix of this kind, in the Frobenius norm, to a dense row-major one: `input_blocks` blocks K on the input's side,
    /// `output_blocks` blocks L on the output's, and `rank` paths between each pair of them (Q = rank · L).
    ///
    /// The entries with a given l and k form a matrix that is of rank `rank` exactly in a Monarch matrix; each is replaced by its leading
    /// singular pairs, their singular values split evenly between the factors.
    ///
    /// # Errors
    /// If the entries do not fill the shape, the blocks do not divide it, `rank` is zero, or an entry is not finite.
    pub fn nearest(
        dense: &[f64],
        (rows, columns): (usize, usize),
        input_blocks: usize,
        output_blocks: usize,
        rank: usize,
    ) -> Result<Self, MonarchError> {
        expect_length("the dense matrix", dense.len(), rows * columns)?;
        if rank == 0 || input_blocks == 0 || output_blocks == 0 || rows == 0 || columns == 0 {
            return Err(MonarchError::Shape("shape, blocks and rank must be positive".to_string()));
        }
        if !columns.is_multiple_of(input_blocks) || !rows.is_multiple_of(output_blocks) {
            return Err(MonarchError::Shape(format!(
                "{input_blocks} blocks do not divide {columns} columns, or {output_blocks} do not divide {rows} rows; pad the matrix"
            )));
        }
        let (p_count, s_count) = (columns / input_blocks, rows / output_blocks);
        let (q_count, r_count) = (rank * output_blocks, rank * input_blocks);
        let mut first = vec![0.0; input_blocks * q_count * p_count];
        let mut second = vec![0.0; output_blocks * s_count * r_count];
        for l in 0..output_blocks {
            for k in 0..input_blocks {
                let slice = Mat::from_fn(s_count, p_count, |s, p| {
                    dense[(s * output_blocks + l) * columns + k * p_count + p]
                });
                let decomposition = slice.thin_svd().map_err(|_| {
                    MonarchError::Shape("the matrix has entries that are not finite".to_string())
                })?;
                let (left, right) = (decomposition.U(), decomposition.V());
                let singular = decomposition.S().column_vector();
                for path in 0..rank.min(singular.nrows()) {
                    let scale = singular[path].max(0.0).sqrt();
                    for p in 0..p_count {
                        first[(k * q_count + path * output_blocks + l) * p_count + p] =
                            scale * right[(p, path)];
                    }
                    for s in 0..s_count {
                        second[(l * s_count + s) * r_count + k * rank + path] = scale * left[(s, path)];
                    }
                }
            }
        }
        Self::new(
            BlockDiagonal::new(input_blocks, q_count, p_count, first)?,
            BlockDiagonal::new(output_blocks, s_count, r_count, second)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::monarch::square::tests::random;

    /// K blocks of P inputs, L blocks of S outputs, R · L = K · Q.
    fn monarch(k: usize, p: usize, l: usize, s: usize, rank: usize, seed: u64) -> RectangularMonarch<f64> {
        let (q, r) = (rank * l, rank * k);
        RectangularMonarch::new(
            BlockDiagonal::new(k, q, p, random(k * q * p, seed)).expect("fits"),
            BlockDiagonal::new(l, s, r, random(l * s * r, seed + 1)).expect("fits"),
        )
        .expect("fits")
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn products_are_those_of_the_written_out_matrix(
            k in 1..5_usize, p in 1..6_usize, l in 1..5_usize, s in 1..6_usize, rank in 1..3_usize,
            width in 0..40_usize, seed in 0..1000_u64,
        ) {
            let matrix = monarch(k, p, l, s, rank, seed);
            let (rows, columns) = matrix.shape();
            prop_assert_eq!((rows, columns), (l * s, k * p));
            let dense = matrix.to_dense();
            let input = random(columns * width, seed + 2);
            let output = matrix.apply(&input, width).expect("fits");
            for row in 0..rows {
                for v in 0..width {
                    let expected: f64 = (0..columns).map(|c| dense[row * columns + c] * input[c * width + v]).sum();
                    prop_assert!((output[row * width + v] - expected).abs() < 1e-12);
                }
            }
        }

        #[test]
        fn the_nearest_one_to_a_monarch_matrix_is_itself(
            k in 1..5_usize, p in 1..6_usize, l in 1..5_usize, s in 1..6_usize, rank in 1..3_usize, seed in 0..1000_u64,
        ) {
            let dense = monarch(k, p, l, s, rank, seed).to_dense();
            let nearest = RectangularMonarch::nearest(&dense, (l * s, k * p), k, l, rank).expect("fits");
            prop_assert!(distance(&nearest.to_dense(), &dense) <= 1e-12 * (1.0 + distance(&dense, &vec![0.0; dense.len()])));
        }
    }

    #[test]
    fn the_nearest_one_is_nearer_than_the_block_diagonal() {
        // Of every slice the block diagonal keeps one row at most, a matrix of rank one; the leading pair keeps no less.
        let (n, b) = (36, 6);
        let dense = random(n * n, 3);
        let nearest = RectangularMonarch::nearest(&dense, (n, n), b, b, 1).expect("fits").to_dense();
        let diagonal: Vec<f64> =
            dense.iter().enumerate().map(|(i, &v)| if i / n / b == i % n / b { v } else { 0.0 }).collect();
        assert!(distance(&nearest, &dense) <= distance(&diagonal, &dense));
    }

    #[test]
    fn gradients_agree_with_differences() {
        let width = 3;
        let matrix = monarch(2, 3, 4, 2, 1, 8);
        let (rows, columns) = matrix.shape();
        let (input, weights) = (random(columns * width, 1), random(rows * width, 2));
        let objective = |matrix: &RectangularMonarch<f64>, input: &[f64]| -> f64 {
            matrix.apply(input, width).expect("fits").iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        let gradients = matrix.backward(&input, &weights, width).expect("fits");
        let base = objective(&matrix, &input);
        for (i, &gradient) in gradients.input.iter().enumerate() {
            let mut moved = input.clone();
            moved[i] += 1.0;
            assert!((objective(&matrix, &moved) - base - gradient).abs() < 1e-12);
        }
        for (i, &gradient) in gradients.first.iter().enumerate() {
            let mut moved = matrix.clone();
            moved.first.entries_mut()[i] += 1.0;
            assert!((objective(&moved, &input) - base - gradient).abs() < 1e-12);
        }
        for (i, &gradient) in gradients.second.iter().enumerate() {
            let mut moved = matrix.clone();
            moved.second.entries_mut()[i] += 1.0;
            assert!((objective(&moved, &input) - base - gradient).abs() < 1e-12);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let block = |blocks, rows, columns| {
            BlockDiagonal::new(blocks, rows, columns, vec![0.0; blocks * rows * columns]).expect("fits")
        };
        assert!(RectangularMonarch::new(block(2, 3, 4), block(2, 3, 4)).is_err());
        assert!(RectangularMonarch::nearest(&[0.0; 12], (3, 4), 3, 1, 1).is_err());
        assert!(RectangularMonarch::nearest(&[0.0; 12], (3, 4), 2, 3, 0).is_err());
    }
}
