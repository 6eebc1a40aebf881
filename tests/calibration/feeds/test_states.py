from dataclasses import replace

import numpy as np
import pytest

from calibration.feeds.states import PROMPTS, Trajectories, draw_states, prompt_mask

FRAMES = 60


def sources(n_codebooks: int = 4, n: int = 3) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(f"clip{i}", rng.integers(0, 16, (1, n_codebooks, FRAMES))) for i in range(n)]


class Model:
    """Logits of 16 classes that depend on the codes; counts how often it runs."""

    def __init__(self, predicted: int) -> None:
        self.predicted = predicted
        self.runs = 0

    def __call__(self, codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.runs += 1
        shown = np.where(mask == 1, 16, codes)[:, -self.predicted :]
        rng = np.random.default_rng(int(shown.sum()))
        return rng.standard_normal((*shown.shape, 16)).astype(np.float32)


def coarse_how(**changes: object) -> Trajectories:
    how = Trajectories(predicted=4, window=40, pad=False, steps=(12,), forward=Model(4))
    return replace(how, **changes)


def test_states_cover_schedule_prompts_and_clips() -> None:
    states = draw_states(sources(), 48, coarse_how())
    assert len(states) == 48
    assert {s.label.prompt for s in states} == set(PROMPTS)
    assert {s.label.clip for s in states} == {"clip0", "clip1", "clip2"}
    assert {s.label.step for s in states} == set(range(13))
    ratios = np.array([s.label.mask_ratio for s in states])
    assert ratios.max() == 1.0
    assert ratios.min() == 1 / 40
    assert len(np.unique(np.ceil(ratios * 10))) >= 8
    for s in states:
        assert s.codes.shape == s.mask.shape == (1, 4, 40)
        assert s.mask.mean() == pytest.approx(s.label.mask_ratio)
        assert s.codes.dtype == s.mask.dtype == np.int64


def test_states_are_fixed_by_codes_and_seed() -> None:
    def masks(how: Trajectories) -> list[bytes]:
        return [s.mask.tobytes() + s.codes.tobytes() for s in draw_states(sources(), 9, how)]

    assert masks(coarse_how()) == masks(coarse_how())
    assert masks(coarse_how()) != masks(coarse_how(seed=1))


def test_a_trajectory_stops_after_its_last_chosen_step() -> None:
    model = Model(4)
    draw_states(sources(), 4, coarse_how(forward=model))
    assert model.runs == 10


def test_states_follow_the_models_own_sampling() -> None:
    """Codes that were uncovered stay as the model chose them."""
    first, second = draw_states(sources(), 2, coarse_how())
    assert first.label.step == 0 and second.label.step == 3
    assert second.mask.sum() < first.mask.sum() == first.mask.size
    given = sources()[0][1]
    uncovered = second.codes[second.mask == 0]
    assert uncovered.size > 5
    assert not all((given == value).sum() == 0 for value in uncovered)
    assert (second.codes != first.codes).any()


def test_fine_states_keep_the_conditioning_codebooks_and_pad() -> None:
    how = Trajectories(predicted=3, window=80, pad=True, steps=(2, 8), forward=Model(3))
    states = draw_states(sources(7), 24, how)
    for s in states:
        assert s.codes.shape == (1, 7, 80)
        assert not s.mask[:, :4].any()
        assert not s.codes[:, :4, FRAMES:].any()
        assert s.mask[:, 4:].mean() == pytest.approx(s.label.mask_ratio)
        assert s.label.codes_from == "encoder"
    assert {s.label.step for s in states} >= {0, 1, 2, 3, 8}


def test_without_logits_the_clips_own_codes_are_uncovered() -> None:
    states = draw_states(sources(), 16, coarse_how(forward=None, window=FRAMES))
    for s in states:
        own = dict(sources())[s.label.clip]
        np.testing.assert_array_equal(s.codes, own)
        assert s.mask.any()
    assert len({s.label.mask_ratio for s in states}) > 8


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("frames", [1, 2, 7, 173])
def test_prompts_always_leave_something_to_generate(kind: str, frames: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = prompt_mask(kind, (1, 14, frames), 4, rng)
        assert mask.shape == (1, 14, frames) and set(np.unique(mask)) <= {0, 1}
        assert mask[:, 4:].any()
        if kind == "everything":
            assert mask.all()
        elif frames == 173:
            assert not mask.all()
            assert not mask[:, :, [0, -1]].any()


def test_prompts_keep_what_they_are_named_after() -> None:
    rng = np.random.default_rng(1)
    shape = (1, 4, 100)
    upper = prompt_mask("upper-codebooks", shape, 0, rng)[0, :, 1:-1]
    assert not upper[0].any() and upper[3].all()
    inner = prompt_mask("inpainting", shape, 0, rng)[0]
    edges = np.flatnonzero(np.diff(inner[0]))
    assert len(edges) == 2 and edges[0] >= 9 and edges[1] < 91
    periodic = prompt_mask("periodic", shape, 0, rng)[0]
    assert periodic[3, 1:-1].all() and 0 < periodic[0].mean() < 1
    np.testing.assert_array_equal(periodic[0], periodic[2])


def test_progress_ends_at_the_number_of_states() -> None:
    calls: list[tuple[int, int]] = []
    draw_states(sources(), 6, coarse_how(), lambda done, total: calls.append((done, total)))
    assert calls[-1] == (6, 6) and calls == sorted(calls)


def test_fewer_states_of_a_trajectory_are_of_more_clips() -> None:
    states = draw_states(sources(n=24), 48, coarse_how(states=2))
    assert len({s.label.clip for s in states}) == 24
    assert {s.label.step for s in states} == set(range(13))
    assert {s.label.prompt for s in states} == set(PROMPTS)
    single = draw_states(sources(n=24), 24, coarse_how(states=1))
    assert len({s.label.clip for s in single}) == 24


def test_window_shares_are_met_by_every_prompt() -> None:
    states = draw_states(sources(), 96, coarse_how(window_shares=(1.0, 0.5, 0.25)))
    met = {(s.label.prompt, s.codes.shape[2]) for s in states}
    assert met == {(prompt, frames) for prompt in PROMPTS for frames in (40, 20, 10)}
    padded = coarse_how(window_shares=(1.0, 0.5), pad=True)
    assert {s.codes.shape[2] for s in draw_states(sources(), 16, padded)} == {40}
