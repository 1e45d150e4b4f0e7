//! Batches of a step at the same time: data-parallel training.
//!
//! Each of several copies of the model takes a batch, forward and backward, with its share of the processor's threads. A copy shares
//! the parameters' memory, as none of them changes before all gradients are there. The gradients come back in the order of the batches, so
//! that their sum is that of the same batches one after the other, to the last bit.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::CausalModel;
use crate::data::{Batch, Targets};

/// Copies of a model and their threads.
pub(super) struct Replicas {
    /// One for each; none if there is one copy, which has the threads of whoever calls.
    pools: Vec<ThreadPool>,
}

/// What a batch adds to a step.
pub(super) struct Part {
    /// To the loss.
    pub loss: f64,
    /// To the gradient; none if the loss is not sound.
    pub gradients: Option<GradientsParams>,
}

impl Replicas {
    /// So many copies, with the threads of the caller's pool divided among them.
    pub fn new(count: u64) -> Result<Self, ThreadPoolBuildError> {
        if count <= 1 {
            return Ok(Replicas { pools: Vec::new() });
        }
        let threads = rayon::current_num_threads().div_ceil(count as usize);
        let pool = |_| ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Replicas { pools: (0..count).map(pool).collect::<Result<_, _>>()? })
    }

    /// What each batch, at most as many as there are copies, adds to a step with so much weight in all; in the order of the batches.
    pub fn parts<M: CausalModel>(
        &self,
        model: &M,
        batches: &[Batch],
        weight: f64,
        device: &Device,
        sound: &(dyn Fn(f64) -> bool + Sync),
    ) -> Vec<Part> {
        let part = |model: &M, batch: &Batch| {
            let value = loss(model, batch, weight, device);
            let loss = value.clone().into_scalar::<f64>();
            let gradients = sound(loss).then(|| GradientsParams::from_grads(value.backward(), model));
            Part { loss, gradients }
        };
        if let [batch] = batches {
            return vec![part(model, batch)];
        }
        std::thread::scope(|scope| {
            let works: Vec<_> = self
                .pools
                .iter()
                .zip(batches)
                .map(|(pool, batch)| {
                    let model = model.clone();
                    scope.spawn(move || pool.install(move || part(&model, batch)))
                })
                .collect();
            works
                .into_iter()
                .map(|work| work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }
}

/// The part of a step's loss that is of one of its batches.
fn loss<M: CausalModel>(model: &M, batch: &Batch, weight: f64, device: &Device) -> Tensor<1> {
    let scored = batch.scored(device);
    let targets = Targets { weights: scored.weights / weight, ..scored };
    model.loss(batch.inputs(device), &batch.documents, targets)
}
