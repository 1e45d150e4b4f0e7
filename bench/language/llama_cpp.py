"""GGUF files against llama.cpp: tokens of prompts, greedy text, logarithms of probabilities.

    python llama_cpp.py FOLDER

FOLDER is what the example `gguf_parity` wrote. For each file llama.cpp's server is started on loopback in a process of its own.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import urllib.request

PORT = 8097

SERVER = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port, params.hostnames, params.n_parallel, params.n_ctx = int(sys.argv[2]), ["127.0.0.1"], 1, 256
params.cpuparams.n_threads = 1
params.warmup, params.cache_prompt, params.cache_ram_mib = False, False, 0
# In 32 bits, as here: keys and values in 16 would be another model.
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(params)
print("ready", flush=True)
threading.Event().wait()
"""


def ask(path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.loads(urllib.request.urlopen(request, timeout=60).read())


def compare(file, reference):
    """Whether prompts are the same tokens, how many answers are the same, and the greatest difference of a logarithm."""
    log = open(file.with_suffix(".log"), "w")
    server = subprocess.Popen([sys.executable, "-c", SERVER, file, str(PORT)], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        while (line := server.stdout.readline()) and "ready" not in line:
            pass
        if not line:
            return "does not load", 0, 0, 0, float("nan")
        same_prompts, same, tokens, difference = True, 0, 0, 0.0
        for case in reference["cases"]:
            given = ask("/tokenize", {"content": case["prompt"], "add_special": True, "parse_special": True})
            same_prompts &= given["tokens"] == case["prompt_tokens"]
            answer = ask(
                "/completion",
                {
                    "prompt": case["prompt_tokens"], "n_predict": 48, "temperature": 0, "top_k": 1, "n_probs": 1,
                    "return_tokens": True, "cache_prompt": False, "seed": 1,
                },
            )
            same += answer["content"] == case["text"]
            pairs = zip(answer["tokens"], case["tokens"], case["log_probabilities"])
            known = [value for token, other, value in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
            tokens += len(known)
            # There is an entry only for tokens that end a character.
            place = 0
            for entry in answer["completion_probabilities"]:
                while place < len(known) and answer["tokens"][place] != entry["id"]:
                    place += 1
                if place == len(known):
                    break
                difference = max(difference, abs(entry["logprob"] - known[place]))
                place += 1
        return "same" if same_prompts else "OTHERS", same, len(reference["cases"]), tokens, difference
    finally:
        server.kill()
        server.wait()
        log.close()


def main(folder):
    fine = True
    print("| case | weights | tokens of prompts | same texts | same tokens | greatest difference of a logarithm |")
    print("|---|---|---|---:|---:|---:|")
    for case in sorted(path.parent for path in folder.glob("*/reference.json")):
        reference = json.loads((case / "reference.json").read_text())
        count = sum(len(one["tokens"]) for one in reference["cases"])
        for weights in ("f32", "bf16", "f16", "q8-0"):
            prompts, same, texts, tokens, difference = compare(case / f"{weights}.gguf", reference)
            print(f"| `{case.name}` | {weights} | {prompts} | {same} of {texts} | {tokens} of {count} | {difference:.1e} |", flush=True)
            if weights == "f32":
                fine &= prompts == "same" and tokens == count
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
