"""Sentences of the pages whose figures come of the kept records."""

from __future__ import annotations

from collections.abc import Iterable

from docs.cells import Json, size
from docs.tables import tuned
from profiles.targets.order import store_limits
from vampnet_models.text import percent

GOALS = (
    ("INT8, 100 frames", 3.3, 100, ("int8-dynamic",)),
    ("INT8, 575 frames, standard operators", 3.0, 575, ("int8-static", "int8-dynamic")),
    ("INT8, 575 frames, with the library", 3.0, 575, ("int8-static-native", "int8-dynamic-native")),
    ("FP32, 575 frames, with the library", 1.15, 575, ("fused-native",)),
)
"""What the transformers were to reach, in how many frames, by which variants."""


def made(runs: dict[str, Json]) -> Iterable[tuple[str, str]]:
    """Each sentence, or the table of goals, by its name."""
    yield "loss-near-ties", near_ties(runs["recordings"])
    yield "loss-mixtures", mixtures(runs["tune"]["searches"], runs["recordings"])
    yield "speed-goals", goals(runs["latency"])
    yield "phone-sets", phone_sets(runs["demo"])
    yield "npu-codec", npu_codec(runs["qnn"])


def near_ties(recordings: Json) -> str:
    """The small transformers' token agreement without near-ties."""
    said = []
    for recipe in ("int8-static", "int8-weights"):
        found = [
            f"{percent(_accuracy(recordings, name, recipe)['near_ties']['agreement_excluding'])} "
            f"in {name}"
            for name in ("coarse", "c2f")
        ]
        said.append(f"`{recipe}` has {' and '.join(found)}")
    return f"Token agreement without near-ties: {', '.join(said)}."


def mixtures(searches: list[Json], recordings: Json) -> str:
    """What the smallest mixtures of a search cost, beside the uniform recipe's size."""
    names = ("coarse", "c2f")
    both = [s for s in searches if {*names} <= {model["name"] for model in s["models"]}]
    smallest = min(both, key=lambda search: int(search["chosen"]["bytes"]))
    said = []
    for name in names:
        (model,) = (m for m in smallest["models"] if m["name"] == name)
        static = _variant(recordings, name, "int8-static")
        found = model["accuracy"]
        cost = found["cost_nats"]
        lost = (
            f"{percent(found['token_agreement'])} token agreement"
            if cost is None
            else f"{cost['value']:+.4f} ({cost['low']:+.4f} to {cost['high']:+.4f}) nats per token"
        )
        said.append(
            f"{lost} in {name} at {size(model['bytes'])} (its `int8-static` has "
            f"{size(static['bytes'])})"
        )
    return f"`tune`, asked for {tuned.asked(smallest)}, finds {' and '.join(said)}."


def goals(latency: Json) -> str:
    """What was asked of the transformers' speed, and what was reached."""
    lines = ["| goal | asked | variant | coarse | c2f |", "|---|---:|---|---:|---:|"]
    for what, asked, frames, variants in GOALS:
        for variant in variants:
            cells = (
                _speedup(latency["cases"][f"{model}-{frames}"]["summary"][variant])
                for model in ("coarse", "c2f")
            )
            lines.append(f"| {what} | {asked:.2f} x | `{variant}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def phone_sets(demo: Json) -> str:
    """How large the built-in sets for phones are, and the stores' limits."""
    limits = ", ".join(f"{each.store}'s {each.part} {size(each.bytes)}" for each in store_limits())
    decided = demo["decision"]["android"]["smallest"]["bytes"]
    fp16 = demo["totals"]["fp16"]
    return (
        f"The limits: {limits}. Of the built-in models what the demo decides for Android "
        f"({size(decided)}) and the set in `fp16` ({size(fp16)}) are below all of them."
    )


def npu_codec(qnn: Json) -> str:
    """What the emulated NPU makes of the codec in each recipe."""
    said = []
    for recipe in ("npu-fp16", "npu-a16w8", "npu-a8w8"):
        decoder, encoder = (
            qnn["variants"][f"{model}/{recipe}"]["emulated"]["to_reference"]
            for model in ("codec_decoder", "codec_encoder")
        )
        said.append(f"`{recipe}`: {decoder:.1f} dB and {percent(encoder)}")
    return (
        "The emulated NPU's SI-SDR of the decoder, and token agreement of the encoder: "
        f"{'; '.join(said)}."
    )


def _speedup(found: Json) -> str:
    low, high = found["speedup_interval"]
    return f"{found['speedup']:.2f} x ({low:.2f} to {high:.2f})"


def _variant(quoted: Json, model: str, recipe: str) -> Json:
    (found,) = (m for m in quoted["models"] if m["name"] == model)
    variant: Json = next(v for v in found["variants"] if v["recipe"] == recipe)
    return variant


def _accuracy(quoted: Json, model: str, recipe: str) -> Json:
    accuracy: Json = _variant(quoted, model, recipe)["accuracy"]
    return accuracy
