use std::fs;
use std::path::PathBuf;

use burn::tensor::{Int, Tensor, TensorData};
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::attention::AttentionBias;
use mathesis_networks::sequence::gated_linear_attention::GatedLinearAttentionConfig;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::rotary::{RotaryConfig, RotaryScaling};
use mathesis_networks::sequence::swiglu::SwiGluConfig;
use mathesis_networks::sequence::tensor_attention::TensorAttentionConfig;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::generation::Sampling;
use crate::model::{BlockConfig, ChannelConfig, LanguageModelConfig, MixerConfig, Size};
use crate::text::{ChatTemplate, Message, Tokenizer};

fn size() -> Size {
    Size { vocabulary: 260, width: 16, hidden: 24, layers: 3, heads: 4, key_value_heads: 2, context: 64 }
}

fn with_attention(
    mut config: LanguageModelConfig,
    change: impl Fn(&mut mathesis_networks::sequence::attention::AttentionConfig),
) -> LanguageModelConfig {
    for block in &mut config.blocks {
        let MixerConfig::Attention(attention) = &mut block.mixer else { unreachable!("attention") };
        change(attention);
    }
    config
}

/// Configurations with the kind under which each is written.
fn configs() -> Vec<(&'static str, LanguageModelConfig)> {
    let llama = || LanguageModelConfig::llama(size());
    let scaled = |scaling| {
        with_attention(llama(), |attention| attention.rotary = RotaryConfig { theta: 5e5, scaling })
    };
    let mut tied = LanguageModelConfig::qwen2(size());
    tied.tied = true;
    let mut mixed = LanguageModelConfig::mistral(size(), Some(4));
    mixed.blocks[0].repeat = 2;
    let mut last = LanguageModelConfig::llama(size()).blocks.remove(0);
    last.repeat = 1;
    mixed.blocks.push(last);
    let mut hybrid = llama();
    hybrid.blocks[0].repeat = 1;
    let gated = MixerConfig::GatedLinearAttention(GatedLinearAttentionConfig::default());
    hybrid.blocks.push(BlockConfig { mixer: gated, ..hybrid.blocks[0].clone() });
    let mut ternary = hybrid.clone();
    ternary.blocks[0].linear = LinearKind::Ternary;
    ternary.blocks[1].linear = LinearKind::BlockDiagonal { blocks: 2 };
    // A llama but for one choice that other programs have no word for.
    let mut joined = llama();
    joined.blocks[0].channel =
        ChannelConfig::SwiGlu(SwiGluConfig { joined: true, ..SwiGluConfig::new(size().hidden) });
    let mut block_diagonal_channels = llama();
    block_diagonal_channels.blocks[0].channel_linear = Some(LinearKind::BlockDiagonal { blocks: 4 });
    let mut four_mixers = LanguageModelConfig::matmul_free(size());
    for other in [LanguageModelConfig::monarch_mixer(size(), 2), hybrid.clone()] {
        four_mixers.blocks.extend(other.blocks);
    }
    let mut few_bits = llama().in_arithmetic("w4a8".parse().expect("an arithmetic"));
    few_bits.blocks[0].repeat = 1;
    let pairs = MixerConfig::TensorAttention(TensorAttentionConfig::default());
    few_bits.blocks.push(BlockConfig { mixer: pairs, ..few_bits.blocks[0].clone() });
    let yarn = RotaryScaling::Yarn {
        factor: 4.0,
        context: 16,
        fast_turns: 32.0,
        slow_turns: 1.0,
        attention_factor: 1.1,
        truncate: true,
    };
    vec![
        ("llama", llama()),
        ("llama", with_attention(llama(), |attention| attention.bias = AttentionBias::All)),
        ("llama", with_attention(llama(), |attention| attention.head_width = Some(6))),
        ("llama", scaled(RotaryScaling::Linear { factor: 2.0 })),
        ("llama", scaled(RotaryScaling::Dynamic { factor: 2.0, context: 64 })),
        (
            "llama",
            scaled(RotaryScaling::Llama3 { factor: 8.0, low_turns: 1.0, high_turns: 4.0, context: 16 }),
        ),
        ("llama", scaled(yarn)),
        ("qwen2", tied),
        ("mistral", LanguageModelConfig::mistral(size(), Some(5))),
        // No published form: windows in some layers without biases, frequencies of another context than the model's.
        ("mathesis", mixed),
        ("mathesis", hybrid),
        ("mathesis", ternary),
        ("mathesis", joined),
        ("mathesis", block_diagonal_channels),
        ("mathesis", LanguageModelConfig::gated_linear_attention(size())),
        ("mathesis", LanguageModelConfig::matmul_free(size())),
        ("mathesis", LanguageModelConfig::monarch_mixer(size(), 4)),
        ("mathesis", LanguageModelConfig::monarch_mixer_bert(size())),
        ("mathesis", four_mixers),
        ("mathesis", few_bits),
        ("mathesis", scaled(RotaryScaling::Dynamic { factor: 2.0, context: 32 })),
    ]
}

