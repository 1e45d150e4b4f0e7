//! Times one 3×3×3 layer of sixteen channels, forwards and backwards: the kernels of this workspace beside burn's own.

use std::time::Instant;

use burn::backend::Flex;
use burn::backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Tensor, TensorData};
use mathesis_algebra::convolution::{Convolution, Epilogue, Instructions, Volume};
use mathesis_networks::convolution::{ConvolutionKernels, composition};

const CHANNELS: usize = 16;

fn main() {
    let cells: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(64);
    let voxels = cells * cells * cells;
    let operations = 2.0 * 27.0 * (CHANNELS * CHANNELS * voxels) as f64;
    let report = |what: &str, seconds: f64| {
        println!("{what:<44} {:>9.2} ms {:>7.1} GFLOP/s", 1e3 * seconds, operations / seconds / 1e9);
    };
    println!(
        "{cells}³ cells, {CHANNELS} channels, {} threads; the best of several runs",
        rayon::current_num_threads()
    );

    let weights: Vec<f32> = (0..27 * CHANNELS * CHANNELS).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
    let values: Vec<f32> = (0..voxels * CHANNELS).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
    let input = Volume::surrounded(1, [cells; 3], CHANNELS, &values);
    let mut output = Volume::zeros(1, [cells; 3], CHANNELS, 1);
    for instructions in Instructions::available() {
        let layer = Convolution::new(CHANNELS, &weights, &[0.1; CHANNELS]).with_instructions(instructions);
        let epilogue = Epilogue { rectify: true, residual: None };
        report(&format!("{instructions:?}, forwards"), best(|| layer.apply(&input, &mut output, epilogue)));
        let gradient = best(|| {
            std::hint::black_box(Convolution::parameter_gradients(&input, &output, instructions));
        });
        report(&format!("{instructions:?}, gradient of the weights"), gradient);
    }

    let tensor = |values: Vec<f32>, shape: &[usize]| -> FloatTensor<Flex> {
        Flex::float_from_data(TensorData::new(values, shape.to_vec()), &Default::default())
    };
    let x = tensor(values.clone(), &[1, cells, cells, cells, CHANNELS]);
    let w = tensor(weights, &[3, 3, 3, CHANNELS, CHANNELS]);
    let b = tensor(vec![0.1; CHANNELS], &[CHANNELS]);
    let g = tensor(values, &[1, cells, cells, cells, CHANNELS]);
    report(
        "ours as an operation of burn, forwards",
        best(|| {
            std::hint::black_box(Flex::forward(x.clone(), w.clone(), b.clone(), true));
        }),
    );
    let both = "both gradients (of twice the operations)";
    report(
        &format!("ours as an operation of burn, {both}"),
        best(|| {
            std::hint::black_box(Flex::gradients(x.clone(), w.clone(), None, g.clone(), true));
        }),
    );
    report(
        "burn's conv3d, channels last, forwards",
        best(|| {
            let [x, w] = [&x, &w].map(|tensor| Tensor::from_primitive::<Flex>(tensor.clone()));
            let b = Tensor::from_primitive::<Flex>(b.clone());
            std::hint::black_box(composition::convolve(x, w, b, true));
        }),
    );
    let channels_first = |tensor: &FloatTensor<Flex>| Flex::float_permute(tensor.clone(), &[0, 4, 1, 2, 3]);
    let options = || ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    report(
        &format!("burn's conv3d, {both}"),
        best(|| {
            let (x, g) = (channels_first(&x), channels_first(&g));
            let w = Flex::float_permute(w.clone(), &[4, 3, 0, 1, 2]);
            std::hint::black_box(Flex::conv3d_weight_backward(x.clone(), w.clone(), g.clone(), options()));
            std::hint::black_box(Flex::conv3d_x_backward(x, w, g, options()));
        }),
    );
}

fn best(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 5 || (runs < 30 && start.elapsed().as_secs_f64() < 3.0) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}
