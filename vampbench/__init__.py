"""The workbench from Python: `import vampbench as vb`. The command line stands on the same names.

Every function says what it could not do by `InputError` or `PromiseMissed`, how far it is by the
callback `progress`, and what to beware of by the `warnings` of what it returns; none prints.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vampnet_models.telemetry import turn_off

if TYPE_CHECKING:
    from vampbench.api.audio import split_audio
    from vampbench.api.models import open_models
    from vampnet_models.errors import InputError, NotApplicable, PromiseMissed

turn_off()

__all__ = ["InputError", "NotApplicable", "PromiseMissed", "open_models", "split_audio"]

_PLACES = {
    "InputError": "vampnet_models.errors",
    "NotApplicable": "vampnet_models.errors",
    "PromiseMissed": "vampnet_models.errors",
    "open_models": "vampbench.api.models",
    "split_audio": "vampbench.api.audio",
}


def __getattr__(name: str) -> object:
    # Each name is imported at its first use: `vampbench --help` shall not load a runtime.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
