"""Graphs of ten thousand nodes, and bodies inside bodies: no recursion, nothing that doubles."""

import itertools

import onnx_ir as ir
from onnx import TensorProto, helper

from optimize.fusions.attention.known_mask import uniform
from optimize.surgery.jumps import output_traits

ONE = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])


def model(nodes, inputs=()):
    """`y` of `x float32 [n]`."""
    shape = {"elem_type": TensorProto.FLOAT, "shape": ["n"]}
    given = [helper.make_tensor_value_info("x", **shape), *inputs]
    graph = helper.make_graph(nodes, "g", given, [helper.make_tensor_value_info("y", **shape)])
    graph.initializer.append(ONE)
    opset = [helper.make_opsetid("", 17)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opset))


def chain(n_nodes, first, second=None):
    """Sums of each value with `one`, or with itself."""
    names = [first, *(f"t{k}" for k in range(n_nodes - 1)), "y"]
    return [
        helper.make_node("Add", [before, second or before], [after])
        for before, after in itertools.pairwise(names)
    ]


def test_a_long_chain_is_no_known_number():
    (y,) = model(chain(10_000, "x", "one")).graph.outputs
    assert uniform(y) is None


def test_what_is_added_to_itself_is_read_once():
    (y,) = model(chain(40, "one")).graph.outputs
    assert uniform(y) == 2.0**40


def test_bodies_inside_bodies_are_followed_once():
    depth = 24
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    value = {"elem_type": TensorProto.FLOAT, "shape": ["n"]}
    nodes = [helper.make_node("Sin", ["x"], [f"o{depth}"])]
    for level in range(depth - 1, -1, -1):
        out = helper.make_tensor_value_info(f"o{level + 1}", **value)
        other = helper.make_node("Identity", ["x"], [f"e{level}"])
        otherwise = helper.make_tensor_value_info(f"e{level}", **value)
        bodies = {
            "then_branch": helper.make_graph(nodes, f"then{level}", [], [out]),
            "else_branch": helper.make_graph([other], f"else{level}", [], [otherwise]),
        }
        nodes = [helper.make_node("If", ["c"], [f"o{level}" if level else "y"], **bodies)]
    (traits,) = output_traits(model(nodes, [condition])).values()
    assert traits.computed
    assert not traits.chosen


def test_a_loop_hands_its_traits_on():
    value = {"elem_type": TensorProto.FLOAT, "shape": ["n"]}
    inner = [
        helper.make_node("Identity", ["a"], ["b2"]),
        helper.make_node("Floor", ["b"], ["a2"]),
        helper.make_node("Identity", ["go"], ["go2"]),
    ]
    body = helper.make_graph(
        inner,
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", **value),
            helper.make_tensor_value_info("b", **value),
        ],
        [
            helper.make_tensor_value_info("go2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a2", **value),
            helper.make_tensor_value_info("b2", **value),
        ],
    )
    nodes = [
        helper.make_node("Sin", ["x"], ["s"]),
        helper.make_node("Loop", ["", "", "x", "s"], ["unread", "y"], body=body),
    ]
    (traits,) = output_traits(model(nodes)).values()
    assert traits.chosen
