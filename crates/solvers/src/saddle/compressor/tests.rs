use proptest::prelude::*;

use super::*;

fn stream(draw: u64) -> Stream {
    Stream::new(11, Purpose::Compression, 0, draw)
}

fn value(codec: &Codec, v: &[f64], draw: u64) -> Vec<f64> {
    let message = codec.encode(v, &mut stream(draw)).unwrap();
    let mut output = vec![f64::NAN; v.len()];
    assert_eq!(codec.decode(&message.bytes, &mut output).unwrap(), message.numbers);
    output
}

fn square(v: impl IntoIterator<Item = f64>) -> f64 {
    v.into_iter().map(|v| v * v).sum()
}

fn unbiased() -> Vec<Compressor> {
    vec![
        Compressor::Identity,
        Compressor::rand_fraction(0.3),
        Compressor::RandK { fraction: None, count: Some(1) },
        Compressor::Bernoulli { probability: 0.25 },
        Compressor::Dithering { levels: 1 },
        Compressor::Dithering { levels: 5 },
        Compressor::Natural,
    ]
}

fn contractive() -> Vec<Compressor> {
    let scaled = unbiased().into_iter().map(|of| Compressor::Scaled { of: Box::new(of) });
    [
        Compressor::top_fraction(0.3),
        Compressor::TopK { fraction: None, count: Some(1) },
        Compressor::ScaledSign,
    ]
    .into_iter()
    .chain(scaled)
    .collect()
}

/// The test vectors: plain, one large entry, equal entries, and entries that are worst for rounding to powers of two.
fn vectors(d: usize) -> Vec<Vec<f64>> {
    vec![
        Stream::new(3, Purpose::Data, 0, 0).normals(d),
        (0..d).map(|i| if i == d / 2 { -100.0 } else { 0.01 }).collect(),
        vec![-1.0; d],
        (0..d).map(|i| 4.0 / 3.0 * 2f64.powi(i as i32 % 5)).collect(),
    ]
}

/// E‖Q(v)‖² as a formula of v.
fn second_moment(compressor: &Compressor, v: &[f64]) -> f64 {
    let total = square(v.iter().copied());
    match compressor {
        Compressor::Dithering { levels } => {
            let unit = total.sqrt() / f64::from(*levels);
            // A number between two multiples of the unit has the variance of a coin between them.
            v.iter()
                .map(|v| {
                    let part = (v.abs() / unit).fract();
                    v * v + unit * unit * part * (1.0 - part)
                })
                .sum()
        }
        Compressor::Natural => v
            .iter()
            .map(|v| {
                let low = 2f64.powf(v.abs().log2().floor());
                let part = v.abs() / low - 1.0;
                v * v + low * low * part * (1.0 - part)
            })
            .sum(),
        other => other.codec(v.len()).unwrap().variance().unwrap() * total,
    }
}

#[test]
fn unbiased_compressors_have_their_moments() {
    let d = 10;
    let draws = 100_000;
    for compressor in unbiased() {
        let codec = compressor.codec(d).unwrap();
        let q = codec.variance().unwrap();
        for (number, v) in vectors(d).iter().enumerate() {
            let (mut mean, mut mean_square, mut norms) = (vec![0.0; d], vec![0.0; d], 0.0);
            for draw in 0..draws {
                let c = value(&codec, v, draw as u64);
                for i in 0..d {
                    mean[i] += c[i] / draws as f64;
                    mean_square[i] += c[i] * c[i] / draws as f64;
                }
                norms += square(c) / draws as f64;
            }
            for i in 0..d {
                let mut variance = (mean_square[i] - mean[i] * mean[i]).max(0.0);
                if let Compressor::Dithering { levels } = compressor {
                    // Where few draws are not zero the sample says little: the variance is at most unit·|v|.
                    variance =
                        variance.max(v[i].abs() * square(v.iter().copied()).sqrt() / f64::from(levels));
                }
                let error = (variance / draws as f64).sqrt();
                // Four and a half: there are 280 such comparisons.
                let allowed = 4.5 * error + 1e-6 * v[i].abs();
                assert!((mean[i] - v[i]).abs() <= allowed, "{compressor:?} vector {number} entry {i}");
            }
            let total = square(v.iter().copied());
            let expected = second_moment(&compressor, v);
            assert!(expected <= q * total * (1.0 + 1e-12), "{compressor:?} {number}");
            // The one large entry of vector 1 is taken or not: its moment has a wide spread.
            let within = if number == 1 { 0.05 } else { 0.02 };
            assert!((norms / expected - 1.0).abs() < within, "{compressor:?} {number}: {norms} {expected}");
        }
    }
}

#[test]
fn contractive_compressors_contract() {
    let d = 20;
    for compressor in contractive() {
        let codec = compressor.codec(d).unwrap();
        let delta = codec.contraction().unwrap();
        let random = matches!(compressor, Compressor::Scaled { .. });
        for (number, v) in vectors(d).iter().enumerate() {
            let draws = if random { 4000 } else { 1 };
            let error: f64 = (0..draws)
                .map(|draw| square(value(&codec, v, draw).iter().zip(v).map(|(c, v)| c - v)) / draws as f64)
                .sum();
            let allowed = (1.0 - 1.0 / delta) * square(v.iter().copied());
            let slack = if random { 1.05 } else { 1.0 };
            assert!(
                error <= slack * allowed + 1e-6 * square(v.iter().copied()),
                "{compressor:?} {number}: {error} {allowed}"
            );
        }
    }
    // Equal entries are the worst case of Top-k: the bound is attained.
    let codec = Compressor::top_fraction(0.3).codec(d).unwrap();
    let lost = square(value(&codec, &vec![1.0; d], 0).iter().map(|c| c - 1.0));
    assert!((lost - (1.0 - 1.0 / codec.contraction().unwrap()) * d as f64).abs() < 1e-12);
}

