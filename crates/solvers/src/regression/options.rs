//! The options of each method, as they stand in the `[method]` table of a problem file, with their defaults.

use std::fmt;
use std::str::FromStr;

use mathesis_algebra::sketch::{GaussianPooling, GaussianSketch, SignSketch, Sketch, SparseSketch, Srht};
use serde::{Deserialize, Serialize};

use crate::statement::nearest;

/// Which random sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SketchKind {
    /// `srht`: subsampled randomised Hadamard transform.
    Srht,
    /// `balanced-gaussian-pooling`: the Hadamard transform with Gaussian pooling, for which the bound is proved.
    GaussianPooling,
    /// `gaussian`: independent normal entries.
    Gaussian,
    /// `sign`: independent random signs.
    Sign,
    /// `count-sketch`: one random sign in a column.
    CountSketch,
    /// `osnap(s)`: s random signs in a column; `osnap` is `osnap(8)`.
    Osnap(usize),
}

impl SketchKind {
    /// The names.
    pub const NAMES: &[&str] =
        &["srht", "balanced-gaussian-pooling", "gaussian", "sign", "count-sketch", "osnap"];

    /// Draw a sketch of `m` rows for up to `n` rows of data; sketches that work chunk by chunk take chunks of `chunk` rows.
    pub(super) fn draw(self, m: usize, n: usize, chunk: usize, seed: u64) -> Box<dyn Sketch> {
        match self {
            SketchKind::Srht => Box::new(Srht::new(m, n, seed)),
            SketchKind::GaussianPooling => {
                Box::new(GaussianPooling::chunked(m, n, chunk.min(n), GaussianPooling::POOL, seed))
            }
            SketchKind::Gaussian => Box::new(GaussianSketch::new(m, n, seed)),
            SketchKind::Sign => Box::new(SignSketch::new(m, n, seed)),
            SketchKind::CountSketch => Box::new(SparseSketch::count_sketch(m, n, seed)),
            SketchKind::Osnap(nonzeros) => Box::new(SparseSketch::osnap(m, n, nonzeros, seed)),
        }
    }

    /// What is known of the error of single coefficients with this sketch.
    pub fn guarantee(self) -> &'static str {
        match self {
            SketchKind::GaussianPooling => {
                "proved for this sketch: with m of the order of ε⁻² d log(d/δ) rows every coefficient is within \
                 (ε/√d)‖Ax*−b‖/σ_min (Song and Zhang 2026, whose constants are not given)"
            }
            SketchKind::Srht => {
                "empirical for this sketch: the published proof of the coordinate-wise bound with ε⁻² d polylog rows has a gap \
                 (its embedding property holds for fixed vectors and is used for vectors that depend on the sketch); proved are \
                 the bound with d^(1+o(1)) rows, and, with ε⁻² d log(d/δ) rows, balanced-gaussian-pooling instead"
            }
            SketchKind::Gaussian => {
                "exact for this sketch: given the sketched matrix, each coefficient's error over its deviation follows Student's \
                 law with m − d degrees of freedom"
            }
            SketchKind::Sign => {
                "empirical for this sketch: dense random signs behave as a Gaussian sketch does, and no bound for the given number \
                 of rows is claimed"
            }
            SketchKind::CountSketch | SketchKind::Osnap(_) => {
                "no guarantee for single coefficients: a sparse sketch embeds the subspace, so the error in the 2-norm is bounded, \
                 but one coefficient may carry all of it; the radii hold only if no row outweighs the others"
            }
        }
    }
}

impl fmt::Display for SketchKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SketchKind::Srht => formatter.write_str("srht"),
            SketchKind::GaussianPooling => formatter.write_str("balanced-gaussian-pooling"),
            SketchKind::Gaussian => formatter.write_str("gaussian"),
            SketchKind::Sign => formatter.write_str("sign"),
            SketchKind::CountSketch => formatter.write_str("count-sketch"),
            SketchKind::Osnap(nonzeros) => write!(formatter, "osnap({nonzeros})"),
        }
    }
}

impl FromStr for SketchKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nonzeros = text.strip_prefix("osnap(").and_then(|rest| rest.strip_suffix(')'));
        Ok(match (text, nonzeros) {
            ("srht", _) => SketchKind::Srht,
            ("balanced-gaussian-pooling", _) => SketchKind::GaussianPooling,
            ("gaussian", _) => SketchKind::Gaussian,
            ("sign", _) => SketchKind::Sign,
            ("count-sketch", _) => SketchKind::CountSketch,
            ("osnap", _) => SketchKind::Osnap(8),
            (_, Some(nonzeros)) => match nonzeros.trim().parse() {
                Ok(nonzeros) if nonzeros > 0 => SketchKind::Osnap(nonzeros),
                _ => return Err(format!("`{text}`: expected osnap(s) with a positive integer s")),
            },
            _ => {
                let near = nearest(text, SketchKind::NAMES.iter().copied())
                    .map_or(String::new(), |word| format!("; did you mean {word}?"));
                return Err(format!(
                    "there is no sketch {text}, expected one of {}{near}",
                    SketchKind::NAMES.join(", ")
                ));
            }
        })
    }
}

impl TryFrom<String> for SketchKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SketchKind> for String {
    fn from(kind: SketchKind) -> String {
        kind.to_string()
    }
}

