//! A small transformer of stock operations, to train in seconds.

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Sequence;
use mathesis_language::training::CausalModel;
use mathesis_networks::sequence::Documents;

#[derive(Module, Debug)]
pub struct Transformer {
    /// `[vocabulary, width]`, of inputs.
    embedding: Param<Tensor<2>>,
    /// `[longest, width]`.
    positions: Param<Tensor<2>>,
    layers: Vec<Layer>,
    /// `[width]`.
    gain: Param<Tensor<1>>,
    /// `[width, vocabulary]`.
    head: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Layer {
    /// `[width]`.
    gain: Param<Tensor<1>>,
    /// `[width, width]`.
    query: Param<Tensor<2>>,
    key: Param<Tensor<2>>,
    value: Param<Tensor<2>>,
    output: Param<Tensor<2>>,
    /// `[width, 2 · width]` and back.
    up: Param<Tensor<2>>,
    down: Param<Tensor<2>>,
}

impl Transformer {
    pub fn new(vocabulary: usize, longest: usize, width: usize, layers: usize, seed: u64) -> Self {
        let mut random = Sequence::new(seed);
        let mut matrix = |rows: usize, columns: usize, deviation: f64| {
            let values: Vec<f32> =
                (0..rows * columns).map(|_| (deviation * random.normal()) as f32).collect();
            Param::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
        };
        let ones = || Param::from_tensor(Tensor::ones([width], &Device::flex()));
        let deviation = (width as f64).powf(-0.5);
        Transformer {
            embedding: matrix(vocabulary, width, 1.0),
            positions: matrix(longest, width, 1.0),
            layers: (0..layers)
                .map(|_| Layer {
                    gain: ones(),
                    query: matrix(width, width, deviation),
                    key: matrix(width, width, deviation),
                    value: matrix(width, width, deviation),
                    output: matrix(width, width, 0.2 * deviation),
                    up: matrix(width, 2 * width, deviation),
                    down: matrix(2 * width, width, 0.2 * deviation),
                })
                .collect(),
            gain: ones(),
            head: matrix(width, vocabulary, 0.1 * deviation),
        }
    }

    /// The same with queries and keys of the second layer that are so many times as large.
    pub fn with_bad_layer(mut self, factor: f32) -> Self {
        let layer = &mut self.layers[1];
        for parameter in [&mut layer.query, &mut layer.key] {
            *parameter = parameter.clone().map(|tensor| tensor * factor);
        }
        self
    }

    fn embedded(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        let [rows, time] = tokens.dims();
        let device = tokens.device();
        let width = self.gain.val().dims()[0];
        let of = |table: &Param<Tensor<2>>, indices: Tensor<2, Int>| {
            table.val().select(0, indices.reshape([rows * time])).reshape([rows, time, width])
        };
        of(&self.embedding, tokens) + of(&self.positions, documents.positions(&device))
    }
}

impl Layer {
    fn forward(&self, input: Tensor<3>, hidden: Tensor<3, Bool>) -> Tensor<3> {
        let width = input.dims()[2] as f64;
        let normed = norm(input.clone(), &self.gain);
        let by = |matrix: &Param<Tensor<2>>| normed.clone().matmul(matrix.val().unsqueeze());
        let scores = by(&self.query).matmul(by(&self.key).swap_dims(1, 2)) / width.sqrt();
        let mixed = softmax(scores.mask_fill(hidden, -1e9), 2).matmul(by(&self.value));
        let input = input + mixed.matmul(self.output.val().unsqueeze());
        let up = relu(norm(input.clone(), &self.gain).matmul(self.up.val().unsqueeze()));
        input + up.matmul(self.down.val().unsqueeze())
    }
}

fn norm(input: Tensor<3>, gain: &Param<Tensor<1>>) -> Tensor<3> {
    let mean = (input.clone() * input.clone()).mean_dim(2);
    input / (mean + 1e-6).sqrt() * gain.val().unsqueeze()
}

/// Where a place may not look: at later places and at other documents.
fn hidden(documents: &Documents, device: &Device) -> Tensor<3, Bool> {
    let [rows, time] = documents.shape();
    let numbers = documents.numbers(device);
    let of_rows: Tensor<3, Int> = numbers.clone().unsqueeze_dim(2);
    let of_columns: Tensor<3, Int> = numbers.unsqueeze_dim(1);
    let others = of_rows.expand([rows, time, time]).not_equal(of_columns.expand([rows, time, time]));
    let later =
        Tensor::<2, Bool>::tril_mask([time, time], 0, device).unsqueeze::<3>().expand([rows, time, time]);
    others.bool_or(later)
}

impl CausalModel for Transformer {
    fn vocabulary(&self) -> usize {
        self.head.val().dims()[1]
    }

    fn forward(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        let hidden = hidden(documents, &tokens.device());
        let mut state = self.embedded(tokens, documents);
        for layer in &self.layers {
            state = layer.forward(state, hidden.clone());
        }
        norm(state, &self.gain).matmul(self.head.val().unsqueeze())
    }

    fn activations(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Vec<(String, Tensor<3>)> {
        let hidden = hidden(documents, &tokens.device());
        let mut outputs = vec![("embedding".to_string(), self.embedded(tokens, documents))];
        for (number, layer) in self.layers.iter().enumerate() {
            let output = layer.forward(outputs[number].1.clone(), hidden.clone());
            outputs.push((format!("layers.{number}"), output));
        }
        outputs
    }
}
