//! A perceptron on handwritten digits in several arithmetics: trained in 32 bits and then computed in each, and trained in each.
//!
//! ```text
//! cargo run -p mathesis-networks --example digits -- t10k-images-idx3-ubyte t10k-labels-idx1-ubyte
//! ```
//! takes the images and labels of MNIST's test part, unpacked; the first 8,000 are trained on, the last 2,000 tested. The network is
//! 784 – 128 – 10 with a rectifier.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::linear::{Linear, LinearConfig, LinearKind};

const PIXELS: usize = 784;
const TRAINING: usize = 8000;
const BATCH: usize = 100;
const EPOCHS: usize = 10;

#[derive(Module, Debug)]
struct Perceptron {
    hidden: Linear,
    answer: Linear,
}

impl Perceptron {
    fn new(arithmetic: Arithmetic, device: &Device) -> Self {
        let mut random = Sequence::new(1);
        let mut linear = |inputs: usize, outputs| {
            let deviation = (2.0 / inputs as f64).sqrt();
            let kind = LinearKind::In(arithmetic);
            LinearConfig { inputs, outputs, bias: true, kind }.init(deviation, &mut random, device)
        };
        Perceptron { hidden: linear(PIXELS, 128), answer: linear(128, 10) }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.answer.forward(relu(self.hidden.forward(images)))
    }

    /// The same weights in another arithmetic.
    fn in_arithmetic(&self, arithmetic: Arithmetic, device: &Device) -> Self {
        struct Take(Vec<TensorData>);
        impl ModuleVisitor for Take {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.val().into_data());
            }
        }
        struct Fill(std::vec::IntoIter<TensorData>, Device);
        impl ModuleMapper for Fill {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                self.0.next().map_or(param, |data| Param::from_tensor(Tensor::from_data(data, &self.1)))
            }
        }
        let mut take = Take(Vec::new());
        self.visit(&mut take);
        Perceptron::new(arithmetic, device).map(&mut Fill(take.0.into_iter(), device.clone()))
    }

    /// The part of images, in percent, whose digit is found.
    fn accuracy(&self, images: &[f32], labels: &[i64], device: &Device) -> f64 {
        let images = Tensor::from_data(TensorData::new(images.to_vec(), [labels.len(), PIXELS]), device);
        let found: Vec<i64> = self.forward(images).argmax(1).into_data().iter::<i64>().collect();
        let right = found.iter().zip(labels).filter(|(found, label)| found == label).count();
        100.0 * right as f64 / labels.len() as f64
    }

    fn trained(arithmetic: Arithmetic, images: &[f32], labels: &[i64], device: &Device) -> Self {
        let tracked = device.clone().autodiff();
        let mut model = Perceptron::new(arithmetic, &tracked);
        let mut adam = AdamConfig::new().init();
        let mut random = Sequence::new(2);
        let steps = EPOCHS * labels.len() / BATCH;
        let mut step = 0;
        for _ in 0..EPOCHS {
            for batch in random.permutation(labels.len()).chunks_exact(BATCH) {
                let pixels: Vec<f32> =
                    batch.iter().flat_map(|&k| images[k * PIXELS..][..PIXELS].iter().copied()).collect();
                let targets: Vec<i64> = batch.iter().map(|&k| labels[k]).collect();
                let pixels = Tensor::from_data(TensorData::new(pixels, [BATCH, PIXELS]), &tracked);
                let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [BATCH, 1]), &tracked);
                let loss = log_softmax(model.forward(pixels), 1).gather(1, targets).mean().neg();
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                model = adam.step(1e-3 * (1.0 - step as f64 / steps as f64), model, gradients);
                step += 1;
            }
        }
        model.valid()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [images, labels] = &files[..] else {
        return Err("expected: the files of images and of labels".into());
    };
    let (images, labels) = (std::fs::read(images)?, std::fs::read(labels)?);
    let images: Vec<f32> =
        images.get(16..).ok_or("no images")?.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    let labels: Vec<i64> = labels.get(8..).ok_or("no labels")?.iter().map(|&label| label.into()).collect();
    if images.len() != labels.len() * PIXELS || labels.len() <= TRAINING {
        return Err("the files do not belong together".into());
    }
    let device = Device::flex();
    let (train, test) = images.split_at(TRAINING * PIXELS);
    let (train_labels, test_labels) = labels.split_at(TRAINING);
    let plain = Perceptron::trained(Arithmetic::F32, train, train_labels, &device);
    println!("{:12} {:>16} {:>14}", "arithmetic", "trained in f32", "trained in it");
    for word in
        ["f32", "bf16", "l-mul:7", "l-mul:6", "l-mul:4", "l-mul:3", "w4a8", "w4a4", "w2a8", "w2a4", "w1a8"]
    {
        let arithmetic: Arithmetic = word.parse()?;
        let after = plain.in_arithmetic(arithmetic, &device).accuracy(test, test_labels, &device);
        let within = Perceptron::trained(arithmetic, train, train_labels, &device);
        println!("{word:12} {after:>14.2} % {:>12.2} %", within.accuracy(test, test_labels, &device));
    }
    Ok(())
}
