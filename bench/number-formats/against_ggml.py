"""Products of matrices in ggml, the library of llama.cpp, to set beside `cargo bench -p mathesis-algebra --bench number_formats`.

    python bench/number-formats/against_ggml.py [threads]

prints, for each format of the weights, the best and the median of the microseconds that a product with 32-bit activations takes at 1
and 128 tokens, the rounding of activations with it. The products of one turn are one graph, whose threads stay awake from the first to
the last, and walk over copies of the weights that exceed the caches at one token. Needs the package xllamacpp, whose library has
ggml's functions.
"""

import ctypes
import glob
import os
import statistics
import sys
import time

import numpy
import xllamacpp

SHAPES = [(6912, 2560), (32000, 2560), (4096, 4096), (11008, 4096), (4096, 11008)]
# Numbers of ggml's types.
FORMATS = {"F32": 0, "F16": 1, "Q8_0": 8, "Q4_0": 2, "TQ2_0": 35, "TQ1_0": 34}
SINGLE = FORMATS["F32"]
COLD = 256 << 20
GRAPH = 512


class Room(ctypes.Structure):
    """What a context is made with."""

    _fields_ = [("bytes", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("empty", ctypes.c_bool)]


def library():
    folder = os.path.dirname(xllamacpp.__file__)
    ggml = ctypes.CDLL(glob.glob(os.path.join(folder, "*.so"))[0])
    pointer, whole, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    for name, result, arguments in [
        ("ggml_init", pointer, [Room]),
        ("ggml_free", None, [pointer]),
        ("ggml_new_tensor_2d", pointer, [pointer, ctypes.c_int, whole, whole]),
        ("ggml_get_data", pointer, [pointer]),
        ("ggml_nbytes", size, [pointer]),
        ("ggml_mul_mat", pointer, [pointer, pointer, pointer]),
        ("ggml_new_graph_custom", pointer, [pointer, size, ctypes.c_bool]),
        ("ggml_build_forward_expand", None, [pointer, pointer]),
        ("ggml_graph_compute_with_ctx", ctypes.c_int, [pointer, pointer, ctypes.c_int]),
        ("ggml_quantize_chunk", size, [ctypes.c_int, pointer, pointer, whole, whole, whole, pointer]),
    ]:
        function = getattr(ggml, name)
        function.restype, function.argtypes = result, arguments
    return ggml


def measure(ggml, kind, out, inner, tokens, threads, random):
    weights = random.standard_normal((out, inner), dtype=numpy.float32)
    if kind in (FORMATS["TQ2_0"], FORMATS["TQ1_0"]):
        weights = numpy.sign(weights) * (numpy.abs(weights) > 0.5).astype(numpy.float32)
    rows = random.standard_normal((tokens, inner), dtype=numpy.float32)
    context = ggml.ggml_init(Room(3 << 30, None, False))
    first = ggml.ggml_new_tensor_2d(context, kind, inner, out)
    data, size = ggml.ggml_get_data(first), ggml.ggml_nbytes(first)
    if kind == SINGLE:
        ctypes.memmove(data, weights.ctypes.data, size)
    else:
        assert ggml.ggml_quantize_chunk(kind, weights.ctypes.data, data, 0, out, inner, None) == size
    copies = [first]
    while tokens == 1 and len(copies) * size < COLD:
        copy = ggml.ggml_new_tensor_2d(context, kind, inner, out)
        ctypes.memmove(ggml.ggml_get_data(copy), data, size)
        copies.append(copy)
    activations = ggml.ggml_new_tensor_2d(context, SINGLE, inner, tokens)
    ctypes.memmove(ggml.ggml_get_data(activations), rows.ctypes.data, rows.nbytes)
    graph = ggml.ggml_new_graph_custom(context, GRAPH, False)
    products = [ggml.ggml_mul_mat(context, copy, activations) for copy in copies]
    for product in products:
        ggml.ggml_build_forward_expand(graph, product)
    assert ggml.ggml_graph_compute_with_ctx(context, graph, threads) == 0
    given = numpy.ctypeslib.as_array(
        ctypes.cast(ggml.ggml_get_data(products[0]), ctypes.POINTER(ctypes.c_float)), (tokens, out)
    )
    exact = rows @ weights.T
    error = numpy.sqrt(numpy.mean((given - exact) ** 2) / numpy.mean(exact**2))
    assert error < 0.15, error
    times, end = [], time.perf_counter() + 1.5
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        # Takes a little of the context's memory for its plan each time.
        assert ggml.ggml_graph_compute_with_ctx(context, graph, threads) == 0
        times.append((time.perf_counter() - begin) / len(copies))
        if len(times) > 500:
            break
    ggml.ggml_free(context)
    return 1e6 * min(times), 1e6 * statistics.median(times), size / min(times) / 1e9


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    ggml, random = library(), numpy.random.default_rng(1)
    for out, inner in SHAPES:
        for tokens in (1, 128):
            for name, kind in FORMATS.items():
                best, median, rate = measure(ggml, kind, out, inner, tokens, threads, random)
                print(
                    f"{out:5} x {inner:5}, {tokens:3}: {name:5} {best:9.1f} / {median:9.1f} µs, {rate:5.1f} GB/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
