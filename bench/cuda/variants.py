"""The models and variants that are timed, made by several processes at once.

Nothing here needs a device.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.cuda.setting import RECIPES, STEMS, Setting
from bench.latency.inputs import timed_feed, write_feed
from optimize.build import build_variant
from optimize.recipes import find_recipe
from profiles.host import available_cores, memory_bytes
from vampnet_models.architectures.synth import synth
from vampnet_models.cache import Json
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import open_artifact

_FRAMES = {"coarse": 575, "c2f": 173, "codec_encoder": 288, "codec_decoder": 288}
"""10 s, and 3 s, by which c2f is used; 5 s of audio."""

_BYTES_EACH = 3.5
"""Memory of making a variant, as a multiple of its source's bytes: a probe runs both."""

_MOST_AT_ONCE = 4


def make_models(setting: Setting) -> Json:
    """The full-size models with seeded weights unless models were given; their bytes."""
    if setting.given is None and not all(setting.source(stem).is_file() for stem in STEMS):
        synth("vampnet", setting.models)
    artifacts = [open_artifact(setting.source(stem)) for stem in setting.stems()]
    return {"bytes": {each.name: each.bytes for each in artifacts}}


def make_variants(setting: Setting) -> Json:
    """Every recipe of every model, and the inputs; the reason where one was not made."""
    stems = setting.stems()
    sources = {stem: open_artifact(setting.source(stem)) for stem in stems}
    for stem in stems:
        if not setting.feed(stem).is_file():
            encoder = open_artifact(setting.source("codec_encoder"))
            feed = timed_feed(sources[stem], encoder, setting.frames or _FRAMES[stem])
            write_feed(feed, setting.feed(stem))
    # The largest first: the last ones to end are short.
    stems = tuple(sorted(stems, key=lambda stem: -sources[stem].bytes))
    jobs = [(stem, recipe) for stem in stems for recipe in RECIPES]
    most = _at_once(sources[stems[0]].bytes)
    # Forked processes would share the runtime's threads, which are not there in them.
    with ProcessPoolExecutor(most, multiprocessing.get_context("spawn")) as pool:
        calls = [
            pool.submit(_made, setting.source(stem), recipe, setting.variant(stem, recipe))
            for stem, recipe in jobs
        ]
        made = [call.result() for call in calls]
    found: Json = {"frames": {stem: setting.frames or _FRAMES[stem] for stem in stems}}
    for (stem, recipe), row in zip(jobs, made, strict=True):
        found.setdefault("variants", {}).setdefault(stem, {})[recipe] = row
    return found


def _made(source: Path, recipe: str, out: Path) -> Json:
    """One variant's bytes, or why there is none: `not_applicable`, or `failed`."""
    try:
        variant = build_variant(open_artifact(source), find_recipe(recipe), out)
    except NotApplicable as reason:
        return {"not_applicable": str(reason)}
    except WorkbenchError as error:
        return {"failed": str(error)}
    return {"bytes": variant.record.bytes}


def _at_once(largest_bytes: int) -> int:
    """How many variants are made at the same time, by cores and memory."""
    room = memory_bytes()[1]
    fit = _MOST_AT_ONCE if room is None else int(room / (_BYTES_EACH * largest_bytes + 1e9))
    return max(1, min(_MOST_AT_ONCE, available_cores() // 2, fit))
