"""How fast one answer is written, here and by transformers on PyTorch: python against_transformers.py MATHESIS MODEL

MATHESIS is the program and MODEL the folder of a model that transformers has too. Here the program is a server on loopback that is asked for one
and for 129 tokens; transformers generates as many in this process, greedily and with its cache. The difference is the time of 128 tokens; the two take
turns. First the texts in 32 bits are compared.
"""

import os
import statistics
import subprocess
import sys
import time

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from against_llama_cpp import PORTS, ROUNDS, TOKENS, seconds, text, wait

PROMPT = "The state of the union is"


class Peer:
    """A model of transformers."""

    def __init__(self, folder, dtype):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self.inputs = self.tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)

    def text(self, tokens):
        with torch.inference_mode():
            written = self.model.generate(**self.inputs, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)
        return self.tokenizer.decode(written[0, self.inputs["input_ids"].shape[1] :])

    def seconds(self, tokens):
        start = time.perf_counter()
        self.text(tokens)
        return time.perf_counter() - start


def main(program, folder):
    torch.set_num_threads(THREADS)
    timed, running = {}, []
    try:
        for weights, dtype in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
            port = next(PORTS)
            command = [program, "serve", folder, "--port", port, "--name", "here", "--weights", weights, "--threads", THREADS]
            running.append(
                subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            wait(port)
            peer = Peer(folder, dtype)
            if weights == "f32":
                texts = [text(port, "here", 33), peer.text(33)]
                print("the same text in 32 bits" if texts[0] == texts[1] else f"OTHER TEXTS: {texts}")
            timed[f"Mathesis {weights}"] = lambda tokens, port=port: seconds(port, "here", tokens)
            timed[f"transformers {weights}"] = peer.seconds
        rates = {label: [] for label in timed}
        for turn in range(ROUNDS + 1):
            for label, taken in timed.items():
                one, many = taken(1), taken(1 + TOKENS)
                if turn:
                    rates[label].append(TOKENS / (many - one))
        print(f"{TOKENS} tokens by turns, {THREADS} threads, tokens/s: best and median of {ROUNDS}")
        for label, found in rates.items():
            print(f"{label:18} {max(found):7.1f} {statistics.median(found):7.1f}")
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
