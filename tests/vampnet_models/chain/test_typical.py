import pytest

from vampnet_models.chain.typical import typical_shapes
from vampnet_models.spec import ModelSpec, Role, TensorSpec


@pytest.mark.parametrize(
    ("role", "shape", "expected"),
    [
        (Role.COARSE, ("batch", 4, "frames"), (1, 4, 575)),
        (Role.C2F, (2, 14, 100), (2, 14, 100)),
        (Role.CODEC_ENCODER, (None, 1, "samples"), (1, 1, 288 * 768)),
        (Role.GENERIC, ("batch", 8), (1, 8)),
        (Role.GENERIC, ("batch", "time", "width"), (1, 64, 64)),
        (Role.GENERIC, (), ()),
    ],
)
def test_free_axes_get_the_roles_usual_length(role, shape, expected):
    spec = ModelSpec(role, (TensorSpec("x", "float32", shape),), (), 21)
    assert typical_shapes(spec) == {"x": expected}
