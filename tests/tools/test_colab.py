"""One address, written everywhere and checked everywhere; one first cell; one version."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import v4

import evalib
from evalib.tools.cli import main
from evalib.tools.colab import (
    FIRST_CELL,
    normalize_repository,
    read_repository,
    set_repository,
    wrong_addresses,
)

PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"
ADA = "https://github.com/ada-l/deep.course_1"
REAL = Path(__file__).resolve().parents[2]
PAGES = ("05_s3_assignment", "further/01_deeper")


def badge(page: str) -> str:
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    github = "https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main"
    return f"[![Open In Colab]({image})]({github}/notebooks/{page}.ipynb)"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout whose files hold the placeholder and things to leave alone."""
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n\n# one place\n[project.urls]\nHomepage = \"https://example.com\"\n"
        f'Repository = "{PLACEHOLDER}"  # a fork changes it\n\n[tool.x]\nRepository = "not this"\n'
    )
    (tmp_path / "README.md").write_bytes(
        f"# Course\r\n\r\n{badge(PAGES[0])}\r\n\r\nUntil it is set it is {PLACEHOLDER}.\r\n"
        f"    git clone {PLACEHOLDER}\r\nSee https://github.com/keras-team/keras.\r\n".encode()
    )
    version = evalib.__version__.rpartition(".")[0]
    imports = f'import evalib as ev\n\nev.check_version("{version}")'
    code = [FIRST_CELL.format(repository=PLACEHOLDER), imports, f'OTHER = "{PLACEHOLDER}"']
    for page in PAGES:
        text = v4.new_markdown_cell(f"# Straße\n\n{badge(page)}")
        notebook = v4.new_notebook(cells=[text, *map(v4.new_code_cell, code)])
        path = tmp_path / "notebooks" / f"{page}.ipynb"
        script = path.parent / "src" / f"{path.stem}.py"
        script.parent.mkdir(parents=True)
        # Not nbformat's own layout: a rewrite must not bring it into that.
        path.write_text(json.dumps(notebook, indent=3, ensure_ascii=True))
        jupytext.write(notebook, script, fmt="py:percent")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_there_and_back(checkout: Path) -> None:
    before = contents(checkout)
    assert wrong_addresses(checkout) == []
    script = checkout / "notebooks" / "src" / "05_s3_assignment.py"
    os.utime(script, (1, 2))

    changed = set_repository(f"{ADA}/", checkout)

    assert {path.relative_to(checkout).as_posix() for path in changed} == set(before)
    assert script.stat().st_mtime == 2  # `make sync` still knows which half was edited last
    assert read_repository(checkout) == ADA
    assert wrong_addresses(checkout) == []
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    assert project["project"]["urls"]["Homepage"] == "https://example.com"
    assert project["tool"]["x"]["Repository"] == "not this"
    readme = (checkout / "README.md").read_bytes().decode()
    assert "/github/ada-l/deep.course_1/blob/main/notebooks/05_s3_assignment.ipynb)" in readme
    assert f"it is {PLACEHOLDER}.\r\n    git clone {ADA}\r\n" in readme
    cells = nbformat.read(checkout / "notebooks" / "05_s3_assignment.ipynb", as_version=4).cells
    assert f'"git+{ADA}"' in cells[1].source
    assert cells[3].source == f'OTHER = "{PLACEHOLDER}"'

    # Twice changes nothing, and the way back leads to the very same bytes.
    assert set_repository(ADA, checkout) == []
    set_repository(PLACEHOLDER, checkout)
    assert contents(checkout) == before


def test_addresses_are_normalized_or_refused(checkout: Path) -> None:
    for suffix in ("", "/", ".git\n"):
        assert normalize_repository(f" https://github.com/a/b{suffix}") == "https://github.com/a/b"
    assert normalize_repository("git@github.com:a/b.git") == "https://github.com/a/b"
    before = contents(checkout)
    slugs = ("a", "a/b/tree/main", "a/..", 'a/b"\nimport os')
    for url in ("", "github.com/a/b", *(f"https://github.com/{slug}" for slug in slugs)):
        with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/REPOSITORY, got"):
            set_repository(url, checkout)
    assert contents(checkout) == before


def test_every_wrong_place_is_listed(checkout: Path, tmp_path: Path) -> None:
    notebooks = checkout / "notebooks"
    original = (notebooks / "05_s3_assignment.ipynb").read_text()
    elsewhere = original.replace("OWNER/REPOSITORY", "else/where")
    (notebooks / "05_s3_assignment.ipynb").write_text(elsewhere)
    (notebooks / "06_copy.ipynb").write_text(original)
    (notebooks / "07_old.ipynb").write_text(
        original.replace("05_s3_assignment", "07_old").replace('check_version(\\"', '\\"0.')
    )
    found = wrong_addresses(checkout)
    other = f"found https://github.com/else/where, expected {PLACEHOLDER}"
    assert f"notebooks/05_s3_assignment.ipynb: {other}" in found
    copy = [line for line in found if "06_copy.ipynb:" in line]
    assert copy == [f"notebooks/06_copy.ipynb: expected {badge('06_copy')}"]
    (old,) = [line for line in found if "07_old.ipynb:" in line]
    assert "expected ev.check_version(" in old
    (notebooks / "08_broken.ipynb").write_text("[]")
    with pytest.raises(ValueError, match=r"08_broken.ipynb: expected a notebook"):
        wrong_addresses(checkout)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(ValueError, match=r"expected \[project\.urls\] Repository"):
        set_repository(PLACEHOLDER, tmp_path)


def test_another_version_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    major, minor = map(int, evalib.__version__.split(".")[:2])
    evalib.check_version(f"{major}.{minor}")
    evalib.check_version(f"{major}.{minor}.99")
    assert capsys.readouterr().out == ""
    evalib.check_version(f"{major}.{minor + 1}")
    assert f"written for evalib {major}.{minor + 1}" in capsys.readouterr().out


def test_the_command(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--folder", str(checkout)]
    assert main(["colab", "--repo", "git@github.com:ada/course.git", *where]) == 0
    assert "changed README.md\n" in capsys.readouterr().out
    assert main(["colab", "--check", *where]) == 0
    (checkout / "README.md").write_text("git clone https://github.com/someone/else\n")
    assert main(["colab", "--check", *where]) == 1
    assert capsys.readouterr().err == (
        "README.md: found https://github.com/someone/else, expected https://github.com/ada/course\n"
    )
    assert main(["colab", "--repo", "https://example.com/a/b", *where]) == 2


def test_the_commands_of_a_fork_need_the_standard_library_only() -> None:
    for name in ("colab", "claims"):
        command = [sys.executable, "-S", "-m", "evalib", name, "--check"]  # no site-packages
        ended = subprocess.run(command, capture_output=True, text=True, cwd=REAL)
        assert (ended.returncode, ended.stderr) == (0, "")
