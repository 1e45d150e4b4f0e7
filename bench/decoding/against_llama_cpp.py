"""How fast one answer is written, here and by llama.cpp, asked in the same way: python against_llama_cpp.py MATHESIS MODEL

MATHESIS is the program and MODEL the folder of a model that llama.cpp has too. Every program is a server on loopback that is
asked, by turns, for one and for 129 tokens; the difference is the time of 128 tokens. First the texts in 32 bits are compared.
"""

import pathlib
import subprocess
import sys
import tempfile

from turns import PORTS, THREADS, compare_rates, seconds, serve, text, wait

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


def main(program, model):
    with tempfile.TemporaryDirectory() as folder:
        compare(program, pathlib.Path(model), pathlib.Path(folder))


def compare(program, model, folder):
    servers, running = [], []
    for weights in ["f32", "bf16", "int8"]:
        port = next(PORTS)
        running.append(serve(program, model, port, weights))
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
        compare_rates({label: lambda tokens, asked=(port, name): seconds(*asked, tokens) for label, name, port in servers})
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
