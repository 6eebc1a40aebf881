"""Values for pickles that cost more than their bytes: they grow, nest, collide, repeat."""

from __future__ import annotations

import struct

import numpy as np

from tests.fuzz.changes import EXTREMES, Rng, extreme, pick
from tests.vampnet_models.make_checkpoint import Call, Name, Raw, Stored

PRIME = 2**61 - 1
"""Python's hash of an integer is its rest modulo this: its multiples collide."""


def long_integer(n_bytes: int) -> bytes:
    """A LONG4 of so many bytes."""
    return b"\x8b" + struct.pack("<i", n_bytes) + b"\x7f" * n_bytes


def text(n_bytes: int) -> bytes:
    """A BINUNICODE of so many bytes."""
    return b"X" + struct.pack("<I", n_bytes) + b"a" * n_bytes


def _doubled(times: int, make: bytes) -> Raw:
    """A value put together with itself again and again; `make` joins the two on the stack."""
    return Raw(text(1) + b"".join(_twice(make) for _ in range(times)))


def _twice(make: bytes) -> bytes:
    return b"q\x64" + b"0" + make.replace(b"XX", b"h\x64h\x64")


PATH = b"cpathlib\nPosixPath\n"
ENCODE = b"c_codecs\nencode\n"


def bomb(rng: Rng) -> Raw:
    """One of them, of a random size."""
    size = int(pick(rng, (20, 30, 40, 60, 100)))
    many = int(pick(rng, (1_000, 20_000, 100_000)))
    return pick(rng, _BOMBS)(size, many, rng)


