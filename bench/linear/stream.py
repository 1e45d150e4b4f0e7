"""The rate at which this machine moves memory: a copy of two large arrays of NumPy on each core at once (read + write counted)."""

import sys
import threading
import time

import numpy as np

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
SIZE = 16 << 20  # float64 numbers: 128 MiB, beyond any cache


def main():
    pairs = [(np.ones(SIZE), np.zeros(SIZE)) for _ in range(THREADS)]
    best = 0.0
    for _ in range(8):
        threads = [threading.Thread(target=np.copyto, args=(target, source)) for source, target in pairs]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        best = max(best, THREADS * 2 * 8 * SIZE / (time.perf_counter() - start) / 1e9)
    print(f"{best:.1f} GB/s, copying on {THREADS} threads")


if __name__ == "__main__":
    main()
