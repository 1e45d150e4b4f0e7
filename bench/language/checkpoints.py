"""Small checkpoints with random weights, made by transformers, and what transformers makes of them.

    python checkpoints.py FOLDER

Every case becomes FOLDER/CASE with a model, a tokenizer, a chat template and reference.json: tokens with the logits after each
of them, a prompt with its greedy continuation, and chats as text.
"""

import json
import pathlib
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY = 384
TEXT = [
    "The sum of two even numbers is even, and so is their product.",
    "If a line meets a circle in one point, it is perpendicular to the radius at that point.",
    "Let x be a real number with x^2 - 5x + 6 = 0; then x = 2 or x = 3.",
    "naïve façade, Größe, 数学は楽しい, 🧮 and \t tabs,\nnew lines",
    "for i in range(10): print(i ** 2)",
]
PROMPT = "If x = 3, then the sum of x^2 and 5 is"
CHATS = [
    [{"role": "user", "content": "What is 7 + 5?"}],
    [
        {"role": "system", "content": "Be brief.\nUse digits."},
        {"role": "user", "content": "  What is 7 + 5?  "},
        {"role": "assistant", "content": "12"},
        {"role": "user", "content": "And 数学 \"quoted\"?"},
    ],
]
# Our own, in the manner of the published ones: markers of turns, and brackets of instructions.
TURNS = """\
{% for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{% endif %}
"""
BRACKETS = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"].strip() %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in rest %}
    {%- if (message["role"] == "user") != (loop.index0 % 2 == 0) %}
        {{- raise_exception("turns must alternate") }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system is defined %}
            {{- "[INST] " + system + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- "[INST] " ~ message["content"] | tojson ~ " [/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
"""
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]


def byte_level():
    """As the tokenizers of GPT-2, Llama 3 and Qwen2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def byte_fallback():
    """As the tokenizers of Llama 2 and Mistral: spaces are marks, a token begins every text, unknown characters are bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, limit_alphabet=60)
    tokenizer.train_from_iterator(TEXT[:3], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def cases():
    small = dict(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.15,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
    )
    larger = dict(
        small, hidden_size=256, intermediate_size=688, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=4,
        initializer_range=0.06,
    )
    scaled = lambda **rope: dict(small, rope_parameters=dict(rope_theta=10000.0, **rope))
    yield "llama", LlamaForCausalLM(LlamaConfig(**small)), {}
    yield "llama-larger", LlamaForCausalLM(LlamaConfig(**larger)), {}
    yield "llama-tied", LlamaForCausalLM(LlamaConfig(**dict(small, num_key_value_heads=4, tie_word_embeddings=True))), {}
    yield "llama-biases", LlamaForCausalLM(LlamaConfig(**small, attention_bias=True, mlp_bias=True)), {}
    yield "llama-wide-heads", LlamaForCausalLM(LlamaConfig(**small, head_dim=48)), {}
    yield "llama-sharded", LlamaForCausalLM(LlamaConfig(**small)), dict(max_shard_size="150KB")
    yield "llama-bf16", LlamaForCausalLM(LlamaConfig(**small)).to(torch.bfloat16), {}
    yield "llama-f16", LlamaForCausalLM(LlamaConfig(**small)).to(torch.float16), {}
    yield "llama-linear", LlamaForCausalLM(LlamaConfig(**scaled(rope_type="linear", factor=3.0))), {}
    yield "llama-dynamic", LlamaForCausalLM(LlamaConfig(**dict(scaled(rope_type="dynamic", factor=2.0), max_position_embeddings=64))), {}
    llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
    yield "llama-3", LlamaForCausalLM(LlamaConfig(**scaled(rope_type="llama3", **llama3))), {}
    yarn = dict(factor=4.0, original_max_position_embeddings=32)
    yield "llama-yarn", LlamaForCausalLM(LlamaConfig(**scaled(rope_type="yarn", **yarn))), {}
    more = dict(yarn, beta_fast=16.0, beta_slow=2.0, mscale=0.7, mscale_all_dim=1.4, truncate=False)
    yield "llama-yarn-2", LlamaForCausalLM(LlamaConfig(**scaled(rope_type="yarn", **more))), {}
    yield "qwen2", Qwen2ForCausalLM(Qwen2Config(**small)), {}
    yield "qwen2-tied", Qwen2ForCausalLM(Qwen2Config(**dict(larger, tie_word_embeddings=True, rms_norm_eps=1e-5))), {}
    windows = dict(use_sliding_window=True, sliding_window=7, max_window_layers=1)
    yield "qwen2-windows", Qwen2ForCausalLM(Qwen2Config(**small, **windows)), {}
    yield "mistral", MistralForCausalLM(MistralConfig(**dict(small, sliding_window=None))), {}
    yield "mistral-window", MistralForCausalLM(MistralConfig(**dict(small, sliding_window=9, head_dim=16))), {}


def shake(model):
    """Norms and biases are not ones and zeros in trained models."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))


def main(folder):
    transformers.logging.set_verbosity_error()
    folder.mkdir(parents=True)
    for number, (name, model, options) in enumerate(cases()):
        torch.manual_seed(number)
        shake(model)
        path = folder / name
        mistral = name.startswith("mistral")
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=byte_fallback() if mistral else byte_level(),
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            chat_template=BRACKETS if mistral else TURNS,
        )
        model.save_pretrained(path, **options)
        tokenizer.save_pretrained(path)
        # As any other program would load it; the reference is in single precision.
        model = type(model).from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
        # AutoTokenizer would replace parts of the file by those of the published Qwen2.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        # Beyond the context only to see that the frequencies change.
        length = 100 if name == "llama-dynamic" else 60
        tokens = torch.randint(0, VOCABULARY, (1, length), generator=torch.Generator().manual_seed(number))
        prompt = tokenizer(PROMPT, return_tensors="pt")
        with torch.no_grad():
            logits = model(tokens).logits[0]
            answer = model.generate(**prompt, max_new_tokens=24, do_sample=False)
        answer = answer[0, prompt["input_ids"].shape[1] :].tolist()
        ended = 1 in answer
        text = tokenizer.decode(answer[: answer.index(1)] if ended else answer, skip_special_tokens=True)
        reference = dict(
            tokens=tokens[0].tolist(),
            logits=logits.tolist(),
            prompt=PROMPT,
            prompt_tokens=prompt["input_ids"][0].tolist(),
            answer=text,
            chats=[
                dict(messages=chat, answer=flag, text=tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=flag))
                for chat in CHATS
                for flag in (False, True)
            ],
        )
        (path / "reference.json").write_text(json.dumps(reference))
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
