"""`mathesis eval` against llama.cpp's server on loopback.

    python3 real_server.py MATHESIS DATA WORK [SUITE ...]

For each suite: a whole run at 64 calls in flight; the same prompts sent by a bare client (64 kept connections, nothing
parsed, nothing kept), which is the fastest that the server can be driven; a run that is killed three times and gone on
with. WORK is a folder for all that is written. Needs random_model.py's and serve.py's packages.
"""

import asyncio
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
PORT, SLOTS, TOKENS = 8091, 64, 16
URL = f"http://127.0.0.1:{PORT}/v1"


def served():
    """How many tokens the server has written."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics").read().decode()
    return float(re.search(r"^llamacpp:tokens_predicted_total (\S+)", text, re.M)[1])


async def bare(prompts):
    queue, latencies = iter(prompts), []

    async def worker():
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        for prompt in queue:
            message = {"role": "user", "content": prompt}
            body = json.dumps({"model": "random", "messages": [message], "max_tokens": TOKENS, "temperature": 0})
            start = time.perf_counter()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                + str(len(body.encode())).encode() + b"\r\n\r\n" + body.encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert " 200 " in head.splitlines()[0], head
            await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
            latencies.append(time.perf_counter() - start)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(64)))
    return time.perf_counter() - start, latencies


def main(mathesis, data, work, *suites):
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    model = work / "random.gguf"
    subprocess.run([sys.executable, HERE / "random_model.py", model], check=True)
    server = subprocess.Popen([sys.executable, HERE / "serve.py", model, str(PORT), str(SLOTS)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout.readline().startswith("ready")
    try:
        for suite in suites or ("gsm8k", "mgsm"):
            measure(mathesis, data, work, suite)
    finally:
        server.terminate()


def measure(mathesis, data, work, suite):
    def command(name):
        return [mathesis, "eval", suite, "--model", f"openai:random@{URL}", "--data", data, "--set", f"max-tokens={TOKENS}",
                "--set", "temperature=0", "--concurrency", "64", "--calls", work / f"calls-{suite}-{name}",
                "--output", work / f"{suite}-{name}"]

    whole = command("whole")
    start = time.perf_counter()
    subprocess.run([*whole, "--quiet"], check=True)
    ours = time.perf_counter() - start
    records = [json.loads(line) for line in open(work / f"{suite}-whole" / "records.jsonl")]
    prompts = [record["prompt"] for record in records]
    theirs, latencies = asyncio.run(bare(prompts))
    n = len(prompts)
    print(f"{suite}: {n} problems; mathesis {ours:.2f} s ({n / ours:.1f}/s), bare client {theirs:.2f} s ({n / theirs:.1f}/s)"
          f": {(ours - theirs) / n * 1e3:+.2f} ms a request of {sorted(latencies)[n // 2] * 1e3:.0f} ms", flush=True)

    start = time.perf_counter()
    subprocess.run([*whole[:-1], work / f"{suite}-again", "--quiet"], check=True)
    print(f"  the same run again, nothing asked: {time.perf_counter() - start:.2f} s", flush=True)

    before, killed = served(), command("killed")
    for _ in range(3):
        run = subprocess.Popen([*killed, "--quiet"])
        time.sleep(ours / 5)
        run.send_signal(signal.SIGKILL)
        run.wait()
        text = subprocess.run([*killed, "--dry-run"], check=True, capture_output=True, text=True).stdout
        print("  killed;", re.search(r"(\d+) samples are there already", text)[0], flush=True)
    subprocess.run([*killed, "--quiet"], check=True)
    resumed = [json.loads(line) for line in open(work / f"{suite}-killed" / "records.jsonl")]
    assert [record["id"] for record in resumed] == [record["id"] for record in records]
    spent = json.load(open(work / f"{suite}-killed" / "run.json"))["spent"]
    print(f"  gone on to the end: {len(resumed)} records; the server wrote {served() - before:.0f} tokens, "
          f"the run counts {spent['output_tokens']} in {spent['calls']} calls", flush=True)


main(*sys.argv[1:])
