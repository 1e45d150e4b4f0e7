//! The methods, and the one way into all of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::conjugate_directions::{self, conjugate_directions};
use super::conjugate_gradient::{Jacobi, Preconditioner, Stopping, conjugate_gradient};
use super::csr::Csr;
use super::deflation::deflated;
use super::direction_proposal::DirectionProposal;
use super::incomplete_cholesky::IncompleteCholesky;
use super::solution::{Iterate, Watch};
use super::system::{Matrix, System};
use super::vector::{dot, norm, scale_and_add};
use super::{LinearError, Solution, SymmetricOperator, cholesky, multigrid, options};
use crate::{Observer, Status};

/// Up to this many unknowns `auto` factorises a sparse matrix.
const SMALL: usize = 5000;

/// A method with its options: the `[method]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Method {
    /// Whichever of the others suits the system.
    Auto(options::Auto),
    /// Conjugate gradients.
    ConjugateGradient(options::ConjugateGradient),
    /// Conjugate gradients preconditioned by the diagonal.
    Jacobi(options::ConjugateGradient),
    /// Conjugate gradients preconditioned by IC(0).
    IncompleteCholesky(options::IncompleteCholesky),
    /// Conjugate gradients preconditioned by MIC(0).
    ModifiedIncompleteCholesky(options::ModifiedIncompleteCholesky),
    /// Conjugate gradients preconditioned by a V-cycle: on the coarser grids of a grid, by aggregation of a sparse matrix.
    Multigrid(options::Multigrid),
    /// Conjugate gradients preconditioned by a V-cycle of smoothed aggregation, on grids too.
    AlgebraicMultigrid(options::Multigrid),
    /// Conjugate gradients with Ritz vectors projected out.
    Deflated(options::Deflated),
    /// Sparse Cholesky factorisation.
    Cholesky(options::Cholesky),
    /// Conjugate directions that a network proposes.
    DeepConjugateDirections(options::DeepConjugateDirections),
}

impl Method {
    /// The names under which methods are asked for.
    pub const NAMES: &[&str] = &[
        "auto",
        "conjugate-gradient",
        "jacobi",
        "incomplete-cholesky",
        "modified-incomplete-cholesky",
        "multigrid",
        "algebraic-multigrid",
        "deflated",
        "cholesky",
        "deep-conjugate-directions",
    ];

    /// The method of a name with its default options.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "auto" => Method::Auto(options::Auto::default()),
            "conjugate-gradient" => Method::ConjugateGradient(options::ConjugateGradient::default()),
            "jacobi" => Method::Jacobi(options::ConjugateGradient::default()),
            "incomplete-cholesky" => Method::IncompleteCholesky(options::IncompleteCholesky::default()),
            "modified-incomplete-cholesky" => {
                Method::ModifiedIncompleteCholesky(options::ModifiedIncompleteCholesky::default())
            }
            "multigrid" => Method::Multigrid(options::Multigrid::default()),
            "algebraic-multigrid" => Method::AlgebraicMultigrid(options::Multigrid::default()),
            "deflated" => Method::Deflated(options::Deflated::default()),
            "cholesky" => Method::Cholesky(options::Cholesky::default()),
            "deep-conjugate-directions" => {
                Method::DeepConjugateDirections(options::DeepConjugateDirections::default())
            }
            _ => return None,
        })
    }

    /// The name under which it is asked for.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Auto(_) => "auto",
            Method::ConjugateGradient(_) => "conjugate-gradient",
            Method::Jacobi(_) => "jacobi",
            Method::IncompleteCholesky(_) => "incomplete-cholesky",
            Method::ModifiedIncompleteCholesky(_) => "modified-incomplete-cholesky",
            Method::Multigrid(_) => "multigrid",
            Method::AlgebraicMultigrid(_) => "algebraic-multigrid",
            Method::Deflated(_) => "deflated",
            Method::Cholesky(_) => "cholesky",
            Method::DeepConjugateDirections(_) => conjugate_directions::NAME,
        }
    }

    /// When it stops.
    fn stopping(&self) -> Stopping {
        let (tolerance, iterations) = match self {
            Method::Auto(o) => (o.tolerance, o.iterations),
            Method::ConjugateGradient(o) | Method::Jacobi(o) => (o.tolerance, o.iterations),
            Method::IncompleteCholesky(o) => (o.tolerance, o.iterations),
            Method::ModifiedIncompleteCholesky(o) => (o.tolerance, o.iterations),
            Method::Multigrid(o) | Method::AlgebraicMultigrid(o) => (o.tolerance, o.iterations),
            Method::Deflated(o) => (o.tolerance, o.iterations),
            Method::Cholesky(o) => (o.tolerance, 1),
            Method::DeepConjugateDirections(o) => (o.tolerance, o.iterations),
        };
        Stopping { tolerance, iterations }
    }
}

