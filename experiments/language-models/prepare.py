"""Texts and training files of the comparison of mixers: python3 prepare.py DATA FOLDER

DATA holds us-speeches.txt and war-and-peace-pg2600.txt (public domain). The first nine tenths of both are trained on; the last
tenth of the speeches is the validation, and the last tenth of the novel is for perplexity by position. Every model has 256
channels, six layers and some 5.8 million parameters, a vocabulary of 4,096, and reads 8 rows of 512 tokens a step.
"""

import pathlib
import sys

RATE = 2e-3
STEPS = 488  # 2.0 million tokens

ATTENTION = '{ kind = "attention", heads = 4 }'
BOTH_SIDES = '{ kind = "attention", heads = 4, causal = false }'
GATED = '{ kind = "gated-linear-attention", heads = 4 }'
UNIT = '{ kind = "linear-gated-recurrent-unit" }'
SWIGLU = '{ kind = "swiglu", hidden = 688 }'
GEGLU = '{ kind = "geglu", hidden = 2048 }'
DIAGONAL = "channel-linear = { block-diagonal = { blocks = 4 } }"


def gated(gate):
    return f'{{ kind = "gated-linear-attention", heads = 4, gate = {gate} }}'


def monarch(causal):
    return f'{{ kind = "monarch", longest = 512, causal = {causal} }}'


# Also trained on 5.0 million tokens.
LONG = ["attention", "gla", "hybrid-unit", "unit", "unit-ternary"]
LONG_STEPS = 1221

# Name: blocks of (repeat, mixer, channel layer, further keys), and whether tokens are hidden instead of predicted.
MODELS = {
    "attention": ([(6, ATTENTION, SWIGLU, "")], False),
    "gla": ([(6, GATED, SWIGLU, "")], False),
    "gla-head-gate": ([(6, gated("{ head = { normaliser = 16.0 } }"), SWIGLU, "")], False),
    "gla-fixed": ([(6, gated('"fixed"'), SWIGLU, "")], False),
    "gla-none": ([(6, gated('"none"'), SWIGLU, "")], False),
    "gla-short": ([(6, GATED[:-2] + ", short-convolution = 4 }", SWIGLU, "")], False),
    "unit": ([(6, UNIT, SWIGLU, "")], False),
    "unit-ternary": ([(6, UNIT, SWIGLU, 'linear = "ternary"')], False),
    "monarch": ([(6, monarch("true"), GEGLU, DIAGONAL)], False),
    "hybrid": ([(2, GATED, SWIGLU, ""), (1, ATTENTION, SWIGLU, "")] * 2, False),
    "hybrid-unit": ([(2, UNIT, SWIGLU, ""), (1, ATTENTION, SWIGLU, "")] * 2, False),
    "masked-attention": ([(6, BOTH_SIDES, SWIGLU, "")], True),
    "masked-monarch": ([(6, monarch("false"), GEGLU, DIAGONAL)], True),
}
SWEEP = ["unit", "unit-ternary"]
SWEEP_RATES = [3e-4, 1e-3, 2e-3, 4e-3, 7e-3, 1e-2]
SWEEP_STEPS = 122  # 0.5 million tokens


def plan(name, model, rate, steps):
    blocks, masked = model
    lines = [
        f'title = "Comparison of mixers: {name}"',
        "[language-model]",
        f'folder = "models/{name}"',
        "[language-model.data]",
        'kind = "files"',
        'files = ["texts/speeches-training.txt", "texts/novel-training.txt"]',
        'validation-files = ["texts/speeches-validation.txt"]',
        "time = 512",
        "batch = 8",
        *(["masking = {}"] if masked else []),
        "[language-model.tokenizer]",
        'kind = "bpe"',
        "vocabulary = 4096",
        "[language-model.model]",
        "width = 256",
        "tied = true",
    ]
    for repeat, mixer, channel, more in blocks:
        lines += ["[[language-model.model.blocks]]", f"repeat = {repeat}", f"mixer = {mixer}", f"channel = {channel}"]
        lines += [more] if more else []
    lines += [
        "[language-model.training]",
        f"steps = {steps}",
        "validation-every = 122",
        "validation-batches = 1000",
        "checkpoint-every = 200",
        f'schedule = {{ course = "cosine", peak = {rate:g}, warmup = {min(100, steps // 5)} }}',
    ]
    return "\n".join(lines) + "\n"


def main(data, folder):
    data, folder = pathlib.Path(data), pathlib.Path(folder)
    texts = folder / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    speeches = (data / "us-speeches.txt").read_text(encoding="utf-8")
    novel = (data / "war-and-peace-pg2600.txt").read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    lines = novel.splitlines(keepends=True)
    borders = [number for number, line in enumerate(lines) if line.startswith("***")]
    novel = "".join(lines[borders[0] + 1 : borders[-1]])
    for name, text, rest in [("speeches", speeches, "validation"), ("novel", novel, "held-out")]:
        cut = text.rindex("\n", 0, len(text) * 9 // 10) + 1
        (texts / f"{name}-training.txt").write_text(text[:cut], encoding="utf-8")
        (texts / f"{name}-{rest}.txt").write_text(text[cut:], encoding="utf-8")
    for name, model in MODELS.items():
        (folder / f"{name}.toml").write_text(plan(name, model, RATE, STEPS))
    for name in LONG:
        label = f"{name}-long"
        (folder / f"{label}.toml").write_text(plan(label, MODELS[name], RATE, LONG_STEPS))
    for name in SWEEP:
        for rate in SWEEP_RATES:
            label = f"{name}-{rate:g}"
            (folder / f"{label}.toml").write_text(plan(label, MODELS[name], rate, SWEEP_STEPS))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
