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
    from vampbench.api.build import build
    from vampbench.api.models import open_models
    from vampbench.api.profile import Profiled, profile
    from vampbench.api.ship.bundle import Bundle, bundle
    from vampbench.api.ship.decide import decide
    from vampbench.api.ship.run import RunResult, run
    from vampbench.api.ship.tune import TuneResult, tune
    from vampbench.api.variant import Variant
    from vampbench.api.verify import Verification, verify
    from vampnet_models.errors import InputError, NotApplicable, PromiseMissed, Unforeseen

turn_off()

__all__ = [
    "Bundle",
    "InputError",
    "NotApplicable",
    "Profiled",
    "PromiseMissed",
    "RunResult",
    "TuneResult",
    "Unforeseen",
    "Variant",
    "Verification",
    "build",
    "bundle",
    "decide",
    "open_models",
    "profile",
    "run",
    "split_audio",
    "tune",
    "verify",
]

_PLACES = {
    "Bundle": "vampbench.api.ship.bundle",
    "InputError": "vampnet_models.errors",
    "NotApplicable": "vampnet_models.errors",
    "PromiseMissed": "vampnet_models.errors",
    "Profiled": "vampbench.api.profile",
    "RunResult": "vampbench.api.ship.run",
    "TuneResult": "vampbench.api.ship.tune",
    "Unforeseen": "vampnet_models.errors",
    "Variant": "vampbench.api.variant",
    "Verification": "vampbench.api.verify",
    "build": "vampbench.api.build",
    "bundle": "vampbench.api.ship.bundle",
    "decide": "vampbench.api.ship.decide",
    "open_models": "vampbench.api.models",
    "profile": "vampbench.api.profile",
    "run": "vampbench.api.ship.run",
    "split_audio": "vampbench.api.audio",
    "tune": "vampbench.api.ship.tune",
    "verify": "vampbench.api.verify",
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
