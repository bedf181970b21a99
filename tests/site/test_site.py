"""The built site in a real browser: `make test-site`, which builds it first.

Not part of `make test`, which must run where there is no browser: pytest takes this file only with
`-m browser`. Pages are opened once on a wide screen and once on a phone's; the tests then look at
what was found on them.
"""

import ast
import functools
import http.server
import json
import os
import re
import shutil
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

pytest.importorskip("playwright")  # of the extra "site"

from playwright.sync_api import Browser, Page, sync_playwright

from evalib.tools.colab import read_repository

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "_build" / "html"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

# Runs in a page, and says what stands on it.
LOOK = """() => ({
  title: document.title,
  heading: [...document.querySelectorAll('main h1')].map(one => one.innerText).find(Boolean) ?? '',
  mathml: document.querySelectorAll('math').length,
  ids: [...document.querySelectorAll('[id]')].map(one => one.id),
  links: [...document.querySelectorAll('a[href]')].map(one => one.href),
  images: [...document.querySelectorAll('img')].map(one => ({
    source: one.src, alt: one.getAttribute('alt'), drawn: one.complete && one.naturalWidth > 0,
    figure: one.classList.contains('notebook-figure'), own: one.naturalWidth,
    shown: one.getBoundingClientRect().width, logo: one.closest('.navbar-brand') !== null,
  })),
  captions: [...document.querySelectorAll('.figure-caption')].map(one => one.innerText),
})"""
# The smallest letters of running text: formulas and what a theme keeps hidden are left out.
MEASURE = """() => {
  const letters = {};
  const page = document.querySelector('.bd-article-container');
  const texts = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const parent = text.parentElement;
    if (!text.data.trim() || parent.closest('math, script, style, .headerlink')) continue;
    if (!parent.checkVisibility() || parent.getBoundingClientRect().width < 2) continue;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (!(size in letters)) letters[size] = text.data.trim().slice(0, 40);
  }
  const scrolls = one => {
    for (; one && one !== document.body; one = one.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(one).overflowX)) return true;
    return false;
  };
  const beyond = [...page.querySelectorAll('*')].filter(one =>
    one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1 && !scrolls(one));
  return {
    width: document.documentElement.scrollWidth, letters,
    beyond: beyond.map(one => `${one.tagName} ${one.className} ${one.textContent.slice(0, 30)}`),
  };
}"""
# The contrast of text with what lies behind it, by WCAG 2.2.
CONTRAST = """selector => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const color = text => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([red, green, blue]) => [red, green, blue].map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);
  return [...document.querySelectorAll(selector)].filter(
      one => one.textContent.trim() && one.checkVisibility()).map(one => {
    let paper = one;
    const behind = () => color(getComputedStyle(paper).backgroundColor);
    while (paper !== document.body && behind()[3] < 255) paper = paper.parentElement;
    const back = light(behind());
    const front = light(color(getComputedStyle(one).color));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    return [ratio, one.textContent.slice(0, 30)];
  });
}"""


@dataclass
class Visit:
    """What was found on a page.

    Attributes:
        status: of the answer to its request.
        wide: what `LOOK` says on a wide screen.
        narrow: what `MEASURE` says on a phone's.
        wide_width: of the document on the wide screen, in pixels.
        requests: addresses that the page asked for.
        failures: requests without an answer, or with one that says no.
        errors: of scripts, and messages of the console that are errors or warnings.
    """

    status: int = 0
    wide: dict[str, Any] = field(default_factory=dict)
    narrow: dict[str, Any] = field(default_factory=dict)
    wide_width: int = 0
    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: pytest's output is about the pages."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The site, served as a host serves it."""
    if not (SITE / "index.html").is_file():
        pytest.fail(f"expected the site in {SITE}, found none: call `make site` first")
    handler = functools.partial(_Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium or Chrome; nothing is downloaded."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail(
            "expected Chromium or Chrome, found neither: install one (Debian and Ubuntu: "
            "apt-get install chromium) or say where it is with CHROMIUM=/path/to/it"
        )
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, who runs most containers.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if root else []
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE, color_scheme="light")  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def visits(browser: Browser, address: str) -> dict[str, Visit]:
    """Every page of the site, by its path."""
    names = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    names = [name for name in names if not name.startswith("_static/")]
    return {name: visit(browser, address, name) for name in names}


