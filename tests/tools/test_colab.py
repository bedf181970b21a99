"""evalib.tools.colab: one address and one revision, written everywhere and checked everywhere."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from evalib.tools.cli import main
from evalib.tools.colab import (
    badge,
    find_commit,
    missing_at,
    normalize_repository,
    read_repository,
    set_repository,
    set_revision,
    wrong_addresses,
)

PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"
REVISION = "0123456789" * 4
REAL = Path(__file__).resolve().parents[2]
BADGE = (
    "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/"
    "05_s3_assignment.ipynb)"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Write a small checkout whose files hold the placeholder and things to leave alone."""
    source = tmp_path / "notebooks" / "src"
    source.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n\n# one place\n[project.urls]\nHomepage = \"https://example.com\"\n"
        f'Repository = "{PLACEHOLDER}"  # a fork changes it\n\n[tool.x]\nRepository = "not this"\n'
    )
    (tmp_path / "README.md").write_bytes(
        f"# Course\r\n\r\n{BADGE}\r\n\r\nUntil it is set it is {PLACEHOLDER}.\r\n"
        f"    git clone {PLACEHOLDER}\r\nSee https://github.com/keras-team/keras.\r\n".encode()
    )
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell(f"# Session 3 – Straße\n\n{BADGE}"),
            v4.new_code_cell(f'REPOSITORY = "{PLACEHOLDER}"\nREVISION = "{REVISION}"\nprint(1)'),
            v4.new_code_cell('OTHER = "https://github.com/OWNER/REPOSITORY"'),
        ]
    )
    # Not nbformat's own layout: a rewrite must not bring it into that.
    text = json.dumps(notebook, indent=3, ensure_ascii=True)
    (tmp_path / "notebooks" / "05_s3_assignment.ipynb").write_text(text)
    (source / "05_s3_assignment.py").write_text(
        f'# %% [markdown]\n# {BADGE}\n\n# %%\nREPOSITORY = "{PLACEHOLDER}"\n'
        f'REVISION = "{REVISION}"\n'
    )
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_round_trip(checkout: Path) -> None:
    before = contents(checkout)
    assert wrong_addresses(checkout) == []

    changed = set_repository("https://github.com/ada-l/deep.course_1/", checkout)

    assert sorted(path.name for path in changed) == [
        "05_s3_assignment.ipynb",
        "05_s3_assignment.py",
        "README.md",
        "pyproject.toml",
    ]
    assert read_repository(checkout) == "https://github.com/ada-l/deep.course_1"
    assert wrong_addresses(checkout) == []
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    assert project["project"]["urls"]["Homepage"] == "https://example.com"
    assert project["tool"]["x"]["Repository"] == "not this"
    readme = (checkout / "README.md").read_bytes().decode()
    assert "/github/ada-l/deep.course_1/blob/main/notebooks/05_s3_assignment.ipynb)" in readme
    assert f"it is {PLACEHOLDER}.\r\n" in readme
    assert "git clone https://github.com/ada-l/deep.course_1\r\n" in readme
    cells = nbformat.read(checkout / "notebooks" / "05_s3_assignment.ipynb", as_version=4).cells
    assert cells[1].source.splitlines() == [
        'REPOSITORY = "https://github.com/ada-l/deep.course_1"',
        f'REVISION = "{REVISION}"',  # a fork has the commit too
        "print(1)",
    ]
    assert cells[2].source == f'OTHER = "{PLACEHOLDER}"'

    # Idempotent, and the way back leads to the very same bytes.
    assert set_repository("https://github.com/ada-l/deep.course_1", checkout) == []
    set_repository(PLACEHOLDER, checkout)
    assert contents(checkout) == before


