//! Problem files for saddle points.
//!
//! ```toml
//! title = "A compressed saddle point"     # optional
//!
//! [saddle-point]
//! operator  = "regularised-bilinear"      # see [`Family`]
//! dimension = 100
//! workers   = 4
//! seed      = 1                           # of the generated data
//!
//! [method]
//! name = "masha1"                         # see [`Method`] for its options
//! worker-compressor = { name = "rand-k", fraction = 0.1 }
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faer::Mat;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{
    Algorithm, Bilinear, Constraint, Method, Minty, Operator, Problem, RobustRegression, SolveError,
};
use crate::statement::{StatementError, document, one_of, read};

/// The operators that a file can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// xᵀA_m y + a_mᵀx + b_mᵀy, generated or from a file of matrices.
    Bilinear,
    /// The same plus (λ/2)‖x‖² − (λ/2)‖y‖², with matrices of a given condition number that share a common part.
    RegularisedBilinear,
    /// The same with random positive semidefinite matrices: the easier instance.
    Quadratic,
    /// Least squares against a bounded perturbation of the data.
    RobustRegression,
    /// A matrix game: xᵀAy over simplices or boxes, generated or from a file.
    MatrixGame,
    /// The policeman and the burglar on simplices.
    PolicemanBurglar,
    /// Not monotone, with a Minty solution.
    Minty,
}

/// The `[saddle-point]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Description {
    /// Which operator.
    pub operator: Family,
    /// Entries of x, and of y where there are no columns of their own [default: 100].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// `matrix-game`: entries of y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// M [default: 4; with a file of several matrices, their number].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Seed of generated data [default: 0].
    #[serde(default)]
    pub seed: u64,
    /// λ [default: 1; 0 for `bilinear`; 0.1 for `robust-regression`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularisation: Option<f64>,
    /// `regularised-bilinear`: the condition number of the common matrix [default: 1000].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<f64>,
    /// `regularised-bilinear`: the size of what differs between workers [default: 50].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heterogeneity: Option<f64>,
    /// `quadratic`: components of every A_m [default: 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// `quadratic`: the largest eigenvalue [default: 1000].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
    /// A NumPy file of numbers n × m (its rows shared out over the workers) or M × n × m (a matrix for each).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrices: Option<PathBuf>,
    /// A NumPy file of (a, b), n + m or M × (n + m) numbers [default: 0].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<PathBuf>,
    /// h of both players.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// h of x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint_x: Option<Constraint>,
    /// h of y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint_y: Option<Constraint>,
    /// `robust-regression`: rows of data at each worker [default: 50].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// `robust-regression`: β [default: 2].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// `robust-regression`: R_w [default: 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_radius: Option<f64>,
    /// `robust-regression`: R_δ [default: 0.1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perturbation_radius: Option<f64>,
    /// `minty`: ε [default: 0.1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    title: Option<String>,
    saddle_point: Spanned<Description>,
    method: Spanned<Method>,
}

/// A problem file, read and checked.
#[derive(Clone)]
pub struct Statement {
    /// The title, if the file gives one.
    pub title: Option<String>,
    /// The table as read.
    pub description: Description,
    /// The problem.
    pub problem: Problem,
    /// How it is to be solved.
    pub method: Method,
    /// Where the options stand, `(key, place)`, and the whole table.
    places: (Vec<(String, Range<usize>)>, Range<usize>),
}

impl Statement {
    /// Read a problem file; paths in it start from a folder.
    ///
    /// # Errors
    /// [`StatementError`] with the place and the cause.
    pub fn parse(text: &str, folder: &Path) -> Result<Statement, StatementError> {
        Self::parse_with(text, folder, None, None)
    }

