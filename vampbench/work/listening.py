"""Short sounds of reference and variants, so that one can hear what a recipe costs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import soundfile

from vampbench.work.workspace import Workspace
from vampnet_models.cache import Json
from vampnet_models.chain.pipeline import Audio, decode
from vampnet_models.chain.tokens import Codes
from vampnet_models.family import TYPICAL, Family
from vampnet_models.onnxfile.artifact import beside
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role

_EXCERPT_S = 3
_HEARD_UP_TO_BYTES = 100_000_000
"""Decoders larger than this take too long to run for each variant just to be heard."""


def write_listening(models: list[Json], space: Workspace, codes: Sequence[Codes]) -> list[Json]:
    """Decode the first evaluation clip by every decoder variant, once; what the report plays."""
    decoder = next((m for m in models if m["role"] == Role.CODEC_DECODER.value), None)
    if decoder is None or decoder["source_bytes"] > _HEARD_UP_TO_BYTES or not codes:
        return []
    family = Family(**decoder["family"]) if decoder.get("family") else TYPICAL
    excerpt = _EXCERPT_S * family.sample_rate_hz // family.hop_samples
    usable = [v for v in decoder["variants"] if v["status"] in ("ok", "missed")]
    sources = [("reference", space.root / decoder["path"], decoder["source_sha256"])]
    sources += [(v["recipe"], space.root / v["path"], v["record"]["sha256"]) for v in usable]
    listed = []
    for name, model, sha256 in sources:
        path = space.root / "audio" / f"{name}.{sha256[:8]}.wav"
        if not path.is_file():
            audio = decode(open_session(model), codes[0][:, :, :excerpt])
            write_wav(path, audio, family.sample_rate_hz)
        note = f"{decoder['name']}: the codes of an evaluation clip, decoded by {name}"
        listed.append({"path": str(path.relative_to(space.root)), "name": name, "note": note})
    return listed


def write_wav(path: Path, samples: Audio, rate_hz: int) -> None:
    """Write float32 `[n]` as 16-bit WAV, beside and renamed.

    Raises InputError when the file cannot be written.
    """
    # Made in memory: the library calls a full disk a "System error".
    sound = io.BytesIO()
    soundfile.write(sound, samples, rate_hz, subtype="PCM_16", format="WAV")
    with beside(path) as staged:
        staged.write_bytes(sound.getbuffer())