#[test]
fn messages_have_the_stated_lengths() {
    for d in [1usize, 2, 3, 7, 8, 9, 64, 65, 200] {
        let v = Stream::new(2, Purpose::Data, d, 0).normals(d);
        let k = ((0.3 * d as f64).round() as usize).max(1);
        let log = |x: usize| (x as f64).log2().ceil() as usize;
        let bits = |compressor: Compressor| {
            let message = compressor.codec(d).unwrap().encode(&v, &mut stream(0)).unwrap();
            (message.bytes.len(), message.numbers)
        };
        assert_eq!(bits(Compressor::Identity), (4 * d, d));
        assert_eq!(bits(Compressor::rand_fraction(0.3)), (4 * k + 8, k));
        assert_eq!(bits(Compressor::Bernoulli { probability: 1.0 }), (4 * d + 1, d));
        for s in [1, 2, 3, 4, 255] {
            let expected = (32 + d * (1 + log(s + 1))).div_ceil(8);
            assert_eq!(bits(Compressor::Dithering { levels: s as u32 }), (expected, d));
        }
        assert_eq!(bits(Compressor::Natural), ((9 * d).div_ceil(8), d));
        assert_eq!(bits(Compressor::top_fraction(0.3)), ((k * (32 + log(d))).div_ceil(8), k));
        assert_eq!(bits(Compressor::ScaledSign), ((32 + d).div_ceil(8), d));
    }
    let codec = Compressor::Bernoulli { probability: 1e-9 }.codec(50).unwrap();
    let message = codec.encode(&[1.0; 50], &mut stream(0)).unwrap();
    assert_eq!((message.bytes.len(), message.numbers), (1, 0));
}

#[test]
fn ties_of_top_k_go_to_the_lower_index() {
    let codec = Compressor::TopK { fraction: None, count: Some(2) }.codec(5).unwrap();
    assert_eq!(value(&codec, &[1.0, -3.0, 3.0, 3.0, 0.0], 0), [0.0, -3.0, 3.0, 0.0, 0.0]);
    assert_eq!(value(&codec, &[0.0; 5], 0), [0.0; 5]);
}

#[test]
fn powers_of_two_and_extremes_survive() {
    let codec = Compressor::Natural.codec(5).unwrap();
    let v = [1.0, -0.25, 0.0, 2f64.powi(-126), -2f64.powi(127)];
    assert_eq!(value(&codec, &v, 0), v);
    // Between 2¹²⁷ and the largest float, rounding up has no 8-bit exponent: some draw of many is refused, none is infinite.
    let draws: Vec<_> = (0..20).map(|draw| codec.encode(&[3.0e38; 5], &mut stream(draw))).collect();
    assert!(draws.iter().any(|draw| matches!(draw, Err(CompressorError::NotFinite { .. }))));
    for compressor in unbiased().into_iter().chain(contractive()) {
        let codec = compressor.codec(4).unwrap();
        assert!(value(&codec, &[0.0; 4], 1).iter().all(|c| *c == 0.0), "{compressor:?}");
        assert!(value(&codec, &[1e-300, 0.0, -1e-310, 0.0], 1).iter().all(|c| c.is_finite()));
    }
}

#[test]
fn bad_input_is_refused() {
    for compressor in unbiased().into_iter().chain(contractive()) {
        let codec = compressor.codec(3).unwrap();
        for wrong in [f64::NAN, f64::INFINITY, 1e39] {
            let error = codec.encode(&[0.0, wrong, 0.0], &mut stream(0));
            assert!(matches!(error, Err(CompressorError::NotFinite { index: 1, .. })), "{compressor:?}");
        }
        assert!(matches!(codec.encode(&[0.0; 2], &mut stream(0)), Err(CompressorError::Length { .. })));
        assert!(matches!(codec.decode(&[0; 77], &mut [0.0; 3]), Err(CompressorError::Message { .. })));
        assert!(matches!(codec.decode(&[], &mut [0.0; 3]), Err(CompressorError::Message { .. })));
    }
    for wrong in [
        Compressor::RandK { fraction: None, count: Some(0) },
        Compressor::RandK { fraction: None, count: Some(4) },
        Compressor::RandK { fraction: None, count: None },
        Compressor::top_fraction(0.0),
        Compressor::top_fraction(f64::NAN),
        Compressor::TopK { fraction: Some(0.5), count: Some(1) },
        Compressor::Bernoulli { probability: 0.0 },
        Compressor::Bernoulli { probability: 1.5 },
        Compressor::Dithering { levels: 0 },
        Compressor::Scaled { of: Box::new(Compressor::ScaledSign) },
    ] {
        assert!(matches!(wrong.codec(3), Err(CompressorError::Setting { .. })), "{wrong:?}");
    }
}

proptest! {
    /// Whatever is packed is read again, at any alignment.
    #[test]
    fn packing_round_trips(parts in prop::collection::vec((any::<u64>(), 0u32..=64), 0..40)) {
        let mut packed = Packed::default();
        for (value, bits) in &parts {
            let mask = if *bits == 64 { u64::MAX } else { (1 << bits) - 1 };
            packed.write(value & mask, *bits);
        }
        let total: usize = parts.iter().map(|(_, bits)| *bits as usize).sum();
        prop_assert_eq!(packed.bytes.len(), total.div_ceil(8));
        let mut reader = Reader { bytes: &packed.bytes, position: 0 };
        for (value, bits) in &parts {
            let mask = if *bits == 64 { u64::MAX } else { (1 << bits) - 1 };
            prop_assert_eq!(reader.read(*bits), value & mask);
        }
    }
}
