"""What the tests of the report share: the example run and the page reader."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.profiles.report.example import Results, example_results
from tests.profiles.report.page import Page, parse_page


@pytest.fixture(scope="session")
def _example() -> Results:
    return example_results()


@pytest.fixture
def results(_example: Results) -> Results:
    """A copy to change."""
    return copy.deepcopy(_example)


@pytest.fixture
def variant_of() -> Callable[[Results, str, str], Results]:
    """Finds a variant by model name and recipe."""

    def find(results: Results, model: str, recipe: str) -> Results:
        variants = next(m["variants"] for m in results["models"] if m["name"] == model)
        found: Results = next(v for v in variants if v["recipe"] == recipe)
        return found

    return find


@pytest.fixture(scope="session")
def page_of() -> Callable[[str], Page]:
    """The page reader."""
    return parse_page
