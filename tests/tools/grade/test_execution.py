"""`evalib grade --execute`: fresh runs, their limits, and that nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from evalib.tools.cli import main
from evalib.tools.grade.execution import FOLDER_PREFIX, run_submission
from evalib.tools.grade.processes import MARK
from evalib.tools.grade.rules import FAIL, Check, Grade, format_grade, grade_notebook
from evalib.tools.grade.submissions import read_submission
from evalib.tools.grade.worker import MOST_OUTPUT, keep_end
from tests.tools.grade.submissions_made import OLD_SUMMARY, Shown, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")

# A submission without Keras: it prints what one with Keras would.
SUMMARY = f"# the network's size\nprint('''{OLD_SUMMARY}''')"
SCORE = "# the loss and the accuracy\nscore = [0.02, 1 - 0.0055]\nprint(score)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "handed in"
    folder.mkdir()
    return folder / "submission.ipynb"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own; nothing may be left in it, and no process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert marked_processes() == []


def marked_processes() -> list[psutil.Process]:
    """The processes of any grading that this test process has started."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and MARK in process.environ() and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def is_alive(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def cells(*sources: str) -> list[tuple[str, Shown]]:
    return [(source, None) for source in sources]


def check_of(grade: Grade, rule: str) -> Check:
    (check,) = [check for check in grade.checks if check.rule == rule]
    return check


def test_a_fresh_run_is_judged(path: Path, temporary: Path) -> None:
    write(
        path,
        [
            ("# files of its own\nopen('left.txt', 'w').write('x')\n!touch ../up.txt", None),
            ("# is a copy of it here?\nimport os\nassert 'submission.ipynb' in os.listdir()", None),
            ("# elsewhere, and tidied up too\nimport tempfile\nt = tempfile.mkdtemp()", None),
            (f"# where?\nassert t.startswith({str(temporary)!r})", None),
            (SUMMARY, "Total params: 99,999\n"),
            (SCORE, "[0.5, 0.5]\n"),
        ],
        counts=[9, None, 3, 3, 2, 1],
    )  # fmt: skip
    before = path.read_bytes()
    stored = grade_notebook(path)
    assert not stored.passed
    assert (stored.parameters.count, stored.score.value) == (99_999, 0.5)

    grade = grade_notebook(path, execute=True, timeout=120)

    assert grade.passed, format_grade(grade)
    assert grade.executed
    assert grade.score.value == pytest.approx(0.9945)
    assert grade.score.source == "`score` in the executed kernel"
    assert (grade.parameters.count, grade.parameters.source) == (12_345, "this run's summary")
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["submission.ipynb"]


def test_parameters_come_from_the_executed_model(path: Path) -> None:
    build = (
        "# the course's network, and a smaller one\n"
        "import keras\nimport numpy as np\nfrom keras import layers\n"
        "course = keras.Sequential([keras.Input((784,)), layers.Dense(100)])\n"
        "model = keras.Sequential([keras.Input((28, 28, 1)), layers.Conv2D(10, 3),\n"
        "    layers.GlobalAveragePooling2D(), layers.Softmax()])\n"
        "unbuilt = keras.Sequential([layers.Dense(3)])\n"
        "print('Total params: 19')"
    )
    judge = (
        "# the score of images made up\n"
        "model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "score = model.evaluate(np.zeros((8, 28, 28, 1)), np.zeros(8), verbose=0)"
    )
    write(path, cells(build, judge, "score[1]  # by the name"))
    grade = grade_notebook(path, execute=True, timeout=300)
    assert grade.parameters.count == 9 * 10 + 10
    assert grade.parameters.source == "the executed model"
    assert grade.parameters.reason == "`model` is the model that was scored"
    assert grade.score.value in (0.0, 1.0)  # eight equal images