fn model(config: &LanguageModelConfig) -> LanguageModel {
    LanguageModelConfig { deviation: 0.3, ..config.clone() }.init(1, &Device::flex()).unwrap()
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let tokens: Vec<i64> = (0..10).map(|k| (k * 37 + 5) % 260).collect();
    let tokens: Tensor<2, Int> = Tensor::from_data(TensorData::new(tokens, [1, 10]), &Device::flex());
    model.forward(tokens, &Documents::whole(1, 10)).into_data().iter::<f32>().collect()
}

fn written(config: &LanguageModelConfig) -> (TempDir, LanguageModel) {
    let (folder, model) = (TempDir::new().unwrap(), model(config));
    write_model(&model, folder.path(), NumberFormat::F32).unwrap();
    (folder, model)
}

fn settings(folder: &TempDir) -> Map<String, Value> {
    json::read(&folder.path().join(CONFIGURATION)).unwrap()
}

#[test]
fn a_folder_gives_back_the_model() {
    for (kind, config) in configs() {
        let (folder, model) = written(&config);
        assert_eq!(settings(&folder)["model_type"], kind);
        let again = read_model(folder.path(), &Device::flex()).unwrap();
        assert_eq!(logits(&again), logits(&model), "{config:?}");
        // What is written of what was read is the same again.
        let second = TempDir::new().unwrap();
        write_model(&again, second.path(), NumberFormat::F32).unwrap();
        assert_eq!(settings(&second), settings(&folder));
        let bytes = |folder: &TempDir| fs::read(folder.path().join("model.safetensors")).unwrap();
        assert_eq!(bytes(&second), bytes(&folder));
    }
}

#[test]
fn sixteen_bits_are_rounded_and_several_files_are_one() {
    let (_, config) = configs().remove(0);
    let model = model(&config);
    let expected = logits(&model);
    for (format, tolerance) in [(NumberFormat::Bf16, 0.15), (NumberFormat::F16, 0.02)] {
        let folder = TempDir::new().unwrap();
        write_model(&model, folder.path(), format).unwrap();
        let again = logits(&read_model(folder.path(), &Device::flex()).unwrap());
        let error = again.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error > 0.0 && error < tolerance, "{format:?}: {error}");
    }
    let folder = TempDir::new().unwrap();
    write_model(&model, folder.path(), NumberFormat::F32).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut take = Take::with(NumberFormat::F32);
    model.visit(&mut take);
    tensors::write(folder.path(), &take.tensors, 20_000).unwrap();
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".safetensors"));
    names.sort();
    assert!(names.len() > 2 && names[0].starts_with("model-00001-of-0000"), "{names:?}");
    assert_eq!(logits(&read_model(folder.path(), &Device::flex()).unwrap()), expected);
    // A file that is missing is named.
    fs::remove_file(folder.path().join(&names[1])).unwrap();
    let error = read_model(folder.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains(&names[1]), "{error}");
    fs::write(folder.path().join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../b"}}"#)
        .unwrap();
    let error = read_model(folder.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("names of files in the same folder"), "{error}");
}

/// The error of a folder whose files have been changed.
fn complaint(change: impl Fn(&Path)) -> String {
    let (folder, _) = written(&configs().remove(0).1);
    change(folder.path());
    read_model(folder.path(), &Device::flex()).unwrap_err().to_string()
}

/// The error of a folder with other tensors.
fn complaint_of_tensors(change: impl Fn(&mut Vec<tensors::Written>)) -> String {
    complaint(|folder| {
        let mut take = Take::with(NumberFormat::F32);
        model(&configs().remove(0).1).visit(&mut take);
        change(&mut take.tensors);
        tensors::write(folder, &take.tensors, LARGEST_FILE).unwrap();
    })
}

