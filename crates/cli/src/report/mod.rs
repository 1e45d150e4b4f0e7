//! A run's report: one self-contained page that sets drawings and tables beside the figures and the problem.
//!
//! - [`plots`]: drawing curves, spectra and maps;
//! - [`mod@page`]: the page.

pub mod page;
pub mod plots;

pub use page::page;
