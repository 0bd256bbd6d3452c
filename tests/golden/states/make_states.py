"""Writes the golden states, by docs/internals/formats.md alone: no line of the TypeScript codec is used.

python make_states.py    # beside this file; needs nothing but Python
"""

import pathlib
import random
import struct

LAYERS, WIDTH, HEAD = 2, 16, 8
FOLDER = pathlib.Path(__file__).parent


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def pack(letter, numbers):
    return struct.pack(f"<{len(numbers)}{letter}", *numbers)


def make_numbers():
    rng = random.Random(5)
    gauss = lambda n, size: [rng.gauss(0, size) for _ in range(n)]
    # Rows of the WKV matrix that are hard in some way.
    hard = [
        [0.0] * HEAD,
        [-0.0, 0.0] * (HEAD // 2),
        [1e-3, -65504.0, 2.5, -1.0, 0.0, -0.0, 257.0, -258.0],
        [0.1] * HEAD,
        [-0.1] * HEAD,
        gauss(HEAD, 1e-7),
        gauss(HEAD, 1e-40),
        [2.0**-25, -(2.0**-26), 0, 0, 0, 0, 0, 0],
        [2.0**-25 * 1.001, -(2.0**-25), 0, 0, 0, 0, 0, 0],
        [127.5 * 2.0**-20, 63.5 * 2.0**-20, -1.0 * 2.0**-20, 0.5 * 2.0**-20, 0, 0, 0, 0],
        [127.4 * 2.0**-20, 1.5 * 2.0**-20, 2.5 * 2.0**-20, -1.5 * 2.0**-20, 0, 0, 0, 0],
        [127 * 2.0**-14, -1e-4, 3e-5, 0, 0, 0, 0, 0],
        [127.2 * 2.0**-14, -1e-4, 3e-5, 0, 0, 0, 0, 0],
        gauss(HEAD, 2e-3),
        [127.0, 0.5, 1.5, -0.5, -1.5, 2.5, 126.5, -126.5],
    ]
    hard += [gauss(HEAD, 30)] * (WIDTH - len(hard))
    shifts = [65504.0, -65504.0, 2049.0, 2051.0, -2049.0, 2.0**-14, 2.0**-15, 3 * 2.0**-25, 2.0**-25]
    shifts += [2.0**-26, -0.0, 1e-41, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1.0, 1 / 3]
    layers = [
        (gauss(WIDTH, 1), [gauss(HEAD, 4.0 ** rng.uniform(-4, 3)) for _ in range(WIDTH)], gauss(WIDTH, 1)),
        (shifts, hard, gauss(WIDTH, 5)),
    ]
    return [
        f32(x)
        for att_prev, rows, ffn_prev in layers
        for part in (att_prev, *rows, ffn_prev)
        for x in part
    ]


def scale_of(row):
    largest = max(abs(x) for x in row)
    if largest / 127 > 2.0**-14:
        return f16(min(f32(largest / 127), 515.5))
    if largest <= 2.0**-25:
        return 0.0
    return min(2.0**e for e in range(-24, -13) if largest < 127.5 * 2.0**e)


def header(codec):
    return b"RWKS" + struct.pack("<HHIII", 2, codec, LAYERS, WIDTH, HEAD)


def split(numbers):
    """Yields, for each layer, att_prev, the rows of the WKV matrix, and ffn_prev."""
    length = WIDTH * (HEAD + 2)
    for start in range(0, LAYERS * length, length):
        layer = numbers[start : start + length]
        wkv = layer[WIDTH:-WIDTH]
        yield layer[:WIDTH], [wkv[i : i + HEAD] for i in range(0, len(wkv), HEAD)], layer[-WIDTH:]


def q8(numbers):
    """The body, and the numbers that it stands for."""
    halves, codes, decoded = [], [], []
    for att_prev, rows, ffn_prev in split(numbers):
        scales = [scale_of(row) for row in rows]
        # Python's round takes ties to even.
        layer = [round(x * (1 / s)) if s else 0 for row, s in zip(rows, scales) for x in row]
        assert all(-127 <= code <= 127 for code in layer)
        halves += att_prev + scales + ffn_prev
        codes += layer
        decoded += [f16(x) for x in att_prev]
        decoded += [f32(code * scales[i // HEAD]) for i, code in enumerate(layer)]
        decoded += [f16(x) for x in ffn_prev]
    return pack("e", halves) + pack("b", codes), decoded


def main():
    numbers = make_numbers()
    body, decoded = q8(numbers)
    files = {
        "numbers": pack("f", numbers),
        "version1": b"RWKS" + struct.pack("<HHII", 1, 0, len(numbers), 0) + pack("f", numbers),
        "f32": header(0) + pack("f", numbers),
        "f16": header(1) + pack("e", numbers),
        "f16_decoded": pack("f", [f16(x) for x in numbers]),
        "q8": header(2) + body,
        "q8_decoded": pack("f", decoded),
    }
    for name, data in files.items():
        (FOLDER / f"{name}.bin").write_bytes(data)


main()
