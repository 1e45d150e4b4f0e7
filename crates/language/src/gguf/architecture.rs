//! Which of llama.cpp's models a configuration is, and the names and arrangement of its tensors there.

use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::rotary::{RotaryConfig, RotaryScaling};
use mathesis_networks::sequence::swiglu::SwiGluConfig;

use super::file::Entry;
use crate::folder::Written;
use crate::model::{ChannelConfig, Frame, LanguageModelConfig, MixerConfig};

/// A model as llama.cpp knows it.
#[derive(Debug)]
pub struct Architecture<'a> {
    config: &'a LanguageModelConfig,
    kind: Kind,
    attention: AttentionConfig,
    channel: SwiGluConfig,
    layers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any biases; neighbouring entries of a head are rotated together.
    Llama,
    /// Biases of queries, keys and values; rotations as in the ecosystem's folders.
    Qwen2,
}

impl<'a> Architecture<'a> {
    /// The architecture of a model, or in words what of it llama.cpp does not have.
    pub fn of(config: &'a LanguageModelConfig) -> Result<Self, String> {
        if config.frame != Frame::PreNorm {
            return Err("its frame is not that of norms before layers".into());
        }
        if config.head != LinearKind::Dense {
            return Err("its head is not dense".into());
        }
        let mut layers = Vec::new();
        for (number, block) in config.layers().enumerate() {
            let place = format!("the block {number}");
            if block.linear != LinearKind::Dense || block.linear_of_channel() != LinearKind::Dense {
                return Err(format!(
                    "{place} has linear layers that are not dense, or in another arithmetic than f32"
                ));
            }
            let MixerConfig::Attention(attention) = &block.mixer else {
                return Err(format!("the mixer of {place} is not attention"));
            };
            if !attention.causal {
                return Err(format!("{place} sees both sides of a token"));
            }
            let ChannelConfig::SwiGlu(channel) = &block.channel else {
                return Err(format!("the channel layer of {place} is not SwiGLU"));
            };
            if channel.joined {
                return Err(format!("gate and up of {place} are one layer"));
            }
            if let Some(window) = attention.window.filter(|&window| window < config.context) {
                return Err(format!(
                    "{place} has a window of {window} tokens, which is shorter than the context, {}",
                    config.context
                ));
            }
            // A window that holds all that there is changes nothing.
            layers.push((AttentionConfig { window: None, ..*attention }, *channel));
        }
        let Some(&(attention, channel)) = layers.first() else { return Err("it has no blocks".into()) };
        if let Some(other) = layers.iter().position(|layer| *layer != (attention, channel)) {
            return Err(format!("the block {other} has another shape than the first"));
        }
        let scaling = attention.rotary.scaling;
        if matches!(scaling, RotaryScaling::Dynamic { .. }) {
            return Err("frequencies of the position codes that depend on the length (dynamic)".into());
        }
        let kind = match attention.bias {
            // Its loader has no place for divisors of frequencies.
            AttentionBias::Input if !channel.bias && !is_written_as_divisors(scaling) => Kind::Qwen2,
            _ => Kind::Llama,
        };
        Ok(Architecture { config, kind, attention, channel, layers: layers.len() })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Llama => "llama",
            Kind::Qwen2 => "qwen2",
        }
    }

    /// The numbers that describe it.
    pub fn entries(&self) -> Vec<(String, Entry)> {
        let (attention, config) = (&self.attention, self.config);
        let head = attention.width_of_head(config.width) as u32;
        let RotaryConfig { theta, scaling } = attention.rotary;
        let whole = |value: usize| Entry::Whole(value as u32);
        let mut entries = vec![
            ("vocab_size", whole(config.vocabulary)),
            ("context_length", whole(config.context)),
            ("embedding_length", whole(config.width)),
            ("block_count", whole(self.layers)),
            ("feed_forward_length", whole(self.channel.hidden)),
            ("attention.head_count", whole(attention.heads)),
            ("attention.head_count_kv", whole(attention.groups())),
            ("attention.key_length", Entry::Whole(head)),
            ("attention.value_length", Entry::Whole(head)),
            ("attention.layer_norm_rms_epsilon", Entry::Real(config.norm_epsilon as f32)),
            ("rope.dimension_count", Entry::Whole(head)),
            ("rope.freq_base", Entry::Real(theta as f32)),
        ];
        match scaling {
            RotaryScaling::Linear { factor } => entries.extend([
                ("rope.scaling.type", Entry::Text("linear".into())),
                ("rope.scaling.factor", Entry::Real(factor as f32)),
            ]),
            RotaryScaling::Yarn { attention_factor, .. } if is_written_as_divisors(scaling) => {
                entries.extend([
                    ("rope.scaling.type", Entry::Text("none".into())),
                    ("rope.scaling.attn_factor", Entry::Real(attention_factor as f32)),
                ]);
            }
            RotaryScaling::Yarn { factor, context, attention_factor, .. } => entries.extend([
                ("rope.scaling.type", Entry::Text("yarn".into())),
                ("rope.scaling.factor", Entry::Real(factor as f32)),
                ("rope.scaling.original_context_length", whole(context)),
                // It multiplies by the paper's factor itself.
                (
                    "rope.scaling.attn_factor",
                    Entry::Real((attention_factor / RotaryScaling::yarn_factor(factor)) as f32),
                ),
            ]),
            _ => entries.push(("rope.scaling.type", Entry::Text("none".into()))),
        }
        entries.into_iter().map(|(key, entry)| (format!("{}.{key}", self.name()), entry)).collect()
    }

    /// Give a tensor of a folder its name here, and the arrangement.
    pub fn rename(&self, tensor: &mut Written) {
        let layer = tensor.name.strip_prefix("model.layers.").and_then(|rest| {
            let (number, rest) = rest.split_once('.')?;
            let (part, kind) = rest.rsplit_once('.')?;
            Some((number.to_string(), part.to_string(), kind.to_string()))
        });
        let Some((number, part, kind)) = layer else {
            let (part, kind) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, "weight"));
            let part = match part {
                "model.embed_tokens" => "token_embd",
                "model.norm" => "output_norm",
                "lm_head" => "output",
                other => other,
            };
            tensor.name = format!("{part}.{kind}");
            return;
        };
        let name = match part.as_str() {
            "input_layernorm" => "attn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "post_attention_layernorm" => "ffn_norm",
            "mlp.gate_proj" => "ffn_gate",
            "mlp.up_proj" => "ffn_up",
            "mlp.down_proj" => "ffn_down",
            other => other,
        };
        if self.kind == Kind::Llama {
            match name {
                "attn_q" => interleave(&mut tensor.numbers, self.attention.heads, &tensor.shape),
                "attn_k" => interleave(&mut tensor.numbers, self.attention.groups(), &tensor.shape),
                _ => {}
            }
        }
        tensor.name = format!("blk.{number}.{name}.{kind}");
    }

    /// Tensors that are not in folders.
    pub fn more(&self) -> Vec<Written> {
        if !is_written_as_divisors(self.attention.rotary.scaling) {
            return Vec::new();
        }
        let head = self.attention.width_of_head(self.config.width);
        let frequencies = |rotary: RotaryConfig| rotary.frequencies(head, self.config.context).0;
        let plain = RotaryConfig { scaling: RotaryScaling::None, ..self.attention.rotary };
        let pairs = frequencies(plain).into_iter().zip(frequencies(self.attention.rotary));
        let numbers: Vec<f32> = pairs.map(|(plain, scaled)| (plain / scaled) as f32).collect();
        vec![Written {
            name: "rope_freqs.weight".into(),
            shape: vec![numbers.len()],
            numbers,
            format: crate::folder::NumberFormat::F32,
        }]
    }
}

/// Whether the frequencies are told by what the plain ones are divided by: llama.cpp makes Llama 3's so, and of yarn it reads neither
/// the turns at the ends of the blend nor that these are not rounded.
fn is_written_as_divisors(scaling: RotaryScaling) -> bool {
    match scaling {
        RotaryScaling::Llama3 { .. } => true,
        RotaryScaling::Yarn { fast_turns, slow_turns, truncate, .. } => {
            !truncate || fast_turns != 32.0 || slow_turns != 1.0
        }
        _ => false,
    }
}

/// Put the rows of each head, or the entries of a bias, so that what is rotated together are neighbours: `i` and `i + d/2` become
/// `2i` and `2i + 1`.
fn interleave(numbers: &mut [f32], heads: usize, shape: &[usize]) {
    let row: usize = shape[1..].iter().product();
    let half = shape[0] / heads / 2;
    for head in numbers.chunks_mut(2 * half * row) {
        let before = head.to_vec();
        for (pair, rows) in head.chunks_mut(2 * row).enumerate() {
            for (part, to) in rows.chunks_mut(row).enumerate() {
                let from = (part * half + pair) * row;
                to.copy_from_slice(&before[from..from + row]);
            }
        }
    }
}
