use std::collections::BTreeMap;
use std::fs;

use burn::tensor::Device;
use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::gated_linear_attention::GatedLinearAttentionConfig;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::rotary::RotaryScaling;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::{LanguageModelConfig, MixerConfig, Size};
use crate::text::{ChatTemplate, Tokenizer};

/// A file, read by the description of the format.
struct Reader {
    entries: BTreeMap<String, Value>,
    /// Encoding, extents from the last axis on, and bytes.
    tensors: BTreeMap<String, (u32, Vec<u64>, Vec<u8>)>,
}

const F32: u32 = 0;
const F16: u32 = 1;
const Q8_0: u32 = 8;
const BF16: u32 = 30;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        self.at += N;
        self.bytes[self.at - N..self.at].try_into().unwrap()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let length = self.u64() as usize;
        self.at += length;
        String::from_utf8(self.bytes[self.at - length..self.at].to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            4 => self.u32().into(),
            5 => i32::from_le_bytes(self.take()).into(),
            6 => f32::from_le_bytes(self.take()).into(),
            7 => (self.take::<1>() == [1]).into(),
            8 => self.text().into(),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).map(|_| self.value(kind)).collect()
            }
            other => panic!("the kind {other}"),
        }
    }
}

impl Reader {
    fn new(bytes: &[u8]) -> Self {
        let mut cursor = Cursor { bytes, at: 0 };
        assert_eq!((cursor.take(), cursor.u32()), (*b"GGUF", 3));
        let (tensors, entries) = (cursor.u64(), cursor.u64());
        let entries = (0..entries).map(|_| {
            let (key, kind) = (cursor.text(), cursor.u32());
            (key, cursor.value(kind))
        });
        let entries: BTreeMap<String, Value> = entries.collect();
        let infos: Vec<(String, Vec<u64>, u32, usize)> = (0..tensors)
            .map(|_| {
                let (name, extents) = (cursor.text(), cursor.u32());
                let shape = (0..extents).map(|_| cursor.u64()).collect();
                (name, shape, cursor.u32(), cursor.u64() as usize)
            })
            .collect();
        let begin = cursor.at.next_multiple_of(32);
        let mut end = begin;
        let mut tensors = BTreeMap::new();
        for (name, shape, kind, offset) in infos {
            let count = shape.iter().product::<u64>() as usize;
            let length = match kind {
                F32 => 4 * count,
                F16 | BF16 => 2 * count,
                Q8_0 => count / 32 * 34,
                other => panic!("the encoding {other}"),
            };
            let at = begin + offset;
            assert_eq!(at, end.next_multiple_of(32), "{name} begins after what is before it");
            end = at + length;
            let read = (kind, shape, bytes[at..end].to_vec());
            assert!(tensors.insert(name, read).is_none(), "names are there once");
        }
        assert_eq!(bytes.len(), end.next_multiple_of(32));
        Reader { entries, tensors }
    }

    #[track_caller]
    fn entry(&self, key: &str) -> &Value {
        self.entries.get(key).unwrap_or_else(|| panic!("no {key}"))
    }
}

fn llama() -> LanguageModelConfig {
    let size =
        Size { vocabulary: 260, width: 32, hidden: 40, layers: 2, heads: 4, key_value_heads: 2, context: 64 };
    LanguageModelConfig { deviation: 0.3, ..LanguageModelConfig::llama(size) }
}

fn with_attention(
    mut config: LanguageModelConfig,
    change: impl Fn(&mut AttentionConfig),
) -> LanguageModelConfig {
    for block in &mut config.blocks {
        let MixerConfig::Attention(attention) = &mut block.mixer else { unreachable!("attention") };
        change(attention);
    }
    config
}

fn checkpoint(config: &LanguageModelConfig) -> Checkpoint {
    let mut checkpoint = Checkpoint::new(config.init(1, &Device::flex()).unwrap());
    checkpoint.tokenizer = Some(Tokenizer::of_bytes(&["<s>", "</s>"]));
    checkpoint.generation.begin = Some(256);
    checkpoint.generation.end = vec![257];
    checkpoint
}

fn written(checkpoint: &Checkpoint, weights: Weights) -> (Vec<u8>, Reader) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.gguf");
    write(checkpoint, "tiny", weights, &path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let bytes = fs::read(&path).unwrap();
    let reader = Reader::new(&bytes);
    (bytes, reader)
}

