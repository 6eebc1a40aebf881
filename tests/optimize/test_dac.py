"""Every recipe on Descript's codec, judged by what the original classes answer."""

import numpy as np
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.build import build_variant
from optimize.recipes import RECIPES, find_recipe
from tests import dac
from tests.optimize.graphs import snr_db
from vampnet_models.errors import NotApplicable
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session

LEAST_SHARE = {
    "fused": 1.0,
    "fp16": 0.9,
    "int8-static": 0.6,
    "int8-dynamic": 0.5,
    "int8-weights": 0.7,
    "int4-weights": 0.3,
}
"""Of 1024 codes; seeded networks spread what is rounded, and the later codebooks take it all."""

LEAST_DB = {"fused": 90.0, "fp16": 45.0, "int8-dynamic": 12.0, "int8-weights": 20.0}
LEAST_DB["int4-weights"] = 4.0


def fed(source, feed):
    return FeedSet(source.role, (feed, feed), (FeedLabel("a"), FeedLabel("b")), "given", "given")


@pytest.mark.long
@pytest.mark.parametrize("rate", dac.RATES)
def test_every_recipe_is_made_or_refused_with_its_reason(rate, dac_codec, tmp_path):
    models = dac_codec(rate).record.parent
    golden = dac.answers(rate)
    encoder = open_artifact(models / "codec_encoder.onnx")
    decoder = open_artifact(models / "codec_decoder.onnx")
    shares, levels = {}, {}
    for recipe in RECIPES:
        feed = {"audio": golden["codec_audio"]}
        out = tmp_path / recipe.name / "codec_encoder.onnx"
        made = build_variant(encoder, recipe, out, calibration=fed(encoder, feed))
        codes = open_session(made.path).run(feed)["codes"]
        shares[recipe.name] = float(np.mean(codes == golden["codec_codes"]))
        feed = {"codes": golden["codec_codes"]}
        out = tmp_path / recipe.name / "codec_decoder.onnx"
        if recipe.name == "int8-static":
            with pytest.raises(NotApplicable, match=r"no node was converted: .* channels"):
                build_variant(decoder, recipe, out, calibration=fed(decoder, feed))
            continue
        made = build_variant(decoder, recipe, out)
        found = open_session(made.path).run(feed)["audio"]
        levels[recipe.name] = float(snr_db(golden["codec_decoded"], found))
    assert all(shares[name] >= least for name, least in LEAST_SHARE.items()), shares
    assert all(levels[name] >= least for name, least in LEAST_DB.items()), levels


def test_every_snake_of_the_codec_is_fused(dac_codec, tmp_path):
    models = dac_codec(16000).record.parent
    for name in ("codec_encoder", "codec_decoder"):
        source = open_artifact(models / f"{name}.onnx")
        made = build_variant(source, find_recipe("fused"), tmp_path / f"{name}.onnx")
        # Four blocks of three residual units of two, one before each stride, one before the end.
        assert made.record.fusions["snake"] == 4 * (3 * 2 + 1) + 1
