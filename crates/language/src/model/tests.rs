use burn::tensor::TensorData;
use mathesis_algebra::number_format::int8::Int8Matrix;
use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::attention::AttentionConfig;
use mathesis_networks::sequence::gated_linear_attention::GatedLinearAttentionConfig;
use mathesis_networks::sequence::geglu::GeGluConfig;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::linear_gated_recurrent_unit::{LinearGatedRecurrentUnitConfig, Variant};
use mathesis_networks::sequence::monarch_mixer::MonarchMixerConfig;
use mathesis_networks::sequence::tensor_attention::{TensorAttentionConfig, TensorAttentionForm};

use super::*;

fn small() -> Size {
    Size { vocabulary: 19, width: 16, hidden: 24, layers: 2, heads: 4, key_value_heads: 2, context: 64 }
}

fn tokens(rows: usize, time: usize, seed: u64) -> Tensor<2, Int> {
    let mut random = Sequence::new(seed);
    let tokens: Vec<i64> = (0..rows * time).map(|_| (random.bits() % 19) as i64).collect();
    Tensor::from_data(TensorData::new(tokens, [rows, time]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn assert_close(given: &[f32], expected: &[f32]) {
    assert_eq!(given.len(), expected.len());
    let size = expected.iter().map(|b| b.abs()).fold(1.0, f32::max);
    for (a, b) in given.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5 * size, "{a} for {b}, of numbers up to {size}");
    }
}

fn presets() -> [LanguageModelConfig; 5] {
    let mut qwen2 = LanguageModelConfig::qwen2(small());
    qwen2.tied = true;
    let [llama, mistral] =
        [LanguageModelConfig::llama(small()), LanguageModelConfig::mistral(small(), Some(5))];
    // A hybrid: gated linear attention, then attention.
    let mut hybrid = llama.clone();
    let gated = BlockConfig {
        repeat: 1,
        mixer: MixerConfig::GatedLinearAttention(GatedLinearAttentionConfig::default()),
        ..hybrid.blocks[0].clone()
    };
    hybrid.blocks.insert(0, gated);
    // Attention to pairs of tokens: by a polynomial, and exact.
    let mut tensor = llama.clone();
    for (number, form) in [TensorAttentionForm::Polynomial { accuracy: 1e-3 }, TensorAttentionForm::Exact]
        .into_iter()
        .enumerate()
    {
        let mixer = TensorAttentionConfig { heads: 3, form, ..TensorAttentionConfig::default() };
        let mixer = MixerConfig::TensorAttention(mixer);
        tensor.blocks.insert(number, BlockConfig { repeat: 1, mixer, ..llama.blocks[0].clone() });
    }
    let mut models = [llama, qwen2, mistral, hybrid, tensor];
    for model in &mut models {
        // Large weights, so that what is far away is felt.
        model.deviation = 0.3;
    }
    models
}

/// All of these, and the other mixers: alone, and all four in one model.
fn models() -> Vec<LanguageModelConfig> {
    let small = Size { layers: 3, ..small() };
    let mut gated = LanguageModelConfig::matmul_free(small);
    gated.head = LinearKind::Dense;
    for block in &mut gated.blocks {
        block.linear = LinearKind::Dense;
    }
    let mut paper = gated.clone();
    for block in &mut paper.blocks {
        block.mixer = unit(Variant::Paper);
    }
    let monarch = LanguageModelConfig::monarch_mixer(small, 4);
    let mut all = vec![
        LanguageModelConfig::gated_linear_attention(small),
        gated,
        paper,
        LanguageModelConfig::monarch_mixer(small, 1),
        monarch,
        four_mixers(),
    ];
    for model in &mut all {
        model.deviation = 0.3;
    }
    presets().into_iter().chain(all).collect()
}

fn unit(variant: Variant) -> MixerConfig {
    MixerConfig::LinearGatedRecurrentUnit(LinearGatedRecurrentUnitConfig {
        variant,
        ..LinearGatedRecurrentUnitConfig::default()
    })
}

/// Blocks of all four mixers, with two linear gated recurrent units that share lower bounds, and with channel layers of both kinds.
fn four_mixers() -> LanguageModelConfig {
    let mut config = LanguageModelConfig::llama(Size { layers: 1, ..small() });
    let block = config.blocks[0].clone();
    let with = |mixer: MixerConfig| BlockConfig { mixer, ..block.clone() };
    let mut monarch = with(MixerConfig::Monarch(MonarchMixerConfig::new(64)));
    monarch.channel = ChannelConfig::GeGlu(GeGluConfig { hidden: 32, bias: true });
    monarch.channel_linear = Some(LinearKind::BlockDiagonal { blocks: 2 });
    config.blocks = vec![
        with(unit(Variant::Released)),
        block.clone(),
        monarch,
        with(MixerConfig::GatedLinearAttention(GatedLinearAttentionConfig {
            short_convolution: Some(3),
            ..GatedLinearAttentionConfig::default()
        })),
        with(unit(Variant::Released)),
    ];
    config.deviation = 0.3;
    config
}

#[test]
fn configurations_stand_in_files() {
    let text = r#"
        vocabulary = 4096
        width = 256
        context = 512
        tied = true

        [[blocks]]
        repeat = 4
        mixer = { kind = "attention", heads = 4, rotary = { scaling = { kind = "linear", factor = 2.0 } } }
        channel = { kind = "swiglu", hidden = 688 }
    "#;
    let config: LanguageModelConfig = toml::from_str(text).unwrap();
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.layers().count(), 4);
    assert_eq!(config.parameters(), 4096 * 256 + 4 * (4 * 256 * 256 + 3 * 256 * 688 + 512) + 256);
    let again: LanguageModelConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    for (from, to, word) in [
        ("\"attention\"", "\"atention\"", "attention"),
        ("heads = 4", "heads = 4, windw = 3", "window"),
        ("\"swiglu\"", "\"mlp\"", "swiglu"),
        ("tied = true", "tide = true", "tied"),
        ("tied = true", "frame = \"post-norm\"", "pre-norm"),
        ("\"attention\", heads", "\"linear-gated-recurrent-unit\", variants", "variant"),
        ("repeat = 4", "repeat = 4\narithmetic = \"w9a8\"", "arithmetic `w9a8`"),
    ] {
        let error = toml::from_str::<LanguageModelConfig>(&text.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    for (from, to, key) in [
        ("heads = 4", "heads = 3", "blocks[0].mixer.heads = 3"),
        ("heads = 4", "heads = 4, key-value-heads = 3", "blocks[0].mixer.key-value-heads = 3"),
        ("heads = 4", "heads = 4, window = 0", "blocks[0].mixer.window = 0"),
        ("factor = 2.0", "factor = 0.0", "blocks[0].mixer.rotary.scaling.factor = 0"),
        ("hidden = 688", "hidden = 0", "blocks[0].channel.hidden = 0"),
        (
            "repeat = 4",
            "repeat = 4\nlinear = { block-diagonal = { blocks = 3 } }",
            "blocks[0].linear.block-diagonal.blocks = 3",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"gated-linear-attention\", heads = 3 }",
            "blocks[0].mixer = gated-linear-attention",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"monarch\", longest = 511 }",
            "blocks[0].mixer.longest = 511: expected at least 2, and at least the context, 512",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"monarch\", longest = 512, filter = { order = 0 } }",
            "blocks[0].mixer.filter.order = 0",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"linear-gated-recurrent-unit\", norm-epsilon = -1.0 }",
            "blocks[0].mixer.norm-epsilon = -1",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"gated-linear-attention\", short-convolution = 0 }",
            "blocks[0].mixer = gated-linear-attention: expected a shape that fits the width (gated linear attention: a short convolution of 0",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary",
            "{ kind = \"attention\", heads = 4, causal = false, window = 4, rotary",
            "blocks[0].mixer.window = 4: expected none, as attention is over both sides",
        ),
        (
            "repeat = 4",
            "repeat = 4\nchannel-linear = { block-diagonal = { blocks = 3 } }",
            "blocks[0].channel-linear.block-diagonal.blocks = 3",
        ),
        ("tied = true", "tied = true\nhead = \"ternary\"", "head = ternary: expected dense"),
        ("tied = true", "tied = true\nframe = \"monarch-bert\"", "frame = monarch-bert"),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"tensor-attention\", head-width = 40 }",
            "blocks[0].mixer = tensor-attention",
        ),
        (
            "{ kind = \"attention\", heads = 4, rotary = { scaling = { kind = \"linear\", factor = 2.0 } } }",
            "{ kind = \"gated-linear-attention\" }\narithmetic = \"l-mul:6:attention\"",
            "blocks[0].arithmetic = l-mul:6:attention",
        ),
        (
            "repeat = 4",
            "repeat = 4\nlinear = \"ternary\"\narithmetic = \"w2a8\"",
            "blocks[0].arithmetic = w2a8",
        ),
        ("width = 256", "width = 0", "width = 0"),
    ] {
        let config: LanguageModelConfig = toml::from_str(&text.replace(from, to)).unwrap();
        let error = config.init(0, &Device::flex()).unwrap_err();
        assert!(error.to_string().starts_with(key), "{error}");
    }
}

#[test]
fn parameters_are_counted_as_they_are_made() {
    for config in models().into_iter().chain([LanguageModelConfig::monarch_mixer_bert(small())]) {
        let model = config.init(1, &Device::flex()).unwrap();
        assert_eq!(model.num_params(), config.parameters());
        assert_eq!(model.config(), &config);
    }
}

#[test]
fn weights_come_from_the_seed() {
    let [config, ..] = presets();
    let logits = |seed| {
        let model = config.init(seed, &Device::flex()).unwrap();
        values(model.forward(tokens(1, 3, 0), &Documents::whole(1, 3)))
    };
    assert_eq!(logits(1), logits(1));
    assert_ne!(logits(1), logits(2));
}

#[test]
fn extending_in_pieces_gives_the_logits_of_the_whole() {
    let device = Device::flex();
    for config in models() {
        let model = config.init(3, &device).unwrap();
        let (rows, time) = (2, 12);
        let tokens = tokens(rows, time, 1);
        let whole = values(model.forward(tokens.clone(), &Documents::whole(rows, time)));
        let (mut state, mut from, mut parts) = (model.state(rows, &device), 0, Vec::new());
        for piece in [4, 1, 1, 5, 1] {
            let next = tokens.clone().slice([0..rows, from..from + piece]);
            parts.push(model.logits(model.extend(next, &mut state)));
            from += piece;
        }
        assert_close(&values(Tensor::cat(parts, 1)), &whole);
    }
}

#[test]
fn packed_documents_have_the_logits_of_each() {
    let device = Device::flex();
    for config in models() {
        let model = config.init(4, &device).unwrap();
        let row = tokens(1, 11, 2);
        let documents = Documents::new(11, vec![vec![0, 4, 5]]).unwrap();
        let packed = values(model.forward(row.clone(), &documents));
        let mut separate = Vec::new();
        for [from, to] in [[0, 4], [4, 5], [5, 11]] {
            let document = row.clone().slice([0..1, from..to]);
            separate.extend(values(model.forward(document, &Documents::whole(1, to - from))));
        }
        assert_close(&packed, &separate);
    }
}

#[test]
fn states_are_taken_apart_and_put_together() {
    let device = Device::flex();
    for config in models() {
        let model = config.init(5, &device).unwrap();
        let read = |time, seed| {
            let mut state = model.state(1, &device);
            model.extend(tokens(1, time, seed), &mut state);
            state
        };
        let next = tokens(3, 1, 7);
        let mut together = State::join(vec![read(3, 5), read(8, 6)]).select(&[1, 0, 1]);
        let given = values(model.extend(next.clone(), &mut together));
        let mut alone = Vec::new();
        for (row, (time, seed)) in [(8, 6), (3, 5), (8, 6)].into_iter().enumerate() {
            alone.extend(values(
                model.extend(next.clone().slice([row..row + 1, 0..1]), &mut read(time, seed)),
            ));
        }
        assert_close(&given, &alone);
    }
}

#[test]
fn every_parameter_learns() {
    let device = Device::flex().autodiff();
    for config in models() {
        let model = config.init(6, &device).unwrap();
        let tokens = tokens(2, 6, 8).to_device(&device);
        let loss = model.forward(tokens, &Documents::whole(2, 6)).powf_scalar(2.0).sum();
        let gradients = loss.backward();
        assert_eq!(learning(&model, &gradients), config.parameters());
    }
}

/// The number of weights in parameters, all of which must have derivatives that are not all zero.
fn learning(model: &LanguageModel, gradients: &burn::tensor::Gradients) -> usize {
    struct Learns<'a>(&'a burn::tensor::Gradients, usize);
    impl burn::module::ModuleVisitor for Learns<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = values(param.val().grad(self.0).expect("a derivative"));
            assert!(gradient.iter().any(|g| *g != 0.0));
            self.1 += gradient.len();
        }
    }
    let mut learns = Learns(gradients, 0);
    model.visit(&mut learns);
    learns.1
}

