//! The simple convex function h of a variational inequality: the indicator of a set, or a multiple of the ℓ1 norm.

use serde::{Deserialize, Serialize};

/// A simple convex function h on R^d, known by its proximal map prox_{γh}(v) = argmin γh(z) + ½‖z − v‖².
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Constraint {
    /// h = 0.
    None,
    /// Every entry between two bounds.
    Box {
        /// The lower bound.
        lower: f64,
        /// The upper bound, not below the lower.
        upper: f64,
    },
    /// Probability vectors: entries at least 0 with sum 1.
    Simplex,
    /// The Euclidean ball about the origin.
    Ball {
        /// Its radius, above 0.
        radius: f64,
    },
    /// h = weight·‖z‖₁.
    L1 {
        /// The weight, at least 0.
        weight: f64,
    },
    /// Consecutive blocks, each with a function of its own.
    Product {
        /// The blocks in order; their sizes add up to the dimension.
        blocks: Vec<Block>,
    },
}

/// A block of a [`Constraint::Product`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Its number of entries.
    pub size: usize,
    /// Its function.
    pub constraint: Constraint,
}

impl Constraint {
    /// The names under which constraints are asked for.
    pub const NAMES: &[&str] = &["none", "box", "simplex", "ball", "l1", "product"];

    /// Two blocks, for the two players of a saddle point.
    pub fn pair(first: (usize, Constraint), second: (usize, Constraint)) -> Self {
        let block = |(size, constraint)| Block { size, constraint };
        Constraint::Product { blocks: vec![block(first), block(second)] }
    }

    /// Whether it fits a dimension and its settings are in range; if not, what is wrong.
    ///
    /// # Errors
    /// The complaint, with what was expected.
    pub fn check(&self, dimension: usize) -> Result<(), String> {
        match self {
            Constraint::Box { lower, upper } if !(lower <= upper && upper - lower < f64::INFINITY) => {
                Err(format!(
                    "the box is [{lower}, {upper}]; expected finite bounds, the lower not above the upper"
                ))
            }
            Constraint::Simplex if dimension == 0 => Err("a simplex needs at least one entry".to_string()),
            Constraint::Ball { radius } if !(*radius > 0.0 && radius.is_finite()) => {
                Err(format!("the ball's radius is {radius}; expected a finite number above 0"))
            }
            Constraint::L1 { weight } if !(*weight >= 0.0 && weight.is_finite()) => {
                Err(format!("the weight of the l1 norm is {weight}; expected a finite number, at least 0"))
            }
            Constraint::Product { blocks } => {
                let total: usize = blocks.iter().map(|block| block.size).sum();
                if total != dimension {
                    return Err(format!("the blocks have {total} entries together; expected {dimension}"));
                }
                blocks.iter().try_for_each(|block| block.constraint.check(block.size))
            }
            _ => Ok(()),
        }
    }

    /// Whether h = 0.
    pub fn is_none(&self) -> bool {
        match self {
            Constraint::None => true,
            Constraint::Product { blocks } => blocks.iter().all(|block| block.constraint.is_none()),
            _ => false,
        }
    }

    /// A point to start from: the simplex' barycentre, the point nearest to the origin of the others.
    pub fn start(&self, dimension: usize) -> Vec<f64> {
        match self {
            Constraint::Simplex => vec![1.0 / dimension as f64; dimension],
            Constraint::Product { blocks } => {
                blocks.iter().flat_map(|block| block.constraint.start(block.size)).collect()
            }
            _ => {
                let mut origin = vec![0.0; dimension];
                self.proximal(1.0, &mut origin);
                origin
            }
        }
    }

    /// Replace v by prox_{γh}(v).
    pub fn proximal(&self, step: f64, v: &mut [f64]) {
        match self {
            Constraint::None => {}
            Constraint::Box { lower, upper } => v.iter_mut().for_each(|v| *v = v.clamp(*lower, *upper)),
            Constraint::Simplex => project_on_simplex(v),
            Constraint::Ball { radius } => {
                let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
                if norm > *radius {
                    v.iter_mut().for_each(|v| *v *= radius / norm);
                }
            }
            Constraint::L1 { weight } => {
                let threshold = step * weight;
                v.iter_mut().for_each(|v| *v = v.signum() * (v.abs() - threshold).max(0.0));
            }
            Constraint::Product { blocks } => {
                let mut rest = v;
                for block in blocks {
                    let (part, after) = rest.split_at_mut(block.size.min(rest.len()));
                    block.constraint.proximal(step, part);
                    rest = after;
                }
            }
        }
    }

    /// Replace v by the mirror step argmin γ⟨g, u⟩ + γh(u) + V(u, v), where the distance V is the relative entropy on simplices and half
    /// the squared Euclidean distance elsewhere: u ∝ v·exp(−γg) on simplices, prox_{γh}(v − γg) elsewhere.
    pub fn mirror_step(&self, step: f64, gradient: &[f64], v: &mut [f64]) {
        match self {
            Constraint::Simplex => {
                let exponents: Vec<f64> = v.iter().zip(gradient).map(|(v, g)| v.ln() - step * g).collect();
                let largest = exponents.iter().fold(f64::NEG_INFINITY, |m, e| m.max(*e));
                v.iter_mut().zip(&exponents).for_each(|(v, e)| *v = (e - largest).exp());
                let sum: f64 = v.iter().sum();
                // Entries stay above zero, from where no mirror step leads back.
                v.iter_mut().for_each(|v| *v = (*v / sum).max(1e-300));
            }
            Constraint::Product { blocks } => {
                let (mut rest, mut gradient) = (v, gradient);
                for block in blocks {
                    let (part, after) = rest.split_at_mut(block.size);
                    let (own, others) = gradient.split_at(block.size);
                    block.constraint.mirror_step(step, own, part);
                    (rest, gradient) = (after, others);
                }
            }
            _ => {
                v.iter_mut().zip(gradient).for_each(|(v, g)| *v -= step * g);
                self.proximal(step, v);
            }
        }
    }

