"""A small random Llama whose tokenizer is as those of Llama 2 and Mistral, for `gguf_parity` to export.

    python marks.py FOLDER

Spaces are marks, bytes have names, and every pair that makes a token is a merge, as the ecosystem converts SentencePiece models.
"""

import json
import pathlib
import sys

import numpy
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

TEXT = [
    "On a farm there are geese and goats, with 42 heads and 140 legs. How many goats are there?",
    "for i in range(10): print(i ** 2)  # it's 'quoted', and the number of the heads is the number of the legs",
    "naïve façade, Größe; the sum of two even numbers is even, and so is their product",
]
WIDTH, LAYERS, HEADS, INNER = 64, 2, 4, 96


def tokenizer():
    marks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = marks
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    learnt.train_from_iterator(TEXT * 20, trainers.BpeTrainer(vocab_size=420, special_tokens=special))
    vocabulary = learnt.get_vocab()
    # The order in which tokens were learnt is their order.
    merges = []
    for token in sorted((token for token in vocabulary if token not in special), key=vocabulary.get):
        for place in range(1, len(token)):
            left, right = token[:place], token[place:]
            if left in vocabulary and right in vocabulary:
                merges.append((left, right))
    made = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = marks
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def main(folder):
    folder.mkdir(parents=True)
    made = tokenizer()
    made.save(str(folder / "tokenizer.json"))
    count = made.get_vocab_size()
    config = dict(
        model_type="llama", vocab_size=count, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=256, rms_norm_eps=1e-5,
        eos_token_id=2, bos_token_id=1,
    )
    (folder / "config.json").write_text(json.dumps(config))
    random = numpy.random.default_rng(1)
    matrix = lambda *shape: random.normal(0, 0.15, shape).astype(numpy.float32)
    norm = lambda: 1 + random.normal(0, 0.1, WIDTH).astype(numpy.float32)
    tensors = {"model.embed_tokens.weight": matrix(count, WIDTH), "model.norm.weight": norm(), "lm_head.weight": matrix(count, WIDTH)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}."
        tensors |= {f"{block}{name}.weight": norm() for name in ("input_layernorm", "post_attention_layernorm")}
        tensors |= {f"{block}self_attn.{part}_proj.weight": matrix(WIDTH, WIDTH) for part in "qkvo"}
        tensors |= {f"{block}mlp.{part}_proj.weight": matrix(INNER, WIDTH) for part in ("gate", "up")}
        tensors[f"{block}mlp.down_proj.weight"] = matrix(WIDTH, INNER)
    save_file({name: tensor.astype(numpy.float32) for name, tensor in tensors.items()}, folder / "model.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
