import pytest

from vampnet_models.shapes.flops import flops_of


@pytest.mark.parametrize(
    ("op_type", "inputs", "outputs", "expected"),
    [
        ("Conv", [(1, 8, 20), (8, 1, 3)], [(1, 8, 20)], 2 * 160 * 3),
        ("QLinearConv", [(1, 8, 20), (), (), (16, 8, 3)], [(1, 16, 20)], 2 * 320 * 24),
        ("MatMul", [(2, 4, 5, 6), (2, 4, 6, 7)], [(2, 4, 5, 7)], 2 * 2 * 4 * 5 * 6 * 7),
        ("Gemm", [(6, 5), (6, 7)], [(5, 7)], 2 * 5 * 6 * 7),
        ("DynamicQuantizeMatMul", [(1, 5, 6), (6, 7)], [(1, 5, 7)], 2 * 5 * 6 * 7),
        ("MatMulNBits", [(1, 5, 6), (7, 1, 16)], [(1, 5, 7)], 2 * 5 * 6 * 7),
        ("MultiHeadAttention", [(1, 5, 8), (1, 9, 8), (1, 9, 8)], [(1, 5, 8)], 4 * 5 * 9 * 8),
        ("Attention", [(1, 2, 5, 4), (1, 2, 9, 4), (1, 2, 9, 4)], [(1, 2, 5, 4)], 4 * 5 * 9 * 8),
        ("Attention", [(1, 5, 8), (8, 24)], [(1, 5, 8)], 2 * 40 * 24 + 4 * 25 * 8),
        ("GroupQueryAttention", [(1, 5, 8), (1, 5, 4), (1, 5, 4)], [(1, 5, 8)], 4 * 25 * 8),
        ("GroupQueryAttention", [(1, 5, 16), (1,), ()], [(1, 5, 8)], 4 * 25 * 8),
        ("NhwcFusedConv", [(1, 4, 9, 9), (8, 4, 3, 3)], [(1, 8, 7, 7)], 2 * 8 * 49 * 36),
        ("Softmax", [(5, 6)], [(5, 6)], 120),
        ("ReduceMean", [(5, 6)], [(5, 1)], 30),
        ("Transpose", [(5, 6)], [(6, 5)], 0),
        ("Reshape", [(5, 6), (1,)], [(30,)], 0),
    ],
)
def test_flops_from_shapes(op_type, inputs, outputs, expected):
    assert flops_of(op_type, inputs, outputs) == expected