#[test]
fn blocks_may_differ() {
    let mut config = LanguageModelConfig::llama(small());
    let mut other = config.blocks[0].clone();
    other.repeat = 1;
    let MixerConfig::Attention(attention) = &mut other.mixer else { unreachable!("attention") };
    *attention = AttentionConfig { window: Some(2), heads: 2, key_value_heads: None, ..*attention };
    config.blocks.insert(0, other);
    let model = config.init(0, &Device::flex()).unwrap();
    assert_eq!((model.blocks.len(), model.num_params()), (3, config.parameters()));
    assert_eq!(model.forward(tokens(2, 5, 1), &Documents::whole(2, 5)).dims(), [2, 5, 19]);
}

/// Every kind of linear layer in every mixer: counted as made, read in pieces as at once, and every weight learns.
#[test]
fn linear_layers_of_every_kind_make_models() {
    for kind in [LinearKind::Dense, LinearKind::Ternary, LinearKind::BlockDiagonal { blocks: 4 }] {
        let mut config = four_mixers();
        for block in &mut config.blocks {
            (block.linear, block.channel_linear) = (kind, None);
        }
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<LanguageModelConfig>(&text).unwrap(), config);
        let device = Device::flex().autodiff();
        let model = config.init(6, &device).unwrap();
        assert_eq!(model.num_params(), config.parameters(), "{kind:?}");

        let tokens = tokens(2, 6, 8).to_device(&device);
        let whole = model.forward(tokens.clone(), &Documents::whole(2, 6));
        let gradients = whole.clone().powf_scalar(2.0).sum().backward();
        learning(&model, &gradients);

        let mut state = model.state(2, &device);
        let pieces = [0..4, 4..5, 5..6].map(|times| {
            let piece = tokens.clone().slice([0..2, times]);
            model.logits(model.extend(piece, &mut state))
        });
        let (pieces, whole) = (values(Tensor::cat(pieces.to_vec(), 1)), values(whole));
        // Rounding of activations to 8 bits may fall to the other side where the order of sums differs.
        let tolerance = if kind == LinearKind::Ternary { 0.05 } else { 1e-5 };
        let size = whole.iter().map(|value| value.abs()).fold(0.0, f32::max);
        for (piece, value) in pieces.iter().zip(&whole) {
            assert!((piece - value).abs() <= tolerance * size, "{kind:?}: {piece} for {value}");
        }
    }
}

