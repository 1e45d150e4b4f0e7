//! Parameters of a module by their paths, such as `blocks.0.mixer_norm.weight`.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{GradientCheckpointingStrategy, Tensor, TensorData};

/// Where a walk through a module is.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_string());
    }

    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    pub(super) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// The values of all floating-point parameters.
pub fn values<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    let mut reader = Reader { path: Path::default(), values: BTreeMap::new() };
    module.visit(&mut reader);
    reader.values
}

/// The paths of all floating-point parameters, in the module's order.
pub fn paths<M: Module>(module: &M) -> Vec<String> {
    let mut names = Names { path: Path::default(), names: Vec::new() };
    module.visit(&mut names);
    names.names
}

/// The module with other values of its floating-point parameters.
///
/// # Errors
/// If a parameter has no value or one of another shape or number format, or a value has no parameter; in words.
pub fn with_values<M: Module>(module: M, values: BTreeMap<String, TensorData>) -> Result<M, String> {
    let mut writer = Writer { path: Path::default(), values, wrong: None };
    let module = module.map(&mut writer);
    match (writer.wrong, writer.values.keys().next()) {
        (Some(wrong), _) => Err(wrong),
        (None, Some(name)) => Err(format!("there is a tensor `{name}`, which the model does not have")),
        (None, None) => Ok(module),
    }
}

/// The module with derivatives; with `checkpointing`, what is cheap is recomputed in the backward pass instead of kept.
pub fn trainable<M: Module>(module: M, checkpointing: bool) -> M {
    let strategy = if checkpointing {
        GradientCheckpointingStrategy::Balanced
    } else {
        GradientCheckpointingStrategy::Disabled
    };
    module.train().map(&mut Tracker(strategy))
}

struct Tracker(GradientCheckpointingStrategy);

impl ModuleMapper for Tracker {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|value| {
            let tracked = value.is_require_grad();
            value.inner().autodiff().with_gradient_checkpointing_strategy(self.0).set_require_grad(tracked)
        })
    }
}

struct Names {
    path: Path,
    names: Vec<String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.names.push(self.path.name());
    }
}

struct Reader {
    path: Path,
    values: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.values.insert(self.path.name(), parameter.val().inner().into_data());
    }
}

struct Writer {
    path: Path,
    values: BTreeMap<String, TensorData>,
    /// The first complaint.
    wrong: Option<String>,
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let value = self.values.remove(&name);
        let (id, old, mapper) = parameter.consume();
        let complaint = match &value {
            None => Some(format!("the tensor `{name}` is missing")),
            Some(value) if value.shape() != &old.shape() || value.dtype() != old.dtype() => Some(format!(
                "the tensor `{name}` is {:?} {:?}, expected {:?} {:?}",
                value.dtype(),
                value.shape(),
                old.dtype(),
                old.shape()
            )),
            Some(_) => None,
        };
        let new = match (complaint, value) {
            (None, Some(value)) => {
                let (strategy, tracked) = (old.gradient_checkpointing_strategy(), old.is_require_grad());
                let mut new = Tensor::from_data(value, (&old.device().inner(), old.dtype()));
                if let Some(strategy) = strategy {
                    new = new
                        .autodiff()
                        .with_gradient_checkpointing_strategy(strategy)
                        .set_require_grad(tracked);
                }
                new
            }
            (complaint, _) => {
                self.wrong = self.wrong.take().or(complaint);
                old
            }
        };
        Param::from_mapped_value(id, new, mapper)
    }
}
