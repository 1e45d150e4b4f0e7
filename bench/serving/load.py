"""64 clients that ask `mathesis serve` for 10,000 answers: is any lost, does memory grow, how many a second?

    python load.py BASE_URL MODEL PID [--clients 64] [--requests 10000]

PID is the server's process, whose resident memory is read. Requests are chats of 24 drawn tokens at most, half of them streams,
with the official client and without its retries; every hundredth goes away in the middle of its stream, every hundredth is wrong.
"""

import argparse
import asyncio
import collections
import pathlib
import time
import urllib.request

import openai


def memory(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def processor(pid):
    """Seconds of processor time, all threads together."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def ask(client, model, number):
    """What became of a request."""
    create = lambda **more: client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": f"What is {number % 97} + {number % 89}?"}],
        temperature=1,
        seed=number,
        **{"max_tokens": 24, **more},
    )
    if number % 100 == 50:
        stream = await create(stream=True, max_tokens=100)
        async for _ in stream:
            await stream.close()
            return "gone away"
    if number % 100 == 75:
        try:
            await create(top_p=7)
        except openai.BadRequestError:
            return "refused"
        return "a wrong request was answered"
    if number % 2 == 0:
        reply = await create()
        return "answered" if reply.choices[0].finish_reason in ("stop", "length") else "without an end"
    end = None
    async for piece in await create(stream=True):
        end = piece.choices[0].finish_reason or end
    return "streamed" if end in ("stop", "length") else "without an end"


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("base")
    arguments.add_argument("model")
    arguments.add_argument("pid", type=int)
    arguments.add_argument("--clients", type=int, default=64)
    arguments.add_argument("--requests", type=int, default=10_000)
    given = arguments.parse_args()
    client = openai.AsyncOpenAI(base_url=given.base, api_key="none", max_retries=0, timeout=300)
    numbers, outcomes, seconds = iter(range(given.requests)), collections.Counter(), []
    start, used = time.perf_counter(), processor(given.pid)
    print(f"memory before: {memory(given.pid, 'VmRSS'):.1f} MiB", flush=True)

    async def one():
        for number in numbers:
            began = time.perf_counter()
            try:
                outcome = await ask(client, given.model, number)
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"
            seconds.append(time.perf_counter() - began)
            outcomes[outcome] += 1
            if outcomes.total() % (given.requests // 10) == 0:
                print(f"{outcomes.total():6} requests: {memory(given.pid, 'VmRSS'):.1f} MiB", flush=True)

    await asyncio.gather(*(one() for _ in range(given.clients)))
    elapsed = time.perf_counter() - start
    seconds.sort()
    print(f"greatest memory: {memory(given.pid, 'VmHWM'):.1f} MiB")
    print(f"{given.requests / elapsed:.1f} requests a second ({elapsed:.0f} s); server: {processor(given.pid) - used:.1f} s of processor time")
    print(f"seconds of a request: median {seconds[len(seconds) // 2]:.3f}, of 99 in 100 below {seconds[len(seconds) * 99 // 100]:.3f}")
    print(dict(outcomes))
    metrics = urllib.request.urlopen(given.base.removesuffix("/v1") + "/metrics").read().decode()
    print("\n".join(line for line in metrics.splitlines() if line.startswith(("mathesis_requests_total", "mathesis_running", "mathesis_waiting"))))


asyncio.run(main())
