import numpy as np
import pytest

from tests.vampnet_models.make_checkpoint import Call, Name, Stored, saved_model, write_saved
from vampnet_models.checkpoints.checkpoint import read_checkpoint
from vampnet_models.checkpoints.stored_tensors import FileTensors
from vampnet_models.errors import InputError

MARKS = ("embedding.x", "transformer.layers.0.x", "classifier.x")
ONES = np.ones(2, np.float32)


def opened(path, tensor, **options):
    """A checkpoint whose tensor `embedding.t` is this one."""
    root = saved_model({"a": 1}, dict.fromkeys(MARKS, ONES))
    root["state_dict"]["embedding.t"] = tensor
    return read_checkpoint(write_saved(path / "t.pth", root, **options)).tensors


def refused(path, tensor):
    with pytest.raises(InputError) as caught:
        opened(path, tensor).read("embedding.t")
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_every_float_dtype_reads_as_float32(tmp_path, dtype, byteorder):
    values = np.array([[0.5, -2.0, 3.0], [1e-3, 96.0, -0.0]], np.float32)
    tensors = opened(tmp_path, Stored(values, dtype), byteorder=byteorder)
    found = tensors.read("embedding.t")
    expected = values.astype("float16") if dtype == "float16" else values
    if dtype == "bfloat16":
        expected = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert found.dtype == np.float32
    assert tensors.dtype("embedding.t") == dtype
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_strides_and_offsets_are_followed(tmp_path):
    values = np.arange(24, dtype=np.float32)
    view = Stored(values, shape=(3, 2), strides=(2, 8), offset=5)
    expected = np.lib.stride_tricks.as_strided(values[5:], (3, 2), (8, 32))
    found = opened(tmp_path, view).read("embedding.t")
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


def test_scalars_and_empty_tensors_keep_their_shapes(tmp_path):
    assert opened(tmp_path, Stored(np.array(3.0))).read("embedding.t").shape == ()
    empty = Stored(np.ones((0, 4)))
    assert opened(tmp_path, empty).read("embedding.t").shape == (0, 4)


def test_a_missing_tensor_is_named(tmp_path):
    tensors = opened(tmp_path, Stored(ONES))
    for ask in (tensors.shape, tensors.dtype, tensors.read):
        with pytest.raises(InputError, match=r"the tensor encoder\.none is missing"):
            ask("encoder.none")


def test_a_huge_declared_tensor_is_refused_before_it_is_allocated(tmp_path):
    huge = Stored(ONES, shape=(2**40, 2**20), strides=(0, 0))
    assert "reaches beyond its storage of 2 values" in refused(tmp_path, huge)


@pytest.mark.parametrize("shape", [(0, 2**62), (2**40, 0, 2**40)])
def test_an_empty_tensor_of_endless_sizes_is_refused(tmp_path, shape):
    endless = Stored(ONES, shape=shape, strides=(0,) * len(shape))
    assert "reaches beyond its storage" in refused(tmp_path, endless)


def test_the_stride_of_a_single_value_says_nothing(tmp_path):
    tensor = Stored(ONES, shape=(1, 2, 1), strides=(2**62, 1, 2**63 - 1))
    found = opened(tmp_path, tensor).read("embedding.t")
    np.testing.assert_array_equal(found, ONES.reshape(1, 2, 1))


def test_a_view_that_reaches_beyond_its_storage_is_refused(tmp_path):
    assert "reaches beyond" in refused(tmp_path, Stored(ONES, offset=1))
    assert "reaches beyond" in refused(tmp_path, Stored(ONES, shape=(2,), strides=(2,)))


def test_a_storage_that_declares_more_than_it_holds_is_refused(tmp_path):
    message = refused(tmp_path, Stored(ONES, n_declared=2**50))
    assert "declares 4503599627370496 bytes and holds 8" in message


@pytest.mark.parametrize("bad", [(-1,), (2.0,), ("2",)])
def test_sizes_that_are_no_natural_numbers_are_damage(tmp_path, bad):
    assert "no natural number" in refused(tmp_path, Stored(ONES, shape=bad, strides=(1,)))


def test_quantized_tensors_are_refused_with_the_reason(tmp_path):
    stored = Stored(np.ones(2, np.int8), "int8", storage="QInt8Storage")
    assert "QInt8Storage: quantized" in refused(tmp_path, stored)
    rebuilt = Call(Name("torch._utils", "_rebuild_qtensor"), (None, 0, (2,), (1,)))
    assert "quantized, which loses" in refused(tmp_path, rebuilt)
    assert "embedding.t is int8: quantized" in refused(tmp_path, Stored(ONES, "int8"))


def test_storages_of_other_kinds_are_refused_by_name(tmp_path):
    complex_values = Stored(ONES, storage="ComplexFloatStorage")
    assert "ComplexFloatStorage, which cannot be imported" in refused(tmp_path, complex_values)


def test_the_newer_form_with_an_untyped_storage_is_read(tmp_path):
    values = np.array([1.5, -2.0], np.float32)
    found = opened(tmp_path, Stored(values, torch_dtype="float32")).read("embedding.t")
    np.testing.assert_array_equal(found, values)


def test_eight_bit_floats_are_refused_by_name(tmp_path):
    tensor = Stored(np.ones(4, np.int8), "int8", torch_dtype="float8_e4m3fn")
    assert "dtype float8_e4m3fn cannot be imported" in refused(tmp_path, tensor)


def test_a_file_that_was_cut_after_it_was_opened_says_so(tmp_path):
    tensors = opened(tmp_path, Stored(np.ones(4096, np.float32)))
    assert isinstance(tensors, FileTensors)
    with tensors.path.open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(InputError, match="cut while it was read"):
        tensors.read("embedding.t")
