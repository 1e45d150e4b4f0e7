//! Where directions of deep conjugate directions come from: a trained network, or one of two exact maps for comparison.

/// Proposes a direction for a residual, ideally a multiple of `A⁻¹ residual`.
pub trait DirectionProposal: Send {
    /// What it is, such as a network's file name.
    fn name(&self) -> String;

    /// Write a direction for a residual of unit 2-norm. Both have an entry for every unknown, on a grid for every cell in C order
    /// (x, y, z; z fastest). The scale of the direction does not matter, and what it is off the fluid does not either.
    ///
    /// # Errors
    /// A message if there is no direction to be had for vectors of this length.
    fn propose(&mut self, residual: &[f64], direction: &mut [f64]) -> Result<(), String>;
}

/// The residual itself: with one or more previous directions the iteration is that of conjugate gradients.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdentityProposal;

impl DirectionProposal for IdentityProposal {
    fn name(&self) -> String {
        "identity".into()
    }

    fn propose(&mut self, residual: &[f64], direction: &mut [f64]) -> Result<(), String> {
        direction.copy_from_slice(residual);
        Ok(())
    }
}

/// The exact solution of the system for the residual, by a function that solves it: the iteration ends after one step.
pub struct InverseProposal<F>(pub F);

impl<F: FnMut(&[f64]) -> Vec<f64> + Send> DirectionProposal for InverseProposal<F> {
    fn name(&self) -> String {
        "exact inverse".into()
    }

    fn propose(&mut self, residual: &[f64], direction: &mut [f64]) -> Result<(), String> {
        direction.copy_from_slice(&(self.0)(residual));
        Ok(())
    }
}
