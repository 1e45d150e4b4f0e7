//! Models as GGUF, with what they answer here, for `bench/language/llama_cpp.py` to compare with llama.cpp.
//!
//! `gguf_parity FOLDER [MODEL..]` makes random models of several shapes, and takes the models in folders that are named; each becomes
//! FOLDER/CASE with `f32.gguf`, `bf16.gguf`, `f16.gguf`, `q8-0.gguf` and `reference.json`.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use mathesis_algebra::random::Sequence;
use mathesis_language::data::Side;
use mathesis_language::data::tokenizer_training::{TokenizerOptions, train_tokenizer};
use mathesis_language::data::word_problems::word_problem;
use mathesis_language::folder::Checkpoint;
use mathesis_language::generation::{Request, generate};
use mathesis_language::gguf::{self, Weights};
use mathesis_language::model::{LanguageModelConfig, MixerConfig, Size};
use mathesis_language::text::Tokenizer;
use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::rotary::{RotaryConfig, RotaryScaling};
use serde_json::json;

const TOKENS: usize = 48;
const PROMPTS: [&str; 4] = [
    "On a farm there are geese and goats, with 42 heads and 140 legs.",
    "  Two spaces, digits 1234567, naïve façade; 数学は楽しい 🧮\tand\n\nlines",
    "x",
    "for i in range(10): print(i ** 2)  # it's 'quoted'",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("gguf_parity FOLDER [MODEL..]")?;
    let folder = Path::new(&folder);
    for (number, (name, config, split_digits)) in (1..).zip(cases()) {
        let mut checkpoint = Checkpoint::new(config.init(number, &Device::flex())?);
        let mut shake = Shake { random: Sequence::new(number) };
        checkpoint.model = checkpoint.model.map(&mut shake);
        checkpoint.tokenizer = Some(tokenizer(split_digits)?);
        checkpoint.generation.end = vec![0];
        write(&folder.join(name), name, &checkpoint)?;
    }
    for model in arguments {
        let path = Path::new(&model);
        let name = path
            .components()
            .rev()
            .nth(1)
            .map_or("trained".into(), |part| part.as_os_str().to_string_lossy().into_owned());
        write(&folder.join(&name), &name, &Checkpoint::read(path, &Device::flex())?)?;
    }
    Ok(())
}

/// Random models, whose weights are so large that their answers vary, and whether their tokenizers split digits.
fn cases() -> Vec<(&'static str, LanguageModelConfig, bool)> {
    let size = Size {
        vocabulary: 640,
        width: 64,
        hidden: 96,
        layers: 3,
        heads: 4,
        key_value_heads: 2,
        context: 256,
    };
    let larger = Size { width: 256, hidden: 672, layers: 6, heads: 8, key_value_heads: 4, ..size };
    let of = |config: LanguageModelConfig, deviation| LanguageModelConfig { deviation, ..config };
    let llama = || of(LanguageModelConfig::llama(size), 0.15);
    let attention = |change: &dyn Fn(&mut AttentionConfig)| {
        let mut config = llama();
        for block in &mut config.blocks {
            if let MixerConfig::Attention(attention) = &mut block.mixer {
                change(attention);
            }
        }
        config
    };
    let scaled = |scaling| attention(&|attention| attention.rotary = RotaryConfig { theta: 1e4, scaling });
    let tied = |config: LanguageModelConfig| LanguageModelConfig { tied: true, ..config };
    let yarn = RotaryScaling::Yarn {
        factor: 4.0,
        context: 64,
        fast_turns: 32.0,
        slow_turns: 1.0,
        attention_factor: RotaryScaling::yarn_factor(4.0),
        truncate: true,
    };
    let own_factor = match yarn {
        RotaryScaling::Yarn { factor, context, truncate, .. } => RotaryScaling::Yarn {
            factor,
            context,
            fast_turns: 16.0,
            slow_turns: 2.0,
            attention_factor: 1.3,
            truncate,
        },
        other => other,
    };
    let llama3 = RotaryScaling::Llama3 { factor: 8.0, low_turns: 1.0, high_turns: 4.0, context: 64 };
    vec![
        ("llama", llama(), true),
        ("llama-words", llama(), false),
        ("llama-larger", of(LanguageModelConfig::llama(larger), 0.06), true),
        ("llama-tied", tied(llama()), true),
        ("llama-all-heads", attention(&|attention| attention.key_value_heads = None), true),
        ("llama-wide-heads", attention(&|attention| attention.head_width = Some(48)), true),
        ("llama-biases", attention(&|attention| attention.bias = AttentionBias::All), true),
        ("llama-linear", scaled(RotaryScaling::Linear { factor: 3.0 }), true),
        ("llama-3", scaled(llama3), true),
        ("llama-yarn", scaled(yarn), true),
        ("llama-yarn-own-factor", scaled(own_factor), true),
        ("qwen2", of(LanguageModelConfig::qwen2(size), 0.15), true),
        ("qwen2-tied", tied(of(LanguageModelConfig::qwen2(larger), 0.06)), true),
        ("mistral", of(LanguageModelConfig::mistral(size, Some(256)), 0.15), true),
    ]
}

/// Norms and biases are not ones and zeros in trained models.
struct Shake {
    random: Sequence,
}

impl ModuleMapper for Shake {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D > 1 {
            return param;
        }
        param.map(|values| {
            let noise: Vec<f32> =
                (0..values.dims()[0]).map(|_| (0.1 * self.random.normal()) as f32).collect();
            let noise = Tensor::<1>::from_data(noise.as_slice(), &values.device());
            values.clone() + noise.reshape(values.dims())
        })
    }
}

fn tokenizer(split_digits: bool) -> Result<Tokenizer, Box<dyn Error>> {
    let texts = (0..2000).map(|number| {
        let problem = word_problem(1, Side::Training, number);
        format!("{}\n\n{}", problem.question, problem.solution)
    });
    Ok(train_tokenizer(texts, TokenizerOptions { vocabulary: 640, split_digits, special: &["<|end|>"] })?)
}

fn write(folder: &Path, name: &str, checkpoint: &Checkpoint) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for (file, weights) in
        [("f32", Weights::F32), ("bf16", Weights::Bf16), ("f16", Weights::F16), ("q8-0", Weights::Q8)]
    {
        gguf::write(checkpoint, name, weights, &folder.join(format!("{file}.gguf")))?;
    }
    let tokenizer = checkpoint.tokenizer.as_ref().ok_or("no tokenizer")?;
    let prompts: Vec<Vec<u32>> =
        PROMPTS.iter().map(|prompt| tokenizer.encode(prompt, true)).collect::<Result<_, _>>()?;
    let request = Request {
        max_tokens: TOKENS,
        end: checkpoint.generation.end.clone(),
        log_probabilities: Some(0),
        ..Request::default()
    };
    let mut heard = |_: usize, _: usize, _: &str| ControlFlow::Continue(());
    let answers = generate(&checkpoint.model, tokenizer, &prompts, &request, &Device::flex(), &mut heard)?;
    let cases = PROMPTS.iter().zip(&prompts).zip(answers).map(|((text, tokens), samples)| {
        let answer = &samples[0];
        let values: Vec<f64> = answer.log_probabilities.iter().map(|token| token.chosen.value).collect();
        json!({
            "prompt": text, "prompt_tokens": tokens, "tokens": answer.tokens, "text": answer.text,
            "log_probabilities": values,
        })
    });
    let reference =
        json!({ "parameters": checkpoint.model.config().parameters(), "cases": cases.collect::<Vec<_>>() });
    std::fs::write(folder.join("reference.json"), reference.to_string())?;
    println!("{name}");
    Ok(())
}
