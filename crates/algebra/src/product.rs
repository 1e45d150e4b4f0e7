//! Products of dense matrices in slices, `C = A B` and `C += s A B`, by the kernels of the crate `gemm`.
//!
//! A [`View`] says how a matrix stands in a slice, so that transposed matrices and columns of wider ones are multiplied where they
//! are, without a copy.

use gemm::Parallelism;

use crate::real::Real;

/// Multiplications from which on threads bring more than they cost.
const PARALLEL_FROM: usize = 1 << 22;

/// A matrix in a slice: the entry of row `i` and column `j` is at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    values: &'a [T],
    extents: [usize; 2],
    strides: [usize; 2],
}

impl<'a, T> View<'a, T> {
    /// Rows that follow each other without gaps.
    ///
    /// # Panics
    /// If there are not as many values as entries.
    pub fn new(values: &'a [T], [rows, columns]: [usize; 2]) -> Self {
        assert_eq!(values.len(), rows * columns, "values of a matrix {rows} × {columns}");
        View { values, extents: [rows, columns], strides: [columns, 1] }
    }

    /// Rows that begin `stride` after each other, as the columns of a wider matrix do.
    ///
    /// # Panics
    /// If the rows overlap or leave the slice.
    pub fn with_stride(values: &'a [T], [rows, columns]: [usize; 2], stride: usize) -> Self {
        assert!(stride >= columns, "rows of {columns} values that begin after {stride}");
        assert!(rows == 0 || (rows - 1) * stride + columns <= values.len(), "a matrix leaves its slice");
        View { values, extents: [rows, columns], strides: [stride, 1] }
    }

    /// The transposed matrix.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.extents, self.strides);
        View { values: self.values, extents: [columns, rows], strides: [right, down] }
    }
}

/// `A B`, row by row, with all threads.
///
/// # Panics
/// If the columns of `A` are not as many as the rows of `B`.
pub fn product<T: Real>(left: View<'_, T>, right: View<'_, T>) -> Vec<T> {
    let ([rows, depth], [_, columns]) = (left.extents, right.extents);
    if depth == 0 {
        return vec![T::zero(); rows * columns];
    }
    let mut output: Vec<T> = Vec::with_capacity(rows * columns);
    let parallelism = Threads::All.parallelism([rows, columns, depth]);
    // SAFETY: the vector has room for `rows` rows of `columns` numbers, and as the depth is not zero all of them are written
    // and none is read before.
    unsafe {
        call(output.as_mut_ptr(), columns, left, right, None, parallelism);
        output.set_len(rows * columns);
    }
    output
}

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// This thread.
    One,
    /// All, if the product is large.
    All,
}

impl Threads {
    fn parallelism(self, multiplications: [usize; 3]) -> Parallelism {
        let large = multiplications.into_iter().fold(1, usize::saturating_mul) >= PARALLEL_FROM;
        if self == Threads::All && large { Parallelism::Rayon(0) } else { Parallelism::None }
    }
}

/// `C = s A B`, or `C += s A B` if it is to be `added`; the rows of `C` begin `stride` after each other.
///
/// # Panics
/// If the columns of `A` are not as many as the rows of `B`, or `C` has no room for the product.
pub fn product_into<T: Real>(
    left: View<'_, T>,
    right: View<'_, T>,
    factor: T,
    added: bool,
    output: &mut [T],
    stride: usize,
    threads: Threads,
) {
    let ([rows, depth], [_, columns]) = (left.extents, right.extents);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(stride >= columns && (rows - 1) * stride + columns <= output.len(), "room for a product");
    if depth == 0 {
        if !added {
            output.chunks_mut(stride).take(rows).for_each(|row| row[..columns].fill(T::zero()));
        }
        return;
    }
    // SAFETY: all of the product lies in the slice, as was just checked.
    unsafe {
        let parallelism = threads.parallelism([rows, columns, depth]);
        call(output.as_mut_ptr(), stride, left, right, Some((factor, added)), parallelism);
    }
}