/// The published sizes, counted from configurations: matrices and the embedding, in millions.
#[test]
fn published_sizes_of_the_model_without_products_are_counted() {
    for (layers, width, hidden, blocks, all) in
        [(24, 1024, 2816, 308.3, 373.8), (24, 2048, 5632, 1233.1, 1364.2), (32, 2560, 6912, 2537.6, 2701.4)]
    {
        let size = Size { vocabulary: 32_000, width, hidden, layers, context: 2048, ..small() };
        let counts = LanguageModelConfig::matmul_free(size).parameter_counts();
        let embedding_and_head = 2 * 32_000 * width;
        assert_eq!(millions(counts.weights), all);
        assert_eq!(millions(counts.weights - embedding_and_head), blocks);
        // A gain for each input of a layer, norms of the blocks and gates, the model's norm and the lower bounds.
        let gains = layers * (4 * width + width + hidden + 2 * width + width) + width + width;
        assert_eq!(counts.total(), counts.weights + gains + layers * width);
    }
}

fn millions(count: usize) -> f64 {
    (count as f64 / 1e5).round() / 10.0
}

#[test]
fn published_sizes_of_gated_linear_attention_are_counted() {
    for (width, hidden, tied, all) in [(1024, 2816, true, 341.6), (2048, 5632, false, 1365.4)] {
        let size = Size { vocabulary: 32_000, width, hidden, layers: 24, heads: 4, context: 2048, ..small() };
        let config = LanguageModelConfig { tied, ..LanguageModelConfig::gated_linear_attention(size) };
        assert_eq!(millions(config.parameter_counts().weights), all);
    }
}

