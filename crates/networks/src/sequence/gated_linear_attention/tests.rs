use burn::tensor::{DType, s};

use super::*;
use crate::sequence::testing::{
    affine, assert_close, assert_composition, assert_gradients, double, draw, shaken, tensor, values,
};

const WIDTH: usize = 8;

/// Layers of all kinds, small.
fn configurations() -> Vec<GatedLinearAttentionConfig> {
    // An ε that keeps the norm smooth on the scale of the differences that gradients are compared with.
    let base = GatedLinearAttentionConfig { heads: 2, norm_epsilon: 10.0, ..Default::default() };
    let channel = Gate::Channel { rank: 3, normaliser: 2.0 };
    vec![
        GatedLinearAttentionConfig { gate: channel, ..base },
        GatedLinearAttentionConfig { gate: channel, heads: 4, key_heads: Some(2), expand_key: 1.0, ..base },
        GatedLinearAttentionConfig {
            gate: channel,
            feature_map: FeatureMap::Rectifier,
            output_gate: false,
            ..base
        },
        GatedLinearAttentionConfig {
            gate: Gate::Head { normaliser: 4.0 },
            heads: 4,
            key_heads: Some(1),
            ..base
        },
        GatedLinearAttentionConfig {
            gate: channel,
            short_convolution: Some(3),
            heads: 4,
            key_heads: Some(2),
            ..base
        },
        GatedLinearAttentionConfig { gate: Gate::Fixed, ..base },
        GatedLinearAttentionConfig { gate: Gate::None, ..base },
    ]
}

fn layer(config: GatedLinearAttentionConfig, random: &mut Sequence, device: &Device) -> GatedLinearAttention {
    shaken(double(config.init(WIDTH, LinearKind::Dense, 0.4, random, device)), random)
}

/// One sequence, number by number.
fn reference(layer: &GatedLinearAttention, input: &[f64]) -> Vec<f64> {
    let config = &layer.config;
    let (heads, key, value) = (config.heads, layer.key_channels, layer.value_channels);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let gain = values(layer.norm.weight.val());
    let mut states = vec![vec![vec![0.0; value]; key]; heads];
    let mut outputs = Vec::new();
    // What the short convolution leaves of queries, keys and values.
    let convolved = |number: usize, linear: &Linear, time: usize| {
        let rows: Vec<Vec<f64>> = input.chunks(WIDTH).map(|x| affine(linear, x)).collect();
        let Some(taps) = layer.short.get(number) else { return rows[time].clone() };
        let (channels, taps) = (rows[0].len(), values(taps.val()));
        let sum = |channel: usize| -> f64 {
            let lags = taps.chunks(channels).take(time + 1).enumerate();
            lags.map(|(lag, taps)| taps[channel] * rows[time - lag][channel]).sum()
        };
        (0..channels).map(sum).map(|sum| sum * logistic(sum)).collect()
    };
    for (time, x) in input.chunks(WIDTH).enumerate() {
        let map = |features: Vec<f64>| -> Vec<f64> {
            match config.feature_map {
                FeatureMap::Identity => features,
                FeatureMap::Rectifier => features.into_iter().map(|f| f.max(0.0)).collect(),
            }
        };
        let (q, k) = (map(convolved(0, &layer.query, time)), map(convolved(1, &layer.key, time)));
        let v = convolved(2, &layer.value, time);
        let raw = layer.gate.iter().fold(x.to_vec(), |x, linear| affine(linear, &x));
        let mut mixed = Vec::new();
        for (head, state) in states.iter_mut().enumerate() {
            let group = head * config.groups() / heads;
            let mut o = vec![0.0; value];
            for c in 0..key {
                let gate = match config.gate {
                    Gate::Channel { normaliser, .. } => logistic(raw[group * key + c]).powf(1.0 / normaliser),
                    Gate::Head { normaliser } => logistic(raw[group]).powf(1.0 / normaliser),
                    Gate::Fixed => 1.0 - 0.5_f64.powi(5 + head as i32),
                    Gate::None => 1.0,
                };
                for j in 0..value {
                    state[c][j] = gate * state[c][j] + k[group * key + c] * v[group * value + j];
                    o[j] += state[c][j] * q[head * key + c] / (key as f64).sqrt();
                }
            }
            let root = (o.iter().map(|o| o * o).sum::<f64>() / value as f64 + config.norm_epsilon).sqrt();
            mixed.extend((0..value).map(|j| o[j] / root * gain[j]));
        }
        if let Some(gate) = &layer.output_gate {
            let gate = affine(gate, x);
            mixed.iter_mut().zip(gate).for_each(|(m, g)| *m *= g * logistic(g));
        }
        outputs.extend(affine(&layer.output, &mixed));
    }
    outputs
}

