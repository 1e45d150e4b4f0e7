//! `config.json`: the ecosystem's names for what a model is made of.
//!
//! Llama, Qwen2 and Mistral are read and written under their own names, every other combination of layers under the
//! `model_type` `mathesis` with the configuration as it is. What a file asks for beyond these is refused, not left out.

use std::path::Path;

use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::rotary::{RotaryConfig, RotaryScaling};
use mathesis_networks::sequence::swiglu::SwiGluConfig;
use serde_json::{Map, Value, json};

use super::FolderError;
use super::json::{Keys, unfit};
use super::tensors::NumberFormat;
use crate::model::{BlockConfig, ChannelConfig, Frame, LanguageModelConfig, MixerConfig};

/// The `model_type` of models that only this program has.
const OWN: &str = "mathesis";
const KNOWN: [&str; 4] = ["llama", "qwen2", "mistral", OWN];
/// Rows of a llama whose file does not say how long they are.
const CONTEXT: usize = 2048;

/// The model that a file describes.
pub(super) fn read(path: &Path, object: &Map<String, Value>) -> Result<LanguageModelConfig, FolderError> {
    let keys = Keys { path: path.to_path_buf(), place: String::new(), object };
    let expected = format!("one of {}", KNOWN.join(", "));
    let kind = keys.needed("model_type", keys.text("model_type"), &expected)?;
    let config = match kind {
        OWN => {
            let value = keys.get(OWN).cloned().ok_or_else(|| keys.wrong(OWN, "a model's configuration"))?;
            serde_json::from_value(value).map_err(|error| FolderError::Json {
                path: path.to_path_buf(),
                message: format!("{OWN}: {error}"),
            })?
        }
        "llama" | "qwen2" | "mistral" => published(&keys, kind)?,
        _ => return Err(keys.wrong("model_type", &expected)),
    };
    config.check().map_err(|error| unfit(path, &error.key, &error.value, &error.expected))?;
    Ok(config)
}

fn published(keys: &Keys<'_>, kind: &str) -> Result<LanguageModelConfig, FolderError> {
    if keys.get("quantization_config").is_some() {
        return Err(keys.wrong("quantization_config", "nothing: weights in 32 or 16 bits"));
    }
    if !matches!(keys.text("hidden_act")?, None | Some("silu" | "swish")) {
        return Err(keys.wrong("hidden_act", "\"silu\""));
    }
    let (width, heads) = (keys.needed_whole("hidden_size")?, keys.needed_whole("num_attention_heads")?);
    let layers = keys.needed_whole("num_hidden_layers")?;
    let context = keys.whole("max_position_embeddings")?.unwrap_or(CONTEXT);
    let bias = match kind {
        "llama" if keys.flag("attention_bias")? == Some(true) => AttentionBias::All,
        "qwen2" => AttentionBias::Input,
        _ => AttentionBias::None,
    };
    let attention = AttentionConfig {
        heads,
        key_value_heads: keys.whole("num_key_value_heads")?.filter(|&groups| groups != heads),
        head_width: keys.whole("head_dim")?.filter(|&head| heads.checked_mul(head) != Some(width)),
        bias,
        window: None,
        causal: true,
        rotary: rotary(keys, context)?,
    };
    let channel = SwiGluConfig {
        bias: kind == "llama" && keys.flag("mlp_bias")? == Some(true),
        ..SwiGluConfig::new(keys.needed_whole("intermediate_size")?)
    };
    let block = |window, repeat| BlockConfig {
        repeat,
        mixer: MixerConfig::Attention(AttentionConfig { window, ..attention }),
        channel: ChannelConfig::SwiGlu(channel),
        linear: LinearKind::Dense,
        channel_linear: None,
        arithmetic: Arithmetic::F32,
    };
    Ok(LanguageModelConfig {
        vocabulary: keys.needed_whole("vocab_size")?,
        width,
        context,
        norm_epsilon: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
        tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        head: LinearKind::Dense,
        frame: Frame::PreNorm,
        deviation: keys.number("initializer_range")?.unwrap_or(0.02),
        blocks: windows(keys, kind, layers)?
            .into_iter()
            .map(|(window, repeat)| block(window, repeat))
            .collect(),
    })
}

