"""What a bundle says of the set that it packs."""

from __future__ import annotations

import pytest

from vampbench.api.ship.decide import chosen_told, unheld_lines
from vampnet_models.records.results import DecidedSet, Decision, PassedOver

PARTS = {"coarse": "fp16", "c2f": "int8-dynamic"}


@pytest.mark.parametrize(
    ("ratio", "noisy", "said"),
    [
        (None, False, "the smallest, not measured there: harmless"),
        (0.9, False, "the smallest that is no slower: harmless"),
        (1.01, True, "the smallest that is no slower (noisy): harmless"),
        (2.03, True, "the smallest, 2.03 x FP32's time (noisy): harmless"),
    ],
)
def test_its_time_is_told_as_it_was_measured(ratio: float | None, noisy: bool, said: str) -> None:
    decision = Decision("harmless", DecidedSet(PARTS, 9, ratio, ratio, noisy))
    assert chosen_told(decision, fastest=False) == said


def test_a_fastest_set_is_called_so_where_it_is_another() -> None:
    small, fast = DecidedSet(PARTS, 9, 0.9, 0.95), DecidedSet({"coarse": "fused"}, 12, 0.5, 0.6)
    assert chosen_told(Decision("harmless", small, fast), fastest=True) == "the fastest: harmless"
    same = "the smallest, nothing is shown to be faster: harmless"
    assert chosen_told(Decision("harmless", small, small), fastest=True) == same


def test_no_grade_is_claimed_that_nothing_is_shown_to_hold() -> None:
    found = DecidedSet(PARTS, 9, 0.9, 0.95)
    some = Decision("harmless", found, unheld=("coarse",))
    said = "the smallest that is no slower: harmless but for coarse"
    assert chosen_told(some, fastest=False) == said
    none = Decision("harmless", found, unheld=("coarse", "c2f", "decoder"))
    said = "the smallest that is no slower: FP16 or FP32, nothing is shown to hold harmless"
    assert chosen_told(none, fastest=False) == said


def test_what_is_not_shown_names_what_is_missing_for_it() -> None:
    few = "cannot tell: 3 recordings and 24 clips; it needs 2 recordings more"
    found = DecidedSet(PARTS, 9, 0.9, 0.95)
    over = (
        PassedOver("c2f", "int8-static", "costs more"),
        PassedOver("coarse", "int8-static", few),
    )
    decision = Decision("harmless", found, passed_over=over, unheld=("coarse",))
    said = "nothing of coarse is shown to hold harmless (cpu, ios): FP16 is there instead, or FP32"
    assert unheld_lines({"cpu": decision, "ios": decision}) == [f"{said}; {few}"]
