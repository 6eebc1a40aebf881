import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import Stored, write_saved
from vampnet_models.checkpoints.checkpoint import read_checkpoint
from vampnet_models.checkpoints.tensors import Ledger, require_shape
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.importing.accounting import (
    account_record,
    account_summary,
    account_table,
    open_account,
    require_read,
)

NAMES = ("a.weight_g", "a.weight_v", "b.bias", "steps")


class Plain:
    """Four tensors of shape [2, 3]."""

    def names(self):
        return NAMES

    def shape(self, name):
        if name not in NAMES:
            raise InputError(f"the tensor {name} is missing")
        return (2, 3)

    def dtype(self, name):
        return "float16"

    def read(self, name):
        return np.ones(self.shape(name), np.float32)


@pytest.fixture
def ledger():
    ledger = Ledger(Plain())
    ledger.fold("a.weight_g", "a.weight")
    ledger.fold("a.weight_v", "a.weight")
    ledger.use("b.bias", "b.bias")
    ledger.use("b.bias", "c2f:b.bias")
    ledger.leave("steps", "counts training steps")
    return ledger


def test_a_ledger_answers_like_the_tensors_it_keeps(ledger):
    assert ledger.names() == NAMES
    assert ledger.shape("steps") == (2, 3)
    assert ledger.dtype("steps") == "float16"
    np.testing.assert_array_equal(ledger.read("steps"), np.ones((2, 3)))


def test_every_row_says_what_became_of_its_tensor(ledger):
    rows = {row.name: (row.fate, row.target, row.n_parameters) for row in ledger.rows()}
    assert rows == {
        "a.weight_g": ("folded", "a.weight", 6),
        "a.weight_v": ("folded", "a.weight", 6),
        "b.bias": ("used", "b.bias, c2f:b.bias", 6),
        "steps": ("unused", "counts training steps", 6),
    }
    assert ledger.unaccounted() == ()


def test_what_nobody_mentions_is_unaccounted_and_fails():
    ledger = Ledger(Plain())
    ledger.use("b.bias", "b.bias")
    assert ledger.unaccounted() == ("a.weight_g", "a.weight_v", "steps")
    with pytest.raises(InputError, match=r"x\.pth: 3 tensors would be lost \(a\.weight_g, a"):
        open_account("x.pth", ledger)


def test_a_tensor_that_is_used_after_all_is_not_unused(ledger):
    ledger.use("steps", "steps")
    assert ledger.rows()[-1].fate == "used"


def test_a_tensor_that_does_not_exist_cannot_be_accounted_for(ledger):
    for claim in (ledger.use, ledger.fold, ledger.leave):
        with pytest.raises(InputError, match="ghost is missing"):
            claim("ghost", "somewhere")


def test_a_claim_without_a_read_is_noticed(ledger):
    for name in ("a.weight_g", "b.bias"):
        ledger.read(name)
    assert ledger.unread() == ("a.weight_v",)
    with pytest.raises(PromiseMissed, match=r"x\.pth: a\.weight_v should be in a model"):
        require_read("x.pth", ledger)
    ledger.read("a.weight_v")
    require_read("x.pth", ledger)
    assert ledger.unread() == ()


def test_shapes_are_required_by_name():
    require_shape(Plain(), "b.bias", (2, 3))
    with pytest.raises(InputError, match=r"b\.bias: has the shape \[2, 3\].* give \[3, 2\]"):
        require_shape(Plain(), "b.bias", (3, 2))


def test_an_account_is_printed_and_saved_in_full(ledger):
    account = open_account("x.pth", ledger)
    lines = account_table(account).splitlines()
    assert len(lines) == 1 + len(NAMES)
    assert lines[0].split() == ["tensor", "shape", "dtype", "fate", "into", "/", "because"]
    expected = ["steps", "2x3", "float16", "unused", "counts training steps"]
    assert lines[4].split(maxsplit=4) == expected
    assert account_summary(account) == (
        "x.pth: 4 tensors: 1 used (6 parameters), 2 folded into others (12 parameters), "
        "1 unused (6 parameters), 0 unaccounted (0 parameters)"
    )
    saved = account_record(account)
    assert saved.parameters == {"used": 6, "folded": 12, "unused": 6, "unaccounted": 0}
    assert saved.rows[3].target == "counts training steps"


def test_a_beat_tracker_may_count_its_steps_and_hold_no_other_integers(tmp_path):
    state = {name: Stored(v) for name, v in small.wavebeat_state().items()}
    state["blocks.0.norm1.num_batches_tracked"] = Stored(np.array(7), "int64")
    root = {"state_dict": state, "hyper_parameters": small.WAVEBEAT}
    checkpoint = read_checkpoint(write_saved(tmp_path / "w.ckpt", root))
    assert checkpoint.tensors.dtype("blocks.0.norm1.num_batches_tracked") == "int64"
    state["output.weight"] = Stored(np.ones((2, 6, 1)), "int8")
    with pytest.raises(InputError, match=r"output\.weight is int8: quantized"):
        read_checkpoint(write_saved(tmp_path / "w.ckpt", root))