@pytest.mark.parametrize(
    "url",
    ["https://github.com/a/b", "https://github.com/a/b/", " https://github.com/a/b.git\n"],
)
def test_addresses_are_normalized(url: str) -> None:
    assert normalize_repository(url) == "https://github.com/a/b"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "http://github.com/a/b",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/tree/main",
        "https://github.com/a/..",
        'https://github.com/a/b"\nimport os',
        "git@github.com:a/b.git",
    ],
)
def test_other_addresses_are_refused(checkout: Path, url: str) -> None:
    before = contents(checkout)
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/REPOSITORY, got"):
        set_repository(url, checkout)
    assert contents(checkout) == before


def test_a_project_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected pyproject\.toml"):
        wrong_addresses(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(ValueError, match=r"expected \[project\.urls\] Repository"):
        set_repository(PLACEHOLDER, tmp_path)


def test_every_wrong_place_is_listed(checkout: Path) -> None:
    notebooks = checkout / "notebooks"
    original = (notebooks / "05_s3_assignment.ipynb").read_text()
    other = original.replace("OWNER/REPOSITORY", "else/where")
    (notebooks / "05_s3_assignment.ipynb").write_text(other)
    (notebooks / "06_copy.ipynb").write_text(original)
    bare = v4.new_notebook(cells=[v4.new_markdown_cell("# x"), v4.new_code_cell("1")])
    nbformat.write(bare, notebooks / "07_bare.ipynb")
    (notebooks / "08_broken.ipynb").write_text("[]")
    (notebooks / "src" / "05_s3_assignment.py").write_text("# no address\n")
    (checkout / "README.md").unlink()

    elsewhere = "found https://github.com/else/where"
    line = f'found no REPOSITORY line, expected REPOSITORY = "{PLACEHOLDER}"'
    pin = "expected 40 hexadecimal digits: run `evalib colab --pin`"
    assert wrong_addresses(checkout) == [
        f"notebooks/05_s3_assignment.ipynb: {elsewhere}, expected {PLACEHOLDER}",
        "notebooks/06_copy.ipynb: found a badge for notebooks/05_s3_assignment.ipynb, expected "
        + BADGE.replace("05_s3_assignment", "06_copy"),
        "notebooks/07_bare.ipynb: found no Colab badge, expected "
        + BADGE.replace("05_s3_assignment", "07_bare"),
        f"notebooks/07_bare.ipynb: {line}",
        f"notebooks/07_bare.ipynb: found no REVISION line, {pin}",
        "notebooks/08_broken.ipynb: found a file that is not a notebook, expected a notebook",
        f"notebooks/src/05_s3_assignment.py: found no Colab badge, expected {BADGE}",
        f"notebooks/src/05_s3_assignment.py: {line}",
        f"notebooks/src/05_s3_assignment.py: found no REVISION line, {pin}",
    ]


@pytest.mark.parametrize(
    ("revision", "complaint"),
    [
        (REVISION[:-1], "found REVISION '{}', expected 40 hexadecimal digits"),
        (REVISION[:-1] + "g", "found REVISION '{}', expected 40 hexadecimal digits"),
        ("main", "found REVISION '{}', expected 40 hexadecimal digits"),
        ("f" * 40, f"found REVISION '{{}}', expected '{REVISION}' as in the first notebook"),
    ],
)
def test_a_wrong_revision_is_listed(checkout: Path, revision: str, complaint: str) -> None:
    script = checkout / "notebooks" / "src" / "05_s3_assignment.py"
    script.write_text(script.read_text().replace(REVISION, revision))
    (line,) = wrong_addresses(checkout)
    assert line.startswith(f"notebooks/src/05_s3_assignment.py: {complaint.format(revision)}")


def test_badge_has_the_form_that_colab_documents() -> None:
    assert badge(PLACEHOLDER, "05_s3_assignment.ipynb") == BADGE


def test_this_repository() -> None:
    repository = tomllib.loads((REAL / "pyproject.toml").read_text())["project"]["urls"]
    assert read_repository(REAL) == repository["Repository"]
    assert wrong_addresses(REAL) == []
    # Read once more without evalib.tools.colab's patterns.
    for path in sorted((REAL / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        first_markdown = next(cell.source for cell in cells if cell.cell_type == "markdown")
        first_code = next(cell.source for cell in cells if cell.cell_type == "code")
        assert badge(repository["Repository"], path.name) in first_markdown, path.name
        assigned = {
            target.id: ast.literal_eval(node.value)
            for node in ast.walk(ast.parse(first_code.replace("%pip", "# %pip")))
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert assigned.get("REPOSITORY") == repository["Repository"], path.name
        assert len(assigned["REVISION"]) == 40, path.name


FORMS = [
    path for path in sorted((REAL / "notebooks").glob("*.ipynb")) if "@param" in path.read_text()
]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_can_show_the_value_that_it_has(path: Path) -> None:
    """Colab shows nothing, or another value, where a field and its value do not agree."""
    cells = nbformat.read(path, as_version=4).cells
    (form,) = (cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    assert form.startswith("# @title ")
    fields = re.findall(r"^(\w+) = (.+?)  # @param (\[.+?\])? ?(\{.+\})?$", form, re.MULTILINE)
    assert len(fields) == form.count("@param") > 0
    for name, text, options, kind in fields:
        value = ast.literal_eval(text)
        field = json.loads(re.sub(r"(\w+):", r'"\1":', kind) or "{}")
        choices = json.loads(options or "null")
        if choices and field.get("type") == "raw":
            choices = [ast.literal_eval(str(choice)) for choice in choices]
        assert choices is None or value in choices, name
        if field.get("type") == "slider":
            steps = (value - field["min"]) / field["step"]
            assert field["min"] <= value <= field["max"], name
            assert abs(steps - round(steps)) < 1e-6, name
        kinds = {"integer": int, "boolean": bool, "number": float}
        assert isinstance(value, kinds.get(field.get("type"), object)), name


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A step")
    return git(folder, "rev-parse", "HEAD")


NEEDS = """
from evalib import plots, pictures as images
from evalib.results import read_results, results_folder

import evalib.figures
import evalib.tables as tables

evalib.figures.draw(tables.make())
plots.show_scores(read_results("study/seeds.json"), unknown.attribute)
images.stack()
weights = results_folder() / "study" / "model.keras"
folder = results_folder() / "study"  # no file
"""


@pytest.fixture
def history(checkout: Path) -> tuple[Path, str, str]:
    """Give the small checkout two commits: one that lacks much, one with all that it needs."""
    script = checkout / "notebooks" / "src" / "05_s3_assignment.py"
    script.write_text(script.read_text() + NEEDS)
    package, results = checkout / "evalib", checkout / "outputs" / "study"
    package.mkdir()
    results.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "plots.py").write_text("class Figure:\n    def show_scores(self): ...\n")
    (results / "seeds.json").write_text("{}")
    git(checkout, "init", "--quiet")
    lacking = commit(checkout)
    (package / "plots.py").write_text("try:\n    from x import show_scores\nexcept E: ...\n")
    (package / "pictures.py").write_text("from numpy import stack\n")
    (package / "figures.py").write_text("def draw(): ...\n")
    (package / "tables.py").write_text("def make(): ...\n")
    (package / "results.py").write_text("read_results = results_folder = None\n")
    (results / "model.keras").write_text("")
    return checkout, lacking, commit(checkout)


def test_what_a_revision_lacks(history: tuple[Path, str, str]) -> None:
    checkout, lacking, complete = history
    assert missing_at(complete, checkout) == []
    assert sorted(missing_at(lacking, checkout)) == [
        "05_s3_assignment: evalib.figures",
        "05_s3_assignment: evalib.figures.draw",
        "05_s3_assignment: evalib.tools.notebook_images",
        "05_s3_assignment: evalib.tools.notebook_images.stack",
        "05_s3_assignment: evalib.plots.style.show_scores",  # a method of that name is not it
        "05_s3_assignment: evalib.results.read_results",
        "05_s3_assignment: evalib.results.results_folder",
        "05_s3_assignment: evalib.tables",
        "05_s3_assignment: evalib.tables.make",
        "05_s3_assignment: outputs/study/model.keras",
    ]


def test_a_revision_is_written_and_nothing_else(history: tuple[Path, str, str]) -> None:
    checkout, _, complete = history
    before = contents(checkout / "notebooks")
    pinned, changed = set_revision("HEAD", checkout)
    assert pinned == complete
    assert sorted(path.name for path in changed) == [
        "05_s3_assignment.ipynb",
        "05_s3_assignment.py",
    ]
    after = contents(checkout / "notebooks")
    assert {n: b.replace(complete.encode(), REVISION.encode()) for n, b in after.items()} == before
    assert before != after
    assert wrong_addresses(checkout) == []
    # The commit that holds the revision comes after it.
    commit(checkout)
    assert set_revision(complete[:10], checkout) == (complete, [])
    assert set_revision("HEAD~1", checkout) == (complete, [])


def test_revisions_that_are_refused(history: tuple[Path, str, str]) -> None:
    checkout, lacking, complete = history
    before = contents(checkout / "notebooks")
    with pytest.raises(ValueError, match=r"(?s)that the notebooks need.*plots\.show_scores"):
        set_revision(lacking, checkout)
    for absent in ("f" * 40, "no-such-branch", "--all", ""):
        with pytest.raises(ValueError, match="expected a commit of the repository"):
            set_revision(absent, checkout)
    git(checkout, "checkout", "--quiet", lacking)
    with pytest.raises(ValueError, match="expected HEAD or a commit before it"):
        set_revision(complete, checkout)
    git(checkout, "checkout", "--quiet", complete)
    assert contents(checkout / "notebooks") == before


def test_a_script_that_is_no_python_is_told(
    history: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkout, _, _ = history
    (checkout / "notebooks" / "src" / "06_broken.py").write_text("x = 1\ny = (\n")
    before = contents(checkout / "notebooks")
    assert main(["colab", "--folder", str(checkout), "--pin"]) == 2
    assert "06_broken.py:2: expected Python" in capsys.readouterr().err
    assert contents(checkout / "notebooks") == before


def test_a_module_that_was_no_python_is_told(history: tuple[Path, str, str]) -> None:
    checkout, _, _ = history
    (checkout / "evalib" / "tables.py").write_text("def make(\n")
    broken = commit(checkout)
    with pytest.raises(ValueError, match=rf"evalib/tables\.py of {broken}:1: expected Python"):
        missing_at(broken, checkout)


def test_the_command(history: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    checkout, lacking, complete = history
    command = ["colab", "--folder", str(checkout), "--pin"]
    assert main([*command, lacking]) == 2
    assert "05_s3_assignment: outputs/study/model.keras\n" in capsys.readouterr().err
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"evalib is installed from {complete}",
        "changed notebooks/05_s3_assignment.ipynb",
        "changed notebooks/src/05_s3_assignment.py",
    ]
    assert main(["colab", "--folder", str(checkout), "--check"]) == 0


def test_the_revision_of_this_repository() -> None:
    """It came before HEAD, and evalib had then what the notebooks need now."""
    known = ["git", "-C", str(REAL), "rev-parse", "--show-toplevel", "--is-shallow-repository"]
    try:
        answer = subprocess.run(known, capture_output=True, text=True).stdout.splitlines()
    except FileNotFoundError:
        pytest.skip("needs git")
    if not answer or Path(answer[0]).resolve() != REAL:
        pytest.skip("needs a clone of the repository: here is no history of it")
    if answer[1] == "true":
        pytest.skip("needs the history: this clone is shallow (git fetch --unshallow)")
    script = (REAL / "notebooks" / "src" / "05_s3_assignment.py").read_text(encoding="utf-8")
    revision = script.partition('REVISION = "')[2][:40]
    assert find_commit(revision, REAL) == revision
    assert missing_at(revision, REAL) == [], "commit, then `evalib colab --pin`, then commit"
