//! Three-dimensional convolution for networks on voxel grids, on the processor.
//!
//! One operation: a 3×3×3 kernel moves over a grid with stride 1, the grid is surrounded by zeros ("same" padding), and a bias
//! is added. Activations are stored channels-last, `[batch][x][y][z][channel]`, and weights as `[x][y][z][in][out]`
//! (what Keras calls DHWIO), so that the sixteen output channels of one block are one contiguous vector:
//!
//! ```text
//! out[b, v, o] = bias[o] + Σ_{t ∈ {-1,0,1}³} Σ_i in[b, v + t, i] · weights[t, i, o]
//! ```
//!
//! - [`Volume`]: a batch of grids, with or without a halo of zeros;
//! - [`Convolution`]: the fast layer, forwards and backwards, with bias, rectifier and residual sum in one pass;
//! - [`average_pool`], [`upsample`]: half the cells along each axis and back;
//! - [`reference`](mod@reference): all of it as plain loops, for `f32` and `f64`, which the tests compare with.
//!
//! The layer is *direct*: a tile of voxels along z keeps its sixteen outputs in registers while the 27·in products run over them,
//! each one vector of weights times one broadcast input. A halo of zeros makes every voxel alike. AVX-512, AVX2 or
//! portable code is chosen at run time; planes of constant x run in parallel. Results do not depend on the number of threads.

mod kernels;
mod layer;
mod pooling;
pub mod reference;
mod volume;

pub use kernels::Instructions;
pub use layer::{Convolution, Epilogue};
pub use pooling::{average_pool, average_pool_into, upsample, upsample_add_into};
pub use volume::Volume;