    /// The same with another method (whose options are those of the file that it has) or another seed of the random choices.
    ///
    /// # Errors
    /// As [`Statement::parse`].
    pub fn parse_with(
        text: &str,
        folder: &Path,
        algorithm: Option<Algorithm>,
        seed: Option<u64>,
    ) -> Result<Statement, StatementError> {
        let file: File = read(text)?;
        let description = file.saddle_point.get_ref().clone();
        let places = |table: &str| -> Result<Vec<(String, Range<usize>)>, StatementError> {
            let document = document(text)?;
            let table = document.get_ref().get(table).and_then(|value| value.get_ref().as_table());
            let entries = table.into_iter().flat_map(|table| table.iter());
            Ok(entries.map(|(key, value)| (key.get_ref().to_string(), value.span())).collect())
        };
        let own = places("saddle-point")?;
        let place = |key: &str| {
            own.iter()
                .find(|(own, _)| own == key)
                .map_or(file.saddle_point.span(), |(_, place)| place.clone())
        };
        for (key, span) in &own {
            let known = description.operator.keys();
            if !known.contains(&key.as_str()) {
                return Err(StatementError::new(
                    format!("this operator has no option `{key}`"),
                    span.clone(),
                )
                .expected(one_of(&known)));
            }
        }
        let problem =
            description.problem(folder).map_err(|(key, message)| StatementError::new(message, place(key)))?;
        let mut method = file.method.get_ref().clone();
        if let Some(algorithm) = algorithm.filter(|algorithm| *algorithm != method.name) {
            method = Method {
                iterations: method.iterations,
                tolerance: method.tolerance,
                target: method.target,
                record_every: method.record_every,
                seed: method.seed,
                transport: method.transport.filter(|_| !algorithm.is_local()),
                timeout: method.timeout,
                worker_compressor: method
                    .worker_compressor
                    .filter(|_| algorithm.unbiased() == method.name.unbiased()),
                server_compressor: method
                    .server_compressor
                    .filter(|_| algorithm.unbiased() == method.name.unbiased()),
                ..Method::new(algorithm)
            };
        }
        if let Some(seed) = seed {
            method.seed = seed;
        }
        let places = (places("method")?, file.method.span());
        Ok(Statement { title: file.title, description, problem, method, places })
    }

    /// A refusal of the method as a complaint about the file, if the file is what is to blame.
    pub fn locate(&self, error: &SolveError) -> Option<StatementError> {
        let span = match error {
            SolveError::Option { key, .. } => {
                let (options, table) = &self.places;
                options.iter().find(|(own, _)| own == key).map_or(table.clone(), |(_, place)| place.clone())
            }
            SolveError::Problem(_) => 0..0,
            _ => return None,
        };
        Some(StatementError::new(error.to_string(), span))
    }
}

impl Family {
    /// The keys that the table may have.
    fn keys(self) -> Vec<&'static str> {
        let mut keys = vec!["operator", "workers", "seed", "dimension"];
        let constraints = ["constraint", "constraint-x", "constraint-y"];
        match self {
            Family::Bilinear => {
                keys.extend(["matrices", "linear", "regularisation"]);
                keys.extend(constraints);
            }
            Family::RegularisedBilinear => {
                keys.extend(["regularisation", "condition", "heterogeneity"]);
                keys.extend(constraints);
            }
            Family::Quadratic => {
                keys.extend(["regularisation", "components", "largest"]);
                keys.extend(constraints);
            }
            Family::RobustRegression => {
                keys.extend(["samples", "regularisation", "penalty", "weight-radius", "perturbation-radius"]);
            }
            Family::MatrixGame => {
                keys.extend(["columns", "matrices", "linear"]);
                keys.extend(constraints);
            }
            Family::PolicemanBurglar => {}
            Family::Minty => keys.push("strength"),
        }
        keys
    }
}