#[test]
fn tensors_that_do_not_fit_are_named_with_their_file() {
    let named = |tensors: &mut Vec<tensors::Written>, name: &str| {
        tensors.iter().position(|tensor| tensor.name == name).unwrap()
    };
    let missing = complaint_of_tensors(|tensors| {
        let place = named(tensors, "model.layers.1.self_attn.k_proj.weight");
        tensors.remove(place);
    });
    assert!(missing.starts_with("the tensor `model.layers.1.self_attn.k_proj.weight` [8, 16] is missing in"));
    assert!(missing.ends_with("model.safetensors"), "{missing}");
    let misshapen = complaint_of_tensors(|tensors| {
        let place = named(tensors, "model.layers.2.mlp.down_proj.weight");
        tensors[place].shape = vec![24, 16];
    });
    assert!(
        misshapen.contains("`model.layers.2.mlp.down_proj.weight`")
            && misshapen.contains("model.safetensors")
    );
    assert!(misshapen.ends_with("has the shape [24, 16], expected [16, 24]"), "{misshapen}");
    let extra = complaint_of_tensors(|tensors| {
        for name in ["model.layers.3.input_layernorm.weight", "other", "model.rotary_emb.inv_freq"] {
            let (shape, numbers) = (vec![1], vec![1.0]);
            tensors.push(tensors::Written { name: name.into(), shape, numbers, format: NumberFormat::F32 });
        }
    });
    assert!(extra.starts_with("the tensor `model.layers.3.input_layernorm.weight` in "), "{extra}");
    assert!(extra.ends_with("belongs to no part of the model, nor does 1 other"), "{extra}");
    let infinite = complaint_of_tensors(|tensors| {
        let place = named(tensors, "model.norm.weight");
        tensors[place].numbers[3] = f32::NAN;
    });
    assert!(infinite.starts_with("entry 3 of the tensor `model.norm.weight` in "), "{infinite}");
}

