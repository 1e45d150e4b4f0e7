//! The vector operations of the iterations, in parallel, each passing over memory once.
//!
//! Sums are taken chunk by chunk and added in order, so that a result does not depend on the number of threads.

use pulp::Arch;
use rayon::prelude::*;

/// Entries a task works on: 128 KiB of each vector, small enough for the second-level cache.
pub(super) const CHUNK: usize = 1 << 14;

/// `aᵀ b`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let arch = Arch::new();
    if a.len() <= CHUNK {
        return arch.dispatch(|| dot_chunk(a, b));
    }
    let partial: Vec<f64> = a
        .par_chunks(CHUNK)
        .zip(b.par_chunks(CHUNK))
        .map(|(a, b)| arch.dispatch(|| dot_chunk(a, b)))
        .collect();
    partial.iter().sum()
}

/// `‖a‖₂`.
pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `y ← y + factor · x`.
pub(super) fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    debug_assert_eq!(y.len(), x.len());
    let arch = Arch::new();
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        arch.dispatch(
            #[inline(always)]
            || y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x),
        );
    });
}

/// `p ← z + factor · p`.
pub(super) fn scale_and_add(p: &mut [f64], factor: f64, z: &[f64]) {
    debug_assert_eq!(p.len(), z.len());
    let arch = Arch::new();
    p.par_chunks_mut(CHUNK).zip(z.par_chunks(CHUNK)).for_each(|(p, z)| {
        arch.dispatch(
            #[inline(always)]
            || p.iter_mut().zip(z).for_each(|(p, z)| *p = z + factor * *p),
        );
    });
}

/// `vᵀ z` for several vectors, which pass by while a chunk of `z` stays in the cache.
pub(super) fn dots(vectors: &[Vec<f64>], z: &[f64]) -> Vec<f64> {
    let arch = Arch::new();
    let partial: Vec<Vec<f64>> = z
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, z)| {
            let with = |v: &Vec<f64>| arch.dispatch(|| dot_chunk(&v[chunk * CHUNK..][..z.len()], z));
            vectors.iter().map(with).collect()
        })
        .collect();
    let mut sums = vec![0.0; vectors.len()];
    for chunk in partial {
        sums.iter_mut().zip(chunk).for_each(|(sum, part)| *sum += part);
    }
    sums
}

/// `p ← p + Σ_j c_j v_j`.
pub(super) fn add_combination(p: &mut [f64], coefficients: &[f64], vectors: &[Vec<f64>]) {
    let arch = Arch::new();
    p.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, p)| {
        for (v, &c) in vectors.iter().zip(coefficients) {
            let v = &v[chunk * CHUNK..][..p.len()];
            arch.dispatch(
                #[inline(always)]
                || p.iter_mut().zip(v).for_each(|(p, v)| *p += c * v),
            );
        }
    });
}

/// `z ← d ∘ r`, entry by entry.
pub(super) fn multiply_entries(z: &mut [f64], d: &[f64], r: &[f64]) {
    debug_assert_eq!(z.len(), r.len());
    z.par_chunks_mut(CHUNK).zip(d.par_chunks(CHUNK).zip(r.par_chunks(CHUNK))).for_each(|(z, (d, r))| {
        z.iter_mut().zip(d.iter().zip(r)).for_each(|(z, (d, r))| *z = d * r);
    });
}

/// `x ← x + step · p`, `r ← r - step · ap`, and the new `rᵀ r`.
pub(super) fn advance(x: &mut [f64], r: &mut [f64], step: f64, p: &[f64], ap: &[f64]) -> f64 {
    let arch = Arch::new();
    let partial: Vec<f64> = x
        .par_chunks_mut(CHUNK)
        .zip(r.par_chunks_mut(CHUNK))
        .zip(p.par_chunks(CHUNK).zip(ap.par_chunks(CHUNK)))
        .map(|((x, r), (p, ap))| {
            arch.dispatch(
                #[inline(always)]
                || {
                    x.iter_mut().zip(p).for_each(|(x, p)| *x += step * p);
                    r.iter_mut().zip(ap).for_each(|(r, ap)| *r -= step * ap);
                    dot_chunk(r, r)
                },
            )
        })
        .collect();
    partial.iter().sum()
}

/// Sixteen running sums, so that the additions of several lanes and registers overlap.
#[inline(always)]
pub(super) fn dot_chunk(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 16;
    let length = a.len().min(b.len());
    let whole = length - length % LANES;
    let mut sums = [0.0; LANES];
    for (a, b) in a[..whole].chunks_exact(LANES).zip(b[..whole].chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a[whole..length].iter().zip(&b[whole..length]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_equal_plain_loops_at_any_length() {
        for n in [0, 1, 3, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let a: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let b: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).cos()).collect();
            let sum: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b) - sum).abs() <= 1e-10, "{n}");

            let (mut x, mut r) = (a.clone(), b.clone());
            let squared = advance(&mut x, &mut r, 0.3, &b, &a);
            let (mut y, mut p) = (a.clone(), a.clone());
            add_scaled(&mut y, 0.3, &b);
            scale_and_add(&mut p, 0.3, &b);
            for i in 0..n {
                assert!((x[i] - (a[i] + 0.3 * b[i])).abs() < 1e-15);
                assert!((y[i] - x[i]).abs() < 1e-15);
                assert!((r[i] - (b[i] - 0.3 * a[i])).abs() < 1e-15);
                assert!((p[i] - (b[i] + 0.3 * a[i])).abs() < 1e-15);
            }
            let both = [a.clone(), b.clone()];
            let sums = dots(&both, &b);
            assert!((sums[0] - dot(&a, &b)).abs() < 1e-12 && (sums[1] - dot(&b, &b)).abs() < 1e-12);
            let mut combined = a.clone();
            add_combination(&mut combined, &[0.5, -2.0], &both);
            assert!((0..n).all(|i| (combined[i] - (1.5 * a[i] - 2.0 * b[i])).abs() < 1e-14));
            assert!((squared - r.iter().map(|r| r * r).sum::<f64>()).abs() <= 1e-10);
        }
    }
}
