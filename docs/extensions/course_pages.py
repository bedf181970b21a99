"""Brings together what the pages are made of, before Sphinx reads them.

- `notebooks/*.ipynb` are copied into `docs/notebooks/`, because Sphinx reads one folder only.
- A page of `docs/api/` is written for each module of evalib, under the room that it stands in.
- The front page and `run.md` are templates (Jinja): sections and tables of README.md stand in them
  by name.
- Links to notebooks lead to their pages.

`docs/notebooks/` and `docs/api/` are outputs: they are written anew by each build.
"""

import ast
import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sphinx.application import Sphinx
from sphinx.util.template import SphinxRenderer

COVERS = "covers"
TEMPLATES = ("index", "run")
# As a page of docs/ has it, so that it leads to the notebook on GitHub as well.
NOTEBOOK_LINK = re.compile(
    r"\]\(\.\./notebooks/(?P<name>(?:further/)?\w+)\.ipynb(?:#(?P<anchor>[^)]*))?\)"
)

OWN_LINK = re.compile(r"\]\(#(?P<anchor>[^)]+)\)")


@dataclass(frozen=True)
class Notebook:
    """One row of README's table of notebooks.

    Attributes:
        name: the file's name without `.ipynb`.
        title: the notebook's first heading, without what follows the colon.
        question: what it answers, as README says it.
        cover: in words, the figure that stands for it.
    """

    name: str
    title: str
    question: str
    cover: str


@dataclass(frozen=True)
class Module:
    """A module of evalib.

    Attributes:
        name: below the package, such as `data.mnist`.
        summary: the first paragraph of its docstring.
    """

    name: str
    summary: str


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file only if its content is new, so that Sphinx need not read it again."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def remove_others(folder: Path, names: set[str]) -> None:
    """Remove the files of an output folder that this build did not write."""
    for path in folder.glob("*"):
        if path.is_file() and path.name not in names:
            path.unlink()


def readme_section(readme: str, heading: str) -> str:
    """Take a section of README.md, without its heading.

    Args:
        readme: The text of README.md.
        heading: The section's heading, `#` included.

    Returns:
        What stands below it, up to the next heading of the same or a higher level.

    Raises:
        ValueError: README.md has no such heading, or more than one.
    """
    level = len(heading) - len(heading.lstrip("#"))
    found = re.findall(
        rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{level}}} |\Z)", readme, re.MULTILINE | re.DOTALL
    )
    if len(found) != 1:
        raise ValueError(f"expected one heading {heading!r} in README.md, found {len(found)}")
    return found[0].strip()


