//! The direction network on the processor without automatic derivatives.

use mathesis_algebra::convolution::{Convolution, Epilogue, Volume, average_pool_into, upsample_add_into};
use rayon::prelude::*;

use super::{DirectionNetworkConfig, Weights};

const RECTIFY: Epilogue<'static> = Epilogue { rectify: true, residual: None };

fn plus(residual: &Volume) -> Epilogue<'_> {
    Epilogue { rectify: true, residual: Some(residual) }
}

/// The network, to apply again and again to one grid after another.
///
/// Its buffers are kept between applications to grids of the same shape: three at full and three at half resolution.
#[derive(Debug)]
pub struct InferenceNetwork {
    config: DirectionNetworkConfig,
    convolutions: Vec<Convolution>,
    output_weights: Vec<f32>,
    output_bias: f32,
    buffers: Option<Buffers>,
}

#[derive(Debug)]
struct Buffers {
    cells: [usize; 3],
    residual: Volume,
    full: [Volume; 3],
    half: [Volume; 3],
}

impl Buffers {
    fn new(cells: [usize; 3], channels: usize) -> Self {
        let even = cells.map(|n| n.next_multiple_of(2));
        let volumes = |cells: [usize; 3]| std::array::from_fn(|_| Volume::zeros(1, cells, channels, 1));
        Self {
            cells,
            residual: Volume::zeros(1, even, 1, 1),
            full: volumes(even),
            half: volumes(even.map(|n| n / 2)),
        }
    }
}

impl InferenceNetwork {
    /// The network with the given weights.
    pub fn new(weights: &Weights) -> Self {
        let layers = weights.convolutions().iter();
        Self {
            config: weights.config(),
            convolutions: layers
                .map(|layer| Convolution::new(layer.channels_in(), &layer.weights, &layer.bias))
                .collect(),
            output_weights: weights.output().weights.clone(),
            output_bias: weights.output().bias.first().copied().unwrap_or(0.0),
            buffers: None,
        }
    }

    /// The network's shape.
    pub fn config(&self) -> DirectionNetworkConfig {
        self.config
    }

    /// A direction for a residual of unit length, both with one entry for each cell in C order (x, y, z; z fastest).
    ///
    /// # Panics
    /// If there are not as many entries as cells.
    pub fn apply(&mut self, cells: [usize; 3], residual: &[f32], direction: &mut [f32]) {
        let [_, ny, nz] = cells;
        let count: usize = cells.iter().product();
        assert_eq!((residual.len(), direction.len()), (count, count), "entries for the cells {cells:?}");
        if count == 0 {
            return;
        }
        let mut buffers = match self.buffers.take() {
            Some(buffers) if buffers.cells == cells => buffers,
            _ => Buffers::new(cells, self.config.channels),
        };
        for (row, source) in residual.chunks_exact(nz).enumerate() {
            buffers.residual.row_mut(0, row / ny, row % ny)[..nz].copy_from_slice(source);
        }
        self.run(&mut buffers);
        let last = &buffers.full[0];
        direction.par_chunks_exact_mut(nz).enumerate().for_each(|(row, target)| {
            let features = last.row(0, row / ny, row % ny).chunks_exact(self.config.channels);
            for (value, features) in target.iter_mut().zip(features) {
                let product = features.iter().zip(&self.output_weights).map(|(f, w)| f * w);
                *value = product.sum::<f32>() + self.output_bias;
            }
        });
        self.buffers = Some(buffers);
    }

    /// Everything up to the last layer, whose input is left in the first buffer.
    fn run(&self, buffers: &mut Buffers) {
        let Buffers { residual, full: [a, b, free], half: [h, inner, next_h], .. } = buffers;
        let mut layers = self.convolutions.iter();
        let mut apply = |input: &Volume, output: &mut Volume, epilogue: Epilogue<'_>| {
            if let Some(layer) = layers.next() {
                layer.apply(input, output, epilogue);
            }
        };
        apply(residual, b, Epilogue::default());
        apply(b, a, RECTIFY);
        apply(a, b, RECTIFY);
        for _ in 1..self.config.pairs_before {
            apply(b, free, plus(a));
            std::mem::swap(a, free);
            apply(a, b, RECTIFY);
        }
        average_pool_into(b, h);
        for _ in 0..self.config.pairs_half {
            apply(h, inner, RECTIFY);
            apply(inner, next_h, plus(h));
            std::mem::swap(h, next_h);
        }
        upsample_add_into(h, Some(b), a);
        for _ in 0..self.config.pairs_after {
            apply(a, b, RECTIFY);
            apply(b, free, plus(a));
            std::mem::swap(a, free);
        }
    }
}