def visit(browser: Browser, address: str, name: str) -> Visit:
    """Open a page, look at it on a wide screen, then on a narrow one."""
    found = Visit()
    context = browser.new_context(viewport=WIDE, color_scheme="light")  # type: ignore[arg-type]
    page = context.new_page()
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("requestfailed", lambda request: found.failures.append(request.url))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on(
        "response",
        lambda answer: found.failures.append(answer.url) if answer.status >= 400 else None,
    )
    page.on(
        "console",
        lambda message: (
            found.errors.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    answer = page.goto(address + name, wait_until="load")
    page.wait_for_timeout(100)  # for what scripts do after that
    found.status = answer.status if answer else 0
    found.wide = page.evaluate(LOOK)
    found.wide_width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    found.narrow = page.evaluate(MEASURE)
    context.close()
    return found


def test_every_page_opens_without_an_error(visits):
    assert {"index.html", "claims.html", "run.html", "search.html"} < set(visits)
    for name, found in visits.items():
        assert found.status == 200, name
        assert found.wide["title"].strip(), name
        assert found.wide["heading"].strip(), name
        assert not found.errors, (name, found.errors)
        assert not found.failures, (name, found.failures)


def test_nothing_is_asked_of_another_host(visits, address):
    foreign = {url for found in visits.values() for url in found.requests}
    assert not {url for url in foreign if not url.startswith((address, "data:"))}


def test_every_image_is_drawn_and_told_in_words(visits):
    for name, found in visits.items():
        for image in found.wide["images"]:
            assert image["drawn"], (name, image)
            # Beside the logo stands the site's name: read twice it would only be in the way.
            assert image["alt"] or image["logo"], (name, image)


def test_figures_are_those_of_the_notebook_and_none_is_blown_up(visits):
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        expected = sum("image/png" in output.get("data", {}) for output in outputs)
        found = visits[f"notebooks/{path.stem}.html"].wide
        figures = [image for image in found["images"] if image["figure"]]
        assert len(figures) == len(found["captions"]) == expected > 0
        for number, (image, caption) in enumerate(
            zip(figures, found["captions"], strict=True), start=1
        ):
            assert caption.startswith(f"Figure {number}."), (path.name, caption)
            words = image["alt"].split()
            assert words[:2] == ["Figure", f"{number}."]
            assert len(words) > 5, (path.name, image["alt"])
            assert not re.search(r"[$*`\\{}]", image["alt"]), (path.name, image["alt"])
            assert image["shown"] <= image["own"] + 1, (path.name, number)


def test_no_link_inside_the_site_is_dead(visits, address):
    dead = []
    for name, found in visits.items():
        for link in found.wide["links"]:
            target, anchor = urldefrag(link)
            if not target.startswith(address):
                continue
            path = unquote(target.removeprefix(address)).partition("?")[0] or "index.html"
            if path.endswith(".html") and path in visits:
                if anchor and unquote(anchor) not in visits[path].wide["ids"]:
                    dead.append((name, link))
            elif not (SITE / path).is_file():
                dead.append((name, link))
    assert not dead


def test_no_page_is_wider_than_its_screen(visits):
    for name, found in visits.items():
        assert found.wide_width <= WIDE["width"], name
        assert found.narrow["width"] <= NARROW["width"], name
        assert not found.narrow["beyond"], (name, found.narrow["beyond"])


def test_letters_are_large_enough_on_a_phone(visits):
    for name, found in visits.items():
        small = {
            size: text for size, text in found.narrow["letters"].items() if float(size) < 13.995
        }
        assert not small, (name, small)


def test_formulas_are_drawn_by_the_browser(visits):
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        formulas = sum(len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.DOTALL)) for text in texts)
        assert visits[f"notebooks/{path.stem}.html"].wide["mathml"] == formulas, path.name


def test_the_pages_follow_each_other_in_reading_order(page, address):
    page.goto(address)
    for path in NOTEBOOKS:
        page.locator("a.right-next").click()
        assert page.url == f"{address}notebooks/{path.stem}.html"


