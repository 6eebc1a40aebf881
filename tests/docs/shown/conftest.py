"""The desk at which shown commands are typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.docs.shown.desk")

from tests.docs.shown.desk import Desk, run  # noqa: E402
from tests.docs.shown.rooms import Rooms  # noqa: E402


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """All rooms, in a folder of their own."""
    root = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAMPBENCH_CACHE", str(root / "cache"))
        yield Desk(Rooms(root, run))