_BOMBS = (
    # One text of 2 ** size characters, joined from paths; tuples and lists of themselves.
    lambda size, many, rng: _doubled(size, PATH + b"(XXtR"),
    lambda size, many, rng: _doubled(size, b"(XXt"),
    lambda size, many, rng: _doubled(size, b"(XXl"),
    lambda size, many, rng: _doubled(size, b"ctorch\nSize\n((XXttR"),
    lambda size, many, rng: _doubled(size, b"cbuiltins\nset\n((XXltR"),
    # A list or text that is extended by what it holds; the same path argument often.
    lambda size, many, rng: Raw(b"]q\x64(K\x01e" + b"(h\x64h\x64e" * size),
    lambda size, many, rng: Raw(text(1000) + b"q\x640" + PATH + b"(" + b"h\x64" * many + b"tR"),
    # A memory that repeats: the same kilobyte, a hundred thousand names of it; sets of a list.
    lambda size, many, rng: Raw(b"](" + b"K\x01" * many + b"e" + b"q\x640" + b"("
                                + b"cbuiltins\nset\n(h\x64tR" * min(many, 2000) + b"l"),
    # Keys that collide: integers, floats, and equal ones.
    lambda size, many, rng: Raw(b"}(" + b"".join(_number(i * PRIME) + b"N"
                                                for i in range(many)) + b"u"),
    lambda size, many, rng: Raw(b"}(" + b"".join(b"G" + struct.pack(">d", float(i * PRIME)) + b"N"
                                                for i in range(many)) + b"u"),
    # Depth, by mark, list, tuple, dictionary, module.
    lambda size, many, rng: Raw(b"]" * many + b"a" * (many - 1)),
    lambda size, many, rng: Raw(b")" + b"\x85" * many),
    lambda size, many, rng: Raw(b"}" + b"K\x01}" * many + b"s" * many),
    lambda size, many, rng: Raw(b"(" * many + b"t" * many),
    # Large numbers and texts, alone or many times.
    lambda size, many, rng: Raw(long_integer(many)),
    lambda size, many, rng: Raw(b"(" + long_integer(3000) * (many // 1000) + b"t"),
    lambda size, many, rng: Raw(b"L" + b"9" * many + b"L\n"),
    lambda size, many, rng: Raw(b"I" + b"9" * many + b"\n"),
    lambda size, many, rng: Raw(b"F" + b"9" * many + b"\n"),
    lambda size, many, rng: Raw(text(many)),
    # Lengths that the file does not have.
    lambda size, many, rng: Raw(b"\x95" + struct.pack("<Q", extreme(rng, 64)) + b"N"),
    lambda size, many, rng: Raw(b"\x8d" + struct.pack("<Q", extreme(rng, 64)) + b"N"),
    lambda size, many, rng: Raw(b"\x8e" + struct.pack("<Q", extreme(rng, 64)) + b"N"),
    lambda size, many, rng: Raw(b"\x96" + struct.pack("<Q", extreme(rng, 64)) + b"N"),
    lambda size, many, rng: Raw(b"B" + struct.pack("<I", extreme(rng, 32)) + b"N"),
    lambda size, many, rng: Raw(b"N" + b"r" + struct.pack("<I", extreme(rng, 32))),
    # Persistent ids and tensors in great number, over one storage; numpy's values.
    lambda size, many, rng: Raw(b"(" + _persistent() * min(many, 20_000) + b"t"),
    lambda size, many, rng: Raw(b"N" + b"\x94" * many),
    lambda size, many, rng: Raw(b"(" + b"2" * many + b"t"),
    lambda size, many, rng: Raw(ENCODE + b"(" + text(many) + text(6) + b"tR"),
    lambda size, many, rng: Raw(_numpy_array(extreme(rng, 40), many)),
)  # fmt: skip


def _number(value: int) -> bytes:
    digits = value.to_bytes(16, "little", signed=True)
    return b"\x8a" + bytes([len(digits)]) + digits


def _persistent() -> bytes:
    return (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x01tQ"
    )


def _numpy_array(count: int, many: int) -> bytes:
    """What `numpy.ndarray.__reduce__` gives, with a shape that its bytes do not have."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR"
    return made + b"(K\x01(" + _number(count) + b"t" + dtype + b"\x89" + text(many) + b"tb"


VALUES = (
    *(b"N", b"\x88", b"K\x05", b"J\xff\xff\xff\xff", _number(2**61), long_integer(3000), text(20)),
    *(b"]", b"}", b")", b"(", b"0", b"1", b"2", b"a", b"e", b"s", b"u", b"t", b"l", b"d", b"b"),
    *(b"R", b"\x81", b"\x92", b"Q", b"q\x00", b"h\x00", b"j\xff\xff\xff\x7f", b"\x94", b"\x93"),
    *(b"\x8f", b"\x90", b"\x91", b"o", b".", b"\x95" + b"\xff" * 8, b"\x82\x01", b"\x97", b"\x98"),
    *(b"cos\nsystem\n", PATH, ENCODE, b"Pid\n", b"ios\nsystem\n", b"G" + b"\x7f\xf8" + bytes(6)),
    *(b"S'\\x'\n", b"V\\ud800\n", b"I1\n", b"Ix\n", b"L9L\n", b"F1\n", b"\x96" + b"\x01" * 9),
    *(b"ctorch\nSize\n", b"ccollections\nOrderedDict\n", b"U\x01\xff", b"X\x01\x00\x00\x00\x1b"),
)
"""Operations, alone: most of them do not fit where they are put."""


def argument(rng: Rng) -> object:
    """What may stand in the place of a constructor argument."""
    number = int(pick(rng, EXTREMES))
    return pick(
        rng,
        (
            *(
                number,
                -number,
                float(number),
                float("nan"),
                float("inf"),
                "",
                "64",
                "\x1b[2J",
                None,
            ),
            *(True, [], [number], [number] * 20, [None], ["x"], (2, 4, 8), {"rms": 1}, {}),
            *([2.0, 4.0], [True, True], [-2, 4], [0, 8], [1] * 16, [[2, 4]], "x" * 100_000),
            *(Raw(long_integer(3000)), Raw(b"(" + long_integer(3000) * 3 + b"t"), bomb(rng)),
            *(Call(Name("torch", "Size"), ([number, 4],)), Stored(np.array([2, 4]), "int64")),
            *(Stored(np.ones(4096)), Stored(np.array(number % 2**31), "int64")),
        ),
    )


def tensor(values: np.ndarray, rng: Rng) -> object:
    """A tensor of these values whose description is odd."""
    rank = int(pick(rng, (0, 1, 2, 3, 16, 17, 64)))

    def sizes() -> tuple[int, ...]:
        return tuple(extreme(rng, int(pick(rng, (3, 8, 20, 64)))) for _ in range(rank))

    return pick(
        rng,
        (
            Stored(values, shape=sizes(), strides=sizes()),
            Stored(values, shape=sizes(), strides=(0,) * rank),
            Stored(values, shape=(*values.shape, 0), strides=(extreme(rng, 64),) * 4),
            Stored(values, shape=values.shape, strides=(0,) * values.ndim),
            Stored(values, shape=(1 << 20, 1 << 20), strides=(0, 0)),
            Stored(values, offset=extreme(rng, 64)),
            Stored(values, n_declared=extreme(rng, 64)),
            Stored(values, "int64"),
            Stored(values, "float64", storage="FloatStorage"),
            Stored(values, storage=pick(rng, ("QInt8Storage", "ComplexFloatStorage", "x"))),
            Stored(values, torch_dtype=pick(rng, ("float32", "int8", "float8_e4m3fn", "x"))),
            Stored(np.full_like(values, pick(rng, (np.nan, np.inf, 3.4e38, 1e-45, 0)))),
            bomb(rng),
        ),
    )
