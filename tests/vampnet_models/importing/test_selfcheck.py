import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import Stored, saved_model, write_saved
from vampnet_models.importing.importer import import_models
from vampnet_models.importing.selfcheck import check_with_torch, has_torch
from vampnet_models.importing.sources import find_sources


def write_all(folder, codec=small.LAC):
    small.write_codec(folder / "codec.pth", codec)
    beats = {name: Stored(values) for name, values in small.wavebeat_state().items()}
    root = {"state_dict": beats, "hyper_parameters": small.WAVEBEAT}
    write_saved(folder / "beats.ckpt", root)
    if codec is small.LAC:
        small.write_transformer(folder / "coarse.pth")
        small.write_transformer(folder / "c2f.pth", small.C2F)


def test_without_torch_an_import_says_that_nothing_was_compared(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    result = import_models([tmp_path], tmp_path / "out", self_check=not has_torch())
    assert result.eager is None


@pytest.mark.skipif(not has_torch(), reason="torch is not installed")
@pytest.mark.parametrize("codec", [small.LAC, small.DAC], ids=["lac", "dac"])
def test_eager_torch_agrees_with_every_model(tmp_path, codec):
    write_all(tmp_path, codec)
    result = import_models([tmp_path], tmp_path / "out")
    assert result.eager is not None
    result.eager.require()
    checked = {figure.model for figure in result.eager.figures}
    assert checked == {model.path.name for model in result.models}
    assert all(f.value == 1.0 for f in result.eager.figures if f.measure == "codes equal")


@pytest.mark.skipif(not has_torch(), reason="torch is not installed")
def test_other_weights_are_noticed_in_every_model(tmp_path):
    write_all(tmp_path)
    import_models([tmp_path], tmp_path / "out", self_check=False)
    changed = tmp_path / "changed"
    changed.mkdir()
    for name, kwargs, state in (
        ("codec", small.LAC, small.codec_state(small.LAC, seed=9)),
        ("coarse", small.COARSE, small.transformer_state(small.COARSE, seed=9)),
        ("c2f", small.C2F, small.transformer_state(small.C2F, seed=9)),
    ):
        write_saved(changed / f"{name}.pth", saved_model(kwargs, state))
    sources, _ = find_sources([changed])
    figures = check_with_torch(tmp_path / "out", sources).figures
    assert len(figures) == 4
    assert not any(figure.passed for figure in figures)
    assert all(np.isfinite(figure.value) for figure in figures)
