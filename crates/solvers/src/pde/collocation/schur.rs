//! The complex Schur form `A = Q T Qᴴ` of a real matrix: Householder reduction to Hessenberg form, then the QR iteration with
//! Wilkinson's shift (Golub, Van Loan: Matrix Computations, sections 7.4 and 7.5).
//!
//! For matrices whose eigenvectors are close to dependent, such as first derivatives with a condition at one end,
//! the Schur form is found to working precision where the eigenvectors are not.

use faer::{Mat, MatRef, c64};

/// `T` upper triangular and `Q` unitary, or `None` if the iteration does not converge.
pub fn complex_schur(matrix: MatRef<'_, f64>) -> Option<(Mat<c64>, Mat<c64>)> {
    let n = matrix.nrows();
    // Row-major, so that rotations of rows and of neighbouring columns both run along memory.
    let mut h: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| matrix[(i, j)]).collect()).collect();
    let mut q: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for k in 0..n.saturating_sub(2) {
        let norm = (k + 1..n).map(|i| h[i][k] * h[i][k]).sum::<f64>().sqrt();
        if norm == 0.0 {
            continue;
        }
        let mut v: Vec<f64> = (k + 1..n).map(|i| h[i][k]).collect();
        v[0] += norm.copysign(v[0]);
        let square: f64 = v.iter().map(|x| x * x).sum();
        let mut row = vec![0.0; n];
        for (i, x) in v.iter().enumerate() {
            row.iter_mut().zip(&h[k + 1 + i]).for_each(|(r, h)| *r += 2.0 / square * x * h);
        }
        for (i, x) in v.iter().enumerate() {
            h[k + 1 + i].iter_mut().zip(&row).for_each(|(h, r)| *h -= x * r);
        }
        for line in h.iter_mut().chain(q.iter_mut()) {
            let product: f64 = line[k + 1..].iter().zip(&v).map(|(a, b)| a * b).sum();
            line[k + 1..].iter_mut().zip(&v).for_each(|(a, b)| *a -= 2.0 / square * product * b);
        }
    }
    let lift = |rows: Vec<Vec<f64>>| -> Vec<Vec<c64>> {
        rows.into_iter().map(|row| row.into_iter().map(|x| c64::new(x, 0.0)).collect()).collect()
    };
    let (mut h, mut q) = (lift(h), lift(q));
    let mut end = n;
    let mut sweeps = 0;
    while end > 1 {
        let mut start = end - 1;
        while start > 0 {
            let neighbours = h[start][start].norm() + h[start - 1][start - 1].norm();
            if h[start][start - 1].norm() <= f64::EPSILON * neighbours {
                h[start][start - 1] = c64::new(0.0, 0.0);
                break;
            }
            start -= 1;
        }
        if start == end - 1 {
            end -= 1;
            sweeps = 0;
            continue;
        }
        sweeps += 1;
        if sweeps > 60 {
            return None;
        }
        let shift = if sweeps % 11 == 10 {
            // An exceptional shift breaks cycles.
            h[end - 1][end - 1] + c64::new(h[end - 1][end - 2].norm(), 0.0)
        } else {
            wilkinson(h[end - 2][end - 2], h[end - 2][end - 1], h[end - 1][end - 2], h[end - 1][end - 1])
        };
        let mut bulge = (h[start][start] - shift, h[start + 1][start]);
        for k in start..end - 1 {
            if k > start {
                bulge = (h[k][k - 1], h[k + 1][k - 1]);
            }
            let length = (bulge.0.norm_sqr() + bulge.1.norm_sqr()).sqrt();
            if length == 0.0 {
                continue;
            }
            let (c, s) = (bulge.0 / length, bulge.1 / length);
            let (upper, lower) = h.split_at_mut(k + 1);
            let first = k.saturating_sub(1).max(start);
            for (a, b) in upper[k][first..].iter_mut().zip(&mut lower[0][first..]) {
                (*a, *b) = (c.conj() * *a + s.conj() * *b, c * *b - s * *a);
            }
            for row in h[..end.min(k + 3)].iter_mut().chain(q.iter_mut()) {
                let (a, b) = (row[k], row[k + 1]);
                row[k] = a * c + b * s;
                row[k + 1] = b * c.conj() - a * s.conj();
            }
            if k > start {
                h[k + 1][k - 1] = c64::new(0.0, 0.0);
            }
        }
    }
    let triangle = Mat::from_fn(n, n, |i, j| if i <= j { h[i][j] } else { c64::new(0.0, 0.0) });
    Some((triangle, Mat::from_fn(n, n, |i, j| q[i][j])))
}

/// The eigenvalue of `[[a, b], [c, d]]` nearer to `d`.
fn wilkinson(a: c64, b: c64, c: c64, d: c64) -> c64 {
    let half = (a - d) * 0.5;
    let root = (half * half + b * c).sqrt();
    let far = if (half.conj() * root).re >= 0.0 { half + root } else { half - root };
    if far.norm() == 0.0 { d } else { d - b * c / far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_the_factors_is_the_matrix() {
        for n in [1, 2, 3, 10, 41] {
            let a = Mat::from_fn(n, n, |i, j| {
                ((i * 31 + j * 17 + 1) as f64).sin() + if j > i { 3.0 } else { 0.0 }
            });
            let (t, q) = complex_schur(a.as_ref()).unwrap();
            let back = &q * &t * q.adjoint();
            for i in 0..n {
                for j in 0..n {
                    assert!(
                        (back[(i, j)] - c64::new(a[(i, j)], 0.0)).norm() < 1e-11 * (n as f64),
                        "{n} {i} {j}"
                    );
                }
            }
        }
    }
}
