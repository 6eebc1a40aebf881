"""What the reference models were aimed at, which is told, and the thresholds they must keep."""

from __future__ import annotations

from training.config import N_COARSE
from training.figures.records import Figures

_COARSE_USED_MIN = 0.30
_PERPLEXITY_MIN = 100.0
# By recording, of all 14 codebooks.
_SI_SDR_DB = {"brahms": 8.0, "trumpet": 5.0, "speech": 6.0}
_LOG_MEL_DB = {"brahms": 3.0, "trumpet": 3.0}
_PERPLEXITY = 600.0
# Below the entropy of the tokens' own unigram.
_OWN_GAIN_NATS = {"coarse, works": 0.9, "coarse, brahms": 0.8}
_NEAR_TIES = {"coarse, works": 0.20}


def missed(result: Figures) -> list[str]:
    """The thresholds that the figures do not reach, one line each."""
    lines: list[str] = []
    used = result["usage"]
    for index in range(N_COARSE):
        if used["share"][index] < _COARSE_USED_MIN:
            lines.append(f"codebook {index}: {used['share'][index]:.0%} of entries used")
    for index, perplexity in enumerate(used["perplexity"]):
        if perplexity < _PERPLEXITY_MIN:
            lines.append(f"codebook {index}: perplexity {perplexity:.0f} < {_PERPLEXITY_MIN:.0f}")
    for name, row in result["tokens"].items():
        if row["gain_nats"] <= 0.0:
            lines.append(f"{name}: gain {row['gain_nats']:.2f}, not below the unigram")
    return lines


def aims(result: Figures) -> list[str]:
    """What was aimed at, one line each: reached or missed. An aim is no threshold."""
    lines: list[str] = []
    for name, aim in _SI_SDR_DB.items():
        value = result["codec"][name]["si_sdr_db"]["14"]
        lines.append(_told(value >= aim, f"{name}: SI-SDR {value:.2f} dB, aim {aim:.1f} or more"))
    for name, aim in _LOG_MEL_DB.items():
        value = result["codec"][name]["log_mel_db"]["14"]
        lines.append(_told(value <= aim, f"{name}: log-mel {value:.2f} dB, aim {aim:.1f} or less"))
    worst = min(result["usage_held_out"]["perplexity"])
    text = f"worst perplexity {worst:.0f} on held-out works, aim {_PERPLEXITY:.0f} or more"
    lines.append(_told(worst >= _PERPLEXITY, text))
    for name, aim in _OWN_GAIN_NATS.items():
        value = result["tokens"][name]["own_gain_nats"]
        text = f"{name}: {value:.2f} nats below the tokens' own entropy, aim {aim:.1f} or more"
        lines.append(_told(value >= aim, text))
    for name, aim in _NEAR_TIES.items():
        value = result["tokens"][name]["near_ties"]
        lines.append(_told(value <= aim, f"{name}: {value:.0%} near-ties, aim {aim:.0%} or less"))
    return lines


def _told(reached: bool, text: str) -> str:
    return f"{'reached' if reached else 'missed '} {text}"
