"""The tables of real recordings, from figures that are given here."""

from __future__ import annotations

from docs.cells import Json, cost, worst
from docs.tables.heard import recordings


def figure(value: float, **more: object) -> Json:
    ends = {"low": value - 0.01, "high": value + 0.01, "floor": 0.999, "per_recording": {"a": 1.0}}
    return {"value": value, **ends, **more}


def model(role: str, grades: list[str], **accuracy: object) -> Json:
    none = dict.fromkeys(
        (
            *("token_agreement", "si_sdr_db", "sampled_agreement", "cost_nats"),
            *("cost_log_mel_db", "cost_si_sdr_db", "same_song", "same_song_long"),
        )
    )
    found = none | {"floor": 1.0, "interval": (0.8, 0.95)} | accuracy
    return {
        "name": role,
        "role": role,
        "variants": [{"recipe": "int8", "grades": grades, "accuracy": found}],
    }


def quoted() -> Json:
    song = {
        "same_song": figure(0.62),
        "nats": {"coarse": figure(0.02), "c2f": figure(0.03)},
        "seed_nats": {"coarse": figure(0.0), "c2f": figure(0.04)},
        "log_mel_mmd": figure(0.005),
        "seed_log_mel_mmd": figure(0.004),
    }
    chosen = {"parts": {"coarse": "int8", "codec_encoder": "fp16"}, "song": song}
    coarse = model(
        "coarse",
        ["faithful", "harmless"],
        token_agreement=0.9,
        sampled_agreement=figure(0.98),
        cost_nats=figure(0.002, per_recording={"a": 0.1, "b": 0.2}),
        same_song=figure(0.75),
        same_song_long=figure(0.65),
    )
    c2f = model("c2f", ["harmless"], token_agreement=0.8, cost_nats=figure(0.001))
    encoder = model(
        "codec-encoder",
        [],
        token_agreement=0.7,
        cost_log_mel_db=figure(0.05, per_recording={"a": 0.01, "b": 0.3}),
    )
    decoder = model("codec-decoder", [], si_sdr_db=30.0, log_mel_db=0.4)
    lengths = [{"frames": n, "n_prompts": 24, "n_pieces": 9, "n_recordings": 6} for n in (173, 575)]
    return {
        "audio_set": {"evaluation_s": 172.4},
        "song_prompts": lengths,
        "models": [encoder, coarse, c2f, decoder],
        "decision": {
            "cpu": {"smallest": chosen, "fastest": None},
            "android": {"smallest": chosen, "fastest": None},
        },
    }


def test_every_measure_has_its_column_and_every_set_its_row() -> None:
    text, tokens, codec, sets = recordings(quoted()).split("\n\n")
    assert text.startswith("Judged on 172 s of 2 recordings; songs were played from 24 prompts")
    assert "of 173 frames (9 pieces of 6 recordings) and 24 prompts of 575 frames" in text
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in tokens.splitlines()]
    assert rows[0][-3:] == ["same song, 173 frames", "same song, 575 frames", "shown to be"]
    assert rows[2] == [
        "coarse",
        "int8",
        "90.00 % (80.00 % to 95.00 %)",
        "98.00 % (97.00 % to 99.00 %)",
        "+0.0020 (-0.0080 to +0.0120)",
        "75.00 % (74.00 % to 76.00 %)",
        "65.00 % (64.00 % to 66.00 %)",
        "faithful",
    ]
    assert rows[3] == ["coarse", "*FP32 itself*", "100.00 %", "99.90 %", "-", *["99.90 %"] * 2, ""]
    assert rows[4][3] == "-" and rows[4][-1] == "harmless"
    assert "| +0.050 (+0.040 to +0.060) | +0.300 (b) | - | - |" in codec
    assert "| codec-decoder | int8 | SI-SDR 30.0 dB, log-mel 0.400 dB | - | - | - | - |" in codec
    (row,) = sets.splitlines()[2:]
    assert row.startswith(
        "| `cpu`, `android` | `int8` for coarse, `fp16` for codec_encoder | 62.00"
    )
    heads = {len(block.splitlines()[0].split("|")) for block in (tokens,)}
    assert heads == {len(row) + 2 for row in rows}


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert cost(figure(0.0, low=-0.00004, high=0.0004), 4) == "0.0000 (0.0000 to +0.0004)"
    assert worst({"per_recording": {"a": -0.2, "b": 0.0004}}, 3) == "0.000 (b)"
    assert worst({"per_recording": {}}, 3) == worst(None, 3) == cost(None, 3) == "-"
