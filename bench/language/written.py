"""What transformers makes of the checkpoints that the example `parity` has written, against reference.json.

    python written.py FOLDER
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast


def main(folder):
    transformers.logging.set_verbosity_error()
    worst = 0.0
    print(f"{'case':24} {'class':22} {'logits':>9}  tokens  chats")
    for path in sorted(folder.glob("*/written")):
        reference = json.loads((path.parent / "reference.json").read_text())
        model, report = AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        wrong = [key for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report.get(key)]
        if wrong:
            sys.exit(f"{path}: {report}")
        with torch.no_grad():
            logits = model.eval()(torch.tensor([reference["tokens"]])).logits[0]
        difference = (logits - torch.tensor(reference["logits"])).abs().max().item()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        tokens = tokenizer(reference["prompt"])["input_ids"] == reference["prompt_tokens"]
        chats = all(
            tokenizer.apply_chat_template(chat["messages"], tokenize=False, add_generation_prompt=chat["answer"]) == chat["text"]
            for chat in reference["chats"]
        )
        print(f"{path.parent.name:24} {type(model).__name__:22} {difference:9.1e}  {tokens!s:6}  {chats}")
        if difference > 1e-4 or not tokens or not chats:
            sys.exit("not the same")
        worst = max(worst, difference)
    print(f"the largest difference of a logit: {worst:.1e}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
