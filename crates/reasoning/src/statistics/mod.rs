//! How sure a score is: pure functions from scores to estimates.
//!
//! - [`interval`]: means with standard errors and confidence intervals, independent or clustered by question;
//! - [`samples`]: several samples of each question: pass@k, pass^k, G-Pass@k, maj@k, by exact formulas;
//! - [`paired`]: the difference of two models on the same questions;
//! - [`classification`]: precision, recall and F1 of labels, and their means;
//! - [`agreement`]: whether raters agree;
//! - [`prevalence`]: a share of yes, corrected for the errors of the one who says so.
//!
//! Nothing here is estimated by simulation where a formula exists; the bootstrap and the permutation test of many
//! differences draw from a seed.

pub mod agreement;
pub mod classification;
mod distributions;
pub mod interval;
pub mod paired;
pub mod prevalence;
pub mod samples;

pub use crate::answers::metrics::macro_f1;
pub use interval::Interval;