/// # Safety
/// `output` points to room for the product with that stride; if the product is added, to numbers.
unsafe fn call<T: Real>(
    output: *mut T,
    stride: usize,
    left: View<'_, T>,
    right: View<'_, T>,
    scaled: Option<(T, bool)>,
    parallelism: Parallelism,
) {
    let ([rows, depth], [depth_of_right, columns]) = (left.extents, right.extents);
    assert_eq!(depth, depth_of_right, "columns of the left and rows of the right matrix");
    let (factor, added) = scaled.unwrap_or((T::one(), false));
    let strides = |view: &View<'_, T>| view.strides.map(|stride| stride as isize);
    let ([left_down, left_right], [right_down, right_right]) = (strides(&left), strides(&right));
    // SAFETY: views stay within their slices, and the caller vouches for the output, which as the only exclusive reference
    // overlaps neither.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            output,
            1,
            stride as isize,
            added,
            left.values.as_ptr(),
            left_right,
            left_down,
            right.values.as_ptr(),
            right_right,
            right_down,
            T::one(),
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Sequence;

    fn drawn(count: usize, random: &mut Sequence) -> Vec<f64> {
        (0..count).map(|_| random.symmetric()).collect()
    }

    /// Entry by entry.
    fn sums(left: &View<'_, f64>, right: &View<'_, f64>) -> Vec<f64> {
        let entry =
            |view: &View<'_, f64>, i: usize, j: usize| view.values[i * view.strides[0] + j * view.strides[1]];
        let ([rows, depth], [_, columns]) = (left.extents, right.extents);
        let sum = |i: usize, j: usize| (0..depth).map(|k| entry(left, i, k) * entry(right, k, j)).sum();
        (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| sum(i, j)).collect()
    }

    #[test]
    fn products_are_plain_sums() {
        let mut random = Sequence::new(1);
        for [rows, depth, columns] in
            [[1, 1, 1], [3, 0, 2], [0, 4, 5], [5, 7, 0], [17, 33, 9], [200, 180, 170]]
        {
            for turned in [[false, false], [true, false], [false, true], [true, true]] {
                let (a, b) = (drawn(rows * depth, &mut random), drawn(depth * columns, &mut random));
                let view = |values, [rows, columns]: [usize; 2], turned| match turned {
                    false => View::new(values, [rows, columns]),
                    true => View::new(values, [columns, rows]).transposed(),
                };
                let (left, right) =
                    (view(&a, [rows, depth], turned[0]), view(&b, [depth, columns], turned[1]));
                let expected = sums(&left, &right);
                let given = product(left, right);
                assert!(given.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
                assert_eq!(given.len(), expected.len());
                // Into columns of a wider matrix, of which the others stay as they are.
                let stride = columns + 3;
                for added in [false, true] {
                    let before = drawn(rows * stride, &mut random);
                    let mut wide = before.clone();
                    product_into(left, right, -0.5, added, &mut wide, stride, Threads::All);
                    for (place, (&now, &before)) in wide.iter().zip(&before).enumerate() {
                        let (row, column) = (place / stride, place % stride);
                        let expected = match column < columns {
                            true => -0.5 * expected[row * columns + column] + f64::from(added) * before,
                            false => before,
                        };
                        assert!((now - expected).abs() < 1e-12, "{now} for {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn columns_of_a_wider_matrix_are_a_matrix() {
        let mut random = Sequence::new(2);
        let (wide, right) = (drawn(5 * 11, &mut random), drawn(4 * 3, &mut random));
        let columns: Vec<f64> = wide.chunks(11).flat_map(|row| row[2..6].to_vec()).collect();
        let right = View::new(&right, [4, 3]);
        let given = product(View::with_stride(&wide[2..], [5, 4], 11), right);
        assert_eq!(given, product(View::new(&columns, [5, 4]), right));
        let refused = std::panic::catch_unwind(|| View::with_stride(&wide[2..], [6, 4], 11));
        assert!(refused.is_err());
    }
}