def test_an_error_ends_the_run(path: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    last = f"# not reached\nopen({str(ran)!r}, 'w')"
    write(path, cells(SUMMARY, "# breaks\nraise NameError('gone')", SCORE, last))
    grade = grade_notebook(path, execute=True, timeout=120)
    assert not ran.exists()
    assert check_of(grade, "errors").found == "NameError: gone"
    assert check_of(grade, "order").cells == (2,)
    assert check_of(grade, "score").status == FAIL
    assert grade.parameters.count == 12_345  # as far as it came


def test_a_kernel_that_dies(path: Path) -> None:
    write(path, cells(SUMMARY, "# dies\nimport os\nos._exit(3)", SCORE))
    check = check_of(grade_notebook(path, execute=True, timeout=120), "order")
    assert (check.status, check.found, check.cells) == (FAIL, "the kernel died", (2,))


def detached(marks: Path) -> str:
    """Code that starts a child, one in a session of its own, and one that is forked off twice."""
    return (
        "# others that would stay\nimport os, subprocess, sys, time\n"
        f"marks = {str(marks)!r}\n"
        "code = ('import os, sys, time; open(sys.argv[1], \"w\").write(str(os.getpid()));'\n"
        "        'time.sleep(600)')\n"
        "subprocess.Popen([sys.executable, '-c', code, marks + '/child'])\n"
        "subprocess.Popen([sys.executable, '-c', code, marks + '/session'], env={},\n"
        "                 start_new_session=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execve(sys.executable, [sys.executable, '-c', code, marks + '/daemon'], {})\n"
        "    os._exit(0)\n"
        "while len([n for n in os.listdir(marks) if os.path.getsize(f'{marks}/{n}')]) < 3:\n"
        "    time.sleep(0.1)"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="adopting orphans is Linux's")
@pytest.mark.parametrize("end", ["finished", "timeout", "kernel died"])
def test_no_process_stays_behind(path: Path, tmp_path: Path, end: str) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    ends = {
        "finished": SCORE,
        "timeout": "# too long\nimport signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "while True:\n    pass",
        "kernel died": "# dies\nos._exit(1)",
    }
    write(path, cells(detached(marks), ends[end]))
    start = time.monotonic()
    run = run_submission(read_submission(path), [], timeout=15 if end == "timeout" else 120)
    numbers = [int(file.read_text()) for file in marks.iterdir()]
    assert len(numbers) == 3
    assert run.end == end
    assert not any(map(is_alive, numbers))
    if end == "timeout":
        assert run.cell == 2
        assert run.submission.cells[0].count == 1
        assert 15 <= time.monotonic() - start < 40


def test_a_time_limit(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(path, cells(SUMMARY, "# waits\nimport time\ntime.sleep(600)", SCORE))
    assert main(["grade", str(path), "--execute", "--timeout", "5", "--json"]) == 1
    checks = {check["rule"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["order"]["found"] == "the time was up, 5 s"
    for refused in ("0", "-1", "nan", "inf", "1e9"):
        assert main(["grade", str(path), "--execute", "--timeout", refused]) == 2
        assert "expected a timeout above 0" in capsys.readouterr().err


def test_too_much_output_keeps_its_end(path: Path) -> None:
    flood = "# too much\nfor _ in range(60):\n    print('x' * 100_000, flush=True)\n"
    write(path, cells(flood + "print([0.1, 0.9951])", "# what is asked for\nscore = 1\nscore"))
    run = run_submission(read_submission(path), [], timeout=120)
    assert run.end == "finished"
    assert run.submission.cells[0].text().endswith("[0.1, 0.9951]\n")


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ((10_000_000,), (MOST_OUTPUT,)),
        ((MOST_OUTPUT + 1,), (MOST_OUTPUT,)),
        ((MOST_OUTPUT,), (MOST_OUTPUT,)),
        ((5, MOST_OUTPUT - 1, 1, 10), (0, MOST_OUTPUT - 11, 1, 10)),
        ((5, 3 * MOST_OUTPUT, 10), (0, MOST_OUTPUT - 10, 10)),
        ((5, MOST_OUTPUT), (0, MOST_OUTPUT)),
    ],
)
@pytest.mark.parametrize("kind", ["text", "text/plain"])
def test_the_end_of_the_outputs_is_kept(
    lengths: tuple[int, ...], kept: tuple[int, ...], kind: str
) -> None:
    texts = ["<" + "x" * (length - 2) + ">" if length > 1 else ">" for length in lengths]
    outputs: list[Any] = [
        {"text": text} if kind == "text" else {"data": {kind: text}} for text in texts
    ]
    keep_end(outputs)
    left = [output.get("data", output)[kind] for output in outputs]
    assert tuple(map(len, left)) == kept
    assert all(old.endswith(new) for old, new in zip(texts, left, strict=True))


def test_an_expected_error_and_magics(path: Path) -> None:
    write(
        path,
        cells("%%time\n# is this slow?\n!echo here", "# shows an error\n1 / 0", SUMMARY, SCORE),
    )
    notebook = json.loads(path.read_text())
    notebook["cells"][2]["metadata"] = {"tags": ["raises-exception"]}
    path.write_text(json.dumps(notebook))
    grade = grade_notebook(path, execute=True, timeout=120)
    assert grade.passed, format_grade(grade)
    assert check_of(grade, "errors").cells == (2,)


# A model that says what it is asked: the kernel knows Keras's by the names of their classes.
MODEL = """\
# a model that is quickly there
class Model:
    built = True
    def __init__(self, count): self.count = count
    def count_params(self): return self.count
    def evaluate(self, images, labels): return [0.996, 0.61]
    def summary(self): print("Total params:", self.count)
Model.__module__ = "keras.models"
model = Model(68260)
"""


@pytest.mark.parametrize(
    "judge",
    [
        "loss, acc = model.evaluate(0, 0)\nprint('Accuracy:', acc)\nprint('Loss:', loss)",
        "y_val = [7, 1, 0]\nprint(model.evaluate(0, y_val))",
    ],
)
def test_neither_a_loss_nor_a_label_is_the_score(path: Path, judge: str) -> None:
    write(path, cells(MODEL, f"# the score\n{judge}"))
    assert grade_notebook(path, execute=True, timeout=120).score.value == 0.61


@pytest.mark.parametrize("shown", ["model.summary()", ""])
def test_a_later_model_of_the_same_name_is_not_counted(path: Path, shown: str) -> None:
    judge = "# the score\nscore = model.evaluate(0, 0)\nprint(score)"
    write(path, cells(MODEL + shown, judge, "# a piece of it\nmodel = Model(160)"))
    grade = grade_notebook(path, execute=True, timeout=120)
    assert grade.parameters.count == (68_260 if shown else None)
    expected = "this run's summary" if shown else "another model is called `model` by then"
    assert expected in check_of(grade, "parameters").found


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_an_end_from_outside(path: Path, tmp_path: Path, temporary: Path, way: int) -> None:
    running = tmp_path / "running"
    wait = f"# waits\nimport os, time\nopen({str(running)!r}, 'w').write(str(os.getpid()))\n"
    write(path, cells(wait + "time.sleep(600)"))
    process = subprocess.Popen(
        [sys.executable, "-m", "evalib", "grade", str(path), "--execute"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in the background, an interrupt would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (running.exists() and running.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [item.name.startswith(FOLDER_PREFIX) for item in temporary.iterdir()] == [True]
    process.send_signal(way)
    _, errors = process.communicate(timeout=60)
    kernel = int(running.read_text())
    while (marked_processes() or list(temporary.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(kernel)
    if way == signal.SIGINT:
        assert (process.returncode, errors) == (130, "evalib: interrupted\n")