#[test]
fn layers_of_all_kinds_are_their_equations_with_their_gradients() {
    let device = Device::flex().autodiff();
    let mut random = Sequence::new(1);
    for config in configurations() {
        let layer = layer(config, &mut random, &device);
        let documents = Documents::new(11, vec![vec![0], vec![0, 1, 9]]).expect("valid");
        let input: Tensor<3> = draw([2, 11, WIDTH], &mut random, &device);
        let x = values(input.clone());
        let rows = [0..11, 11..12, 12..20, 20..22];
        let parts = rows.map(|rows| reference(&layer, &x[rows.start * WIDTH..rows.end * WIDTH]));
        assert_close(&values(layer.forward(input.clone(), &documents)), &parts.concat(), 1e-11);
        assert_gradients(&layer, input, |layer, input| layer.forward(input, &documents));
    }
}

#[test]
fn decoding_is_the_forward_pass() {
    let device = Device::flex();
    let mut random = Sequence::new(2);
    for config in configurations() {
        let layer = layer(config, &mut random, &device);
        let input: Tensor<3> = draw([2, 150, WIDTH], &mut random, &device);
        let whole = values(layer.forward(input.clone(), &Documents::whole(2, 150)));
        let mut state = GatedLinearAttentionState::join(vec![layer.state(1, &device); 2]);
        let size = state.heads.dims();
        let mut start = 0;
        let mut parts = Vec::new();
        for length in [1, 1, 0, 1, 70, 1, 7, 69] {
            parts.push(layer.extend(input.clone().slice(s![.., start..start + length, ..]), &mut state));
            start += length;
        }
        assert_close(&values(Tensor::cat(parts, 1)), &whole, 1e-11);
        assert_eq!(state.heads.dims(), size);
        assert_eq!(state.select(&[1, 0, 1]).rows(), 3);
    }
}

#[test]
fn gradients_flow_through_carried_states_until_they_are_detached() {
    let device = Device::flex().autodiff();
    let mut random = Sequence::new(3);
    let layer = layer(configurations()[0], &mut random, &device);
    let input: Tensor<3> = draw([1, 20, WIDTH], &mut random, &device);
    // The gradient of the outputs from token 12 on, with respect to all inputs.
    let gradient = |outputs: &dyn Fn(Tensor<3>) -> Tensor<3>| {
        let input = Tensor::from_data(input.to_data(), (&device, DType::F64)).require_grad();
        let gradients = outputs(input.clone()).sum().backward();
        values(input.grad(&gradients).expect("a gradient"))
    };
    let carried = |input: Tensor<3>, detach: bool| {
        let mut state = layer.state(1, &device);
        layer.extend(input.clone().slice(s![.., 0..12, ..]), &mut state);
        state = if detach { state.detached() } else { state };
        layer.extend(input.slice(s![.., 12..20, ..]), &mut state)
    };
    let whole = gradient(&|input| layer.forward(input, &Documents::whole(1, 20)).slice(s![.., 12..20, ..]));
    assert_close(&gradient(&|input| carried(input, false)), &whole, 1e-10);
    let cut = gradient(&|input| carried(input, true));
    assert!(cut[..12 * WIDTH].iter().all(|g| *g == 0.0) && cut[12 * WIDTH..].iter().any(|g| *g != 0.0));
}

#[test]
fn a_layer_of_the_paper_has_its_parameters() {
    let device = Device::flex();
    let config = GatedLinearAttentionConfig::default();
    let layer = config.init(256, LinearKind::Dense, 0.02, &mut Sequence::new(4), &device);
    // q, k: d²/2 each; v, output gate and output: d² each; the gate: 16 d + 16 d/2 + d/2; the norm: d/4.
    assert_eq!(layer.num_params(), 4 * 256 * 256 + 16 * 256 + 16 * 128 + 128 + 64);
    let linears = config.linears(256, LinearKind::Dense);
    let all = [&linears.query, &linears.key, &linears.value, &linears.output].into_iter();
    let all = all.chain(&linears.gate).chain(&linears.output_gate);
    assert_eq!(all.map(LinearConfig::parameters).sum::<usize>() + 64, layer.num_params());
}

