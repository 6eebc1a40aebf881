import argparse
from pathlib import Path

import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import (
    Call,
    Name,
    Obj,
    Raw,
    Storages,
    Stored,
    pickled,
    saved_model,
    write_package,
    write_saved,
    write_zip,
)
from vampnet_models.checkpoints.checkpoint import read_checkpoint
from vampnet_models.errors import InputError
from vampnet_models.importing.configs import config_of

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"


def refused(path):
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_state_dict_gives_kind_arguments_and_tensors(tmp_path):
    checkpoint = read_checkpoint(small.write_codec(tmp_path / "any-name.bin"))
    assert (checkpoint.form, checkpoint.kind) == ("state_dict", "codec")
    assert checkpoint.kwargs == small.LAC
    state = small.codec_state(small.LAC)
    assert checkpoint.tensors.names() == tuple(state)
    for name, values in state.items():
        np.testing.assert_array_equal(checkpoint.tensors.read(name), values)


def test_an_archive_of_the_module_gives_the_same_as_its_state_dict(tmp_path):
    state = small.transformer_state(small.COARSE)
    path = write_package(tmp_path / "p.pth", "VampNet", state, {"kwargs": small.COARSE})
    checkpoint = read_checkpoint(path)
    assert (checkpoint.form, checkpoint.kind) == ("package", "transformer")
    assert checkpoint.kwargs == small.COARSE
    assert set(checkpoint.tensors.names()) == set(state)  # the non-persistent buffer is left out
    for name, values in state.items():
        np.testing.assert_array_equal(checkpoint.tensors.read(name), values)


@pytest.mark.parametrize(
    "hyper_parameters",
    [
        small.WAVEBEAT,
        Obj(Name("argparse", "Namespace"), small.WAVEBEAT),
        Obj(Name("pytorch_lightning.utilities.parsing", "AttributeDict"), small.WAVEBEAT),
    ],
    ids=["dict", "Namespace", "AttributeDict"],
)
def test_a_lightning_checkpoint_is_read_past_its_other_contents(tmp_path, hyper_parameters):
    state = {name: Stored(values) for name, values in small.wavebeat_state().items()}
    moments = {0: {"step": 3, "exp_avg": Stored(np.ones(4))}}
    root = {
        "epoch": 3,
        "pytorch-lightning_version": "1.2.0",
        "callbacks": {Name("pytorch_lightning.callbacks", "ModelCheckpoint"): {"best": None}},
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-3, "params": [0]}]}],
        "state_dict": state,
        "hyper_parameters": hyper_parameters,
    }
    checkpoint = read_checkpoint(write_saved(tmp_path / "w.pth", root))
    assert (checkpoint.form, checkpoint.kind) == ("lightning", "wavebeat")
    assert checkpoint.kwargs == small.WAVEBEAT
    assert checkpoint.tensors.names() == tuple(state)


def test_a_malicious_object_anywhere_refuses_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = saved_model(small.COARSE, small.transformer_state(small.COARSE))
    root["metadata"]["note"] = Call(Name("os", "system"), ("touch executed",))
    assert "wants to call os.system" in refused(write_saved(tmp_path / "m.pth", root))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "evil",
    [
        Call(Name("os", "system"), ("touch executed",)),
        Obj(Name("subprocess", "Popen"), {}),
        Call(Name("some_project.model", "run")),
        Call(Name("torch", "load"), ("x",)),
        Obj(Name("torch.utils.data", "DataLoader"), {}),
    ],
)
def test_an_archive_admits_layers_and_no_other_callable(tmp_path, evil):
    state = small.transformer_state(small.COARSE)
    path = write_package(tmp_path / "p.pth", "VampNet", state, {"kwargs": {"x": evil}})
    name = evil.function if isinstance(evil, Call) else evil.cls
    assert f"wants to call {name.module}.{name.name}" in refused(path)


def test_objects_of_unknown_classes_are_for_archives_only(tmp_path):
    root = saved_model(small.COARSE, small.transformer_state(small.COARSE))
    root["metadata"]["note"] = Obj(Name("some_project.model", "Thing"), {})
    message = refused(write_saved(tmp_path / "m.pth", root))
    assert "wants to call some_project.model.Thing" in message


def test_modules_that_contain_themselves_end(tmp_path):
    # { '_modules': { 'x': <itself> } }, by the memo
    module = b"\x80\x02csome.project\nM\n)\x81q\x00}(X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00x"
    loop = module + b"h\x00sub."
    path = write_zip(tmp_path / "loop.pth", {"M/M.pth": loop, ".data/version": b"6"})
    assert "nested without end" in refused(path)


def test_modules_that_stand_at_many_places_end(tmp_path):
    # 64 levels of a module that holds the next one twice: 2 ** 64 places.
    module = b"csome.project\nM\n)\x81q\x00"
    twice = b"X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00xh\x01X\x01\x00\x00\x00yh\x01us"
    level = b"q\x010" + module + b"}" + twice + b"b"
    path = write_zip(
        tmp_path / "many.pth",
        {"M/M.pth": b"\x80\x02" + module + level * 63 + b".", ".data/version": b"6"},
    )
    assert "nested without end" in refused(path)


def test_one_storage_does_not_stand_for_many_tensors(tmp_path):
    same = Call(Name("torch._utils", "_rebuild_parameter"), (Stored(np.ones(20_000)), True, None))
    operations = pickled(same, storages := Storages())[2:-1]
    many = b"".join(pickled(f"n{i}")[2:-1] + b"h\x07" for i in range(500))
    state = Raw(b"}" + pickled("n")[2:-1] + operations + b"q\x07s(" + many + b"u")
    root = pickled({"state_dict": state}, storages)
    entries = {"data.pkl": root, "data/0": storages.data[0]}
    message = refused(write_zip(tmp_path / "a.pth", entries))
    assert "501 tensors have 40080000 bytes" in message and "stands for many" in message


