"""Nodes and names of bodies, and copies of weights that all readers share."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from optimize.fusions.order import fuse
from optimize.surgery.graph import add_constant, derived_weight, graph_of, insert, substitute
from optimize.surgery.scopes import all_nodes, body_nodes, derived, renew, scope_of

RNG = np.random.default_rng(5)


def nested() -> ir.Model:
    """An If inside of an If; the innermost product reads a weight of the main graph."""

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4])

    deep = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["d"], "p")], "d", [], [value("d")]
    )
    flat = helper.make_graph([helper.make_node("Neg", ["x"], ["e"], "n")], "e", [], [value("e")])
    inner = helper.make_node("If", ["c"], ["i"], "inner", then_branch=deep, else_branch=flat)
    outer_body = helper.make_graph([inner], "t", [], [value("i")])
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["r"], "n")], "o", [], [value("r")])
    outer = helper.make_node("If", ["c"], ["y"], "outer", then_branch=outer_body, else_branch=other)
    weight = numpy_helper.from_array(RNG.standard_normal((4, 4)).astype(np.float32), "w")
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph([outer], "g", [value("x"), condition], [value("y")], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return ir.from_proto(made)


def test_nodes_of_all_bodies_are_found_with_the_graph_that_holds_them():
    model = nested()
    found = list(all_nodes(model.graph))
    assert sorted(n.op_type for n in found) == ["If", "If", "MatMul", "Neg", "Relu"]
    assert [n.op_type for n in body_nodes(model.graph)] == [n.op_type for n in found[1:]]
    product = next(n for n in found if n.op_type == "MatMul")
    assert product.inputs[1].graph is model.graph and graph_of(product) is not model.graph


def test_what_is_inserted_in_a_body_hides_no_name_and_runs():
    model = nested()
    expected = run(model)
    product = next(n for n in all_nodes(model.graph) if n.op_type == "MatMul")
    for _ in range(2):
        (copy,) = insert(product, "Identity", [product.inputs[0]], name="y")
        product.replace_input_with(0, copy)
    (new,) = insert(product, "MatMul", product.inputs, name="d")
    substitute(product.outputs[0], new)
    names = [v.name for n in all_nodes(model.graph) for v in n.outputs]
    assert len(set(names)) == len(names)
    np.testing.assert_array_equal(run(model), expected)


def test_a_constant_gets_no_name_of_a_value_in_a_body():
    model = nested()
    list(all_nodes(model.graph))
    assert add_constant(model.graph, "d", np.zeros(1)).name == "d_2"
    assert scope_of(model.graph).name_value("d") == "d_3"


def test_names_that_others_gave_are_known_once_the_scope_is_renewed():
    model = nested()
    product = next(n for n in all_nodes(model.graph) if n.op_type == "MatMul")
    product.outputs[0].name = "given"
    renew(model.graph)
    scope = scope_of(graph_of(product))
    assert scope is scope_of(model.graph)
    assert scope.name_value("given") == "given_2"


def test_nodes_of_bodies_get_names_of_their_own():
    model = nested()
    fuse(model, ())
    names = [n.name for n in all_nodes(model.graph)]
    assert len(set(names)) == len(names) == 5


def test_a_weight_is_derived_once_for_all_its_readers():
    model = nested()
    source = model.graph.initializers["w"]

    def turned() -> ir.Value:
        return derived_weight(
            source, "turned", ir.DataType.FLOAT, (4, 4), lambda: source.const_value.numpy().T
        )

    first = turned()
    assert turned() is first and first.graph is model.graph
    source.const_value = ir.tensor(np.ones((4, 4), np.float32))
    assert turned() is not first, "its values changed"
    assert derived(source, "other", lambda: (first,)) == (first,)


def run(model: ir.Model) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    return session.run(None, {"x": np.eye(4, dtype=np.float32), "c": np.array(True)})[0]