fn refused(checkpoint: &Checkpoint) -> String {
    let folder = TempDir::new().unwrap();
    let error = write(checkpoint, "tiny", Weights::F32, &folder.path().join("model.gguf")).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    error.to_string()
}

#[track_caller]
fn numbers(reader: &Reader, name: &str) -> (u32, Vec<u64>, Vec<u8>) {
    reader.tensors.get(name).cloned().unwrap_or_else(|| panic!("no tensor {name}"))
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// A tensor of the model by its name in folders.
fn tensor(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let mut take = Take::with(NumberFormat::F32);
    checkpoint.model.visit(&mut take);
    take.tensors.into_iter().find(|tensor| tensor.name == name).unwrap().numbers
}

#[track_caller]
fn text<'a>(reader: &'a Reader, key: &str) -> &'a str {
    reader.entry(key).as_str().expect("a text")
}

#[track_caller]
fn texts(reader: &Reader, key: &str) -> Vec<String> {
    serde_json::from_value(reader.entry(key).clone()).expect("texts")
}

#[test]
fn the_model_is_found_in_the_file() {
    let config = with_attention(llama(), |attention| {
        attention.bias = AttentionBias::All;
        attention.head_width = Some(16);
    });
    let mut checkpoint = checkpoint(&config);
    checkpoint.chat = Some(ChatTemplate::new("{{ messages }}", [].into()).unwrap());
    let (bytes, reader) = written(&checkpoint, Weights::F32);
    assert_eq!(written(&checkpoint, Weights::F32).0, bytes, "equal models are equal files");
    for (key, value) in [
        ("general.architecture", "llama"),
        ("general.name", "tiny"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.chat_template", "{{ messages }}"),
        ("llama.rope.scaling.type", "none"),
    ] {
        assert_eq!(text(&reader, key), value, "{key}");
    }
    for (key, value) in [
        ("llama.vocab_size", 260),
        ("llama.context_length", 64),
        ("llama.embedding_length", 32),
        ("llama.block_count", 2),
        ("llama.feed_forward_length", 40),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 2),
        ("llama.attention.key_length", 16),
        ("llama.rope.dimension_count", 16),
        ("tokenizer.ggml.bos_token_id", 256),
        ("tokenizer.ggml.eos_token_id", 257),
    ] {
        assert_eq!(*reader.entry(key), json!(value), "{key}");
    }
    assert_eq!(*reader.entry("tokenizer.ggml.add_bos_token"), json!(false));
    let tokens = texts(&reader, "tokenizer.ggml.tokens");
    assert_eq!(
        (tokens.len(), &tokens[32..34], &tokens[256..]),
        (
            260,
            &["Ġ".to_string(), "!".into()][..],
            &["<s>".to_string(), "</s>".into(), "[PAD258]".into(), "[PAD259]".into()][..],
        )
    );
    assert_eq!(reader.entry("tokenizer.ggml.token_type").as_array().unwrap()[255..], [1, 3, 3, 5, 5]);

    // The last axis comes first, rows that are rotated together are neighbours, and the rest is as it was.
    let (kind, shape, query) = numbers(&reader, "blk.1.attn_q.weight");
    assert_eq!((kind, &shape[..]), (F32, &[32, 64][..]));
    let before = tensor(&checkpoint, "model.layers.1.self_attn.q_proj.weight");
    let row = |numbers: &[f32], row: usize| numbers[row * 32..(row + 1) * 32].to_vec();
    let query = singles(&query);
    for head in 0..4 {
        for pair in 0..8 {
            assert_eq!(row(&query, head * 16 + 2 * pair), row(&before, head * 16 + pair));
            assert_eq!(row(&query, head * 16 + 2 * pair + 1), row(&before, head * 16 + pair + 8));
        }
    }
    for (name, other) in [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
        ("blk.0.attn_v.bias", "model.layers.0.self_attn.v_proj.bias"),
        ("blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight"),
        ("blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"),
        ("blk.0.ffn_gate.weight", "model.layers.0.mlp.gate_proj.weight"),
        ("blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight"),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
    ] {
        assert_eq!(singles(&numbers(&reader, name).2), tensor(&checkpoint, other), "{name}");
    }
    assert_eq!(reader.tensors.len(), 3 + 2 * (2 + 4 + 4 + 3));
}

