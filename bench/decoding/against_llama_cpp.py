"""How fast one answer is written, here and by llama.cpp, asked in the same way: python against_llama_cpp.py MATHESIS MODEL

MATHESIS is the program and MODEL the folder of a model that llama.cpp has too. Every program is a server on loopback that is
asked, by turns, for one and for 129 tokens; the difference is the time of 128 tokens. First the texts in 32 bits are compared.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

THREADS = 2
TOKENS = 128
ROUNDS = 5
PORTS = iter(range(8151, 8199))

LLAMA = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port, params.hostnames, params.n_parallel, params.n_ctx = int(sys.argv[2]), ["127.0.0.1"], 1, 512
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[3])
params.cache_prompt, params.cache_ram_mib = False, 0
server = xllamacpp.Server(params)
print("ready", flush=True)
threading.Event().wait()
"""


def ask(port, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.loads(urllib.request.urlopen(request, timeout=120).read())


def wait(port):
    for _ in range(600):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def text(port, name, tokens):
    body = {"model": name, "prompt": "The state of the union is", "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    if name == "here":
        del body["ignore_eos"]
    answer = ask(port, body)
    written = answer["usage"]["completion_tokens"]
    if written != tokens:
        raise SystemExit(f"{name}: {written} tokens instead of {tokens}")
    return answer["choices"][0]["text"]


def seconds(*asked):
    start = time.perf_counter()
    text(*asked)
    return time.perf_counter() - start


def main(program, model):
    with tempfile.TemporaryDirectory() as folder:
        compare(program, pathlib.Path(model), pathlib.Path(folder))


def compare(program, model, folder):
    servers, running = [], []
    for weights in ["f32", "bf16", "int8"]:
        port = next(PORTS)
        command = [program, "serve", model, "--port", port, "--name", "here", "--weights", weights, "--threads", THREADS]
        running.append(subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        servers.append((f"Mathesis {weights}", "here", port))
    for weights in ["f32", "f16", "q8-0"]:
        port, file = next(PORTS), folder / f"{weights}.gguf"
        subprocess.run([program, "export", model, file, "--weights", weights], check=True, stdout=subprocess.DEVNULL)
        command = [sys.executable, "-c", LLAMA, file, port, THREADS]
        running.append(subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        servers.append((f"llama.cpp {weights}", "peer", port))
    try:
        for _, _, port in servers:
            wait(port)
        texts = [text(port, name, 33) for label, name, port in servers if label.endswith("f32")]
        print("the same text in 32 bits" if texts[0] == texts[1] else f"OTHER TEXTS: {texts}")
        rates = {label: [] for label, _, _ in servers}
        for turn in range(ROUNDS + 1):
            for label, name, port in servers:
                one, many = seconds(port, name, 1), seconds(port, name, 1 + TOKENS)
                if turn:
                    rates[label].append(TOKENS / (many - one))
        print(f"{TOKENS} tokens by turns, {THREADS} threads, tokens/s: best and median of {ROUNDS}")
        for label, found in rates.items():
            print(f"{label:16} {max(found):7.1f} {statistics.median(found):7.1f}")
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