def table_rows(text: str) -> list[dict[str, str]]:
    """Read the rows of the Markdown tables in a text.

    Args:
        text: Markdown.

    Returns:
        For each row, its cells by the heads of their columns, without backquotes at the ends.
    """
    rows = []
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        head, _, *body = [
            [cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in table.splitlines()
        ]
        rows += [dict(zip(head, cells, strict=True)) for cells in body]
    return rows


def first_heading(notebook: dict[str, Any]) -> str:
    """Read a notebook's first heading."""
    return "".join(notebook["cells"][0]["source"]).splitlines()[0].removeprefix("# ")


def figures(notebook: dict[str, Any]) -> list[bytes]:
    """List the PNG images among a notebook's stored outputs, in order."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    images = [output["data"]["image/png"] for output in outputs if "image/png" in _data(output)]
    return [base64.b64decode("".join(image)) for image in images]


def caption(notebook: dict[str, Any], number: int) -> str:
    """Take the first sentence of a figure's caption, without its number and without marks.

    Args:
        notebook: Its JSON.
        number: The figure's.

    Raises:
        ValueError: No cell, or more than one, is the caption of this figure.
    """
    mark = f"**Figure {number}.** "
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    found = [text.removeprefix(mark) for text in cells if text.startswith(mark)]
    if len(found) != 1:
        raise ValueError(f"expected one caption of figure {number}, found {len(found)}")
    return re.sub(r"[*`$]", "", re.split(r"(?<=[.!?]) ", found[0])[0])


def _data(output: dict[str, Any]) -> dict[str, Any]:
    return output.get("data", {})


def copy_notebooks(root: Path, docs: Path, covers: dict[str, int]) -> list[Notebook]:
    """Copy the notebooks and cut out the figure that stands for each.

    Args:
        root: The checkout.
        docs: The folder that Sphinx reads.
        covers: For the first two digits of a notebook's name, the number of a figure.

    Returns:
        The notebooks, in the order of README's table.

    Raises:
        ValueError: README's table and the folder do not name the same notebooks.
    """
    readme = (root / "README.md").read_text(encoding="utf-8")
    questions = {}
    for row in table_rows(readme_section(readme, "## The notebooks")):
        questions[row["notebook"].removeprefix("[").partition("]")[0]] = row["question"]
    found = sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))
    if sorted(questions) != found:
        raise ValueError(f"expected README.md to list {found}, found {sorted(questions)}")
    notebooks = []
    for name, question in questions.items():
        content = (root / "notebooks" / f"{name}.ipynb").read_bytes()
        notebook = json.loads(content)
        write_if_changed(docs / "notebooks" / f"{name}.ipynb", content)
        number = covers.get(name[:2], 1)
        cover = figures(notebook)[number - 1]
        write_if_changed(docs / "notebooks" / COVERS / f"{name}.png", cover)
        title = first_heading(notebook).partition(":")[0]
        notebooks.append(Notebook(name, title, question, caption(notebook, number)))
    remove_others(docs / "notebooks", {f"{name}.ipynb" for name in questions})
    return notebooks


def copy_further(root: Path, docs: Path) -> dict[str, str]:
    """Copy what goes deeper than the course, and return each notebook's name and title."""
    titles = {}
    for path in sorted((root / "notebooks" / "further").glob("*.ipynb")):
        content = path.read_bytes()
        write_if_changed(docs / "notebooks" / "further" / path.name, content)
        titles[path.stem] = first_heading(json.loads(content)).partition(":")[0]
    remove_others(docs / "notebooks" / "further", {f"{name}.ipynb" for name in titles})
    return titles


def module_groups(package: Path) -> dict[str, list[Module]]:
    """List the modules of each room of evalib; what stands in no room comes last.

    Args:
        package: The folder of evalib.

    Returns:
        For each room, its docstring's first line to its modules.
    """
    groups: dict[str, list[Module]] = {}
    for room in sorted(path.parent for path in package.glob("*/__init__.py")):
        files = [path for path in sorted(room.rglob("[a-z]*.py"))]
        if files:
            title = f"{room.name}: {summary(room / '__init__.py').partition('. ')[0].rstrip('.')}"
            groups[title] = [_module(path, package) for path in files]
    alone = [_module(path, package) for path in sorted(package.glob("[a-z]*.py"))]
    return groups | {"In no room": alone}


def _module(path: Path, package: Path) -> Module:
    name = ".".join(path.relative_to(package).with_suffix("").parts)
    return Module(name, summary(path))


def summary(path: Path) -> str:
    """Read the first paragraph of a module's docstring, as one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def write_api_pages(groups: dict[str, list[Module]], api: Path) -> None:
    """Write a page for each module, one for each group, and one that lists them all.

    Args:
        groups: As `module_groups` returns them.
        api: The folder to write to.
    """
    pages: dict[str, str] = {}
    index = ["# The module evalib", "Every page is made from the docstrings of the code."]
    for title, modules in groups.items():
        rows = [
            f"| [`{module.name}`]({module.name}.rst) | {module.summary} |" for module in modules
        ]
        table = "\n".join(["| module | what is in it |", "|---|---|", *rows])
        names = [module.name for module in modules]
        group = title.partition(":")[0].lower().replace(" ", "-") + "-room"
        pages[f"{group}.md"] = "\n\n".join([f"# {title}", table, toctree(names)])
        index += [f"## {title}", table]
        for name in names:
            body = f".. automodule:: evalib.{name}\n   :members:\n"
            pages[f"{name}.rst"] = f"{name}\n{'=' * len(name)}\n\n{body}"
    index.append(toctree([name.removesuffix(".md") for name in pages if name.endswith(".md")]))
    pages["index.md"] = "\n\n".join(index)
    for name, text in pages.items():
        write_if_changed(api / name, text.encode())
    remove_others(api, set(pages))


def toctree(names: list[str]) -> str:
    """Write the directive that puts pages below this one, without a list on the page itself."""
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])


def for_pages(text: str) -> str:
    """Make README's links lead on from a page of `docs/`: its files lie one folder up."""
    text = text.replace("](docs/", "](")
    files = r"(?:outputs|tests)/[^)]+|[A-Z_]+(?:\.md)?"
    text = re.sub(rf"!\[([^]]*)\]\(({files})\)", r"![\1](../\2)", text)
    return re.sub(rf"(?<!!)\[([^]]*)\]\(({files})\)", _download, text)


def _download(link: re.Match[str]) -> str:
    """Write a link to a file that the site hands out, in MyST."""
    return f"{{download}}`{link[1].strip('`')} <../{link[2]}>`"


def collect(app: Sphinx) -> None:
    """Write the output folders and remember what the templates ask for."""
    root, docs = Path(app.config.course_root), Path(app.srcdir)
    readme = (root / "README.md").read_text(encoding="utf-8")
    notebooks = copy_notebooks(root, docs, app.config.course_covers)
    groups = module_groups(root / "evalib")
    write_api_pages(groups, docs / "api")
    title, _, rest = readme.removeprefix("# ").partition("\n")
    results = [row for row in table_rows(readme) if "parameters" in row]
    app.course_values = {  # type: ignore[attr-defined]
        "title": title,
        "introduction": for_pages(rest.partition("\n## ")[0].strip()),
        "notebooks": notebooks,
        "further": copy_further(root, docs),
        "results": {next(iter(row.values())): row for row in results},
        "section": lambda heading: for_pages(readme_section(readme, heading)),
    }


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill the templates, and make links to and from notebooks lead to pages."""
    if docname in TEMPLATES:
        source[0] = SphinxRenderer().render_string(source[0], app.course_values)  # type: ignore[attr-defined]
    if docname.startswith("notebooks/"):
        source[0] = source[0].replace("](../docs/", "](../").replace("](../../docs/", "](../../")
        source[0] = OWN_LINK.sub(lambda link: f"](#{_anchor(link['anchor'])})", source[0])
    else:
        source[0] = NOTEBOOK_LINK.sub(_page_link, source[0])


def _page_link(link: re.Match[str]) -> str:
    """Write a link to a notebook's page; Jupyter's anchor becomes the one that MyST makes."""
    anchor = _anchor(link["anchor"] or "")
    return f"](notebooks/{link['name']}.ipynb{'#' + anchor if anchor else ''})"


def _anchor(jupyter: str) -> str:
    """Turn a heading's anchor in Jupyter into the one that MyST makes."""
    return re.sub(r"[^\w-]", "", unquote(jupyter)).lower()


def only_notebooks_are_downloads(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Take the theme's download button from pages whose source is a template or written here."""
    if not pagename.startswith("notebooks/"):
        context["page_source_suffix"] = ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("course_root", "", "env", [str])
    app.add_config_value("course_covers", {}, "env", [dict])
    app.connect("builder-inited", collect)
    app.connect("source-read", prepare)
    # Before the theme adds its buttons, at 501.
    app.connect("html-page-context", only_notebooks_are_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