#[test]
fn qwen2_keeps_its_arrangement_and_a_tied_head_is_left_out() {
    let mut config = with_attention(llama(), |attention| {
        attention.bias = AttentionBias::Input;
        // One that holds the whole context.
        attention.window = Some(64);
    });
    config.tied = true;
    let checkpoint = checkpoint(&config);
    let (_, reader) = written(&checkpoint, Weights::F32);
    assert_eq!(text(&reader, "general.architecture"), "qwen2");
    assert_eq!(*reader.entry("qwen2.attention.head_count_kv"), json!(2));
    assert!(!reader.tensors.contains_key("output.weight"));
    for part in ["q", "k"] {
        let given = singles(&numbers(&reader, &format!("blk.0.attn_{part}.weight")).2);
        let name = format!("model.layers.0.self_attn.{part}_proj.weight");
        assert_eq!(given, tensor(&checkpoint, &name));
    }
}

#[test]
fn fewer_bits_are_near() {
    let checkpoint = checkpoint(&llama());
    let exact = tensor(&checkpoint, "model.layers.0.mlp.gate_proj.weight");
    let near = |given: Vec<f32>, bound: &dyn Fn(f32, &[f32]) -> f32| {
        for (place, (given, exact_block)) in given.chunks(32).zip(exact.chunks(32)).enumerate() {
            for (given, &exact) in given.iter().zip(exact_block) {
                assert!((given - exact).abs() <= bound(exact, exact_block), "{place}: {given} {exact}");
            }
        }
    };
    for (weights, kind) in [(Weights::F16, F16), (Weights::Bf16, BF16)] {
        let (_, reader) = written(&checkpoint, weights);
        let (found, _, bytes) = numbers(&reader, "blk.0.ffn_gate.weight");
        assert_eq!(found, kind);
        let given = bytes.as_chunks().0.iter().map(|&bytes| match weights {
            Weights::F16 => f16::from_le_bytes(bytes).to_f32(),
            _ => bf16::from_le_bytes(bytes).to_f32(),
        });
        near(given.collect(), &|exact, _| exact.abs() / if weights == Weights::F16 { 2048.0 } else { 256.0 });
        assert_eq!(numbers(&reader, "blk.0.ffn_norm.weight").0, F32);
    }
    let (_, reader) = written(&checkpoint, Weights::Q8);
    let (kind, _, bytes) = numbers(&reader, "blk.0.ffn_gate.weight");
    assert_eq!((kind, bytes.len()), (Q8_0, exact.len() / 32 * 34));
    let given = bytes.chunks(34).flat_map(|block| {
        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
        block[2..].iter().map(move |&number| f32::from(number as i8) * scale)
    });
    near(given.collect(), &|_, block| {
        let scale = block.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs())) / 127.0;
        // Half a step, and the rounding of the scale, which counts 127 times at most.
        scale * (0.5 + 127.0 / 2048.0)
    });
    // Rows of 40 are no whole blocks.
    assert_eq!(numbers(&reader, "blk.0.ffn_down.weight").0, F16);

    let mut large = llama();
    large.deviation = 1e5;
    let folder = TempDir::new().unwrap();
    let large = self::checkpoint(&large);
    let error = write(&large, "tiny", Weights::F16, &folder.path().join("model.gguf")).unwrap_err();
    assert!(error.to_string().contains("of the tensor `token_embd.weight` is"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn changed_frequencies_are_told_or_written_as_divisors() {
    let scaled = |scaling| {
        let config = with_attention(llama(), |attention| attention.rotary.scaling = scaling);
        written(&checkpoint(&config), Weights::F32).1
    };
    let real = |reader: &Reader, key: &str| reader.entry(key).as_f64().unwrap();
    let linear = scaled(RotaryScaling::Linear { factor: 2.0 });
    assert_eq!(text(&linear, "llama.rope.scaling.type"), "linear");
    assert_eq!(real(&linear, "llama.rope.scaling.factor"), 2.0);
    let yarn = |fast_turns| RotaryScaling::Yarn {
        factor: 4.0,
        context: 64,
        fast_turns,
        slow_turns: 1.0,
        attention_factor: 1.5,
        truncate: true,
    };
    let usual = scaled(yarn(32.0));
    assert_eq!(text(&usual, "llama.rope.scaling.type"), "yarn");
    assert_eq!(*usual.entry("llama.rope.scaling.original_context_length"), json!(64));
    let factor = real(&usual, "llama.rope.scaling.attn_factor") * (0.1 * 4_f64.ln() + 1.0);
    assert!((factor - 1.5).abs() < 1e-6 && !usual.tensors.contains_key("rope_freqs.weight"));
    // Other turns are not read from entries.
    let own = scaled(yarn(2.0));
    assert_eq!(text(&own, "llama.rope.scaling.type"), "none");
    assert_eq!(real(&own, "llama.rope.scaling.attn_factor"), 1.5);
    let divisors = singles(&numbers(&own, "rope_freqs.weight").2);
    assert!(divisors[0] == 1.0 && (divisors[3] - 4.0).abs() < 1e-6, "{divisors:?}");
    let divided = scaled(RotaryScaling::Llama3 { factor: 8.0, low_turns: 1.0, high_turns: 4.0, context: 64 });
    let (_, shape, divisors) = numbers(&divided, "rope_freqs.weight");
    let divisors = singles(&divisors);
    assert_eq!((shape, divisors[0], divisors[3]), (vec![4], 1.0, 8.0));
}

#[test]
fn models_that_llama_cpp_does_not_have_are_refused() {
    let mut gated = llama();
    gated.blocks[0].mixer = MixerConfig::GatedLinearAttention(GatedLinearAttentionConfig::default());
    let mut ternary = llama();
    ternary.blocks[0].linear = LinearKind::Ternary;
    let mut unequal = llama();
    unequal.blocks.push(unequal.blocks[0].clone());
    let crate::model::ChannelConfig::SwiGlu(channel) = &mut unequal.blocks[1].channel else {
        panic!("the channel layer of a llama")
    };
    channel.hidden = 64;
    let dynamic = RotaryScaling::Dynamic { factor: 2.0, context: 64 };
    for (config, says) in [
        (gated, "the mixer of the block 0 is not attention"),
        (ternary, "the block 0 has linear layers that are not dense"),
        (unequal, "the block 2 has another shape than the first"),
        (
            with_attention(llama(), |attention| attention.window = Some(9)),
            "a window of 9 tokens, which is shorter",
        ),
        (with_attention(llama(), |attention| attention.rotary.scaling = dynamic), "(dynamic)"),
        (with_attention(llama(), |attention| attention.causal = false), "the block 0 sees both sides"),
    ] {
        let error = refused(&checkpoint(&config));
        assert!(error.starts_with("llama.cpp has no such model") && error.contains(says), "{error}");
    }
}

/// A model with this tokenizer, changed.
fn with_tokenizer(json: &Value) -> Checkpoint {
    let mut checkpoint = checkpoint(&llama());
    checkpoint.tokenizer = Some(Tokenizer::from_json(json.to_string().as_bytes()).unwrap());
    checkpoint.generation.begin = None;
    checkpoint.generation.end = vec![1];
    checkpoint
}

/// A tokenizer of bytes with a merge.
fn of_bytes() -> Value {
    let tokenizer = Tokenizer::of_bytes(&["</s>"]);
    let mut json: Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    json["model"]["vocab"]["he"] = 257.into();
    json["model"]["merges"] = json!([["h", "e"]]);
    json["pre_tokenizer"]["use_regex"] = true.into();
    json
}

#[test]
fn rules_for_words_have_their_names() {
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let bytes = |words: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words });
    let split = |place: usize| {
        let (_, words, _) = tokenizer::WORDS[place];
        json!({ "type": "Split", "pattern": { "Regex": words }, "behavior": "Isolated", "invert": false })
    };
    let sequence = |parts: Value| json!({ "type": "Sequence", "pretokenizers": parts });
    for (words, whole, name) in [
        (bytes(true), false, "gpt-2"),
        (sequence(json!([digits, bytes(true)])), false, "smollm"),
        (sequence(json!([split(0), bytes(false)])), true, "llama-bpe"),
        (sequence(json!([split(1), bytes(false)])), false, "qwen2"),
    ] {
        let mut json = of_bytes();
        json["pre_tokenizer"] = words;
        json["model"]["ignore_merges"] = whole.into();
        let (_, reader) = written(&with_tokenizer(&json), Weights::F32);
        assert_eq!(text(&reader, "tokenizer.ggml.pre"), name);
        assert_eq!(texts(&reader, "tokenizer.ggml.merges"), ["h e"]);
    }
    for (key, value, says) in [
        ("pre_tokenizer", bytes(false), "expected the rule for words of GPT-2"),
        ("pre_tokenizer", sequence(json!([split(0), bytes(false)])), "ignore_merges: false"),
        ("normalizer", json!({ "type": "Lowercase" }), "`normalizer`"),
        ("decoder", Value::Null, "neither tokens for all bytes"),
    ] {
        let mut json = of_bytes();
        json[key] = value;
        let error = refused(&with_tokenizer(&json));
        assert!(error.starts_with("llama.cpp has no such tokenizer") && error.contains(says), "{error}");
    }
    let mut without = checkpoint(&llama());
    without.tokenizer = None;
    assert!(refused(&without).ends_with("the model has no tokenizer.json"));
    let mut endless = checkpoint(&llama());
    endless.generation.end.clear();
    assert!(refused(&endless).contains("no token ends an answer"));
    endless.tokenizer_settings.insert("eos_token".into(), json!({ "content": "</s>" }));
    let (_, reader) = written(&endless, Weights::F32);
    assert_eq!(*reader.entry("tokenizer.ggml.eos_token_id"), json!(257));
}

