"""What the comparisons of decoding have in common: a server of this project, what it is asked, and turns of several programs."""

import json
import statistics
import subprocess
import time
import urllib.request

THREADS = 2
TOKENS = 128
ROUNDS = 5
PORTS = iter(range(8151, 8199))
PROMPT = "The state of the union is"


def serve(program, model, port, weights):
    command = [program, "serve", model, "--port", port, "--name", "here", "--weights", weights, "--threads", THREADS]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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
    body = {"model": name, "prompt": PROMPT, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
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


def compare_rates(timed):
    """Prints tokens a second, from functions by their labels that take the seconds of so many tokens."""
    rates = {label: [] for label in timed}
    for turn in range(ROUNDS + 1):
        for label, taken in timed.items():
            one, many = taken(1), taken(1 + TOKENS)
            if turn:
                rates[label].append(TOKENS / (many - one))
    print(f"{TOKENS} tokens by turns, {THREADS} threads, tokens/s: best and median of {ROUNDS}")
    for label, found in rates.items():
        print(f"{label:18} {max(found):7.1f} {statistics.median(found):7.1f}")
