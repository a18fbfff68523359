"""The report's page in a browser, opened from disk as a reader opens it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from spikebridge.report import write_report

from ..unit.report.records import make_ann, make_record, make_snn

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
WHITE = "rgb(255, 255, 255)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"the page is tested with Chromium; none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    long = "a network whose name " + "is_longer_than_a_phone_is_wide_" * 4
    networks = [make_ann(), make_snn("Group Neuron", members=8, time_steps=32), make_snn(long)]
    records = [make_record(seed, networks=networks, config={"note": long, "seed": seed}) for seed in range(3)]
    folder = tmp_path_factory.mktemp("page")
    page = write_report([*records, make_record(name=long)], folder)[0]
    return page.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An opened page; whatever it asked for or complained about fails the test that used it."""
    context = browser.new_context(viewport=DESK, color_scheme="light")
    opened, asked, complaints = context.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    yield opened
    context.close()
    assert set(asked) == {address}
    assert complaints == []


def ground(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_page_fits_its_window_and_every_figure_is_seen(page: Any, size: dict[str, int]) -> None:
    page.set_viewport_size(size)
    page.evaluate("document.querySelectorAll('details').forEach((block) => { block.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    figures = page.locator("figure svg")
    assert figures.count() > 8
    for figure in figures.all():
        box = figure.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 80


def test_break_even_rates_are_in_sight_on_a_desk(page: Any) -> None:
    box = page.locator("#comparison .scroll").first.bounding_box()
    heading = page.get_by_role("columnheader", name="break-even").first.bounding_box()
    assert heading["x"] + heading["width"] <= box["x"] + box["width"]


def test_page_follows_the_system_and_the_button_overrules_it(page: Any) -> None:
    assert ground(page) == WHITE
    page.emulate_media(color_scheme="dark")
    dark = ground(page)
    assert dark != WHITE
    button = page.get_by_role("button", name="Light colours")
    button.focus()
    page.keyboard.press("Enter")
    assert ground(page) == WHITE
    page.get_by_role("button", name="Dark colours").click()
    assert ground(page) == dark
    page.reload()
    assert ground(page) == dark


def test_figures_change_their_colours_with_the_page(page: Any) -> None:
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ink) != light


def test_paper_is_white_whatever_the_theme(page: Any) -> None:
    page.get_by_role("button", name="Dark colours").click()
    page.emulate_media(media="print")
    assert ground(page) == WHITE


def test_command_can_be_copied(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Command").first.click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "spikebridge train --seed 0"


def test_page_is_whole_without_its_script(browser: Any, address: str) -> None:
    context = browser.new_context(viewport=DESK, java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address)
    assert opened.get_by_role("button").count() == 0
    assert opened.get_by_role("heading", name="Comparison", exact=True).is_visible()
    assert opened.locator("figure svg").first.is_visible()
    context.close()
