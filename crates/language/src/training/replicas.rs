//! Batches of a step at the same time: data-parallel training.
//!
//! Each of several copies of the model takes a batch, forward and backward, with its share of the processor's threads. A copy on the model's
//! device shares the parameters' memory, as none of them changes before all gradients are there; one on another device gets them anew in every step.
//! The gradients come back to the model's device in the order of the batches, so that on one device their sum is that of the same batches one after the
//! other, to the last bit. burn's own collective operations need devices of CubeCL; these copies need none.

use burn::optim::GradientsParams;
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::{CausalModel, parameters};
use crate::data::{Batch, Targets};

/// Copies of a model. There is none if a model computes for itself, with the threads of whoever calls.
pub(super) struct Replicas(Vec<Replica>);

struct Replica {
    threads: ThreadPool,
    /// If it is another than the model's.
    device: Option<Device>,
}

/// What a batch adds to a step.
pub(super) struct Part {
    /// To the loss.
    pub loss: f64,
    /// To the gradient; none if the loss is not finite.
    pub gradients: Option<GradientsParams>,
}

impl Replicas {
    /// So many copies, on the model's device and the others in turn, with the threads of the caller's pool divided among them.
    pub fn new(count: u64, others: &[Device]) -> Result<Self, ThreadPoolBuildError> {
        if count <= 1 {
            return Ok(Replicas(Vec::new()));
        }
        let threads = rayon::current_num_threads().div_ceil(count as usize);
        let replica = |number| {
            let place = number as usize % (others.len() + 1);
            let device = place.checked_sub(1).map(|place| others[place].clone());
            Ok(Replica { threads: ThreadPoolBuilder::new().num_threads(threads).build()?, device })
        };
        Ok(Replicas((0..count).map(replica).collect::<Result<_, _>>()?))
    }

    /// What each batch, at most as many as there are copies, adds to a step with so much weight in all; in the order of the batches.
    pub fn parts<M: CausalModel>(
        &self,
        model: &M,
        batches: &[Batch],
        weight: f64,
        device: &Device,
    ) -> Vec<Part> {
        if let [batch] = batches {
            return vec![part(model, batch, weight, device)];
        }
        std::thread::scope(|scope| {
            let works: Vec<_> = self
                .0
                .iter()
                .zip(batches)
                .map(|(replica, batch)| {
                    let model = model.clone();
                    let work = move || match &replica.device {
                        None => part(&model, batch, weight, device),
                        Some(other) => {
                            let copy = model.valid().to_device(other);
                            // What is cheap is recomputed on the model's own device alone.
                            let found = part(&parameters::trainable(copy, false), batch, weight, other);
                            let back = |gradients: GradientsParams| gradients.to_device(device, &model);
                            Part { gradients: found.gradients.map(back), ..found }
                        }
                    };
                    scope.spawn(move || replica.threads.install(work))
                })
                .collect();
            let found = works.into_iter().map(|work| work.join());
            found.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

/// What a batch adds to a step with so much weight in all.
fn part<M: CausalModel>(model: &M, batch: &Batch, weight: f64, device: &Device) -> Part {
    let scored = batch.scored(device);
    let targets = Targets { weights: scored.weights / weight, ..scored };
    let value = model.loss(batch.inputs(device), &batch.documents, targets);
    let loss = value.clone().into_scalar::<f64>();
    let gradients = loss.is_finite().then(|| GradientsParams::from_grads(value.backward(), model));
    Part { loss, gradients }
}
