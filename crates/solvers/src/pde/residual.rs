//! A residual `R(x, u, ∂u, ...)` compiled for arrays of points, with its partial derivatives with respect to the
//! unknowns' derivatives: what Newton, Gauss-Newton and gradient methods all need.

use mathesis_symbolic::{Expr, Program, Symbol};

use super::{Derivative, Problem, SolveError};

/// A compiled residual.
#[derive(Clone, Debug)]
pub struct Residual {
    derivatives: Vec<Derivative>,
    program: Program,
    linear: bool,
}

impl Derivative {
    /// The sum of its orders.
    fn total(&self) -> usize {
        self.orders.iter().sum()
    }
}

impl Residual {
    /// Compile `expression` (left minus right side) in the problem's coordinates and derivatives.
    ///
    /// # Errors
    /// [`SolveError::UnknownSymbol`] if the expression has a symbol that is neither a coordinate nor a derivative of an
    /// unknown.
    pub fn new(problem: &Problem, expression: &Expr) -> Result<Self, SolveError> {
        let coordinates: Vec<Symbol> = problem.axes.iter().map(|axis| axis.name.clone()).collect();
        let mut jets: Vec<(Derivative, Symbol)> = Vec::new();
        for symbol in expression.symbols() {
            if coordinates.contains(&symbol) {
                continue;
            }
            let derivative = problem
                .derivative(&symbol)
                .ok_or_else(|| SolveError::UnknownSymbol(symbol.name().to_string()))?;
            jets.push((derivative, symbol));
        }
        jets.sort_by_key(|(derivative, _)| *derivative);
        let mut outputs = vec![expression.clone()];
        outputs.extend(jets.iter().map(|(_, symbol)| expression.differentiate(symbol)));
        let linear = outputs[1..]
            .iter()
            .all(|partial| partial.symbols().iter().all(|symbol| coordinates.contains(symbol)));
        let variables: Vec<Symbol> =
            coordinates.into_iter().chain(jets.iter().map(|(_, symbol)| symbol.clone())).collect();
        let program =
            Program::compile(&outputs, &variables).map_err(|e| SolveError::Expression(e.to_string()))?;
        Ok(Residual {
            derivatives: jets.into_iter().map(|(derivative, _)| derivative).collect(),
            program,
            linear,
        })
    }

    /// The derivatives that occur, in the order in which [`Residual::evaluate`] takes them.
    pub fn derivatives(&self) -> &[Derivative] {
        &self.derivatives
    }

    /// Whether the residual is affine in the unknowns.
    pub fn is_linear(&self) -> bool {
        self.linear
    }

    /// Values and partial derivatives at `n` points.
    ///
    /// `coordinates`: one slice of `n` values for each axis; `jets`: one for each of [`Residual::derivatives`].
    /// Returns the `n` residuals first, then for each derivative the `n` partial derivatives of the residual by it.
    ///
    /// # Panics
    /// If the slices differ in number or length from what is stated.
    pub fn evaluate(&self, coordinates: &[&[f64]], jets: &[&[f64]]) -> Vec<Vec<f64>> {
        let count = coordinates[0].len();
        let inputs: Vec<&[f64]> = coordinates.iter().chain(jets).copied().collect();
        let mut outputs = vec![vec![0.0; count]; self.derivatives.len() + 1];
        let mut targets: Vec<&mut [f64]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        self.program.evaluate(&inputs, &mut targets);
        outputs
    }

    /// [`Residual::evaluate`] with the derivatives of highest order, those of the principal part, taken `factor` times.
    pub fn evaluate_stretched(
        &self,
        coordinates: &[&[f64]],
        jets: &[Vec<f64>],
        factor: f64,
    ) -> Vec<Vec<f64>> {
        let highest = self.derivatives.iter().map(Derivative::total).max().unwrap_or(0);
        if factor == 1.0 || highest == 0 {
            return self.evaluate(coordinates, &jets.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let factors = self.derivatives.iter().map(|d| if d.total() == highest { factor } else { 1.0 });
        let factors: Vec<f64> = factors.collect();
        let scaled: Vec<Vec<f64>> =
            jets.iter().zip(&factors).map(|(jet, f)| jet.iter().map(|j| f * j).collect()).collect();
        let mut outputs = self.evaluate(coordinates, &scaled.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (partial, f) in outputs[1..].iter_mut().zip(&factors) {
            partial.iter_mut().for_each(|p| *p *= f);
        }
        outputs
    }
}