#[test]
fn damaged_files_are_refused() {
    let cut = |length: fn(usize) -> usize| {
        complaint(|folder| {
            let path = folder.join("model.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..length(bytes.len())]).unwrap();
        })
    };
    for message in [cut(|all| all - 1), cut(|all| all / 2), cut(|_| 100), cut(|_| 4), cut(|_| 0)] {
        assert!(
            message.contains("model.safetensors") && message.contains("not a whole safetensors file"),
            "{message}"
        );
    }
    let none = complaint(|folder| {
        fs::rename(folder.join("model.safetensors"), folder.join("pytorch_model.bin")).unwrap();
    });
    assert!(none.contains("no model.safetensors") && none.contains("pytorch_model.bin"), "{none}");
    let no_settings = complaint(|folder| fs::remove_file(folder.join(CONFIGURATION)).unwrap());
    assert!(no_settings.contains("cannot read") && no_settings.contains(CONFIGURATION), "{no_settings}");
    let no_json = complaint(|folder| fs::write(folder.join(CONFIGURATION), "{\n\"model_type\": }").unwrap());
    assert!(no_json.contains(CONFIGURATION) && no_json.contains("line 2"), "{no_json}");
}

#[test]
fn settings_that_are_not_known_are_refused_by_their_key() {
    let with = |key: &str, value: Value| {
        complaint(|folder| {
            let path = folder.join(CONFIGURATION);
            let mut object: Map<String, Value> = json::read(&path).unwrap();
            object.insert(key.into(), value.clone());
            json::write(&path, &object).unwrap();
        })
    };
    for (key, value, expected) in [
        (
            "model_type",
            json!("gpt2"),
            "`model_type` is \"gpt2\", expected one of llama, qwen2, mistral, mathesis",
        ),
        ("hidden_act", json!("gelu"), "`hidden_act` is \"gelu\", expected \"silu\""),
        ("hidden_size", json!("wide"), "`hidden_size` is \"wide\", expected a whole number"),
        ("num_hidden_layers", json!(null), "`num_hidden_layers` is not there, expected a whole number"),
        ("num_key_value_heads", json!(3), "expected a divisor of the number of heads, 4"),
        ("quantization_config", json!({"bits": 4}), "expected nothing: weights in 32 or 16 bits"),
        (
            "rope_scaling",
            json!({"rope_type": "longrope"}),
            "`rope_scaling.rope_type` is \"longrope\", expected one of",
        ),
        ("rope_scaling", json!({"type": "linear"}), "`rope_scaling.factor` is not there, expected a number"),
        (
            "rope_scaling",
            json!({"type": "linear", "factor": 0}),
            "rotary.scaling.factor` is 0, expected a number above 0",
        ),
        (
            "rope_parameters",
            json!({"partial_rotary_factor": 0.5}),
            "`rope_parameters.partial_rotary_factor` is 0.5",
        ),
    ] {
        let message = with(key, value);
        assert!(message.contains(CONFIGURATION) && message.contains(expected), "{message}");
    }
}

#[test]
fn old_and_new_names_of_rotations_say_the_same() {
    let base = json!({
        "model_type": "llama", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 256,
    });
    let rotary = |more: Value| {
        let (Value::Object(mut object), Value::Object(more)) = (base.clone(), more) else {
            panic!("objects")
        };
        object.extend(more);
        let config = architecture::read(&PathBuf::from("config.json"), &object).unwrap();
        let MixerConfig::Attention(attention) = &config.blocks[0].mixer else { unreachable!("attention") };
        attention.rotary
    };
    let yarn =
        json!({"factor": 4.0, "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 0.5});
    let typed = |key: &str, more: Value| {
        let Value::Object(mut object) = yarn.clone() else { panic!("an object") };
        object.insert(key.into(), "yarn".into());
        let Value::Object(more) = more else { panic!("an object") };
        object.extend(more);
        object
    };
    let old = rotary(json!({"rope_theta": 5e4, "rope_scaling": typed("type", json!({}))}));
    let new = rotary(json!({"rope_parameters": typed("rope_type", json!({"rope_theta": 5e4}))}));
    assert_eq!(old, new);
    let RotaryScaling::Yarn { attention_factor, context, .. } = old.scaling else { panic!("{old:?}") };
    let grown = |scale: f64| 0.1 * scale * 4_f64.ln() + 1.0;
    assert!((attention_factor - grown(1.0) / grown(0.5)).abs() < 1e-12 && context == 64);
    assert_eq!(rotary(json!({})), RotaryConfig::default());
    assert_eq!(rotary(json!({"rope_theta": 7.0, "rope_scaling": null})).theta, 7.0);
}

#[test]
fn all_that_is_in_a_folder_comes_back() {
    let special = [("bos_token".to_string(), "<s>".to_string())];
    let template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    let mut checkpoint = Checkpoint::new(model(&configs().remove(0).1));
    checkpoint.tokenizer = Some(Tokenizer::of_bytes(&["<s>", "</s>"]));
    checkpoint.chat = Some(ChatTemplate::new(template, special.into()).unwrap());
    checkpoint.tokenizer_settings.insert("bos_token".into(), "<s>".into());
    checkpoint.generation = GenerationDefaults {
        end: vec![257, 10],
        begin: Some(256),
        sampling: Sampling {
            temperature: 0.7,
            top_p: Some(0.9),
            repetition_penalty: 1.1,
            ..Sampling::default()
        },
        max_tokens: Some(33),
    };
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("new/model");
    checkpoint.write(&folder, NumberFormat::F32).unwrap();
    let again = Checkpoint::read(&folder, &Device::flex()).unwrap();
    assert_eq!(logits(&again.model), logits(&checkpoint.model));
    assert_eq!(again.generation, checkpoint.generation);
    assert_eq!(again.tokenizer.unwrap().encode("a<s>", true).unwrap(), [97, 256]);
    let message = Message { role: "user".into(), content: "hi".into() };
    assert_eq!(again.chat.unwrap().render(&[message], true).unwrap(), "<s>hi");
    // Nothing is overwritten, and nothing unfinished is left.
    let error = checkpoint.write(&folder, NumberFormat::F32).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    assert_eq!(fs::read_dir(parent.path().join("new")).unwrap().count(), 1);

    let small = LanguageModelConfig::llama(Size { vocabulary: 257, ..size() });
    let other = Checkpoint { model: model(&small), ..checkpoint };
    let folder = parent.path().join("small");
    other.write(&folder, NumberFormat::F32).unwrap();
    let error = Checkpoint::read(&folder, &Device::flex()).unwrap_err().to_string();
    assert!(error.ends_with("the tokenizer has 258 tokens, the model only 257"), "{error}");
}

#[test]
fn a_model_is_read_in_another_arithmetic_and_packed_ones_are_not_written() {
    let (_, config) = configs().remove(0);
    let (folder, model) = written(&config);
    let in_arithmetic = |word: &str| {
        let arithmetic = word.parse().expect("an arithmetic");
        read_model_in(folder.path(), Some(arithmetic), &Device::flex())
    };
    assert_eq!(logits(&in_arithmetic("f32").unwrap()), logits(&model));
    let few_bits = in_arithmetic("w4a8").unwrap();
    assert_ne!(logits(&few_bits), logits(&model));
    let (second, packed) = (TempDir::new().unwrap(), few_bits.clone().packed().unwrap());
    let error = write_model(&packed, second.path(), NumberFormat::F32).unwrap_err().to_string();
    assert!(error.contains("packed"), "{error}");
    assert_eq!(fs::read_dir(second.path()).unwrap().count(), 0);
    // A model without linear layers of its own kind cannot be in it.
    let (ternary, _) = written(&configs().into_iter().rev().nth(2).unwrap().1);
    let error = read_model_in(ternary.path(), "w4a8".parse().ok(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("arithmetic = w4a8"), "{error}");
}