/// An amount of memory: an integer (bytes) or a text such as `"500 MB"` or `"4GB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BytesText", into = "u64")]
pub struct Bytes(pub usize);

#[derive(Deserialize)]
#[serde(untagged)]
enum BytesText {
    Number(u64),
    Text(String),
}

impl TryFrom<BytesText> for Bytes {
    type Error = String;

    fn try_from(text: BytesText) -> Result<Self, String> {
        let text = match text {
            BytesText::Number(number) => return Ok(Bytes(number as usize)),
            BytesText::Text(text) => text,
        };
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let unit = match text[split..].trim().to_ascii_uppercase().as_str() {
            "" | "B" => 1.0,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => f64::NAN,
        };
        match text[..split].parse::<f64>() {
            Ok(number) if unit.is_finite() => Ok(Bytes((number * unit) as usize)),
            _ => Err(format!("`{text}` is no amount of memory, expected such as \"500 MB\" or \"4 GB\"")),
        }
    }
}

impl From<Bytes> for u64 {
    fn from(bytes: Bytes) -> u64 {
        bytes.0 as u64
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 as f64 {
            bytes if bytes >= 1e9 => (bytes / 1e9, "GB"),
            bytes if bytes >= 1e6 => (bytes / 1e6, "MB"),
            bytes => (bytes / 1e3, "kB"),
        };
        write!(formatter, "{value:.1} {unit}")
    }
}

const MEMORY: Bytes = Bytes(4_000_000_000);

/// Options of `sketch-and-solve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SketchAndSolve {
    /// The sketch.
    pub sketch: SketchKind,
    /// The wanted ε in `|x_j − x*_j| ≤ (ε/√d) ‖Ax*−b‖ / σ_min`, from which the number of rows follows; between 0 and 1.
    pub epsilon: f64,
    /// Rows m of the sketch; absent: the next even number above `d/ε² max(1, ln(d/δ)/4)`.
    pub rows: Option<usize>,
    /// The probability with which the radii may fail, all coefficients together.
    pub delta: f64,
    /// The seed of the sketch.
    pub seed: u64,
    /// Whether a sketch of deficient rank is solved with least norm; otherwise it is refused.
    pub least_norm: bool,
    /// Whether data in files are passed once more, to measure the residual.
    pub true_residual: bool,
    /// Rows that are read at a time from a file that does not fit the memory; absent: what a quarter of the limit holds.
    pub block_rows: Option<usize>,
    /// Bytes that the solve may take; files that are larger are read in blocks.
    pub memory_limit: Bytes,
}

impl Default for SketchAndSolve {
    fn default() -> Self {
        SketchAndSolve {
            sketch: SketchKind::Srht,
            epsilon: 0.5,
            rows: None,
            delta: 0.01,
            seed: 0,
            least_norm: false,
            true_residual: true,
            block_rows: None,
            memory_limit: MEMORY,
        }
    }
}

/// Options of `refined`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refined {
    /// The sketch of which the preconditioner is made.
    pub sketch: SketchKind,
    /// Rows m of the sketch; absent: 4 d.
    pub rows: Option<usize>,
    /// The probability with which the radii may fail.
    pub delta: f64,
    /// The seed of the sketch.
    pub seed: u64,
    /// Converged when the preconditioned gradient is below this times the residual.
    pub tolerance: f64,
    /// LSQR iterations, at most.
    pub max_iterations: usize,
    /// Rows that are read at a time from a file that does not fit the memory; absent: what a quarter of the limit holds.
    pub block_rows: Option<usize>,
    /// Bytes that the solve may take; files that are larger are read in blocks.
    pub memory_limit: Bytes,
}

impl Default for Refined {
    fn default() -> Self {
        Refined {
            sketch: SketchKind::Srht,
            rows: None,
            delta: 0.01,
            seed: 0,
            tolerance: 1e-12,
            max_iterations: 100,
            block_rows: None,
            memory_limit: MEMORY,
        }
    }
}

/// Options of `householder` and `normal-equations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Direct {
    /// Rows that are read at a time from a file that does not fit the memory; absent: what a quarter of the limit holds.
    pub block_rows: Option<usize>,
    /// Bytes that the solve may take; files that are larger are read in blocks.
    pub memory_limit: Bytes,
}

impl Default for Direct {
    fn default() -> Self {
        Direct { block_rows: None, memory_limit: MEMORY }
    }
}

/// Options of `svd`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Svd {
    /// Singular values below this times the largest count as zero; absent: machine precision times the larger extent.
    pub cutoff: Option<f64>,
    /// Rows that are read at a time from a file that does not fit the memory; absent: what a quarter of the limit holds.
    pub block_rows: Option<usize>,
    /// Bytes that the solve may take; files that are larger are read in blocks.
    pub memory_limit: Bytes,
}

impl Default for Svd {
    fn default() -> Self {
        Svd { cutoff: None, block_rows: None, memory_limit: MEMORY }
    }
}

/// Options of `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Auto {
    /// The seed of a sketch, should one be taken.
    pub seed: u64,
    /// Bytes that the solve may take; files that are larger are read in blocks.
    pub memory_limit: Bytes,
}

impl Default for Auto {
    fn default() -> Self {
        Auto { seed: 0, memory_limit: MEMORY }
    }
}