def test_every_notebook_can_be_run_and_downloaded(visits, address):
    slug = read_repository(ROOT).removeprefix("https://github.com/")
    colab_page = f"https://colab.research.google.com/github/{slug}/blob/main/notebooks/"
    for path in NOTEBOOKS:
        links = visits[f"notebooks/{path.stem}.html"].wide["links"]
        assert links.count(colab_page + path.name) == 2, (
            path.name
        )  # the button above, the words on the page
        (download,) = {link for link in links if link.endswith(".ipynb") and address in link}
        copy = SITE / download.removeprefix(address)
        assert copy.read_bytes() == path.read_bytes()


def test_the_front_page_has_the_results_and_leads_to_every_notebook(visits, page, address):
    page.goto(address)
    scores = page.locator(".results .score").all_inner_texts()
    seeds = json.loads((ROOT / "outputs/s3_assignment/seeds.json").read_text())
    records = json.loads((ROOT / "outputs/study/records.json").read_text())
    expected = []
    for runs in (seeds, records["size"]["runs"], records["speed"]["runs"]):
        percent = [100 * run["test_accuracy"] for run in runs]
        expected.append(f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %")
    assert scores == expected
    cards = [card.get_attribute("href") for card in page.locator(".notebook-card a").all()]
    assert cards == [f"notebooks/{path.stem}.html" for path in NOTEBOOKS]


def public_names() -> dict[str, list[str]]:
    """List what each module of evalib offers: its functions and classes with a docstring."""
    names = {}
    for path in sorted((ROOT / "evalib").rglob("[a-z]*.py")):
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        module = ".".join(path.relative_to(ROOT / "evalib").with_suffix("").parts)
        names[module] = [
            node.name
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and ast.get_docstring(node)
        ]
    return names


def test_the_module_has_a_page_with_all_its_names(visits):
    for module, names in public_names().items():
        assert f"api/{module}.html" in visits, module
        found = visits[f"api/{module}.html"].wide
        assert found["heading"].startswith(module)
        missing = {f"evalib.{module}.{name}" for name in names} - set(found["ids"])
        assert not missing


@pytest.mark.parametrize("start", ["light", "dark"])
def test_the_theme_follows_the_reader_and_can_be_switched(browser, address, start):
    context = browser.new_context(viewport=WIDE, color_scheme=start)
    page = context.new_page()
    page.goto(f"{address}notebooks/{NOTEBOOKS[3].stem}.html")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == start
    for mode, expected in [("dark", "dark"), ("light", "light"), ("auto", start)]:
        page.locator(".theme-switch-button:visible").click()
        page.locator(f".theme-change-button[data-mode={mode}]:visible").click()
        assert page.evaluate(theme) == expected
    page.locator(".theme-switch-button:visible").click()
    page.locator(".theme-change-button[data-mode=dark]:visible").click()
    page.goto(address)
    assert page.evaluate(theme) == "dark", "the choice is kept on the next page"
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index", f"notebooks/{NOTEBOOKS[3].stem}", "api/features.overlap"]
)
def test_text_stands_out_from_its_paper(browser, address, theme, name):
    context = browser.new_context(viewport=WIDE, color_scheme=theme)
    page = context.new_page()
    page.goto(f"{address}{name}.html")
    text = ".bd-article :is(p, h1, h2, h3, li, td, th, pre, code, span, a:not(.headerlink))"
    found = page.evaluate(CONTRAST, text)
    assert len(found) > 10
    assert not [(ratio, words) for ratio, words in found if ratio < 4.5]
    if theme == "dark":  # figures keep their white paper
        images = page.locator(".bd-article img").all()
        papers = {one.evaluate("one => getComputedStyle(one).backgroundColor") for one in images}
        assert papers <= {"rgb(255, 255, 255)"}
    context.close()


def test_search_finds_the_notebook_about_a_word(page, address):
    page.goto(f"{address}search.html?q=checkerboard")
    results = page.locator("#search-results a")
    results.first.wait_for()
    links = [link.get_attribute("href") or "" for link in results.all()]
    assert any(link.startswith("notebooks/02_kernel_visualization.html") for link in links)


def test_a_figure_leads_to_its_full_size(page, address):
    page.set_viewport_size(NARROW)
    page.goto(f"{address}notebooks/{NOTEBOOKS[1].stem}.html")
    source = page.locator("img.notebook-figure").first.get_attribute("src")
    page.locator("a.full-size").first.click()
    assert page.url.endswith(str(source).rpartition("/")[2])
