"""What a tensor declares is compared with what it holds."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.vampnet_models.onnxfile.protos import external, model
from vampnet_models.onnxfile.header import checked


def _entries(location: str) -> list[onnx.StringStringEntryProto]:
    return [onnx.StringStringEntryProto(key="location", value=location)]


def _tensor(**fields: object) -> TensorProto:
    given = {"name": "t", "data_type": TensorProto.FLOAT, "dims": [2]}
    return TensorProto(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (_tensor(dims=[-1], raw_data=b""), "a dimension below 0"),
        (_tensor(dims=[2**62], raw_data=b""), "larger than any memory"),
        (_tensor(dims=[2**40, 2**40, 0], raw_data=b""), "larger than any memory"),
        (_tensor(dims=[1] * 65, raw_data=bytes(4)), "over 64 dimensions"),
        (_tensor(raw_data=bytes(7)), "holds 7 bytes, not 8"),
        (_tensor(raw_data=bytes(9)), "holds 9 bytes, not 8"),
        (_tensor(), "holds 0 values, not 2"),
        (_tensor(float_data=[1, 2, 3]), "holds 3 values, not 2"),
        (_tensor(data_type=1, int32_data=[1, 2]), "holds 0 values, not 2"),
        (_tensor(data_type=7, int64_data=[-1]), "holds 1 values, not 2"),
        (_tensor(data_type=8, string_data=[b"a"]), "holds 1 values, not 2"),
        (_tensor(data_type=14, float_data=[1, 2]), "holds 2 values, not 4"),
        (_tensor(data_type=22, int32_data=[1, 2]), "holds 2 values, not 1"),
        (_tensor(data_type=0, raw_data=b""), "is of no type"),
        (_tensor(data_type=99, raw_data=b""), "of type 99, which ONNX does not have"),
        (_tensor(data_type=-1, raw_data=b""), "which ONNX does not have"),
        (_tensor(data_location=1, raw_data=bytes(8), external_data=_entries("d")), "data twice"),
        (external("d", length=15), "15 bytes of external data, and a shape of 16"),
        (external("d", offset=-1), "offset of '-1': no size"),
        (external("d", offset="9" * 30), "no size"),
        (external("d", length="0x10"), "no size"),
        (external("d", offset=2**62), "no size"),
    ],
)
def test_a_tensor_holds_what_its_shape_says(tensor: TensorProto, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(model(tensor).SerializeToString())


def test_every_type_of_data_is_counted_as_it_is_packed() -> None:
    arrays = [
        numpy_helper.from_array(np.zeros((2, 3), dtype), str(dtype))
        for dtype in (np.float32, np.int64, np.bool_, np.float16, np.complex64, np.uint64)
    ]
    typed = [
        helper.make_tensor(f"t{dtype}", dtype, [3], [0, 1, 1])
        for dtype in TensorProto.DataType.values()
        if dtype not in (TensorProto.UNDEFINED, TensorProto.STRING)
    ]
    texts = helper.make_tensor("s", TensorProto.STRING, [2], [b"\xff", b""])
    negative = helper.make_tensor("n", TensorProto.INT32, [3], [-1, 2**31 - 1, -(2**31)])
    nothing = helper.make_tensor("e", TensorProto.FLOAT, [0, 5], [])
    made = model(*arrays, *typed, texts, negative, nothing)
    assert checked(made.SerializeToString()) == ()


def test_a_sparse_tensor_fits_its_dense_form() -> None:
    def sparse(dims: list[int], indices: np.ndarray) -> ModelProto:
        made = model()
        made_sparse = made.graph.sparse_initializer.add(dims=dims)
        values = np.ones(3, np.float32)
        made_sparse.values.CopyFrom(numpy_helper.from_array(values, "s"))
        made_sparse.indices.CopyFrom(numpy_helper.from_array(indices, "i"))
        return made

    for dims, indices in (([9], np.arange(3)), ([3, 3], np.zeros((3, 2), np.int64))):
        assert checked(sparse(dims, indices).SerializeToString()) == ()
    for dims, indices, said in (
        ([2**30, 2**3], np.arange(3), "dense form of 34,359,738,368 bytes"),
        ([2**60, 2**3], np.arange(3), "larger than any memory"),
        ([-9], np.arange(3), "a dimension below 0"),
        ([9], np.arange(4), "indices do not fit"),
        ([3, 3], np.zeros((3, 3), np.int64), "indices do not fit"),
        ([9], np.arange(3, dtype=np.int32), "indices do not fit"),
        ([2], np.arange(3), "fewer values"),
    ):
        with pytest.raises(ValueError, match=said):
            checked(sparse(dims, indices).SerializeToString())
