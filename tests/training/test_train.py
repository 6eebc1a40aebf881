"""The first 50 steps of every stage: the loss falls, a run resumes, what is frozen stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from tests.training import tiny  # noqa: E402
from training.config import transformer_kwargs  # noqa: E402
from training.data.tokens import TokenSet  # noqa: E402
from training.networks.codec import _SNAKE_ALPHA_MIN, Codec  # noqa: E402
from training.networks.quantizer_init import fit_quantizer  # noqa: E402
from training.networks.snake import Snake  # noqa: E402
from training.networks.transformer import VampNet  # noqa: E402
from training.stages import loop  # noqa: E402
from training.stages.checkpoint import load_original, save_original  # noqa: E402
from training.stages.train_codec import (  # noqa: E402
    latents_of,
    train_autoencoder,
    train_decoder,
)
from training.stages.train_joint import Usage, train_joint  # noqa: E402
from training.stages.train_tokens import train_transformer  # noqa: E402

STEPS = 60


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Codec, list[dict[str, float]]]:
    codec = Codec(**tiny.CODEC_KWARGS)
    stage = tiny.stage("autoencoder", STEPS, 2e-3, frames=4)
    log = train_autoencoder(codec, tiny.pool(), tiny.tracks(), stage, tmp_path_factory.mktemp("ae"))
    return codec, log


def _falls(log: list[dict[str, float]], by: float) -> None:
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == STEPS // 20
    assert losses[-1] < by * losses[0], log
    assert [entry["step"] for entry in log if "score" in entry] == [STEPS]


def test_autoencoder_learns_in_its_first_steps(
    trained: tuple[Codec, list[dict[str, float]]],
) -> None:
    codec, log = trained
    _falls(log, 0.9)
    alphas = [m.alpha.min().item() for m in codec.modules() if isinstance(m, Snake)]
    assert min(alphas) >= _SNAKE_ALPHA_MIN


def test_quantizer_is_fitted_without_dead_codebooks(
    trained: tuple[Codec, list[dict[str, float]]],
) -> None:
    codec, _ = trained
    latents = latents_of(codec, tiny.pool(), crops=20, frames=40, seed=0)
    left = fit_quantizer(codec, latents, seed=0)
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.5 * left[0]
    audio = torch.from_numpy(np.float32(tiny.pool().tracks["melodies"][0]))[None, None]
    codes = codec.encode(audio)[0]
    assert all(len(row.unique()) > 16 for row in codes)


def test_decoder_learns_and_the_tokens_stay(
    trained: tuple[Codec, list[dict[str, float]]], tmp_path: Path
) -> None:
    codec, _ = trained
    pool = tiny.pool()
    fit_quantizer(codec, latents_of(codec, pool, 20, 40, 0), seed=0)
    audio = torch.from_numpy(np.float32(pool.tracks["melodies"][0][: 768 * 20]))[None, None]
    codes, decoded = codec.encode(audio), codec.decode(codec.encode(audio))
    log = train_decoder(
        codec, pool, tiny.tracks(), tiny.stage("decoder", STEPS, 2e-3, frames=4), tmp_path
    )
    _falls(log, 1.0)
    assert torch.equal(codec.encode(audio), codes)
    assert not torch.allclose(codec.decode(codes), decoded)


def test_joint_stage_learns_without_growing_and_revives(
    trained: tuple[Codec, list[dict[str, float]]], tmp_path: Path
) -> None:
    codec, _ = trained
    pool = tiny.pool()
    fit_quantizer(codec, latents_of(codec, pool, 20, 40, 0), seed=0)
    projections = codec.quantizer.quantizers[0].in_proj.weight_v.detach().clone()
    table = codec.quantizer.quantizers[0].codebook.weight.detach().clone()
    log = train_joint(
        codec, pool, tiny.tracks(), tiny.stage("joint", STEPS, 1e-3, frames=4), tmp_path
    )
    _falls(log, 1.0)
    first, last = log[0], log[-2]
    assert last["codebook"] < first["codebook"]
    assert 0.7 < last["latent_rms"] / first["latent_rms"] < 1.4
    assert not torch.equal(codec.quantizer.quantizers[0].codebook.weight, table)
    assert torch.equal(codec.quantizer.quantizers[0].in_proj.weight_v, projections)


def test_dead_entries_restart_at_residuals_and_live_ones_stay() -> None:
    torch.manual_seed(0)
    quantizer = Codec(**tiny.CODEC_KWARGS).quantizer
    latent = torch.randn(2, 32, 100)
    usage = Usage(quantizer)
    usage.note(quantizer(latent).codes, latent)
    usage.used[0, :40] = True
    usage.used[0, 40:] = False
    before = quantizer.quantizers[0].codebook.weight.detach().clone()
    assert usage.revive(quantizer, np.random.default_rng(0)) >= 24
    after = quantizer.quantizers[0].codebook.weight
    assert torch.equal(after[:40], before[:40])
    assert (after[40:] != before[40:]).any(dim=1).all()
    points = quantizer.quantizers[0].in_proj(latent).transpose(1, 2).reshape(-1, 8)
    assert torch.cdist(after[40:], points).min(dim=1).values.max() < 1e-2
    assert not usage.used.any()


def _repeating_tokens() -> TokenSet:
    rng = np.random.default_rng(0)
    tracks = [np.tile(rng.integers(0, 8, (4, 4)), (1, 32)) for _ in range(8)]
    return TokenSet({"arrangements": tracks})


def _transformer() -> VampNet:
    tables = torch.randn(4, 1024, 8, generator=torch.Generator().manual_seed(1))
    return VampNet(tables, **transformer_kwargs(2, 64, 2, n_codebooks=4, n_conditioning=0))


def test_transformer_learns_in_its_first_steps(tmp_path: Path) -> None:
    stage = tiny.stage("coarse", STEPS, 3e-3, frames=32)
    data = _repeating_tokens()
    validation = data.tracks["arrangements"][:2]
    _falls(train_transformer(_transformer(), data, validation, stage, tmp_path), 0.97)


def test_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    stage = tiny.stage("line", 12, 1e-2, frames=1)

    def run(folder: str, stop_at: int) -> torch.nn.Linear:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 1)
        optimizer = torch.optim.Adam(module.parameters())

        def step_loss(step: int) -> tuple[torch.Tensor, dict[str, float]]:
            if step == stop_at:
                loop.STOP.set()
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            return (module(x) - x.sum(1, keepdim=True)).square().mean(), {}

        (tmp_path / folder).mkdir(exist_ok=True)
        try:
            loop.run_stage(
                stage, module, optimizer, step_loss, lambda _: {"score": 0.0}, tmp_path / folder
            )
        finally:
            loop.STOP.clear()
        return module

    whole = run("whole", stop_at=-1)
    with pytest.raises(loop.InterruptedTrainingError, match="after step 6"):
        run("broken", stop_at=5)
    resumed = run("broken", stop_at=-1)
    torch.testing.assert_close(resumed.weight, whole.weight, rtol=0, atol=0)


def test_the_best_judged_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_VALIDATE_EVERY_S", 0.0)
    module = torch.nn.Linear(1, 1, bias=False)
    seen: list[torch.Tensor] = []

    def validate(average: torch.nn.Module) -> dict[str, float]:
        weight = average.weight.detach().clone()
        seen.append(weight)
        return {"score": -abs(len(seen) - 4.0)}

    loop.run_stage(
        tiny.stage("line", 8, 1e-2, frames=1),
        module,
        torch.optim.SGD(module.parameters()),
        lambda _: (module.weight.square().sum() + module.weight.sum(), {}),
        validate,
        tmp_path,
    )
    assert len(seen) == 9
    torch.testing.assert_close(module.weight, seen[3], rtol=0, atol=0)
    assert not torch.equal(seen[3], seen[-1])


def test_half_checkpoint_round_trips(tmp_path: Path) -> None:
    codec = Codec(**tiny.CODEC_KWARGS)
    save_original(tmp_path / "codec.pth", codec.state_dict(), tiny.CODEC_KWARGS, half=True)
    state, kwargs = load_original(tmp_path / "codec.pth")
    assert kwargs == tiny.CODEC_KWARGS
    for name, value in codec.state_dict().items():
        torch.testing.assert_close(state[name], value.half().float(), rtol=0, atol=0)


def test_checkpoint_refuses_what_float16_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bias is not finite"):
        save_original(tmp_path / "x.pth", {"bias": torch.tensor([1e6])}, {}, half=True)
    assert not (tmp_path / "x.pth").exists()
