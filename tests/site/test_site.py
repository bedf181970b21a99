"""The built site in a real browser: `make test-site`, which builds it first.

Each page is opened once on a wide screen and once on a phone's; then tests look at what was found.
"""

import ast
import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

pytest.importorskip("playwright")  # of the extra "site"

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from evalib.tools.colab import read_repository

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "_build" / "html"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDE: Any = {"width": 1280, "height": 900}
NARROW: Any = {"width": 390, "height": 844}

# Runs in a page, and says what stands on it.
LOOK = """() => {
  const all = (selector, what) => [...document.querySelectorAll(selector)].map(what);
  return {
    title: document.title,
    heading: all('main h1', one => one.innerText).find(Boolean) ?? '',
    mathml: document.querySelectorAll('math').length,
    ids: all('[id]', one => one.id),
    links: all('a[href]', one => one.href),
    images: all('img', one => ({
      alt: one.getAttribute('alt'), drawn: one.complete && one.naturalWidth > 0,
      figure: one.classList.contains('notebook-figure'), own: one.naturalWidth,
      shown: one.getBoundingClientRect().width, logo: one.closest('.navbar-brand') !== null,
    })),
    captions: all('.figure-caption', one => one.innerText),
    width: document.documentElement.scrollWidth,
  };
}"""
# The smallest letters of running text: formulas and what a theme keeps hidden are left out.
MEASURE = """() => {
  const letters = {}, page = document.querySelector('.bd-article-container');
  const texts = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    const parent = text.parentElement;
    if (!text.data.trim() || parent.closest('math, script, style, .headerlink')) continue;
    if (!parent.checkVisibility() || parent.getBoundingClientRect().width < 2) continue;
    letters[parseFloat(getComputedStyle(parent).fontSize)] = text.data.trim().slice(0, 40);
  }
  const scrolls = one => one && one !== document.body && (
    ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
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
    const [back, front] = [light(behind()), light(color(getComputedStyle(one).color))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    return [ratio, one.textContent.slice(0, 30)];
  });
}"""


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
        pytest.fail("expected Chromium or Chrome, or CHROMIUM=/path/to/it: install one (chromium)")
    # Chromium refuses its sandbox to root, who runs most containers.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=options)
        yield chromium
        chromium.close()


@contextlib.contextmanager
def opened(browser: Browser, theme: Any = "light") -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE, color_scheme=theme)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser) as page:
        yield page


@pytest.fixture(scope="module")
def visits(browser: Browser, address: str) -> dict[str, SimpleNamespace]:
    """Every page of the site, by its path."""
    names = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    names = [name for name in names if not name.startswith("_static/")]
    return {name: visit(browser, address, name) for name in names}


def visit(browser: Browser, address: str, name: str) -> SimpleNamespace:
    """Open a page, look at it on a wide screen, then on a narrow one, and note what went wrong."""
    requests: list[str] = []
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    with opened(browser) as page:
        page.on("request", lambda request: requests.append(request.url))
        page.on("requestfailed", lambda request: errors.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda got: errors.append(got.url) if got.status >= 400 else None)
        page.on("console", hear)
        answer = page.goto(address + name, wait_until="load")
        assert answer is not None
        page.wait_for_timeout(100)  # for what scripts do after that
        wide = page.evaluate(LOOK)
        page.set_viewport_size(NARROW)
        narrow = page.evaluate(MEASURE)
    heard = {"requests": requests, "errors": errors}
    return SimpleNamespace(status=answer.status, wide=wide, narrow=narrow, **heard)


def test_every_page_is_sound(visits, address):
    assert {"index.html", "claims.html", "run.html", "search.html"} < set(visits)
    for name, found in visits.items():
        assert found.status == 200, name
        assert found.wide["title"].strip(), name
        assert found.wide["heading"].strip(), name
        assert not found.errors, (name, found.errors)
        # Nothing is asked of another host.
        assert all(url.startswith((address, "data:")) for url in found.requests), name
        for image in found.wide["images"]:
            assert image["drawn"], (name, image)
            # Beside the logo stands the site's name: read twice it would only be in the way.
            assert image["alt"] or image["logo"], (name, image)


def test_pages_fit_their_screens_and_letters_are_large_enough(visits):
    for name, found in visits.items():
        assert found.wide["width"] <= WIDE["width"], name
        assert found.narrow["width"] <= NARROW["width"], name
        assert not found.narrow["beyond"], (name, found.narrow["beyond"])
        letters = found.narrow["letters"].items()
        assert not {size: text for size, text in letters if float(size) < 13.995}, name


def test_formulas_and_figures_are_those_of_the_notebook_and_none_is_blown_up(visits):
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        expected = sum("image/png" in output.get("data", {}) for output in outputs)
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        formulas = sum(len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.DOTALL)) for text in texts)
        assert visits[f"notebooks/{path.stem}.html"].wide["mathml"] == formulas, path.name
        found = visits[f"notebooks/{path.stem}.html"].wide
        figures = [image for image in found["images"] if image["figure"]]
        assert len(figures) == expected > 0
        pairs = zip(figures, found["captions"], strict=True)
        for number, (image, caption) in enumerate(pairs, start=1):
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
        # The button above, the words on the page.
        assert links.count(colab_page + path.name) == 2, path.name
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


def test_the_module_has_a_page_with_all_its_names(visits):
    for path in sorted((ROOT / "evalib").rglob("[a-z]*.py")):
        module = ".".join(path.relative_to(ROOT / "evalib").with_suffix("").parts)
        found = visits[f"api/{module}.html"].wide
        assert found["heading"].startswith(module)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                name = f"evalib.{module}.{node.name}"
                assert node.name.startswith("_") or name in found["ids"], name


@pytest.mark.parametrize("start", ["light", "dark"])
def test_the_theme_follows_the_reader_and_can_be_switched(browser, address, start):
    theme = "document.documentElement.dataset.theme"
    with opened(browser, start) as page:
        page.goto(f"{address}notebooks/{NOTEBOOKS[3].stem}.html")
        assert page.evaluate(theme) == start
        for mode, expected in [("light", "light"), ("auto", start), ("dark", "dark")]:
            page.locator(".theme-switch-button:visible").click()
            page.locator(f".theme-change-button[data-mode={mode}]:visible").click()
            assert page.evaluate(theme) == expected
        page.goto(address)
        assert page.evaluate(theme) == "dark", "the choice is kept on the next page"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index", f"notebooks/{NOTEBOOKS[3].stem}", "api/features.overlap"]
)
def test_text_stands_out_from_its_paper(browser, address, theme, name):
    text = ".bd-article :is(p, h1, h2, h3, li, td, th, pre, code, span, a:not(.headerlink))"
    with opened(browser, theme) as page:
        page.goto(f"{address}{name}.html")
        found = page.evaluate(CONTRAST, text)
        assert len(found) > 10
        assert not [(ratio, words) for ratio, words in found if ratio < 4.5]
        paper = "all => all.map(one => getComputedStyle(one).backgroundColor)"
        papers = page.locator(".bd-article img").evaluate_all(paper)
        if theme == "dark":  # figures keep their white paper
            assert set(papers) <= {"rgb(255, 255, 255)"}


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