    /// max over the set of ⟨g, u⟩, for the sets that are bounded.
    pub fn support(&self, g: &[f64]) -> Option<f64> {
        match self {
            Constraint::Box { lower, upper } => Some(g.iter().map(|g| (g * lower).max(g * upper)).sum()),
            Constraint::Simplex => Some(g.iter().fold(f64::NEG_INFINITY, |m, g| m.max(*g))),
            Constraint::Ball { radius } => Some(radius * g.iter().map(|g| g * g).sum::<f64>().sqrt()),
            Constraint::None | Constraint::L1 { .. } => None,
            Constraint::Product { blocks } => {
                let mut rest = g;
                let mut sum = 0.0;
                for block in blocks {
                    let (own, others) = rest.split_at(block.size);
                    sum += block.constraint.support(own)?;
                    rest = others;
                }
                Some(sum)
            }
        }
    }
}

/// The nearest probability vector: max(v − θ, 0) with the θ that makes the sum 1, found by sorting.
fn project_on_simplex(v: &mut [f64]) {
    let mut sorted = v.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut theta) = (0.0, 0.0);
    for (k, value) in sorted.iter().enumerate() {
        sum += value;
        let candidate = (sum - 1.0) / (k + 1) as f64;
        if *value > candidate {
            theta = candidate;
        }
    }
    v.iter_mut().for_each(|v| *v = (*v - theta).max(0.0));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(constraint: &Constraint, z: &[f64]) -> f64 {
        match constraint {
            Constraint::L1 { weight } => weight * z.iter().map(|z| z.abs()).sum::<f64>(),
            _ => 0.0,
        }
    }

    proptest! {
        /// The proximal point satisfies its variational inequality against other points of the set.
        #[test]
        fn proximal_points_are_optimal(
            v in prop::collection::vec(-3.0..3.0_f64, 1..9),
            other in prop::collection::vec(-3.0..3.0_f64, 9),
            step in 0.01..2.0_f64,
        ) {
            let sets = [
                Constraint::None,
                Constraint::Box { lower: -0.5, upper: 1.0 },
                Constraint::Simplex,
                Constraint::Ball { radius: 0.7 },
                Constraint::L1 { weight: 0.6 },
            ];
            for set in &sets {
                let mut p = v.clone();
                set.proximal(step, &mut p);
                // Another point of the domain.
                let mut u = other[..v.len()].to_vec();
                if !matches!(set, Constraint::L1 { .. }) {
                    set.proximal(1.0, &mut u);
                }
                // ⟨v − p, u − p⟩ ≤ γ(h(u) − h(p))
                let left: f64 = (0..v.len()).map(|i| (v[i] - p[i]) * (u[i] - p[i])).sum();
                prop_assert!(left <= step * (value(set, &u) - value(set, &p)) + 1e-9, "{set:?} {left}");
                if let Some(support) = set.support(&v) {
                    let product: f64 = v.iter().zip(&u).map(|(v, u)| v * u).sum();
                    prop_assert!(product <= support + 1e-9);
                }
            }
        }

        /// A mirror step on the simplex minimises γ⟨g, u⟩ + KL(u, v): the gradient is constant on it.
        #[test]
        fn mirror_steps_are_optimal(g in prop::collection::vec(-3.0..3.0_f64, 2..9), step in 0.01..2.0_f64) {
            let mut v: Vec<f64> = (1..=g.len()).map(|i| i as f64).collect();
            let sum: f64 = v.iter().sum();
            v.iter_mut().for_each(|v| *v /= sum);
            let before = v.clone();
            Constraint::Simplex.mirror_step(step, &g, &mut v);
            prop_assert!((v.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let gradient: Vec<f64> = (0..g.len()).map(|i| step * g[i] + (v[i] / before[i]).ln()).collect();
            prop_assert!(gradient.iter().all(|value| (value - gradient[0]).abs() < 1e-9));
        }
    }

    #[test]
    fn products_act_block_by_block() {
        let set = Constraint::pair(
            (2, Constraint::Simplex),
            (3, Constraint::pair((1, Constraint::None), (2, Constraint::Box { lower: 0.0, upper: 1.0 }))),
        );
        assert_eq!(set.check(5), Ok(()));
        assert!(set.check(6).is_err());
        let mut v = vec![3.0, 1.0, -5.0, -2.0, 7.0];
        set.proximal(1.0, &mut v);
        assert_eq!(v, [1.0, 0.0, -5.0, 0.0, 1.0]);
        assert_eq!(set.start(5), [0.5, 0.5, 0.0, 0.0, 0.0]);
        assert_eq!(set.support(&[1.0; 5]), None);
        assert!(!set.is_none());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for wrong in [
            Constraint::Box { lower: 1.0, upper: 0.0 },
            Constraint::Box { lower: f64::NAN, upper: 0.0 },
            Constraint::Ball { radius: 0.0 },
            Constraint::L1 { weight: -1.0 },
        ] {
            assert!(wrong.check(3).is_err(), "{wrong:?}");
        }
        assert!(Constraint::Simplex.check(0).is_err());
    }
}
