"""Tiny graphs of one length, freed from it: what they answer at another, and what is refused."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from vampnet_models.onnxfile.session import open_session
from vampnet_models.repair.dynamic_rules import Rewriter
from vampnet_models.shapes.two_lengths import Refused, TwoLengths
from vampnet_models.spec import OPSET

OWN, OTHER = 20, 19
RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((1, 4, 32)).astype(np.float32)
COLUMN = TABLE[:, :, :1]
OFFSETS = np.arange(OWN)[None, :] - np.arange(OWN)[:, None]
BIAS = np.stack([OFFSETS, OFFSETS**2, np.abs(OFFSETS)], axis=1).astype(np.float32)
"""`[query, head, key]`, a function of key - query."""

WEIGHTS = {
    "table": TABLE,
    "column": COLUMN,
    "row": TABLE[:, :1, :OWN],
    "bias": BIAS,
    "product": RNG.standard_normal((OWN, 4)).astype(np.float32),
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "own": np.array([OWN]),
    "zeros": np.array([0, 0]),
    "lasts": np.array([1, 2]),
    "numbers": np.arange(OWN),
    "listed": np.arange(OWN)[None],
    "sizes": np.array([1, 4, OWN]),
    "times": np.array([1, 1, OWN]),
    "flat": np.array([4 * OWN]),
    "heads": np.array([1, 2, 2, OWN]),
    "odd": np.array([16, 5]),
}


def walked(body: str) -> tuple[ir.Model, Rewriter]:
    """The graph, fitted to both lengths."""
    names = [name for name in WEIGHTS if name in body]
    proto = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {OPSET}, "com.microsoft" : 1]> '
        f"g (float[1, 4, n] x, int64[k] given) => (float y) {{ {body} }}"
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(WEIGHTS[name]), name) for name in names
    )
    model = ir.from_proto(proto)
    rewriter = Rewriter(model.graph, TwoLengths(OWN, OTHER), model.graph.inputs[0])
    for value, shapes in zip(
        model.graph.inputs, (((1, 4, OWN), (1, 4, OTHER)), ((1,), (1,))), strict=True
    ):
        rewriter.lengths.shapes[value] = shapes
    rewriter.use_tables()
    rewriter.walk()
    return model, rewriter


def cut(x: np.ndarray) -> np.ndarray:
    return x + TABLE[:, :, : x.shape[2]]


def biased(x: np.ndarray) -> np.ndarray:
    frames = x.shape[2]
    return (x.transpose(0, 2, 1) @ x)[:, :, None] + BIAS[:frames, :, :frames]


SQUARE = "t = Transpose <perm = [0, 2, 1]> (x) q = MatMul(t, x)"
FREED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int | None]] = {
    "p = Slice(table, zero, own, two) y = Add(x, p)": (cut, 32),
    "p = Gather <axis = 2> (table, numbers) y = Add(x, p)": (cut, 32),
    "p = Gather <axis = 2> (table, listed) s = Squeeze(p, two) y = Add(x, s)": (cut, 32),
    "p = Expand(column, sizes) y = Add(x, p)": (lambda x: x + COLUMN, None),
    "p = Tile(column, times) y = Add(x, p)": (lambda x: x + COLUMN, None),
    "p = ConstantOfShape(sizes) y = Sub(x, p)": (lambda x: x, None),
    "y = Slice(x, zero, own, two)": (lambda x: x, None),
    "r = Reshape(x, heads) y = Reshape(r, sizes)": (lambda x: x, None),
    "r = Reshape(x, flat) s = Neg(r) y = Reshape(s, sizes)": (lambda x: -x, None),
    "y = Add(x, row)": (lambda x: x + TABLE[:, :1, : x.shape[2]], OWN),
    f"{SQUARE} u = Unsqueeze(q, two) y = Add(u, bias)": (biased, OWN),
}


@pytest.mark.parametrize("body", FREED)
def test_what_bakes_a_length_is_replaced_by_what_follows_it(body: str) -> None:
    expected, longest = FREED[body]
    model, rewriter = walked(body)
    assert rewriter.changes
    assert rewriter.longest == longest
    session = open_session(ir.to_proto(model).SerializeToString())
    for frames in (OTHER, OWN, 7):
        x = RNG.standard_normal((1, 4, frames)).astype(np.float32)
        found = session.run({"x": x, "given": np.array([0])})["y"]
        np.testing.assert_allclose(found, expected(x), atol=1e-5)


BRANCHES = """c = Cast <to = 9> (given) y = If (c) <then_branch = t () => (float[1, 4, n] p)
 { p = Neg(x) }, else_branch = e () => (float[1, 4, n] q) { q = Relu(x) }>"""
SOME_ENDS = f"""{SQUARE}
 n = Shape <start = 2, end = 3> (x) e = Concat <axis = 0> (n, own) y = Slice(q, zeros, e, lasts)"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BRANCHES, "If  holds a subgraph"),
        ("y = Reshape(x, given)", "its target depends on the data"),
        ("y = Reshape(x, odd)", r"from \[1, 4, 20\] to \[16, 5\]: .* the length 20 is ambiguous"),
        ("y = Expand(x, given)", "its sizes depend on the data"),
        ("y = Slice(x, zero, given, two)", "its ends depend on the data"),
        (SOME_ENDS, "only some of its ends follow the length"),
        ("y = Concat <axis = 1> (x, row)", "its constant row has a size of 20"),
        (
            "m = ReduceMean(x, two) y = Add(m, row)",
            "whether a constant's size 20 is the length is ambiguous",
        ),
        ("y = com.microsoft.Gelu(x)", "operator com.microsoft::Gelu is not understood"),
        ("y = MatMul(x, product)", "MatMul  does not fit length 19: "),
        ("i = NonZero(x) y = Cast <to = 1> (i)", "its output's shape depends on the data"),
        ("i = NoSuch(x) y = Neg(i)", "NoSuch  does not fit length 20: "),
    ],
)
def test_what_cannot_follow_another_length_is_refused(body: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        walked(body)
