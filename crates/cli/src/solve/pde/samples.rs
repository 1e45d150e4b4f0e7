//! A solution on a fine grid, with the truth and the equation's residual beside it: what is written and drawn.

use mathesis_solvers::pde::{Problem, Residual, Solution, SolveError, evaluate_on_grid, grid_coordinates};

/// Values on a tensor grid, row-major, one list for each unknown.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The grid.
    pub axes: Vec<Vec<f64>>,
    /// The solution.
    pub values: Vec<Vec<f64>>,
    /// The exact solution, if it is known.
    pub truth: Option<Vec<Vec<f64>>>,
    /// At each point the largest absolute residual of the equations.
    pub residual: Vec<f64>,
}

impl Samples {
    /// On a uniform grid of the whole box, fine enough to be drawn.
    ///
    /// # Errors
    /// If an expression of the problem cannot be evaluated.
    pub fn of_box(problem: &Problem, solution: &Solution) -> Result<Self, SolveError> {
        let count = [2001, 301, 61][problem.dimension() - 1];
        Samples::on(problem, solution, problem.axes.iter().map(|axis| axis.uniform_points(count)).collect())
    }

    /// On a grid of one's own.
    ///
    /// # Errors
    /// If an expression of the problem cannot be evaluated.
    pub fn on(problem: &Problem, solution: &Solution, axes: Vec<Vec<f64>>) -> Result<Self, SolveError> {
        let dimension = problem.dimension();
        let values: Vec<Vec<f64>> = solution
            .fields
            .iter()
            .map(|field| field.on_grid(&[0; 3][..dimension], &axes).into_values())
            .collect();
        let truth =
            problem.exact.as_ref().map(|exact| evaluate_on_grid(problem, exact, &axes)).transpose()?;
        let coordinates = grid_coordinates(&axes);
        let coordinates: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
        let mut largest = vec![0.0_f64; coordinates[0].len()];
        for (left, right) in &problem.equations {
            let residual = Residual::new(problem, &(left.clone() - right.clone()))?;
            let jets: Vec<Vec<f64>> = residual
                .derivatives()
                .iter()
                .map(|d| solution.fields[d.unknown].on_grid(&d.orders[..dimension], &axes).into_values())
                .collect();
            let jets: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
            for (largest, value) in largest.iter_mut().zip(&residual.evaluate(&coordinates, &jets)[0]) {
                *largest = largest.max(value.abs());
            }
        }
        Ok(Samples { axes, values, truth, residual: largest })
    }

    /// Pointwise absolute errors of one unknown, if the truth is known.
    pub fn error(&self, unknown: usize) -> Option<Vec<f64>> {
        let truth = &self.truth.as_ref()?[unknown];
        Some(self.values[unknown].iter().zip(truth).map(|(value, truth)| (value - truth).abs()).collect())
    }

    /// The numbers of the grid's points along the axes.
    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(Vec::len).collect()
    }

    /// A window around the middle of the box in which some eight oscillations fit, if so many fit into the box that they
    /// cannot be told apart in a drawing: bounds along each axis.
    pub fn window(&self) -> Option<Vec<(f64, f64)>> {
        const READABLE: usize = 30;
        let shape = self.shape();
        let mut narrowed = false;
        let bounds = self
            .axes
            .iter()
            .enumerate()
            .map(|(k, axis)| {
                let (lower, upper) = (axis[0], axis[axis.len() - 1]);
                let oscillations =
                    self.values.iter().map(|values| oscillations(values, &shape, k)).max().unwrap_or(0);
                if oscillations <= READABLE {
                    return (lower, upper);
                }
                narrowed = true;
                let half = 4.0 / oscillations as f64 * (upper - lower);
                let middle = lower + 0.5 * (upper - lower);
                (middle - half, middle + half)
            })
            .collect();
        narrowed.then_some(bounds)
    }
}

/// The most oscillations along an axis that any of some lines through the grid sees: half its turning points. A turn
/// counts once the values have come back by a millionth of their range; smaller ones are rounding.
fn oscillations(values: &[f64], shape: &[usize], axis: usize) -> usize {
    let range = values
        .iter()
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let least = 1e-6 * (range.1 - range.0);
    let inner: usize = shape[axis + 1..].iter().product();
    let count = shape[axis];
    let lines = values.len() / count.max(1);
    let stride = lines.div_ceil(64).max(1);
    (0..lines)
        .step_by(stride)
        .map(|line| {
            let start = line / inner * inner * count + line % inner;
            turning_points((0..count).map(|i| values[start + i * inner]), least) / 2
        })
        .max()
        .unwrap_or(0)
}

/// The extrema of a sequence from which it comes back by more than `least`.
fn turning_points(values: impl Iterator<Item = f64>, least: f64) -> usize {
    let mut turns = 0;
    // The lowest and the highest value since the last turn, and the direction since then.
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut rising: Option<bool> = None;
    for value in values.filter(|v| v.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
        let now = if value - low > least && rising != Some(true) {
            true
        } else if high - value > least && rising != Some(false) {
            false
        } else {
            continue;
        };
        turns += usize::from(rising.is_some());
        rising = Some(now);
        (low, high) = (value, value);
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(cycles: f64, noise: f64) -> Vec<f64> {
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        (0..401)
            .map(|i| (cycles * std::f64::consts::TAU * i as f64 / 400.0).sin() + noise * sign(i))
            .collect()
    }

    #[test]
    fn oscillations_are_counted_without_rounding_noise() {
        for cycles in [1.0, 3.0, 40.0] {
            for noise in [0.0, 1e-9] {
                assert_eq!(
                    oscillations(&wave(cycles, noise), &[401], 0),
                    cycles as usize,
                    "{cycles} {noise}"
                );
            }
        }
        assert_eq!(oscillations(&[0.5; 30], &[30], 0), 0);
        // A rim that is zero but for rounding, beside an arch.
        let plane: Vec<f64> =
            wave(0.5, 0.0).into_iter().zip(wave(0.0, 1e-17)).flat_map(|(a, b)| [a, b]).collect();
        assert_eq!(oscillations(&plane, &[401, 2], 0), 0);
    }
}