/// Solves a system. Directions for `deep-conjugate-directions` come from `proposal`; the other methods do not ask for any.
///
/// # Errors
/// [`LinearError`] if an option is out of range, the method does not apply to the system or a factorisation fails.
pub fn solve(
    system: &System,
    method: &Method,
    proposal: Option<&mut dyn DirectionProposal>,
    observer: &mut dyn Observer,
) -> Result<Solution, LinearError> {
    check_options(method)?;
    let stopping = method.stopping();
    let b = system.right_side();
    let mut watch = Watch::new(observer, stopping.iterations);
    let run = if b.iter().all(|&b| b == 0.0) {
        let notes = vec!["the right side is zero, and so is the solution".to_string()];
        let iterate = Iterate {
            values: vec![0.0; b.len()],
            status: Status::Converged,
            iterations: 0,
            notes,
            figures: Vec::new(),
        };
        Run { label: method.name().into(), setup: Duration::ZERO, iterate }
    } else {
        run(system, method, proposal, stopping, &mut watch)?
    };
    Ok(judge(system, stopping.tolerance, run, watch))
}

/// A method's result before it is judged.
struct Run {
    label: String,
    setup: Duration,
    iterate: Iterate,
}

fn run(
    system: &System,
    method: &Method,
    proposal: Option<&mut dyn DirectionProposal>,
    stopping: Stopping,
    watch: &mut Watch<'_>,
) -> Result<Run, LinearError> {
    let (matrix, b) = (system.matrix(), system.right_side());
    let operator = matrix.operator();
    let start = Instant::now();
    let mut label = method.name().to_string();
    let mut setup = Duration::ZERO;
    let iterate = match method {
        Method::Auto(o) => return automatic(system, o, watch),
        Method::ConjugateGradient(_) => conjugate_gradient(operator, b, None, stopping, watch),
        Method::Jacobi(_) => {
            let mut jacobi = Jacobi::new(operator);
            conjugate_gradient(operator, b, Some(&mut jacobi), stopping, watch)
        }
        Method::IncompleteCholesky(options::IncompleteCholesky { shift, .. })
        | Method::ModifiedIncompleteCholesky(options::ModifiedIncompleteCholesky { shift, .. }) => {
            let relaxation = match method {
                Method::ModifiedIncompleteCholesky(o) => o.relaxation,
                _ => 0.0,
            };
            let compressed = Compressed::new(matrix);
            let mut factor = IncompleteCholesky::new(compressed.csr(), relaxation, *shift)?;
            setup = start.elapsed();
            let used = factor.shift;
            let mut iterate = compressed.solve(b, &mut factor, stopping, watch);
            if used > *shift {
                iterate.notes.push(format!(
                    "the incomplete factorisation broke down; the diagonal was raised by {used:.1e} of itself for it"
                ));
            }
            iterate
        }
        Method::Multigrid(o) => match matrix {
            Matrix::Grid(grid) => {
                let mut cycle = multigrid::geometric::VCycle::new(grid, o.smoothing)?;
                setup = start.elapsed();
                let mut iterate = conjugate_gradient(operator, b, Some(&mut cycle), stopping, watch);
                iterate.figures.push(("levels".into(), cycle.levels() as f64));
                iterate
            }
            Matrix::Sparse(_) => {
                label = "multigrid (smoothed aggregation)".into();
                let compressed = Compressed::new(matrix);
                algebraic(&compressed, b, o, stopping, watch, start, &mut setup)?
            }
        },
        Method::AlgebraicMultigrid(o) => {
            let compressed = Compressed::new(matrix);
            algebraic(&compressed, b, o, stopping, watch, start, &mut setup)?
        }
        Method::Deflated(o) => deflated(operator, b, o, stopping, watch)?,
        Method::Cholesky(o) => {
            let unknowns = matrix.unknowns();
            if unknowns > o.unknowns {
                return Err(LinearError::NotApplicable {
                    method: "cholesky",
                    reason: format!(
                        "the system has {unknowns} unknowns, the option `unknowns` allows {}",
                        o.unknowns
                    ),
                });
            }
            let compressed = Compressed::new(matrix);
            let values = cholesky::solve(compressed.csr(), compressed.null_space(), &compressed.gather(b))?;
            let values = compressed.scatter(values, b.len());
            Iterate {
                values,
                status: Status::Converged,
                iterations: 1,
                notes: Vec::new(),
                figures: Vec::new(),
            }
        }
        Method::DeepConjugateDirections(o) => {
            let proposal = proposal.ok_or_else(|| LinearError::Option {
                key: "network",
                message: "the method needs a network that proposes directions; name its file".into(),
            })?;
            label = format!("{} ({})", method.name(), proposal.name());
            let clear = |q: &mut [f64]| matrix.mask(q);
            conjugate_directions(operator, &clear, b, proposal, o.previous_directions, stopping, watch)?
        }
    };
    Ok(Run { label, setup, iterate })
}