/// The window of each run of equal layers, and how many they are.
fn windows(keys: &Keys<'_>, kind: &str, layers: usize) -> Result<Vec<(Option<usize>, usize)>, FolderError> {
    let all = |window| Ok(vec![(window, layers)]);
    let window = keys.whole("sliding_window")?;
    match kind {
        "mistral" => all(window),
        "qwen2" if keys.flag("use_sliding_window")? == Some(true) && window.is_some() => {
            let expected = "\"full_attention\" or \"sliding_attention\" for each layer";
            let slides = |value: &Value| match value.as_str()? {
                "full_attention" => Some(None),
                "sliding_attention" => Some(window),
                _ => None,
            };
            let listed = keys.optional("layer_types", expected, |value| {
                value.as_array()?.iter().map(slides).collect::<Option<Vec<_>>>()
            })?;
            let from = keys.whole("max_window_layers")?.unwrap_or(28);
            let each = listed.unwrap_or_else(|| {
                (0..layers).map(|layer| if layer >= from { window } else { None }).collect()
            });
            if each.len() != layers {
                return Err(keys.wrong("layer_types", expected));
            }
            let runs = each.chunk_by(|a, b| a == b);
            Ok(runs.map(|run| (run[0], run.len())).collect())
        }
        _ => all(None),
    }
}

fn rotary(keys: &Keys<'_>, context: usize) -> Result<RotaryConfig, FolderError> {
    let theta = keys.number("rope_theta")?;
    // The name of newer files, then that of older ones.
    let scaling = match keys.inner("rope_scaling")? {
        Some(scaling) => Some(scaling),
        None => keys.inner("rope_parameters")?,
    };
    let Some(scaling) = scaling else {
        return Ok(RotaryConfig { theta: theta.unwrap_or(10_000.0), scaling: RotaryScaling::None });
    };
    let theta = scaling.number("rope_theta")?.or(theta).unwrap_or(10_000.0);
    let partial = keys.number("partial_rotary_factor")?.or(scaling.number("partial_rotary_factor")?);
    if partial.is_some_and(|part| part != 1.0) {
        return Err(scaling.wrong("partial_rotary_factor", "1"));
    }
    let kind = match scaling.text("rope_type")? {
        Some(kind) => Some(kind),
        None => scaling.text("type")?,
    };
    let needed = |key: &str| scaling.needed(key, scaling.number(key), "a number");
    let original = scaling.whole("original_max_position_embeddings")?;
    let scaling = match kind {
        None | Some("default") => RotaryScaling::None,
        Some("linear") => RotaryScaling::Linear { factor: needed("factor")? },
        Some("dynamic") => RotaryScaling::Dynamic { factor: needed("factor")?, context },
        Some("llama3") => RotaryScaling::Llama3 {
            factor: needed("factor")?,
            low_turns: needed("low_freq_factor")?,
            high_turns: needed("high_freq_factor")?,
            context: original.unwrap_or(context),
        },
        Some("yarn") => {
            let trained = original.unwrap_or(context);
            let factor = scaling.number("factor")?.unwrap_or(context as f64 / trained as f64);
            let of = |key: &str| scaling.number(key).map(|value| value.filter(|&value| value != 0.0));
            let attention_factor =
                match (scaling.number("attention_factor")?, of("mscale")?, of("mscale_all_dim")?) {
                    (Some(attention_factor), ..) => attention_factor,
                    (None, Some(scale), Some(of_all)) => {
                        let grown = |scale: f64| 1.0 + scale * (RotaryScaling::yarn_factor(factor) - 1.0);
                        grown(scale) / grown(of_all)
                    }
                    _ => RotaryScaling::yarn_factor(factor),
                };
            RotaryScaling::Yarn {
                factor,
                context: trained,
                fast_turns: of("beta_fast")?.unwrap_or(32.0),
                slow_turns: of("beta_slow")?.unwrap_or(1.0),
                attention_factor,
                truncate: scaling.flag("truncate")?.unwrap_or(true),
            }
        }
        Some(_) => {
            let key = if scaling.get("rope_type").is_some() { "rope_type" } else { "type" };
            return Err(scaling.wrong(key, "one of default, linear, dynamic, llama3, yarn"));
        }
    };
    Ok(RotaryConfig { theta, scaling })
}