#[test]
fn published_sizes_of_the_monarch_mixer_are_counted() {
    for (width, all) in [(768, 79.6), (960, 114.6), (1536, 256.7), (1792, 337.8)] {
        let (vocabulary, hidden, context) = (30_522, 4 * width, 128);
        let size = Size { vocabulary, width, hidden, layers: 12, context, ..small() };
        let counts = LanguageModelConfig::monarch_mixer_bert(size).parameter_counts();
        assert_eq!(millions(counts.embedding + counts.blocks), all);
        assert_eq!(counts.head, width * (width + 1) + 2 * width + vocabulary);
    }
}

/// The largest difference of a logit over 2,000 tokens between reading them one by one and at once.
fn difference_over_2000_tokens(config: &LanguageModelConfig) -> f32 {
    let device = Device::flex();
    let model = config.init(9, &device).unwrap();
    let tokens = tokens(1, 2000, 3);
    let whole = values(model.forward(tokens.clone(), &Documents::whole(1, 2000)));
    let mut state = model.state(1, &device);
    let steps = (0..2000).map(|time| {
        let next = tokens.clone().slice([0..1, time..time + 1]);
        model.logits(model.extend(next, &mut state))
    });
    let steps = values(Tensor::cat(steps.collect(), 1));
    steps.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn decoding_2000_tokens_is_the_forward_pass_with_a_state_of_one_size() {
    let size = Size { context: 2048, ..small() };
    let ternary = LanguageModelConfig::matmul_free(size);
    let mut dense = ternary.clone();
    dense.head = LinearKind::Dense;
    dense.blocks[0].linear = LinearKind::Dense;
    let mut paper = dense.clone();
    paper.blocks[0].mixer = unit(Variant::Paper);
    for (name, config) in [("ternary", ternary), ("dense", dense), ("paper", paper)] {
        let difference = difference_over_2000_tokens(&LanguageModelConfig { deviation: 0.1, ..config });
        println!("{name}: {difference:e}");
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

/// Every arithmetic: counted as made, read in pieces as at once, every weight learns, and packed weights give the same logits.
#[test]
fn arithmetics_make_models() {
    for word in ["bf16", "l-mul:6", "l-mul:3:attention", "w2a8", "w4a4"] {
        let arithmetic: Arithmetic = word.parse().unwrap();
        let config = presets()[0].clone().in_arithmetic(arithmetic);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<LanguageModelConfig>(&text).unwrap(), config);
        let device = Device::flex().autodiff();
        let model = config.init(6, &device).unwrap();
        assert_eq!(model.num_params(), config.parameters(), "{word}");

        let row = tokens(2, 6, 8);
        let documents = Documents::new(6, vec![vec![0, 2], vec![0]]).unwrap();
        let gradients =
            model.forward(row.clone().to_device(&device), &documents).powf_scalar(2.0).sum().backward();
        struct Learns<'a>(&'a burn::tensor::Gradients);
        impl burn::module::ModuleVisitor for Learns<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let gradient = param.val().grad(self.0).expect("a derivative");
                assert!(values(gradient).iter().any(|g| *g != 0.0));
            }
        }
        model.visit(&mut Learns(&gradients));

        let model = model.valid();
        let plain = presets()[0].init(6, &Device::flex()).unwrap();
        let whole = values(model.forward(row.clone(), &Documents::whole(2, 6)));
        assert_ne!(whole, values(plain.forward(row.clone(), &Documents::whole(2, 6))), "{word}");
        let size = whole.iter().map(|value| value.abs()).fold(0.0, f32::max);
        let packed = model.clone().packed().unwrap();
        let mut state = packed.state(2, &Device::flex());
        let pieces = [0..4, 4..5, 5..6]
            .map(|times| packed.logits(packed.extend(row.clone().slice([0..2, times]), &mut state)));
        for given in [
            values(packed.forward(row.clone(), &Documents::whole(2, 6))),
            values(Tensor::cat(pieces.to_vec(), 1)),
        ] {
            for (given, value) in given.iter().zip(&whole) {
                assert!((given - value).abs() <= 1e-4 * size, "{word}: {given} for {value}");
            }
        }
    }
}