def test_files_without_constructor_arguments_are_refused(tmp_path):
    state = {name: Stored(v) for name, v in small.codec_state(small.LAC).items()}
    for root in (state, {"state_dict": state}, {"state_dict": state, "metadata": {}}):
        path = write_saved(tmp_path / "bare.pth", root)
        assert "names no constructor arguments" in refused(path)


def test_other_models_are_named_by_what_they_hold(tmp_path):
    root = {"state_dict": {"layer1.weight": Stored(np.ones(2)), "fc.bias": Stored(np.ones(2))}}
    message = refused(write_saved(tmp_path / "resnet.pth", root))
    assert "neither a codec nor a transformer" in message
    assert "layer1.weight, fc.bias" in message


def test_other_contents_say_what_they_are(tmp_path):
    holds = Obj(Name("argparse", "Namespace"), {})
    assert "holds a argparse.Namespace" in refused(write_saved(tmp_path / "a.pth", holds))
    assert "holds a list" in refused(write_saved(tmp_path / "b.pth", [1]))
    assert "it holds no tensors" in refused(write_saved(tmp_path / "c.pth", {"x": 3}))
    script = write_saved(tmp_path / "d.pth", {}, extra={"constants.pkl": b"\x80\x02)."})
    assert "TorchScript" in refused(script)
    assert "without data.pkl" in refused(write_zip(tmp_path / "e.zip", {"x": b""}))
    module = pickled(Obj(Name("some.project", "M")))
    two = {"A/A.pth": module, "B/B.pth": module, ".data/version": b"6"}
    assert "with 2 models" in refused(write_zip(tmp_path / "f.pth", two))
    assert "unknown byte order" in refused(
        write_saved(
            tmp_path / "g.pth",
            saved_model(small.LAC, small.codec_state(small.LAC)),
            extra={"byteorder": b"middle"},
        )
    )


def test_a_pickle_that_is_too_large_is_not_read(tmp_path):
    path = write_zip(tmp_path / "big.pth", {"data.pkl": bytes(17 * 1024 * 1024)})
    assert "more than the 16777216" in refused(path)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("form", ["saved", "package"])
def test_damage_anywhere_is_a_line_or_harmless(tmp_path, form):
    path, state = tmp_path / "d.pth", small.transformer_state(small.COARSE)
    if form == "saved":
        write_saved(path, saved_model(small.COARSE, state))
    else:
        write_package(path, "VampNet", state, {"kwargs": small.COARSE})
    whole, rng = path.read_bytes(), np.random.default_rng(5)
    start, directory = whole.index(b"\x80\x02"), whole.index(b"PK\x01\x02")
    places = [*range(start, start + 3000), *range(directory, len(whole))]
    refusals = 0
    for _ in range(80):
        damaged = bytearray(whole)
        damaged[rng.choice(places)] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            config_of(read_checkpoint(path))
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals > 30


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the shared golden checkpoints are not here")
@pytest.mark.parametrize(("name", "count"), [("codec", 680), ("coarse", 44), ("c2f", 44)])
def test_the_original_projects_files_are_read_whole(name, count):
    checkpoint = read_checkpoint(GOLDEN / f"{name}.pth")
    assert checkpoint.form == "state_dict"
    assert len(checkpoint.tensors.names()) == count
    for tensor in checkpoint.tensors.names():
        assert checkpoint.tensors.read(tensor).shape == checkpoint.tensors.shape(tensor)


def test_what_torch_saves_is_read_value_for_value(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    state = {
        name: torch.nn.Parameter(torch.from_numpy(values).to(dtype))
        for (name, values), dtype in zip(
            small.transformer_state(small.COARSE).items(),
            [torch.float32, torch.float16, torch.bfloat16, torch.float64] * 20,
            strict=False,
        )
    }
    wide = torch.randn(6, 8, dtype=torch.float32)
    state["embedding.view"] = wide.t()[1::2, ::3]
    root = {"state_dict": state, "metadata": {"kwargs": dict(small.COARSE)}}
    root["note"] = argparse.Namespace(size=wide.shape, device=wide.device)
    torch.save(root, tmp_path / "t.pth")
    tensors = read_checkpoint(tmp_path / "t.pth").tensors
    assert set(tensors.names()) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensors.read(name), tensor.detach().float().numpy())


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_an_archive_that_torch_makes_is_read_value_for_value(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    package = pytest.importorskip("torch.package")
    model = torch.nn.Module()
    for name, values in small.transformer_state(small.COARSE).items():
        *path, leaf = name.split(".")
        owner = model
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, torch.nn.Module())
            owner = getattr(owner, part)
        owner.register_parameter(leaf, torch.nn.Parameter(torch.from_numpy(values)))
    model.embedding.register_buffer("scratch", torch.ones(2), persistent=False)
    with package.PackageExporter(tmp_path / "p.pth") as exporter:
        exporter.extern("torch.**")
        exporter.save_pickle("VampNet", "VampNet.pth", model)
        exporter.save_pickle("VampNet", "VampNet.metadata", {"kwargs": dict(small.COARSE)})
    checkpoint = read_checkpoint(tmp_path / "p.pth")
    assert checkpoint.tensors.names() == tuple(model.state_dict())
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(checkpoint.tensors.read(name), tensor.numpy())