fn algebraic(
    compressed: &Compressed<'_>,
    b: &[f64],
    options: &options::Multigrid,
    stopping: Stopping,
    watch: &mut Watch<'_>,
    start: Instant,
    setup: &mut Duration,
) -> Result<Iterate, LinearError> {
    let mut cycle = multigrid::aggregation::VCycle::new(compressed.csr(), options.smoothing)?;
    *setup = start.elapsed();
    let mut iterate = compressed.solve(b, &mut cycle, stopping, watch);
    iterate.figures.push(("levels".into(), cycle.levels() as f64));
    iterate.figures.push(("operator complexity".into(), cycle.operator_complexity()));
    Ok(iterate)
}

/// Multigrid for grids, a factorisation for small matrices, smoothed aggregation for others with IC(0) to fall back on.
fn automatic(system: &System, options: &options::Auto, watch: &mut Watch<'_>) -> Result<Run, LinearError> {
    let options::Auto { tolerance, iterations } = *options;
    let multigrid = options::Multigrid { tolerance, iterations, ..Default::default() };
    let (choice, reason) = match system.matrix() {
        Matrix::Grid(_) => (Method::Multigrid(multigrid), "the system is on a grid"),
        Matrix::Sparse(matrix) if matrix.dimension() <= SMALL => {
            (Method::Cholesky(options::Cholesky { tolerance, ..Default::default() }), "the system is small")
        }
        Matrix::Sparse(_) => {
            // Where aggregation does not help it does so early; then the factorisation takes over.
            let iterations = iterations.min(300);
            (
                Method::AlgebraicMultigrid(options::Multigrid { iterations, ..multigrid }),
                "the matrix is large",
            )
        }
    };
    watch.note(&format!("{}: {reason}", choice.name()));
    let mut chosen = run(system, &choice, None, choice.stopping(), watch)?;
    let done = matches!(chosen.iterate.status, Status::Converged | Status::Interrupted);
    if !done && matches!(choice, Method::AlgebraicMultigrid(_)) {
        let factor = Method::IncompleteCholesky(options::IncompleteCholesky {
            tolerance,
            iterations,
            ..Default::default()
        });
        watch.note("algebraic multigrid did not converge; incomplete Cholesky takes over");
        chosen = run(system, &factor, None, factor.stopping(), watch)?;
        chosen.iterate.notes.push("algebraic multigrid was tried first and did not converge".into());
    }
    chosen.label = format!("auto: {}", chosen.label);
    Ok(chosen)
}

/// Computes the true residual and the energy, and lets no run count as converged that misses the tolerance.
fn judge(system: &System, tolerance: f64, run: Run, watch: Watch<'_>) -> Solution {
    let Run { label, setup, iterate } = run;
    let Iterate { mut values, mut status, iterations, mut notes, figures } = iterate;
    let (operator, b) = (system.matrix().operator(), system.right_side());
    operator.null_space().project(&mut values);
    let mut r = vec![0.0; b.len()];
    let curvature = operator.apply_and_dot(&values, &mut r);
    scale_and_add(&mut r, -1.0, b);
    let (residual_norm, scale) = (norm(&r), norm(b));
    let residual = if scale > 0.0 { residual_norm / scale } else { residual_norm };
    // Subtracting a mean changes a residual in its last digits only.
    let within = residual <= tolerance * 1.001;
    if status == Status::Converged && !within {
        status = Status::Stalled(format!("the true relative residual is {residual:.3e}"));
    }
    notes.extend(system.notes().iter().cloned());
    Solution {
        method: label,
        status,
        iterations,
        residual,
        residual_norm,
        energy: curvature / 2.0 - dot(b, &values),
        history: watch.history.clone(),
        notes,
        figures,
        setup,
        elapsed: watch.elapsed(),
        values,
    }
}