#[test]
fn configurations_that_are_none_are_refused() {
    let config = GatedLinearAttentionConfig::default();
    let refused = |config: GatedLinearAttentionConfig, width: usize| {
        config.check(width).expect_err("refused").to_string()
    };
    assert_eq!(
        refused(config, 12),
        "gated linear attention: expand-key 0.5 of the width 12 is no multiple of 4 heads"
    );
    assert!(refused(GatedLinearAttentionConfig { key_heads: Some(3), ..config }, 64).contains("3 key heads"));
    assert!(refused(config, 0).contains("at least 1"));
    let gate = Gate::Head { normaliser: 0.0 };
    assert!(refused(GatedLinearAttentionConfig { gate, ..config }, 64).contains("normaliser is 0"));
    assert!(config.check(64).is_ok());
}

#[test]
fn gates_above_one_and_numbers_that_are_not_finite_give_nan() {
    let device = Device::flex();
    let mut random = Sequence::new(5);
    let mut operand = || -> Tensor<4> { draw([1, 4, 1, 2], &mut random, &device) };
    let (queries, keys, operands) = (operand(), operand(), operand());
    let documents = Documents::whole(1, 4);
    let mix = |log_gates: Tensor<4>, values: Tensor<4>| {
        gated_linear_attention([queries.clone(), keys.clone(), log_gates], values, None, &documents, 1.0)
    };
    let zero = Tensor::<4>::zeros([1, 4, 1, 2], (&device, DType::F64));
    let (output, state) = mix(zero.clone(), operands.clone());
    assert!(values(output).iter().chain(&values(state)).all(|x| x.is_finite()));
    let mut broken = vec![1.0; 8];
    broken[3] = f64::NAN;
    for (gates, operands) in
        [(zero.clone() + 0.1, operands), (zero, tensor::<4>(broken, [1, 4, 1, 2], &device))]
    {
        let (output, state) = mix(gates, operands);
        assert!(values(output).iter().chain(&values(state)).all(|x| x.is_nan()));
    }
}

#[test]
fn half_precision_is_computed_in_single() {
    let device = Device::flex();
    let mut random = Sequence::new(6);
    let mut operand = |offset: f64| -> Tensor<4> {
        (draw::<4>([1, 40, 2, 4], &mut random, &device) - offset).cast(DType::BF16)
    };
    let operands = [operand(0.0), operand(0.0), operand(6.0).clamp_max(0.0)];
    let others = operand(0.0);
    let documents = Documents::whole(1, 40);
    let mix = |dtype: DType| {
        let operands = operands.clone().map(|operand| operand.cast(dtype));
        gated_linear_attention(operands, others.clone().cast(dtype), None, &documents, 0.5).0
    };
    let (half, double) = (mix(DType::BF16), mix(DType::F64));
    assert_eq!(half.dtype(), DType::BF16);
    let (half, double) = (values(half), values(double));
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let error = square(&mut half.iter().zip(&double).map(|(a, b)| a - b)) / square(&mut double.into_iter());
    assert!(error.sqrt() < 5e-3, "{error}");
}

/// With mild gates, with ones of e⁻⁵⁰, and with some that forget everything.
#[test]
fn the_composition_is_the_operation() {
    let (device, mut random) = (Device::flex(), Sequence::new(17));
    let cases = [(1, vec![1]), (2, vec![40, 3, 17, 20]), (1, vec![16, 16]), (2, vec![1, 4, 5])];
    for (rows, lengths) in cases {
        for strongest in [0.1, 50.0, f64::INFINITY] {
            let (time, heads, [key, value]) = (lengths.iter().sum::<usize>() / rows, 2, [3, 2]);
            let mut tensor =
                |channels| -> Tensor<4> { draw([rows, time, heads, channels], &mut random, &device) };
            let [q, k, v, g] = [key, key, value, key].map(&mut tensor);
            let g = g.abs().neg();
            let g = if strongest.is_finite() {
                g * strongest / 2.0
            } else {
                let forgetting = g.clone().lower_elem(-1.5);
                g.mask_fill(forgetting, f64::NEG_INFINITY)
            };
            let state: Tensor<4> = draw([lengths.len(), heads, key, value], &mut random, &device);
            let operation = Attention { lengths: lengths.clone(), scale: 0.7 };
            assert_composition::<5, 1>(&operation, [q, k, v, g, state].map(Tensor::into_dispatch), 1e-11);
        }
    }
}