/// Rounded matrices are multiplied exactly as if they were in single precision, a token and a whole row at a time.
#[test]
fn weights_in_bfloat16_are_the_rounded_model() {
    struct Widening(usize);
    impl ModuleMapper for Widening {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += usize::from(parameter.val().dtype() == DType::BF16);
            parameter.map(|value| value.cast(DType::F32))
        }
    }
    let device = Device::flex();
    for config in presets() {
        let model = config.init(9, &device).unwrap();
        let whole = |model: &LanguageModel| values(model.forward(tokens(2, 20, 3), &Documents::whole(2, 20)));
        let parts = |model: &LanguageModel| {
            let mut state = model.state(2, &device);
            let read = model.extend(tokens(2, 20, 3), &mut state);
            let next = model.extend(tokens(2, 1, 4), &mut state);
            [values(model.logits(read)), values(model.logits(next))].concat()
        };
        let rounded = model.clone().with_bfloat16_weights();
        let mut widening = Widening(0);
        let widened = rounded.clone().map(&mut widening);
        let dense: usize = config.layers().count() * 3 + 1 + usize::from(!config.tied);
        assert!(widening.0 >= dense + 4, "{} matrices", widening.0);
        assert_close(&whole(&rounded), &whole(&widened));
        assert_close(&parts(&rounded), &parts(&widened));
        let errors =
            whole(&rounded).iter().zip(whole(&model)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>();
        let largest = errors.iter().copied().fold(0.0, f32::max);
        assert!(largest > 0.0 && largest < 0.5, "{largest}");
    }
}

