"""Serve a GGUF model with llama.cpp's own server on loopback: python3 serve.py model.gguf 8080 [slots]"""

import sys
import threading

import xllamacpp


def main(path, port, slots=64):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.port = int(port)
    params.hostnames = ["127.0.0.1"]
    params.n_parallel = int(slots)
    params.n_ctx = 4096 * int(slots)
    params.cpuparams.n_threads = 2
    params.n_threads_http = 80
    params.warmup = False
    # The same prompts come several times: none is to be quicker for that.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    print("ready", server.listening_address, flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
