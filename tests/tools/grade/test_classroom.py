"""`evalib grade FOLDER`: a class in one command."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

import tests.tools.grade
import tests.tools.grade.made as made
from evalib.tools.cli import main
from evalib.tools.grade import classroom
from evalib.tools.grade.classroom import find_notebooks, find_similar, grade_class
from tests.tools.grade.made import Cells, changed, good, write

OPTIONS: dict[str, Any] = {"execute": False, "timeout": 60.0}


def own(name: str, lines: int = 20) -> Cells:
    """A submission with some lines that are nobody else's."""
    code = "\n".join(f"{name}_{line} = {line} * {name}" for line in range(lines))
    return [*good(), (f"# what I have tried\n{code}", None)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A class of six: two of one name, one that fails, one unknown, one unreadable."""
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "s3.ipynb", own(name))
    (tmp_path / "ann" / ".ipynb_checkpoints").mkdir()
    write(tmp_path / "ann" / ".ipynb_checkpoints" / "old.ipynb", good())
    write(tmp_path / "eve.ipynb", changed(compile="model.compile(metrics=['acc'])"))
    write(tmp_path / "kim.ipynb", own("kim"), [0] * 8)
    (tmp_path / "zoe.ipynb").write_text("not JSON")
    write(tmp_path / "odd =1+1.ipynb", own("odd"))
    return tmp_path


def test_a_class(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "marks.csv"
    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    assert main(["grade", str(folder), "--csv", str(table), "--jobs", "2"]) == 1
    out = capsys.readouterr().out
    assert "6 submissions: 3 passed, 1 failed, 1 needs a look, 1 unreadable" in out
    assert "comments: fail" in next(line for line in out.split("\n") if "eve" in line)
    assert {path: path.read_bytes() for path in folder.rglob("*.ipynb")} == before
    rows = {row["path"]: row for row in csv.DictReader(table.open(newline=""))}
    assert list(rows) == [str(path) for path in find_notebooks([folder])]
    ann = rows[str(folder / "ann" / "s3.ipynb")]
    assert (ann["status"], ann["score"], ann["warnings"]) == ("passed", "pass", "0")
    assert (ann["parameters (number)"], ann["score (number)"]) == ("12345", "0.9945")
    assert rows[str(folder / "kim.ipynb")]["order"] == "cannot tell"
    assert rows[str(folder / "eve.ipynb")]["comments (number)"] == "1"
    assert "is JSON" in rows[str(folder / "zoe.ipynb")]["reason"]


def test_the_exit_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ann, bob, kim, zoe = (str(folder / n) for n in ("ann", "bob", "kim.ipynb", "zoe.ipynb"))
    (folder / "empty").mkdir()
    scheduler = ["--scheduler", "tcp://127.0.0.1:1"]  # for files are read here
    for refused in (["empty"], ["ann", "--resume"], ["ann/s3.ipynb", *scheduler]):
        assert main(["grade", str(folder / refused[0]), *refused[1:]]) == 2
        error = capsys.readouterr().err
        assert error.startswith("evalib: expected ")
        assert error.count("\n") == 1
    assert main(["grade", ann, bob]) == 0
    assert main(["grade", ann, kim, zoe]) == 3
    assert main(["grade", zoe, str(folder / "nobody.ipynb")]) == 2
    capsys.readouterr()
    assert main(["grade", ann, zoe, "--json"]) == 3
    marks = json.loads(capsys.readouterr().out)
    assert marks["summary"] == {"passed": 1, "unreadable": 1}
    assert marks["submissions"][0]["grade"]["score"]["value"] == 0.9945


def test_resuming(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, paths = folder / "marks.csv", find_notebooks([folder / "ann", folder / "bob"])
    grade_class(paths[:1], OPTIONS, table=table)
    text = table.read_text().replace("0.9945", "0.9999")
    table.write_text(text)
    rows = grade_class(paths, OPTIONS, table=table, resume=True)
    assert [row["score (number)"] for row in rows] == ["0.9999", 0.9945]
    write(paths[0], own("ann", 21))
    for options in (OPTIONS, OPTIONS | {"parameters_below": 9}):
        table.write_text(text)
        assert grade_class(paths, options, table=table, resume=True)[0]["score (number)"] == 0.9945


def test_a_file_that_ends_the_process_that_reads_it(folder, monkeypatch):
    monkeypatch.setattr(classroom, "_grade_one", tests.tools.grade.grade_or_die)
    rows = grade_class([folder / "eve.ipynb", folder / "kim.ipynb"], OPTIONS, jobs=1)
    reasons = [row.get("reason") for row in rows]
    assert reasons == ["reading it ended the process", None]


def test_similar_submissions(tmp_path: Path) -> None:
    code = own("ann", 60)[-1][0].replace("ann_59", "b").replace("ann_58", "c")
    copied = [*good(), (code.replace("# what I have tried", "# mine, truly"), None)]
    everyone = {name: own(name) for name in ("bob", "kim", "eve")} | {"x": good(), "y": good()}
    for name, cells in {"ann": own("ann", 60), "copy": copied, **everyone}.items():
        write(tmp_path / f"{name}.ipynb", cells)
    rows = grade_class(find_notebooks([tmp_path]), OPTIONS, jobs=1)
    ((share, lines, one, two),) = find_similar(rows)
    assert (Path(one).name, Path(two).name) == ("ann.ipynb", "copy.ipynb")
    assert share == pytest.approx(58 / 60)
    assert lines == 60
    assert "0.97 of 60 lines alike: " in classroom.format_class(rows)


EXECUTED = OPTIONS | {"execute": True, "timeout": 120.0}


def executable(folder: Path, name: str, score: float) -> Path:
    """A submission that shows what it should without Keras."""
    shown = (f"# the network's size\nprint({made.summary_of(999)!r})", None)
    text = f"# the loss and the accuracy\nscore = [0.02, {score}]\nprint(score)"
    return write(folder / name, [shown, (text, None)])


def test_several_are_executed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    paths = [executable(tmp_path, "a.ipynb", 0.9951), executable(tmp_path, "b.ipynb", 0.9911)]
    rows = grade_class(paths, EXECUTED, jobs=2)
    assert [row["score (number)"] for row in rows] == [0.9951, 0.9911]
    assert [row["status"] for row in rows] == ["passed", "failed"]
    assert "1 passed, 1 failed" in capsys.readouterr().err  # beside a bar


def test_a_cluster_executes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = executable(tmp_path, "a.ipynb", 0.9951)
    command = ["grade", str(path), "--execute", "--json", "--scheduler"]
    options: dict[str, Any] = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    with LocalCluster(n_workers=1, **options) as cluster:
        assert main([*command, cluster.scheduler_address]) == 0
        (mark,) = json.loads(capsys.readouterr().out)["submissions"]
        assert (mark["status"], mark["grade"]["executed"]) == ("passed", True)
    assert main([*command, "tcp://127.0.0.1:1"]) == 2
    assert "expected a Dask scheduler at tcp://127.0.0.1:1" in capsys.readouterr().err
