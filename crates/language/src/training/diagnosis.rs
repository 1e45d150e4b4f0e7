//! Where in a model numbers cease to be finite, or are the largest.

use std::fmt;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::{CausalModel, gradient_norms, parameters};
use crate::data::Batch;

/// The place in a model to look at after an explosion.
#[derive(Clone, Debug, PartialEq)]
pub enum Culprit {
    /// A parameter is not finite, so the step before was too long.
    Parameter(String),
    /// The output of a layer is not finite, and that of all layers before it is.
    Layer(String),
    /// The gradient of a parameter is not finite though all outputs are; the last such parameter in the model, as derivatives
    /// go from the end to the beginning.
    Gradient(String),
    /// Everything is finite; the layer with the largest output, and its size.
    Largest(String, f64),
}

impl fmt::Display for Culprit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Culprit::Parameter(name) => write!(formatter, "the parameter `{name}` is not finite"),
            Culprit::Layer(name) => {
                write!(formatter, "`{name}` is the first layer whose output is not finite")
            }
            Culprit::Gradient(name) => write!(formatter, "the gradient of `{name}` is not finite"),
            Culprit::Largest(name, size) => {
                write!(formatter, "the largest output is that of the layer `{name}`, {size:.3e}")
            }
        }
    }
}

impl Culprit {
    /// The place for batches and, if they were formed, their gradients.
    pub(super) fn find<M: CausalModel>(
        model: &M,
        batches: &[Batch],
        gradients: Option<&GradientsParams>,
        device: &Device,
    ) -> Self {
        for (name, data) in parameters::values(model) {
            if data.convert::<f64>().iter::<f64>().any(|value| !value.is_finite()) {
                return Culprit::Parameter(name);
            }
        }
        let mut largest = ("none".to_string(), 0.0);
        // With derivatives, as in the step: without them a layer may compute in another way.
        let outputs =
            batches.iter().flat_map(|batch| model.activations(batch.inputs(device), &batch.documents));
        for (name, output) in outputs {
            let size = magnitude(output);
            if !size.is_finite() {
                return Culprit::Layer(name);
            }
            if size > largest.1 {
                largest = (name, size);
            }
        }
        let norms = gradients.map_or(Vec::new(), |gradients| gradient_norms(model, gradients));
        match norms.into_iter().rev().find(|(_, norm)| !norm.is_finite()) {
            Some((name, _)) => Culprit::Gradient(name),
            None => Culprit::Largest(largest.0, largest.1),
        }
    }
}

/// The largest size of an entry; not finite if any entry is not.
fn magnitude(tensor: Tensor<3>) -> f64 {
    let data = tensor.into_data();
    data.iter::<f64>().fold(
        0.0,
        |largest: f64, value| {
            if value.is_finite() { largest.max(value.abs()) } else { f64::INFINITY }
        },
    )
}
