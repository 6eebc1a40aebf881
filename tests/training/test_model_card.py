"""Figures of the model card, computed again from the shipped weights; no torch is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimize.truth.audio_metrics import si_sdr_db
from training.data.sounds import HELD_OUT_RECORDINGS, recordings
from training.figures import metrics
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.chain.pipeline import decode, encode
from vampnet_models.onnxfile.session import open_session

REFERENCE = Path(__file__).parents[2] / "vampnet_models" / "reference"


@pytest.fixture(scope="module")
def card() -> dict[str, list[str]]:
    """The rows of all its tables: the cells after the first, by the first."""
    text = (REFERENCE / "MODEL_CARD.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_sizes_in_the_card_are_those_of_the_files(card: dict[str, list[str]]) -> None:
    shipped = list(REFERENCE.glob("*.pth"))
    assert len(shipped) == 3
    for path in shipped:
        assert int(card[path.name][-1].replace(",", "")) == path.stat().st_size


def test_the_card_tells_every_held_out_recording(card: dict[str, list[str]]) -> None:
    told = {name.split(",")[0] for name in card if name.endswith(" 14 codebooks")}
    assert told == set(HELD_OUT_RECORDINGS)


def test_the_trumpet_is_reconstructed_as_well_as_the_card_says(
    card: dict[str, list[str]], shared: Path, tmp_path: Path
) -> None:
    folder = shared / "audio"
    if not (folder / "trumpet.ogg").is_file():
        pytest.skip(f"no trumpet.ogg in {folder}: held-out recordings are not in the repository")
    audio = recordings(folder, ("trumpet",))["trumpet"]
    models = builtin_models(tmp_path)
    codes = encode(open_session(models / "codec_encoder.onnx"), audio)
    decoded = decode(open_session(models / "codec_decoder.onnx"), codes)[: len(audio)]
    told_db, log_mel_db = (float(cell) for cell in card["trumpet, 14 codebooks"][:2])
    assert si_sdr_db(audio, decoded) == pytest.approx(told_db, abs=0.03)
    assert metrics.log_mel_distance_db(decoded, audio) == pytest.approx(log_mel_db, abs=0.02)
