"""One of our own recipes, as any other tool is run.

python -m bench.accuracy.ours RECIPE MODEL CALIBRATION.npz OUT.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

from calibration.feeds.feedset import load_feed_set
from optimize.build import build_variant
from optimize.recipe_settings import dynamic_recipe, weights_recipe
from optimize.recipes import FP16, INT4_MIXED, RECIPES
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import open_artifact

COMPARED = {
    recipe.name: recipe
    for recipe in (
        FP16,
        *(each for each in RECIPES if each.name.startswith("int")),
        INT4_MIXED,
        # The smallest of 8 bits, for tools whose files are smaller than those above.
        dynamic_recipe(tables=True),
        weights_recipe("8", "channel", "symmetric", "float", tables=True),
    )
}
"""By name: the recipes that change numbers, and what `int8` and `weights` make with `--tables`."""


def _main(name: str, model: Path, calibration: Path, out: Path) -> None:
    """Make one model; a failure ends with its message on the standard error."""
    try:
        feeds = load_feed_set(calibration)
        build_variant(open_artifact(model), COMPARED[name], out, calibration=feeds)
    except (WorkbenchError, NotApplicable) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(sys.argv[1], *map(Path, sys.argv[2:5]))