/// A complaint about a key.
type Complaint = (&'static str, String);

impl Description {
    /// The problem that the table describes.
    fn problem(&self, folder: &Path) -> Result<Problem, Complaint> {
        let dimension = at_least_one("dimension", self.dimension.unwrap_or(100))?;
        let columns = at_least_one("columns", self.columns.unwrap_or(dimension))?;
        let workers = at_least_one("workers", self.workers.unwrap_or(4))?;
        if workers >= 1 << 20 {
            return Err(("workers", format!("{workers}; expected fewer than a million")));
        }
        if dimension.saturating_mul(columns).saturating_mul(workers) > 1 << 31 {
            return Err(("dimension", "the matrices would have more than 2³¹ entries".to_string()));
        }
        let regularisation = |default| not_negative("regularisation", self.regularisation.unwrap_or(default));
        let seed = self.seed;
        let game = matches!(self.operator, Family::MatrixGame | Family::PolicemanBurglar);
        let bilinear = match self.operator {
            Family::Bilinear | Family::MatrixGame if self.matrices.is_some() => {
                Some(self.read_matrices(folder, if game { 0.0 } else { regularisation(0.0)? })?)
            }
            Family::Bilinear => {
                let problem = Bilinear::gaussian(dimension, workers, seed);
                let (matrices, linear) = problem.into_parts();
                let lambda = regularisation(0.0)?;
                Some(Bilinear::new(matrices, linear, lambda).map_err(|message| ("operator", message))?)
            }
            Family::RegularisedBilinear => {
                let condition = self.condition.unwrap_or(1000.0);
                if !(condition >= 1.0 && condition.is_finite()) {
                    return Err(("condition", format!("{condition}; expected a finite number, at least 1")));
                }
                let heterogeneity = not_negative("heterogeneity", self.heterogeneity.unwrap_or(50.0))?;
                let lambda = regularisation(1.0)?;
                Some(Bilinear::regularised(dimension, workers, lambda, condition, heterogeneity, seed))
            }
            Family::Quadratic => {
                let components = at_least_one("components", self.components.unwrap_or(1))?;
                let largest = not_negative("largest", self.largest.unwrap_or(1000.0))?;
                let lambda = regularisation(1.0)?;
                Some(Bilinear::positive_semidefinite(dimension, workers, components, lambda, largest, seed))
            }
            Family::MatrixGame => Some(Bilinear::random_game(dimension, columns, workers, seed)),
            Family::PolicemanBurglar => Some(Bilinear::policeman_and_burglar(dimension, workers, seed)),
            Family::RobustRegression | Family::Minty => None,
        };
        if let Some(bilinear) = bilinear {
            let (n, m) = bilinear.shape();
            let default = if game { Constraint::Simplex } else { Constraint::None };
            let of = |own: &Option<Constraint>| {
                own.clone().or_else(|| self.constraint.clone()).unwrap_or_else(|| default.clone())
            };
            let (of_x, of_y) = (of(&self.constraint_x), of(&self.constraint_y));
            let key = |own: &Option<Constraint>, name| if own.is_some() { name } else { "constraint" };
            of_x.check(n).map_err(|message| (key(&self.constraint_x, "constraint-x"), message))?;
            of_y.check(m).map_err(|message| (key(&self.constraint_y, "constraint-y"), message))?;
            let simplices = of_x == Constraint::Simplex && of_y == Constraint::Simplex;
            let bilinear = if simplices { bilinear.centred_for_simplices() } else { bilinear };
            return made(Arc::new(bilinear), Constraint::pair((n, of_x), (m, of_y)));
        }
        if self.operator == Family::Minty {
            let strength = not_negative("strength", self.strength.unwrap_or(0.1))?;
            let minty = Minty::generated(dimension, workers, strength, seed)
                .map_err(|message| ("operator", message))?;
            return made(Arc::new(minty), Constraint::None);
        }
        let samples = at_least_one("samples", self.samples.unwrap_or(50))?;
        let settings = (regularisation(0.1)?, self.penalty.unwrap_or(2.0));
        let radii = (self.weight_radius.unwrap_or(1.0), self.perturbation_radius.unwrap_or(0.1));
        let regression = RobustRegression::generated(dimension, workers, samples, settings, radii, seed)
            .map_err(|message| ("operator", message))?;
        let ball = |radius| (dimension, Constraint::Ball { radius });
        made(Arc::new(regression), Constraint::pair(ball(radii.0), ball(radii.1)))
    }

    fn read_matrices(&self, folder: &Path, regularisation: f64) -> Result<Bilinear, Complaint> {
        let Some(path) = &self.matrices else { return Err(("matrices", "expected a file".to_string())) };
        let (shape, values) = array(&folder.join(path)).map_err(|message| ("matrices", message))?;
        let (given, n, m) = match shape.as_slice() {
            [n, m] => (None, *n, *m),
            [count, n, m] => (Some(*count), *n, *m),
            _ => {
                let message =
                    format!("the array has {} dimensions; expected n × m or M × n × m", shape.len());
                return Err(("matrices", message));
            }
        };
        let workers = given.or(self.workers).unwrap_or(4);
        if self.workers.is_some_and(|asked| asked != workers) {
            return Err(("workers", format!("the file has matrices for {workers} workers")));
        }
        let matrix = |worker: usize| match given {
            Some(_) => Mat::from_fn(n, m, |i, j| values[(worker * n + i) * m + j]),
            // Rows in turn; times M, so that the mean over the workers is the matrix of the file.
            None => Mat::from_fn(n, m, |i, j| {
                if i % workers == worker { workers as f64 * values[i * m + j] } else { 0.0 }
            }),
        };
        let linear = match &self.linear {
            None => vec![vec![0.0; n + m]; workers],
            Some(path) => {
                let (shape, values) = array(&folder.join(path)).map_err(|message| ("linear", message))?;
                match shape.as_slice() {
                    [size] if *size == n + m => vec![values; workers],
                    [count, size] if *count == workers && *size == n + m => {
                        values.chunks(n + m).map(<[f64]>::to_vec).collect()
                    }
                    _ => {
                        let message = format!(
                            "an array of shape {shape:?}; expected [{}] or [{workers}, {}]",
                            n + m,
                            n + m
                        );
                        return Err(("linear", message));
                    }
                }
            }
        };
        Bilinear::new((0..workers).map(matrix).collect(), linear, regularisation)
            .map_err(|message| ("matrices", message))
    }
}

fn made(operator: Arc<dyn Operator>, constraint: Constraint) -> Result<Problem, Complaint> {
    Problem::new(operator, constraint).map_err(|error| ("operator", error.to_string()))
}

fn at_least_one(key: &'static str, value: usize) -> Result<usize, Complaint> {
    if value == 0 { Err((key, format!("`{key}` is 0; expected at least 1"))) } else { Ok(value) }
}

fn not_negative(key: &'static str, value: f64) -> Result<f64, Complaint> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err((key, format!("`{key}` is {value}; expected a finite number, at least 0")))
    }
}

/// An array of 64- or 32-bit floats in NumPy's format, its numbers in the order of C.
fn array(path: &Path) -> Result<(Vec<usize>, Vec<f64>), String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let file =
        npyz::NpyFile::new(bytes.as_slice()).map_err(|error| format!("{name} is no NumPy array: {error}"))?;
    let shape: Vec<usize> = file.shape().iter().map(|size| *size as usize).collect();
    if file.order() != npyz::Order::C && shape.len() > 1 {
        return Err(format!("{name} is in Fortran's order; expected C's (numpy.ascontiguousarray)"));
    }
    let numbers = match file.try_data::<f64>() {
        Ok(numbers) => numbers.collect::<Result<Vec<f64>, _>>(),
        Err(file) => match file.try_data::<f32>() {
            Ok(numbers) => numbers.map(|number| number.map(f64::from)).collect(),
            Err(_) => return Err(format!("{name} holds other numbers than 64- or 32-bit floats")),
        },
    };
    Ok((shape, numbers.map_err(|error| format!("cannot read {name}: {error}"))?))
}
