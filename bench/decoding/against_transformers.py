"""How fast one answer is written, here and by transformers on PyTorch: python against_transformers.py MATHESIS MODEL

MATHESIS is the program and MODEL the folder of a model that transformers has too. Here the program is a server on loopback that is asked for one
and for 129 tokens; transformers generates as many in this process, greedily and with its cache. The difference is the time of 128 tokens; the two take
turns. First the texts in 32 bits are compared.
"""

import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from turns import PORTS, PROMPT, THREADS, compare_rates, seconds, serve, text, wait


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
            running.append(serve(program, folder, port, weights))
            wait(port)
            peer = Peer(folder, dtype)
            if weights == "f32":
                texts = [text(port, "here", 33), peer.text(33)]
                print("the same text in 32 bits" if texts[0] == texts[1] else f"OTHER TEXTS: {texts}")
            timed[f"Mathesis {weights}"] = lambda tokens, port=port: seconds(port, "here", tokens)
            timed[f"transformers {weights}"] = peer.seconds
        compare_rates(timed)
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
