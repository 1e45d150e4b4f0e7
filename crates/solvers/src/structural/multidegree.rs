//! Multidegrees: the grading of the ring of covariances, and the monomials of one degree of it.
//!
//! Rescaling the variables of a structural model gives a structural model of the same graph, so the polynomials that vanish on it
//! are graded by Zⁿ with deg σ_ij = e_i + e_j. The monomials of multidegree a are the multigraphs in which vertex i has degree a_i,
//! where an edge {i, j} is a factor σ_ij and a loop, which counts twice, a factor σ_ii.

/// How often each vertex occurs among the indices of a monomial's factors.
pub type Multidegree = Vec<u8>;

/// A product of covariances: their indices, see [`pair_index`], in rising order.
pub(super) type Factors = Box<[u8]>;

/// The position of σ_ij, i ≤ j, when all are listed row by row: σ_11, σ_12, ..., σ_22, ...
pub(super) fn pair_index(size: usize, i: usize, j: usize) -> usize {
    let (i, j) = (i.min(j), i.max(j));
    i * (2 * size - i + 1) / 2 + j - i
}

/// All pairs (i, j), i ≤ j, by their positions.
pub(super) fn pairs(size: usize) -> Vec<(usize, usize)> {
    (0..size).flat_map(|i| (i..size).map(move |j| (i, j))).collect()
}

/// All multidegrees of polynomials of a degree: vectors of `size` numbers whose sum is twice the degree.
pub(super) fn multidegrees(size: usize, degree: usize) -> Vec<Multidegree> {
    fn fill(rest: usize, position: usize, current: &mut Multidegree, all: &mut Vec<Multidegree>) {
        if position + 1 == current.len() {
            current[position] = rest as u8;
            all.push(current.clone());
            return;
        }
        for value in (0..=rest).rev() {
            current[position] = value as u8;
            fill(rest - value, position + 1, current, all);
        }
    }
    let mut all = Vec::new();
    fill(2 * degree, 0, &mut vec![0; size], &mut all);
    all
}

/// The multidegrees of a degree in falling order: every other one is a reordering of one of these, with as many monomials.
pub(super) fn ordered_multidegrees(size: usize, degree: usize) -> Vec<Multidegree> {
    fn fill(
        rest: usize,
        largest: usize,
        position: usize,
        current: &mut Multidegree,
        all: &mut Vec<Multidegree>,
    ) {
        let left = current.len() - position;
        if left == 0 {
            if rest == 0 {
                all.push(current.clone());
            }
            return;
        }
        for value in (rest.div_ceil(left)..=rest.min(largest)).rev() {
            current[position] = value as u8;
            fill(rest - value, value, position + 1, current, all);
        }
    }
    let mut all = Vec::new();
    fill(2 * degree, 2 * degree, 0, &mut vec![0; size], &mut all);
    all
}

/// The monomials of a multidegree in lexicographic order of their factors, but no more than `limit` of them.
pub(super) fn monomials(multidegree: &[u8], limit: usize) -> Vec<Factors> {
    let mut search = Search { size: multidegree.len(), limit, current: Vec::new(), found: Vec::new() };
    search.extend(&mut multidegree.to_vec(), (0, 0));
    search.found
}

struct Search {
    size: usize,
    limit: usize,
    current: Vec<u8>,
    found: Vec<Factors>,
}

impl Search {
    /// Add all edges of the lowest vertex that still has some, no edge before `least`.
    fn extend(&mut self, rest: &mut [u8], least: (usize, usize)) {
        if self.found.len() >= self.limit {
            return;
        }
        let Some(i) = rest.iter().position(|degree| *degree > 0) else {
            self.found.push(self.current.as_slice().into());
            return;
        };
        let first = if least.0 == i { least.1.max(i) } else { i };
        for j in first..self.size {
            let fits = if i == j { rest[i] >= 2 } else { rest[j] >= 1 };
            if !fits {
                continue;
            }
            rest[i] -= 1;
            rest[j] -= 1;
            self.current.push(pair_index(self.size, i, j) as u8);
            self.extend(rest, (i, j));
            self.current.pop();
            rest[i] += 1;
            rest[j] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_pairs() {
        for size in 1..8 {
            for (position, (i, j)) in pairs(size).into_iter().enumerate() {
                assert_eq!(pair_index(size, i, j), position);
                assert_eq!(pair_index(size, j, i), position);
            }
        }
    }

    #[test]
    fn monomials_are_all_products_of_their_multidegree() {
        for (size, degree) in [(1, 3), (2, 2), (3, 3), (4, 2), (3, 0)] {
            // All products of `degree` covariances, sorted into multidegrees.
            let pairs = pairs(size);
            let mut by_multidegree: std::collections::BTreeMap<Multidegree, Vec<Factors>> =
                Default::default();
            let mut product = vec![0_usize; degree];
            'all: loop {
                if product.is_sorted() {
                    let mut total = vec![0; size];
                    product.iter().for_each(|k| {
                        total[pairs[*k].0] += 1;
                        total[pairs[*k].1] += 1;
                    });
                    by_multidegree.entry(total).or_default().push(product.iter().map(|k| *k as u8).collect());
                }
                for place in (0..degree).rev() {
                    product[place] += 1;
                    if product[place] < pairs.len() {
                        continue 'all;
                    }
                    product[place] = 0;
                }
                break;
            }
            let all = multidegrees(size, degree);
            assert_eq!(all.len(), by_multidegree.len());
            for multidegree in all {
                let mut wanted = by_multidegree[&multidegree].clone();
                wanted.sort();
                assert_eq!(monomials(&multidegree, usize::MAX), wanted);
                let mut ordered = multidegree.clone();
                ordered.sort_unstable_by(|a, b| b.cmp(a));
                assert!(ordered_multidegrees(size, degree).contains(&ordered));
            }
        }
        // The largest blocks that the specification counts.
        let largest =
            |degree| ordered_multidegrees(5, degree).iter().map(|a| monomials(a, usize::MAX).len()).max();
        assert_eq!([4, 5, 6].map(largest), [Some(23), Some(73), Some(128)]);
        assert_eq!(monomials(&[6, 6, 6, 6], 10).len(), 10);
    }
}