/// Matrices in 8 bits are multiplied as if those that their codes stand for were there, which are off by a 254th of the largest of a row.
#[test]
fn weights_in_8_bits_are_the_rounded_model() {
    /// Rounds what [`LanguageModel::with_int8_weights`] rounds.
    struct Codes(Vec<String>);
    impl ModuleMapper for Codes {
        fn enter_module(&mut self, _: &str, kind: &str) {
            self.0.push(kind.to_string());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D != 2 || self.0.last().is_none_or(|kind| !kind.ends_with("DenseLinear")) {
                return parameter;
            }
            parameter.map(|weight| {
                let shape = weight.dims();
                let matrix = Int8Matrix::quantised(&values(weight.clone()), shape[0], shape[1]).unwrap();
                Tensor::from_data(TensorData::new(matrix.weights(), shape), &weight.device())
            })
        }
    }
    let device = Device::flex();
    for tied in [false, true] {
        let config = LanguageModelConfig { tied, ..LanguageModelConfig::llama(small()) };
        let model = config.init(9, &device).unwrap();
        let rounded = model.clone().with_int8_weights().unwrap();
        let expected = model.clone().map(&mut Codes(Vec::new()));
        let row = tokens(2, 20, 3);
        let hidden = |model: &LanguageModel| model.hidden(row.clone(), &Documents::whole(2, 20));
        assert_close(&values(hidden(&rounded)), &values(hidden(&expected)));
        // A token at a time, where few rows meet the matrix.
        let mut state = rounded.state(2, &device);
        let steps = (0..20).map(|time| rounded.extend(row.clone().slice([0..2, time..time + 1]), &mut state));
        let steps = Tensor::cat(steps.collect(), 1);
        assert_close(&values(steps.clone()), &values(hidden(&expected)));
        // The tied head is a matrix of its own then.
        let (given, exact) = (values(rounded.logits(steps.clone())), values(model.logits(steps)));
        let size = exact.iter().map(|logit| logit.abs()).fold(0.0, f32::max);
        let error = given.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error > 0.0 && error < 0.02 * size, "{error} of {size}");
        assert_eq!(rounded.embedding.weight.val().into_data(), model.embedding.weight.val().into_data());
    }
}
