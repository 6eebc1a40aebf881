"""A realistic results.json: four small models, six recipes, every status, every kind of number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vampnet_models.records import results as records
from vampnet_models.records.generic import RESULTS, record_of

Results = dict[str, Any]

SOURCES = (
    ("codec_encoder", "codec-encoder", 2_310_000, 0.041),
    ("coarse", "coarse", 11_400_000, 0.0232),
    ("c2f", "c2f", 9_870_000, 0.0187),
    ("codec_decoder", "codec-decoder", 6_020_000, 0.118),
)
RECIPES = {  # share of the source, tokens lost, SI-SDR (dB), time relative to FP32
    "fused": (0.998, 0.0, 118.0, 0.93),
    "fp16": (0.503, 0.0021, 71.4, 0.99),
    "int8-static": (0.271, 0.113, 28.3, 0.46),
    "int8-dynamic": (0.268, 0.034, 31.9, 0.41),
    "int8-weights": (0.281, 0.0126, 44.6, 0.66),
    "int4-weights": (0.168, 0.094, 18.7, 0.79),
}
FLOOR = 0.9994
RECORD = {  # of a variant, but for what a test is about
    "recipe": "fused",
    "role": "coarse",
    "model": "coarse.onnx",
    "bytes": 1,
    "sha256": "ab" * 32,
    "source": {"name": "coarse.onnx", "bytes": 2, "sha256": "cd" * 32},
    "calibration": None,
    "versions": {},
    "fusions": {},
    "unmatched": [],
    "precision": {},
    "float_nodes": [],
}
REASON = "ConvInteger is slower than Conv in float, and the encoder has no MatMul"


def results_of(values: Mapping[str, object]) -> records.Results:
    """The record of these values."""
    return record_of(records.Results, dict(values), RESULTS, "results")


def example_results() -> Results:
    """Small trained models; one variant missed, one failed, one not applicable."""
    models = [_model(i, *source) for i, source in enumerate(SOURCES)]
    encoder, coarse, c2f, _ = (m["variants"] for m in models)
    _unusable(encoder[3], "not-applicable", REASON)
    _unusable(c2f[5], "failed", "MatMulNBits: block size 32 does not divide 1280 <inner & outer>")
    coarse[2]["status"] = "missed"
    coarse[2]["reason"] = "token agreement 88.70 % is below the asked 95.00 %"
    totals = {
        recipe: sum(v["bytes"] for m in models for v in m["variants"] if v["recipe"] == recipe)
        for recipe in RECIPES
        if all(
            v["status"] in ("ok", "missed")
            for m in models
            for v in m["variants"]
            if v["recipe"] == recipe
        )
    }
    mixed = {
        "codec-encoder": "fp16",
        "coarse": "int8-weights",
        "c2f": "int8-dynamic",
        "codec-decoder": "int8-static",
    }
    return {
        "schema": 1,
        "tool": {"version": "0.1.0", "command": "vampbench run models --audio sounds -o out"},
        "created": "2026-11-22 12:40 UTC",
        "host": _host(),
        "models": models,
        "skipped": [],
        "totals": totals,
        "sets": [
            {
                "name": "fp16 codec, int8 transformers",
                "parts": mixed,
                "bytes": sum(
                    v["bytes"]
                    for m in models
                    for v in m["variants"]
                    if v["recipe"] == mixed[m["role"]]
                ),
            }
        ],
        "audio_set": {
            "name": "sounds",
            "sha256": "5f0c" * 16,
            "calibration_s": 62.0,
            "evaluation_s": 41.0,
            "dropped": [
                {"name": "silence.wav", "reason": "silent: no loudness to normalise"},
                {"name": "Übergang <3>.wav", "reason": "3 samples, less than one frame (768)"},
            ],
            "warnings": ["only 41 s of evaluation audio"],
        },
        "audio": [],
        "decision": _decision(models),
    }


def _decision(models: list[Results]) -> Results:
    """As a run writes it: one set on the CPU, a smaller one where nothing was measured."""
    small = dict.fromkeys([m["name"] for m in models], "int8-dynamic") | {"codec_encoder": "fp16"}
    least = small | {"c2f": "int8-weights"}

    def whole(parts: dict[str, str], **times: object) -> Results:
        sizes = [
            v["bytes"] for m in models for v in m["variants"] if v["recipe"] == parts[m["name"]]
        ]
        return {"parts": parts, "bytes": sum(sizes), **times}

    over = {"model": "coarse", "recipe": "int4-weights", "reason": "may cost 0.02 nats per token"}
    return {
        "cpu": {
            "grade": "harmless",
            "smallest": whole(small, time_ratio=0.52, time_ratio_high=0.58),
            "fastest": whole(small, time_ratio=0.52, time_ratio_high=0.58),
            "reasons": ["coarse int8-dynamic: no cost above 0.003 nats per token found"],
            "passed_over": [over],
        },
        "android": {"grade": "harmless", "smallest": whole(least)},
        "ios": {"grade": "harmless", "smallest": whole(least)},
    }


def _model(index: int, name: str, role: str, size: int, seconds: float) -> Results:
    rng = np.random.default_rng(index)
    return {
        "name": name,
        "role": role,
        "source_bytes": size,
        "source_sha256": f"{index}a7c" * 16,
        "weights": "trained",
        "profiles": {"cpu": _cpu(rng, seconds, None), "cuda": _no_cuda()},
        "variants": [_variant(rng, role, size, seconds, recipe) for recipe in RECIPES],
    }


def _variant(
    rng: np.random.Generator, role: str, size: int, seconds: float, recipe: str
) -> Results:
    share, lost, si_sdr_db, ratio = RECIPES[recipe]
    lost *= 4.5 if role == "codec-encoder" else 1.0
    ratio *= rng.uniform(0.92, 1.08)
    made = round(size * (1.004 if recipe == "fused" and role == "c2f" else share))
    fast_s = seconds * ratio
    return {
        "recipe": recipe,
        "path": f"variants/{recipe}/{role}.onnx",
        "bytes": made,
        "status": "ok",
        "reason": None,
        "accuracy": _audio_accuracy(si_sdr_db) if role == "codec-decoder" else _tokens(role, lost),
        "profiles": {
            "cpu": _cpu(rng, fast_s, ratio),
            "cuda": _no_cuda(),
            "mobile": _mobile(made, fast_s, recipe),
        },
        "record": RECORD
        | {
            "fusions": {"rms_norm": 9, "relative_attention": 4, "snake": 0},
            "unmatched": [
                {
                    "rule": "snake",
                    "node": "decoder/block.3/snake",
                    "reason": "alpha is not constant",
                }
            ]
            if recipe == "fused"
            else [],
            "precision": {"float32": 12, "int8": 30},
            "float_nodes": [
                {
                    "node": f"blocks.{i}/<attn>",
                    "op_type": "MatMul",
                    "reason": "activation x activation",
                }
                for i in range(4)
            ]
            if recipe.startswith("int8")
            else [],
            "mixed_nodes": [
                {"node": "conv.0", "op_type": "Conv", "precision": "int8", "reason": "4 bits cost"}
            ]
            if recipe == "int4-weights"
            else [],
            "warnings": ["2 scales are subnormal"] if recipe == "fp16" else [],
            "runtime": _runtime() if recipe.startswith("int8-") else None,
        },
    }


def _runtime() -> Results:
    return {
        "provider": "CPUExecutionProvider",
        "onnxruntime": "1.31.1",
        "shapes": {"codes": [1, 4, 575]},
        "integer_share": 0.9625,
        "integer_flops": 9625,
        "float_flops": 375,
        "attention_flops": 4000,
        "kernels": {"MatMulIntegerToFloat": 21, "MatMulNBits": 1},
        "attention": {"MultiHeadAttention": 5},
        "float_kernels": [
            {
                "op_type": "Conv",
                "reason": "the <first> convolution: reads the waveform",
                "listed": True,
                "flops": 375,
                "nodes": ["conv.0", "conv.1"],
            }
        ],
        "dequantized": {
            "in_kernels": 21,
            "each_run": 2,
            "folded": 0,
            "folded_bytes": 0,
            "unmapped": 0,
            "activations": 4,
        },
        "upcast": {"nodes": 0, "casts": 0},
        "weights_bytes": 2_210_000,
        "runtime_weights_bytes": 2_230_000,
        "unmapped": [],
        "unresolved": [],
        "graph_bytes": 2_400_000,
    }


def _tokens(role: str, lost: float) -> Results:
    first, n = {"codec-encoder": (0, 14), "coarse": (0, 4), "c2f": (4, 10)}[role]
    agreement = min(1.0 - lost, 1.0)
    books = []
    for i in range(n):
        kept = max(0.02, 1.0 - lost * (0.35 + 1.3 * i / max(n - 1, 1)))
        book = {"codebook": first + i, "agreement": kept, "floor": FLOOR - 4e-5 * i}
        book["n_positions"] = 1720
        book["given_earlier"] = 1.0 - lost * 0.22 if role == "codec-encoder" else None
        books.append(book)
    ratios = [] if role == "codec-encoder" else [0.2, 0.4, 0.6, 0.8, 1.0]
    half = 0.0 if lost == 0 else 1.96 * math.sqrt(agreement * lost / 24_080)
    return {
        "token_agreement": agreement,
        "floor": FLOOR,
        "interval": [agreement - half, agreement + half],
        "n_positions": 24_080,
        "per_codebook": books,
        "per_mask_ratio": [
            {"mask_ratio": r, "agreement": 1.0 - lost * (0.5 + r), "floor": FLOOR - 1e-4 * r}
            | {"n_positions": 6020}
            for r in ratios
        ],
        "near_ties": {
            "epsilon": 0.001,
            "share": 0.0004,
            "agreement_excluding": min(1.0, agreement + lost / 9),
        },
        "sampled_agreement": None if role == "codec-encoder" else _sampled(lost / 5),
        "cost_nats": None if role == "codec-encoder" else _cost(lost / 8),
        "cost_log_mel_db": _cost(lost / 3) if role == "codec-encoder" else None,
        "logits_kl": None if role == "codec-encoder" else lost / 7,
        "top5_containment": None if role == "codec-encoder" else 1.0 - lost / 40,
        "notes": [],
    }


def _sampled(lost: float) -> Results:
    songs = {f"song {i}": max(0.0, 1 - lost * (0.8 + 0.1 * i)) for i in range(5)}
    return {
        "value": 1 - lost,
        "low": 1 - 1.5 * lost,
        "high": 1 - 0.5 * lost,
        "floor": 0.9998,
        "n": 16_384,
        "n_clips": 24,
        "per_recording": songs,
    }


def _cost(value: float) -> Results:
    return {
        "value": value,
        "low": -value,
        "high": 3 * value,
        "floor": 0.000002,
        "n": 9_968,
        "n_clips": 24,
        "per_recording": {f"song {i}": value * (i - 1) for i in range(5)},
    }


def _audio_accuracy(si_sdr_db: float) -> Results:
    return {
        "token_agreement": None,
        "floor": None,
        "n_positions": 176_400,
        "si_sdr_db": si_sdr_db,
        "floor_si_sdr_db": 121.5,
        "worst_si_sdr_db": si_sdr_db - 3.5,
        "log_mel_db": 14.0 / si_sdr_db,
        "snr_db": si_sdr_db - 0.2,
        "cost_log_mel_db": _cost(1 / si_sdr_db),
        "cost_stft": _cost(0.1 / si_sdr_db),
        "cost_si_sdr_db": _cost(0.5 / si_sdr_db),
        "clipped": 0,
        "nonfinite": 0,
        "notes": [],
    }


def _cpu(rng: np.random.Generator, seconds: float, ratio: float | None) -> Results:
    samples = seconds * (1 + rng.gamma(2.0, 0.02, 25))
    samples[7] *= 1.12
    interval = None if ratio is None else [ratio * 0.98, ratio * 1.02]
    said = (
        "no difference"
        if abs((ratio or 1) - 1) < 0.05
        else "slower"
        if (ratio or 1) > 1
        else "faster"
    )
    return {
        "kind": "measurement",
        "target": "cpu, 2 threads, cores 0-1",
        "threads": 2,
        "bytes": 1,
        "median_s": float(np.median(samples)),
        "p10_s": float(np.percentile(samples, 10)),
        "p90_s": float(np.percentile(samples, 90)),
        "p99_s": None,
        "n_samples": 25,
        "samples_s": samples.tolist(),
        "warmup_s": [seconds * 1.3, seconds * 1.05],
        "session_s": seconds * 1.7,
        "session_cold_s": None,
        "first_run_s": seconds * 1.4,
        "peak_rss_bytes": 96_000_000 + round(seconds * 9e8),
        "base_rss_bytes": 88_000_000,
        "overhead_s": 4.1e-5,
        "yardstick_s": [0.004 + 1e-5 * (i % 5) for i in range(25)],
        "outliers": [7],
        "noisy": False,
        "spread": 0.063,
        "drift": -0.004,
        "foreign_share": 0.012,
        "ratio_to_reference": ratio,
        "ratio_interval": interval,
        "verdict": None if ratio is None else said,
        "warnings": [],
    }


def _no_cuda() -> Results:
    return {
        "kind": "not-measured",
        "reason": "this onnxruntime has no CUDAExecutionProvider; on a CUDA machine, install the "
        "cuda environment and run `vampbench profile --target cuda` there",
        "bytes": 1,
        "operators": _coverage("cuda", 0.98),
        "notes": [],
    }


def _coverage(runtime: str, share: float) -> Results:
    return {
        "runtime": runtime,
        "nodes": 120,
        "supported": 112,
        "node_share": 112 / 120,
        "flops_share": share,
        "partitions": 3,
        "refusals": [{"op_type": "Sin", "reason": "no kernel <f32>", "nodes": 8, "flops": 100}],
    }


def _platform(name: str, runtime: str, share: float) -> Results:
    covered = _coverage(runtime, share)
    kept = {key: covered[key] for key in ("runtime", "node_share", "flops_share", "partitions")}
    return {"platform": name, **kept}


def _mobile(size: int, seconds: float, recipe: str) -> Results:
    devices = (("Snapdragon 8 Gen 3", "android", 1.4, 3.1), ("A17 Pro", "ios", 0.9, 2.2))
    integer = recipe.startswith("int8")
    return {
        "kind": "estimate",
        "low_s": seconds * 0.9,
        "high_s": seconds * 3.1,
        "assumptions": ["a whole model reaches 25% to 70% of the roofline bound"],
        "devices": [
            {
                "device": name,
                "platform": platform,
                "low_s": seconds * low,
                "high_s": seconds * high,
                "memory_share": 0.4,
                "confidence": "medium",
                "source": "published clock and bandwidth",
                "kind": "estimate",
            }
            for name, platform, low, high in devices
        ],
        "bytes": size,
        "zipped_bytes": round(size * 0.91),
        "zipped_exact": size < 5_000_000,
        "ort_bytes": None if recipe == "int4-weights" else round(size * 1.06),
        "ort_reason": "the conversion failed: no kernel" if recipe == "int4-weights" else None,
        "required_operators": {"ai.onnx;21": ["Conv", "MatMul"]},
        "stores": [
            {"store": "Google Play", "part": "base module", "limit_bytes": 200_000_000}
            | {"fits": size < 200_000_000},
            {"store": "Apple App Store", "part": "app", "limit_bytes": 4_000_000_000}
            | {"fits": True},
        ],
        "coverage": {"cpu": _coverage("cpu", 1.0), "nnapi": _coverage("nnapi", 0.31)},
        "platforms": [
            _platform("android", "cpu", 1.0),
            _platform("android-npu", "nnapi", 0.31),
            _platform("ios", "coreml-mlprogram", 0.12 if integer else 0.97),
        ],
        "notes": ["CoreML has no path for INT8 operators: ship fp16 on iOS"] if integer else [],
    }


def _host() -> Results:
    return {
        "cpu": "Example Processor (family 26, model 2)",
        "flags": ["avx2", "fma", "avx512_vnni"],
        "cores": 2,
        "cores_machine": 64,
        "quota_cores": 2.0,
        "governor": None,
        "virtual": True,
        "load_1min": 0.41,
        "memory_bytes": 24_600_000_000,
        "os": "Linux x86_64",
        "python": "3.11.9",
        "versions": {"onnxruntime": "1.31.1", "onnx": "1.23.2"},
    }


def _unusable(variant: Results, status: str, reason: str) -> None:
    variant |= {"status": status, "reason": reason, "path": None, "bytes": None}
    variant |= {"accuracy": None, "profiles": {}, "record": None}
