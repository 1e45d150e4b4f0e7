"""Products of matrices in PyTorch on the processor, to set beside `cargo bench -p mathesis-algebra --bench number_formats`.

    python bench/number-formats/against_torch.py [threads]

prints the milliseconds of a 32-bit product and of `torch._int_mm` (8-bit integers, sums of 32 bits) for the shapes of LLaMA-2-7B at 1
and 128 tokens: the best on the clock, and the least processor time of all threads divided by their number. At one token each turn takes
another copy of the weights, so that they come from memory. The quantisation of the activations is not in the times of `_int_mm`.
"""

import sys
import time

import torch

SHAPES = [(4096, 4096), (11008, 4096), (4096, 11008)]


def best(work, seconds=1.5):
    """Best wall-clock and processor milliseconds of a turn."""
    work(0)
    clock, processor, turn, end = float("inf"), float("inf"), 0, time.perf_counter() + seconds
    while time.perf_counter() < end or turn < 3:
        turn += 1
        begin, used = time.perf_counter(), time.process_time()
        work(turn)
        clock = min(clock, time.perf_counter() - begin)
        processor = min(processor, time.process_time() - used)
    return 1e3 * clock, 1e3 * processor / torch.get_num_threads()


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; best / processor ms")
    torch.manual_seed(1)
    for out, inner in SHAPES:
        for tokens in (1, 128):
            copies = 4 if tokens == 1 else 1
            x = torch.randn(tokens, inner)
            dense = [torch.randn(out, inner) for _ in range(copies)]
            codes = torch.randint(-127, 128, (tokens, inner), dtype=torch.int8)
            # Four times as many copies of what is a quarter as large: both exceed the caches.
            weights = [torch.randint(-127, 128, (out, inner), dtype=torch.int8).t() for _ in range(4 * copies)]
            exact = codes.to(torch.int32) @ weights[0].to(torch.int32)
            assert torch.equal(torch._int_mm(codes, weights[0]), exact)
            single = best(lambda turn: torch.nn.functional.linear(x, dense[turn % copies]))
            whole = best(lambda turn: torch._int_mm(codes, weights[turn % len(weights)]))
            ratio = single[1] / whole[1]
            print(
                f"{out:5} x {inner:5}, {tokens:3}: f32 {single[0]:8.3f} / {single[1]:8.3f}   "
                f"int8 {whole[0]:8.3f} / {whole[1]:8.3f}   {ratio:5.2f} times f32",
                flush=True,
            )


if __name__ == "__main__":
    main()
