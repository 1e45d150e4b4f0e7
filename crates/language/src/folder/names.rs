//! What tensors are called: the path of fields in the model, and the names of the ecosystem's files.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::FolderError;
use super::tensors::{NumberFormat, Tensors, Written};

/// The place in a model of what is being visited.
#[derive(Default)]
struct Path {
    fields: Vec<String>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        // A case of an enumeration is not part of a name: what a layer is stands in the configuration.
        self.fields.push(if container.starts_with("Enum:") { String::new() } else { name.to_string() });
    }

    fn exit(&mut self) {
        self.fields.pop();
    }

    fn name(&self) -> String {
        let fields: Vec<&str> =
            self.fields.iter().map(String::as_str).filter(|field| !field.is_empty()).collect();
        published_name(&fields)
    }
}

/// Llama's name of a tensor, by the fields that lead to it; parts that Llama does not have keep the names of the fields.
fn published_name(fields: &[&str]) -> String {
    match fields {
        ["embedding", rest @ ..] => format!("model.embed_tokens.{}", rest.join(".")),
        ["norm", rest @ ..] => format!("model.norm.{}", rest.join(".")),
        ["lower_bounds", ..] => "model.lower_bounds".to_string(),
        ["head", rest @ ..] => format!("lm_head.{}", rest.join(".")),
        ["blocks", number, part, rest @ ..] => {
            let part = match (*part, rest.first()) {
                ("mixer_norm", _) => "input_layernorm".to_string(),
                ("channel_norm", _) => "post_attention_layernorm".to_string(),
                ("output_norm", _) => "output_norm".to_string(),
                ("mixer", Some(&"query")) => "self_attn.q_proj".to_string(),
                ("mixer", Some(&"key")) => "self_attn.k_proj".to_string(),
                ("mixer", Some(&"value")) => "self_attn.v_proj".to_string(),
                ("mixer", Some(&"output")) => "self_attn.o_proj".to_string(),
                ("channel", Some(&gate @ ("gate" | "up" | "down"))) => format!("mlp.{gate}_proj"),
                (part, Some(field)) => format!("{part}.{field}"),
                (part, None) => part.to_string(),
            };
            let rest = if part.ends_with("norm") { rest } else { rest.get(1..).unwrap_or_default() };
            let rest: String = rest.iter().map(|field| format!(".{field}")).collect();
            format!("model.layers.{number}.{part}{rest}")
        }
        other => other.join("."),
    }
}

/// Fills a model from files; after the first error nothing more is read.
pub(super) struct Fill<'a> {
    tensors: &'a mut Tensors,
    path: Path,
    pub error: Option<FolderError>,
}

impl<'a> Fill<'a> {
    pub fn from(tensors: &'a mut Tensors) -> Self {
        Fill { tensors, path: Path::default(), error: None }
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        // Not of its value: that would draw the random numbers which the file replaces.
        let (shape, device) = (param.lazy_shape(), param.lazy_device());
        match self.tensors.read(&self.path.name(), &shape) {
            Ok(numbers) => {
                let data = TensorData::new(numbers, shape);
                Param::from_data(data, &device)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

/// Takes the tensors out of a model.
pub(crate) struct Take {
    path: Path,
    format: NumberFormat,
    pub tensors: Vec<Written>,
}

impl Take {
    pub fn with(format: NumberFormat) -> Self {
        Take { path: Path::default(), format, tensors: Vec::new() }
    }
}

impl ModuleVisitor for Take {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        self.tensors.push(Written {
            name: self.path.name(),
            shape: value.dims().to_vec(),
            numbers: value.into_data().iter::<f32>().collect(),
            format: self.format,
        });
    }
}
