//! Networks of the program as sources of directions for the solvers, which do not know of networks.

use std::path::Path;

use mathesis_networks::direction_network::{InferenceNetwork, Weights};
use mathesis_solvers::linear::{DirectionProposal, PressureGrid};

use crate::failure::Failure;

/// The network that comes with the program: trained on an empty box of 16³ cells (`experiments/dcdm/training.toml`).
const EMBEDDED: &[u8] = include_bytes!("../../../experiments/dcdm/direction-network-16.safetensors");

/// The weights in a file, or those that come with the program.
///
/// # Errors
/// [`Failure::Input`] if the file is no network's; it names the tensor that is wrong.
pub fn load(file: Option<&Path>) -> Result<Weights, Failure> {
    match file {
        Some(file) => {
            Weights::load(file).map_err(|error| Failure::input(format!("{}: {error}", file.display())))
        }
        None => Weights::from_bytes(EMBEDDED)
            .map_err(|error| Failure::work(format!("the network that comes with the program: {error}"))),
    }
}

/// Proposes directions on a grid by a network.
pub struct NetworkProposal {
    name: String,
    network: InferenceNetwork,
    cells: [usize; 3],
    residual: Vec<f32>,
    direction: Vec<f32>,
}

impl NetworkProposal {
    /// The network with the given weights on a grid; a plane is a grid of one layer.
    pub fn new(name: impl Into<String>, weights: &Weights, grid: &PressureGrid) -> Self {
        let mut cells = [1; 3];
        for (cells, &n) in cells.iter_mut().rev().zip(grid.shape().iter().rev()) {
            *cells = n;
        }
        let count = cells.iter().product();
        Self {
            name: name.into(),
            network: InferenceNetwork::new(weights),
            cells,
            residual: vec![0.0; count],
            direction: vec![0.0; count],
        }
    }
}

impl DirectionProposal for NetworkProposal {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn propose(&mut self, residual: &[f64], direction: &mut [f64]) -> Result<(), String> {
        if residual.len() != self.residual.len() || direction.len() != self.residual.len() {
            return Err(format!(
                "the network was set up for {:?} cells, not for vectors of {} entries",
                self.cells,
                residual.len()
            ));
        }
        self.residual.iter_mut().zip(residual).for_each(|(to, from)| *to = *from as f32);
        self.network.apply(self.cells, &self.residual, &mut self.direction);
        direction.iter_mut().zip(&self.direction).for_each(|(to, from)| *to = f64::from(*from));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mathesis_solvers::linear::{Matrix, Method, Outside, System, options, solve};
    use mathesis_solvers::{Silent, Status};

    use super::*;

    #[test]
    fn the_embedded_network_solves_grids_that_it_was_not_trained_on() {
        let weights = load(None).expect("the embedded network");
        for grid in [
            PressureGrid::empty(&[16, 16, 16], Outside::Open).expect("a grid"),
            PressureGrid::around_ball(&[16, 16, 16], Outside::Open).expect("a grid"),
            PressureGrid::around_ball(&[13, 11, 18], Outside::Closed).expect("a grid"),
            PressureGrid::around_ball(&[24, 17], Outside::Open).expect("a grid"),
        ] {
            let b = grid.right_side(mathesis_solvers::linear::Load::FlowPastObstacle, 1);
            let b = if b.iter().all(|v| *v == 0.0) {
                grid.right_side(mathesis_solvers::linear::Load::PointSource, 1)
            } else {
                b
            };
            let mut proposal = NetworkProposal::new("embedded", &weights, &grid);
            let system = System::new(Matrix::Grid(grid), b, true).expect("a system");
            let method = Method::DeepConjugateDirections(options::DeepConjugateDirections {
                tolerance: 1e-10,
                ..Default::default()
            });
            let solution = solve(&system, &method, Some(&mut proposal), &mut Silent).expect("solved");
            assert_eq!(solution.status, Status::Converged, "{:?}", solution.notes);
            assert!(solution.residual <= 1.001e-10);
            let gradient = Method::ConjugateGradient(options::ConjugateGradient {
                tolerance: 1e-10,
                ..Default::default()
            });
            let exact = solve(&system, &gradient, None, &mut Silent).expect("solved");
            for (a, b) in solution.values.iter().zip(&exact.values) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn vectors_of_another_grid_are_refused() {
        let grid = PressureGrid::empty(&[4, 4, 4], Outside::Open).expect("a grid");
        let mut proposal = NetworkProposal::new("embedded", &load(None).expect("weights"), &grid);
        let error = proposal.propose(&[0.0; 27], &mut [0.0; 27]).expect_err("refused");
        assert!(error.contains("[4, 4, 4]") && error.contains("27"), "{error}");
    }
}
