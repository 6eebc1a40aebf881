import errno
import stat

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from vampnet_models.architectures.graph_writer import GraphBuilder
from vampnet_models.errors import InputError
from vampnet_models.onnxfile import artifact
from vampnet_models.onnxfile.session import open_session


def model(value=1.0, size=2048):
    b = GraphBuilder("g")
    x = b.input("x", ir.DataType.FLOAT, ["n", size])
    w = b.weight("w", (size,), lambda: np.full(size, value, np.float32))
    b.output(b.op("Mul", x, w), "y", ir.DataType.FLOAT, ["n", size])
    return b.finish({})


def answer(path, size=2048):
    return open_session(path).run({"x": np.ones((1, size), np.float32)})["y"][0, 0]


@pytest.mark.parametrize("external", [False, True])
def test_a_saved_model_runs_and_is_checker_clean(tmp_path, external):
    path = tmp_path / "é a.onnx"
    artifact.save_model(model(3.0), path, external=external)
    onnx.checker.check_model(str(path), full_check=True)
    assert answer(path) == 3.0
    assert (tmp_path / "é a.onnx.data").exists() is external
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert {p.name for p in tmp_path.iterdir()} == {
        p.name for p in artifact.open_artifact(path).files
    }


def test_overwriting_replaces_data_and_drops_what_is_no_longer_named(tmp_path):
    path = tmp_path / "m.onnx"
    artifact.save_model(model(1.0), path, external=True)
    artifact.save_model(model(2.0), path, external=True)
    assert answer(path) == 2.0
    artifact.save_model(model(3.0), path, external=False)
    assert answer(path) == 3.0
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_failing_write_leaves_the_old_model(tmp_path):
    path = tmp_path / "m.onnx"
    artifact.save_model(model(1.0), path)

    def full_disk():
        raise OSError(errno.ENOSPC, "No space left on device")

    broken = model()
    broken.graph.initializers["w"].const_value = ir.LazyTensor(
        lambda: full_disk(), dtype=ir.DataType.FLOAT, shape=ir.Shape([2048]), name="w"
    )
    with pytest.raises(InputError, match=r"m\.onnx: cannot write it: No space left"):
        artifact.save_model(broken, path, external=True)
    assert answer(path) == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_hash_and_size_cover_the_external_data(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        artifact.save_model(model(value), tmp_path / name / "m.onnx", external=True)
    one, two = (artifact.open_artifact(tmp_path / n / "m.onnx") for n in "ab")
    assert one.bytes == sum(p.stat().st_size for p in (tmp_path / "a").iterdir()) > 2048 * 4
    assert one.sha256 != two.sha256
    assert (tmp_path / "a/m.onnx").read_bytes() == (tmp_path / "b/m.onnx").read_bytes()


def test_bad_files_get_one_clear_line(tmp_path):
    good = tmp_path / "good.onnx"
    artifact.save_model(model(), good, external=True)
    cases = {"text.onnx": b"this is no model, it is prose\n" * 9, "empty.onnx": b""}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name) as caught:
            artifact.load_model(tmp_path / name)
        assert "\n" not in str(caught.value)
    data = tmp_path / "good.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"truncated: 100 bytes of 8192"):
        artifact.load_model(good)
    data.unlink()
    (tmp_path / "elsewhere").write_bytes(whole)
    for link in (data.symlink_to, data.hardlink_to):
        link(tmp_path / "elsewhere")
        with pytest.raises(InputError, match=r"good\.onnx\.data: is a link.*copy the file itself"):
            artifact.open_artifact(good)
        data.unlink()
    with pytest.raises(InputError, match=r"external data good\.onnx\.data is missing"):
        artifact.load_model(good)
    with pytest.raises(InputError, match="no such file"):
        artifact.load_model(tmp_path / "absent.onnx")


def test_a_truncated_single_file_model_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    artifact.save_model(model(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"m\.onnx"):
        artifact.load_model(path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.onnx file"):
        artifact.find_models(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        artifact.find_models(tmp_path / "absent")


def test_many_threads_write_each_tensor_at_its_place(tmp_path):
    values = [np.full((200, 50 + i), i, np.float32) for i in range(24)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [f"w{i}"], [f"y{i}"]) for i in range(24)],
        "g",
        [],
        [onnx.helper.make_tensor_value_info(f"y{i}", 1, v.shape) for i, v in enumerate(values)],
        [onnx.numpy_helper.from_array(v, f"w{i}") for i, v in enumerate(values)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    seen = []
    path = tmp_path / "m.onnx"
    artifact.save_model(
        ir.from_proto(model), path, external=True, progress=lambda n, of: seen.append((n, of))
    )
    found = {
        name: value.const_value.numpy()
        for name, value in ir.load(path).graph.initializers.items()
        if value.const_value is not None
    }
    assert all((found[f"w{i}"] == i).all() for i in range(24))
    assert seen == [(i, 24) for i in range(1, 25)]


def test_data_of_others_beside_the_output_stays(tmp_path):
    path, other = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    other.write_bytes(b"mine")
    artifact.save_model(model(1.0), path, external=False)
    assert other.read_bytes() == b"mine"
    artifact.save_model(model(2.0), path, external=True)
    assert other.read_bytes() == b"mine"
    assert answer(path) == 2.0
    assert [f.name for f in artifact.open_artifact(path).files] == ["m.onnx", "m.onnx.2.data"]
    artifact.save_model(model(3.0), path, external=True)
    assert (answer(path), other.read_bytes()) == (3.0, b"mine")
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data", "m.onnx.2.data"}
    artifact.save_model(model(4.0), path, external=False)
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data"}


def test_a_copy_takes_all_data_files_and_replaces_none_of_another_model(tmp_path):
    source = tmp_path / "source" / "m.onnx"
    source.parent.mkdir()
    ir.save(model(5.0), source, external_data="weights.bin")
    made = artifact.copy_model(artifact.open_artifact(source), tmp_path / "copy")
    assert answer(made) == 5.0
    assert {p.name for p in made.parent.iterdir()} == {"m.onnx", "weights.bin"}
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "weights.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"weights\.bin: belongs to another model"):
        artifact.copy_model(artifact.open_artifact(source), taken)
    assert [p.name for p in taken.iterdir()] == ["weights.bin"]
    assert (taken / "weights.bin").read_bytes() == b"mine"


def test_folders_that_were_made_for_nothing_go_again(tmp_path):
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "a" / "b" / "m.onnx", tmp_path / "there" / "c" / "m.onnx"):
        with pytest.raises(KeyError), artifact.staging_beside(out) as staging:
            assert staging.parent == out.parent
            raise KeyError
    assert [each.name for each in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())
    with pytest.raises(KeyError), artifact.staging_beside(tmp_path / "a" / "b" / "m.onnx"):
        (tmp_path / "a" / "kept.txt").write_text("of another")
        raise KeyError
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["kept.txt"]