#[test]
fn merges_of_marks_become_scores_where_they_say_the_same() {
    let mut vocabulary = json!({ "<unk>": 0, "</s>": 1, "▁": 258, "a": 259 });
    for byte in 0..256 {
        vocabulary[format!("<0x{byte:02X}>")] = (byte + 2).into();
    }
    let added = |id: usize, content: &str| {
        json!({ "id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false })
    };
    let json = |merges: Value| {
        let mut vocabulary = vocabulary.clone();
        let mut count = 260;
        for pair in merges.as_array().unwrap() {
            let token = format!("{}{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            if vocabulary[&token].is_null() {
                vocabulary[token] = count.into();
                count += 1;
            }
        }
        json!({
            "version": "1.0",
            "added_tokens": [added(0, "<unk>"), added(1, "</s>")],
            "normalizer": { "type": "Sequence", "normalizers": [
                { "type": "Prepend", "prepend": "▁" },
                { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
            ] },
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                { "type": "ByteFallback" }, { "type": "Fuse" },
                { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
            ] },
            "model": {
                "type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
                "vocab": vocabulary, "merges": merges,
            },
        })
    };
    let with = |merges: Value| {
        let mut checkpoint = with_tokenizer(&json(merges));
        let mut config = llama();
        config.vocabulary = 270;
        checkpoint.model = config.init(1, &Device::flex()).unwrap();
        checkpoint
    };
    let (_, reader) = written(&with(json!([["a", "a"], ["▁", "a"], ["▁", "aa"], ["▁a", "a"]])), Weights::F32);
    assert_eq!(text(&reader, "tokenizer.ggml.model"), "llama");
    assert_eq!(*reader.entry("tokenizer.ggml.add_space_prefix"), json!(true));
    let scores: Vec<f64> =
        serde_json::from_value(reader.entry("tokenizer.ggml.scores").clone()).expect("scores");
    assert_eq!(scores[258..264], [0.0, 0.0, -1.0, -2.0, -3.0, 0.0]);
    let kinds: Vec<i32> =
        serde_json::from_value(reader.entry("tokenizer.ggml.token_type").clone()).expect("kinds");
    assert_eq!((kinds[0], kinds[1], kinds[2], kinds[257], kinds[258], kinds[263]), (2, 3, 6, 6, 1, 5));
    assert_eq!(*reader.entry("tokenizer.ggml.unknown_token_id"), json!(0));
    // A pair that makes a token is not merged; merges of one token have others between them.
    let error = refused(&with(json!([["a", "a"], ["▁", "a"], ["▁", "aa"]])));
    assert!(error.contains("`▁a` and `a` make a token"), "{error}");
    let error = refused(&with(json!([["a", "a"], ["▁", "aa"], ["▁", "a"], ["▁a", "a"]])));
    assert!(error.contains("that make `▁aa` do not follow each other"), "{error}");
}
