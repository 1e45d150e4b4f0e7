//! Trainable parts that carry algebraic structure: configurations, modules and the kernels under them.
//!
//! A part is a serialisable configuration, an `init` on a device, and a module with `forward`; it trains on any backend of
//! `burn`: on the processor (`Flex`) with kernels of [`mathesis_algebra`], on others, which the cargo features `wgpu` and `ndarray`
//! add, with burn's own operations.
//!
//! - [`convolution`]: three-dimensional convolution with automatic derivatives;
//! - [`direction_network`]: a network that proposes directions for solving pressure systems, its loss, training and file;
//! - [`few_rows`]: products of linear layers, at the speed of memory where there are few rows;
//! - [`operation`]: differentiable operations that are written over slices;
//! - [`sequence`]: layers along sequences, of which language models are made.

pub mod convolution;
pub mod direction_network;
pub mod few_rows;
pub mod operation;
pub mod sequence;