/// The file of a model.
pub(super) fn written(config: &LanguageModelConfig, format: NumberFormat) -> Map<String, Value> {
    let object = match published_form(config) {
        Some(object) => object,
        None => json!({ "model_type": OWN, OWN: config, "vocab_size": config.vocabulary }),
    };
    let mut object = match object {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    object.insert("torch_dtype".into(), format.name().into());
    object
}

/// The model in the words of Llama, Qwen2 or Mistral, if it is one.
fn published_form(config: &LanguageModelConfig) -> Option<Value> {
    if config.head != LinearKind::Dense || config.frame != Frame::PreNorm {
        return None;
    }
    let attentions: Vec<AttentionConfig> = config
        .layers()
        .map(|block| match (&block.mixer, &block.linear, block.arithmetic) {
            (MixerConfig::Attention(attention), LinearKind::Dense, Arithmetic::F32)
                if block.channel_linear.is_none() && attention.causal =>
            {
                Some(*attention)
            }
            _ => None,
        })
        .collect::<Option<_>>()?;
    let channels: Vec<SwiGluConfig> = config
        .layers()
        .map(|block| match &block.channel {
            ChannelConfig::SwiGlu(channel) if !channel.joined => Some(*channel),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (attention, channel) = (*attentions.first()?, *channels.first()?);
    let without_window = |attention: &AttentionConfig| AttentionConfig { window: None, ..*attention };
    let same_attention = attentions.iter().all(|other| without_window(other) == without_window(&attention));
    if !same_attention || channels.iter().any(|other| *other != channel) {
        return None;
    }
    let head_width = attention.width_of_head(config.width);
    let mut object = json!({
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": channel.hidden,
        "num_hidden_layers": attentions.len(),
        "num_attention_heads": attention.heads,
        "num_key_value_heads": attention.groups(),
        "head_dim": head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "initializer_range": config.deviation,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
        "rope_theta": attention.rotary.theta,
        "rope_scaling": scaling_form(&attention.rotary.scaling, config.context)?,
    });
    let windows: Vec<Option<usize>> = attentions.iter().map(|attention| attention.window).collect();
    let same_window = windows.iter().all(|window| *window == windows[0]);
    // Qwen2 has no width of heads of its own.
    let whole_heads = head_width * attention.heads == config.width;
    let (kind, class, more) = match (attention.bias, channel.bias) {
        (AttentionBias::Input, false) if whole_heads => {
            // One window, in any of the layers.
            let window = windows.iter().flatten().next().copied();
            if windows.iter().flatten().any(|other| Some(*other) != window) {
                return None;
            }
            let types = windows.iter().map(|window| match window {
                Some(_) => "sliding_attention",
                None => "full_attention",
            });
            let from = windows.iter().position(Option::is_some).unwrap_or(windows.len());
            let more = json!({
                "use_sliding_window": window.is_some(),
                "sliding_window": window,
                "max_window_layers": from,
                "layer_types": types.collect::<Vec<_>>(),
            });
            ("qwen2", "Qwen2ForCausalLM", more)
        }
        (AttentionBias::None, false) if same_window && windows[0].is_some() => {
            ("mistral", "MistralForCausalLM", json!({ "sliding_window": windows[0] }))
        }
        (AttentionBias::None | AttentionBias::All, _) if same_window && windows[0].is_none() => {
            let biases = json!({
                "attention_bias": attention.bias == AttentionBias::All,
                "mlp_bias": channel.bias,
            });
            ("llama", "LlamaForCausalLM", biases)
        }
        _ => return None,
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
        object.insert("model_type".into(), kind.into());
        object.insert("architectures".into(), json!([class]));
    }
    Some(object)
}

fn scaling_form(scaling: &RotaryScaling, context: usize) -> Option<Value> {
    Some(match *scaling {
        RotaryScaling::None => Value::Null,
        RotaryScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RotaryScaling::Dynamic { factor, context: trained } if trained == context => {
            json!({ "rope_type": "dynamic", "factor": factor })
        }
        RotaryScaling::Dynamic { .. } => return None,
        RotaryScaling::Llama3 { factor, low_turns, high_turns, context } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_turns,
            "high_freq_factor": high_turns,
            "original_max_position_embeddings": context,
        }),
        RotaryScaling::Yarn { factor, context, fast_turns, slow_turns, attention_factor, truncate } => {
            json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": context,
                "beta_fast": fast_turns,
                "beta_slow": slow_turns,
                "attention_factor": attention_factor,
                "truncate": truncate,
            })
        }
    })
}