fn check_options(method: &Method) -> Result<(), LinearError> {
    let Stopping { tolerance, iterations } = method.stopping();
    let refuse = |key, message: String| Err(LinearError::Option { key, message });
    if !(0.0..1.0).contains(&tolerance) {
        return refuse("tolerance", format!("is {tolerance}, expected a number from 0 to below 1"));
    }
    if iterations == 0 {
        return refuse("iterations", "must be at least 1".into());
    }
    let positive = |shift: f64| shift.is_finite() && shift >= 0.0;
    match method {
        Method::Multigrid(o) | Method::AlgebraicMultigrid(o) if !(1..=8).contains(&o.smoothing) => {
            refuse("smoothing", format!("is {}, expected 1 to 8", o.smoothing))
        }
        Method::Deflated(o) if o.vectors == 0 => refuse("vectors", "must be at least 1".into()),
        Method::Deflated(o) if o.lanczos_steps < o.vectors => refuse(
            "lanczos-steps",
            format!("is {}, fewer than the {} vectors to be taken from them", o.lanczos_steps, o.vectors),
        ),
        Method::IncompleteCholesky(o) if !positive(o.shift) => {
            refuse("shift", format!("is {}, expected a number of at least 0", o.shift))
        }
        Method::ModifiedIncompleteCholesky(o) if !positive(o.shift) => {
            refuse("shift", format!("is {}, expected a number of at least 0", o.shift))
        }
        Method::ModifiedIncompleteCholesky(o) if !(0.0..=1.0).contains(&o.relaxation) => {
            refuse("relaxation", format!("is {}, expected a number from 0 to 1", o.relaxation))
        }
        _ => Ok(()),
    }
}

/// The matrix of the unknowns alone, for methods that need its entries.
enum Compressed<'a> {
    Sparse(&'a super::SymmetricMatrix),
    Grid { matrix: super::SymmetricMatrix, cells: Vec<u32> },
}

impl<'a> Compressed<'a> {
    fn new(matrix: &'a Matrix) -> Self {
        match matrix {
            Matrix::Sparse(matrix) => Compressed::Sparse(matrix),
            Matrix::Grid(grid) => {
                let (csr, cells) = grid.compressed();
                let null_space = grid.null_space().restricted(&cells);
                let matrix = super::SymmetricMatrix::trusted(csr, grid.components(), null_space);
                Compressed::Grid { matrix, cells }
            }
        }
    }

    fn matrix(&self) -> &super::SymmetricMatrix {
        match self {
            Compressed::Sparse(matrix) => matrix,
            Compressed::Grid { matrix, .. } => matrix,
        }
    }

    fn csr(&self) -> &Csr {
        self.matrix().csr()
    }

    fn null_space(&self) -> &super::NullSpace {
        self.matrix().null_space()
    }

    fn gather(&self, full: &[f64]) -> Vec<f64> {
        match self {
            Compressed::Sparse(_) => full.to_vec(),
            Compressed::Grid { cells, .. } => cells.iter().map(|&cell| full[cell as usize]).collect(),
        }
    }

    fn scatter(&self, short: Vec<f64>, length: usize) -> Vec<f64> {
        match self {
            Compressed::Sparse(_) => short,
            Compressed::Grid { cells, .. } => {
                let mut full = vec![0.0; length];
                cells.iter().zip(short).for_each(|(&cell, value)| full[cell as usize] = value);
                full
            }
        }
    }

    fn solve(
        &self,
        b: &[f64],
        preconditioner: &mut dyn Preconditioner,
        stopping: Stopping,
        watch: &mut Watch<'_>,
    ) -> Iterate {
        let short = self.gather(b);
        let mut iterate = conjugate_gradient(self.matrix(), &short, Some(preconditioner), stopping, watch);
        iterate.values = self.scatter(iterate.values, b.len());
        iterate
    }
}
