"""evalib.tools.grade.rules: comments, errors, the report, what is refused, and the command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tests.tools.grade.made as made
from evalib.tools.cli import main
from evalib.tools.grade.read import comment_kind
from evalib.tools.grade.rules import FAIL, PASS, WARN, format_grade, grade_notebook
from tests.tools.grade.made import assert_only, changed, error, good, write


def test_a_good_submission_passes(path: Path) -> None:
    grade = grade_notebook(write(path, good()))
    assert grade.status == "passed"
    assert [check.status for check in grade.checks] == [PASS] * len(grade.checks)
    assert (grade.parameters.count, grade.parameters.cell) == (12_345, 3)
    assert grade.parameters.model == grade.score.model == "model"
    assert (grade.score.value, grade.score.cell) == (0.9945, 7)
    text = format_grade(grade)
    assert text.startswith("submission.ipynb: read, not executed\npass  comments ")
    assert "\npass  parameters    cell 3: 12,345 of `model`, from the stored summary" in text
    assert text.endswith("\npassed, 0 warnings")


def test_the_repository_s_own_notebook_passes(repository: Path) -> None:
    from evalib.networks.course import s3_network

    grade = grade_notebook(repository / "notebooks" / "05_s3_assignment.ipynb")
    # A cell that was added since the outputs were recorded has no count yet.
    wrong = {check.rule for check in grade.checks if check.status != PASS} - {"order"}
    assert not wrong, format_grade(grade)
    assert grade.parameters.count == s3_network().count_params()
    assert grade.parameters.model == "model"  # and not the course's network, which is scored first


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("x = 1  # the count", "real"), ("!pip install keras  # the library", "real"),
        ("%%time\n# how long?\nx = 1", "real"), ("%%bash\n# list the files\nls", "real"),
        ("%%bash\nls", "none"), ("%%javascript\n// hide the output\nx()", "real"),
        ("#@title Load the images\nx = 1", "real"), ('#@param {type:"number"}', "empty"),
        ("# import libraries\nimport os", "real"), ("# import numpy as np\nx = 1", "code"),
        ("# note: this is slow\nx = 1", "real"), ("# खोज परिणाम\nx = 1", "real"),
        ("# noqa\nx = 1", "empty"), ("# --- 26\nx = 1", "empty"),
        ("# !pip3 install keras\nx = 1", "code"), ("#%matplotlib inline\nx = 1", "code"),
        ("## pip install -q keras\nx = 1", "code"), ("#!/usr/bin/env python3\nx = 1", "empty"),
        ("# !important: the images are 28x28\nx = 1", "real"),
        ("# -*- coding: utf-8 -*-\nx = 1", "empty"),
        ("# for i in range(3):\n#     print(i)\nx = 1", "code"),
        ("# # model.add(Conv2D(\n# #     32, 3))\nx = 1", "code"),
        ("# two kernels are enough here\n# model.add(Conv2D(2, 3))\nx = 1", "real"),
        ("# clip to [0, 1]\n# model.add(Conv2D(2, 3))\nx = 1", "template"),
        ("# https://keras.io/\nx = 1", "template"), ("# from https://keras.io/\nx = 1", "real"),
        ("class A:\n  def f():\n    '''A docstring.'''", "real"),
        ("def f():\n    return '# no'", "none"), ("'''the loss'''\nx = 1", "string"),
        ('"""unclosed\n# a comment?', "real"), ('print "x"  # of Python 2', "real"),
        ("if x:\n    !ls  # the files", "real"),
    ],
)  # fmt: skip
def test_kinds_of_comments(source: str, kind: str) -> None:
    assert comment_kind(source) == kind


def test_comments_are_listed_by_what_they_lack(path: Path) -> None:
    bare = {"compile": "model.compile(metrics=['acc'])", "print": "print(score) #"}
    cells = changed(**bare, fit="#\nx = 1")
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "comments")
    assert check.found == "no comment (4), a comment without words (5, 7)"
    assert (check.cells, check.number) == ((4, 5, 7), 3)


def test_error_outputs(path: Path) -> None:
    cells = [*good(), ("vis(0)  # what does it look for?", error("NameError", "no \x1b[31mvis"))]
    check = assert_only(grade_notebook(write(path, cells)), FAIL, "errors")
    assert (check.cells, check.found) == ((8,), "NameError: no vis")
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["metadata"] = {"tags": ["raises-exception"]}
    path.write_text(json.dumps(notebook))
    assert assert_only(grade_notebook(path), WARN, "errors").cells == (8,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not JSON", "is JSON"), (b"\xff\xfe\x00", "is JSON"), (b"9" * 5000, "is JSON"),
        (b"[" * 200_000, "is JSON"), (b"[]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"), (b'{"cells": [3]}', "item 1 is no cell"),
        (b" " * (50 * 2**20 + 1), "at most 50 MB, it has more"),
        (json.dumps({"cells": [{"cell_type": "code", "source": "x = 1\n" * 90_000}]}).encode(),
         "at most 500,000 characters of code"),
        (None, "found no file at"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_is_no_notebook_is_refused(path, content, message, capsys):
    if content is not None:
        path.write_bytes(content)
    assert main(["grade", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("evalib: expected ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_odd_cells_are_marked_not_refused(path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"source": []}, {"source": "# why\n", "outputs": 3, "execution_count": "x"},
        {"source": ["# why"], "outputs": [3, {}, {"output_type": "stream"}]},
        {"source": "x", "metadata": [], "outputs": [{"output_type": "error"}]},
        {"source": "x", "metadata": {"tags": [3]}, "execution_count": True},
    ]  # fmt: skip
    for cell in odd:
        path.write_text(json.dumps({"cells": [{"cell_type": "code"} | cell]}))
        grade = grade_notebook(path)
        assert (grade.status != "passed", grade.score.value) == (True, None)


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["grade", str(write(path, good()))]
    assert main([*command, "--json"]) == 0
    marks = json.loads(capsys.readouterr().out)
    assert (marks["status"], marks["passed"], marks["executed"]) == ("passed", True, False)
    assert (marks["parameters"]["count"], marks["score"]["value"]) == (12_345, 0.9945)
    parts = {"rule", "status", "cells", "expected", "found", "repair", "number"}
    assert parts == set(marks["checks"][0])
    assert main([*command, "--score-above", "0.9945"]) == 1
    assert main([*command, "--parameters-below", "12345"]) == 1
    write(path, changed(fit=made.FIT + "\n" + made.FIT.split("\n", 1)[1]))
    assert (main(command), main([*command, "--strict"])) == (0, 1)
    assert capsys.readouterr().out.endswith("passed, 1 warning\n")
    write(path, good()[:5])
    assert main(command) == 3


def test_reading_needs_no_keras_and_the_help_warns() -> None:
    code = (
        "import sys, evalib.tools.cli, evalib.tools.grade.classroom\n"
        "print(sorted({'keras', 'tensorflow', 'nbclient', 'IPython', 'rich'} & set(sys.modules)))\n"
        "evalib.tools.cli.main(['grade', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("[]\nusage: evalib grade")
    text = " ".join(done.stdout.split())
    assert "is no sandbox" in text
    assert "3 needs a look" in text
    assert done.stderr == ""
