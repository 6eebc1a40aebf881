"""The page in a real browser: no errors, no network, sorted by a click, fitting narrow windows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from profiles.report.comparison import render_comparison
from profiles.report.render import render_report
from profiles.report.views.changes import changes_of
from tests.profiles.report.example import results_of
from tests.profiles.report.kernels import with_kernels

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH")


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page headless with no name resolved, its console on stderr."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={page.parent}/p"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=3000"]
    return subprocess.run(
        [*command, *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.fixture
def page(results: dict[str, Any], tmp_path: Path) -> Path:
    tone = 0.2 * np.sin(np.arange(22_050) / 9)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100, subtype="PCM_16")
    results["audio"] = [{"path": "tone.wav", "name": "a tone <1>"}]
    for owner in (results["models"][0], *results["models"][0]["variants"][:3]):
        with_kernels(owner["profiles"]["cpu"])
    path = tmp_path / "report é.html"
    path.write_text(render_report(results_of(results), tmp_path), encoding="utf-8")
    return path


def with_script(page: Path, script: str) -> Path:
    """A copy that runs one more script, which its policy would forbid."""
    html = page.read_text(encoding="utf-8")
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    copy = page.with_name("scripted.html")
    copy.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return copy


def test_opens_without_errors_and_with_sortable_heads(
    page: Path, page_of: Callable[[str], Any]
) -> None:
    done = browse(page, "--dump-dom")
    assert not re.findall(r"^.*CONSOLE.*$", done.stderr, re.MULTILINE)
    dom = page_of(done.stdout)
    assert len(dom.all("svg", "chart")) == 25
    assert len(dom.all("audio")) == 1
    assert len(dom.all("button")) > 30
    assert all(t.get("tabindex") == "0" for t in dom.all("div", "scroll"))


def test_a_click_sorts_by_number_with_gaps_last(page: Path) -> None:
    script = """
      var table = document.querySelector('#model-1 table');
      var buttons = table.querySelectorAll('thead button');
      function names() { return Array.from(table.tBodies[0].rows).map(function (r) {
        return r.cells[0].querySelector('.name').textContent.trim(); }).join(','); }
      buttons[1].click(); var up = names();
      buttons[1].click(); var down = names();
      document.body.innerHTML = '<p id="up">' + up + '</p><p id="down">' + down + '</p>' +
        '<p id="aria">' + table.querySelector('th[aria-sort]').getAttribute('aria-sort') + '</p>';
    """
    dom = browse(with_script(page, script), "--dump-dom").stdout
    said = dict(re.findall(r'<p id="(\w+)">([^<]*)</p>', dom))
    up, down = said["up"].split(","), said["down"].split(",")
    assert up[:2] == ["int4-weights", "int8-static"]
    assert up[-1] == down[-1] == "int8-dynamic"
    assert down[0] == "FP32 source"
    assert said["aria"] == "descending"


@pytest.mark.parametrize("compared", [False, True])
def test_the_keyboard_reaches_everything(
    page: Path, compared: bool, results: dict[str, Any]
) -> None:
    if compared:
        run = results_of(results)
        page.write_text(render_comparison(changes_of(run, run)), encoding="utf-8")
    script = """
      document.querySelectorAll('details').forEach(function (d) { d.open = true; });
      var wanted = Array.from(document.querySelectorAll(
        'a[href], button, summary, audio, [tabindex], main *'));
      var acting = wanted.filter(function (e) {
        return e.matches('a[href], button, summary, audio') ||
          (e.scrollWidth > e.clientWidth + 1 &&
            /auto|scroll/.test(getComputedStyle(e).overflowX)); });
      var lost = acting.filter(function (e) {
        e.focus(); return document.activeElement !== e || e.tabIndex < 0; });
      var head = document.querySelector('thead button'); head.focus();
      document.title = 'reached:' + acting.length + ':' + lost.length + ':' +
        lost.slice(0, 3).map(function (e) { return e.outerHTML.slice(0, 80); }).join(' ') +
        ':' + document.querySelector('h1').textContent.length;
    """
    dom = browse(with_script(page, script), "--dump-dom").stdout
    found = re.search(r"reached:(\d+):(\d+):([^<]*)", dom)
    assert found is not None, dom[:300]
    assert int(found[1]) > (20 if compared else 60)
    assert found[2] == "0", found[3]


def test_a_comparison_opens_without_errors(page: Path, results: dict[str, Any]) -> None:
    run = results_of(results)
    page.write_text(render_comparison(changes_of(run, run)), encoding="utf-8")
    done = browse(page, "--dump-dom")
    assert not re.findall(r"^.*CONSOLE.*$", done.stderr, re.MULTILINE)
    assert done.stdout.count('class="chart"') == 4
    assert "No difference in" in done.stdout


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_sticks_out_of_the_window(page: Path, width: int) -> None:
    # Headless windows have a least width, so a frame gives the narrow one.
    script = """
      var wide = Array.from(document.querySelectorAll('main *')).filter(function (e) {
        return !e.closest('.scroll > *, caption, svg, pre') &&
          e.getBoundingClientRect().right > document.documentElement.clientWidth + 1; });
      document.title = 'wide:' + wide.length + ':' + document.documentElement.scrollWidth +
        ':' + wide.slice(0, 3).map(function (e) { return e.className; }).join(' ');
    """
    inner = with_script(page, script)
    outer = page.with_name("outer.html")
    outer.write_text(
        f'<iframe id="f" src="{inner.name}" width="{width}" height="900" '
        "style='border:0'></iframe><p id='said'></p><script>window.onload = function () {"
        "document.getElementById('said').textContent ="
        "document.getElementById('f').contentDocument.title; }</script>",
        encoding="utf-8",
    )
    dom = browse(outer, "--allow-file-access-from-files", "--dump-dom").stdout
    found = re.search(r"wide:(\d+):(\d+):([^<]*)", dom)
    assert found is not None, dom[:300]
    assert (found[1], int(found[2]) <= width) == ("0", True), found[0]


def test_light_and_dark_are_drawn(page: Path, tmp_path: Path) -> None:
    shots = []
    for scheme in ("1", "0"):
        shot = tmp_path / f"{scheme}.png"
        settings = f"--blink-settings=preferredColorScheme={scheme}"
        browse(page, settings, "--window-size=1280,900", f"--screenshot={shot}")
        shots.append(shot.read_bytes())
    assert all(s.startswith(b"\x89PNG") and len(s) > 20_000 for s in shots)
    assert shots[0] != shots[1]
