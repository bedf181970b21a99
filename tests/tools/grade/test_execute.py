"""`evalib grade --execute`: fresh runs, their limits, and that nothing stays behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from evalib.tools.cli import main
from evalib.tools.grade.execute import run_submission
from evalib.tools.grade.read import read_file
from evalib.tools.grade.rules import CANNOT_TELL, FAIL, PASS, WARN, Grade, grade_notebook
from tests.tools.grade.made import Cells, checks, summary_of, write
from tests.tools.notebook_calls import is_running, numbers_in, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")

# A submission without Keras: it prints what one with Keras would.
SUMMARY = f"# the network's size\nprint('''{summary_of(12_345)}''')"
SCORE = "# the loss and the accuracy\nscore = [0.02, 1 - 0.0055]\nprint(score)"
WAIT = "# waits\nimport time\ntime.sleep(600)"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own; nothing may be left in it, and no process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in str(p.info)]


def cells(*sources: str) -> Cells:
    return [(source, None) for source in sources]


def execute(path: Path, *sources: str) -> Grade:
    return grade_notebook(write(path, cells(*sources)), execute=True, timeout=200)


def test_a_fresh_run_is_judged(path: Path, temporary: Path) -> None:
    sources: Cells = [
        ("%%time\n# its own files\nopen('left.txt', 'w').write('x')\n!touch ../up.txt", None),
        ("# is a copy of it here?\nimport os\nassert 'submission.ipynb' in os.listdir()", None),
        ("# elsewhere, and tidied up too\nimport tempfile\nt = tempfile.mkdtemp()", None),
        (f"# where?\nassert t.startswith({str(temporary)!r})", None),
        (SUMMARY, "Total params: 99,999\n"),
        (SCORE, "[0.5, 0.5]\n"),
    ]
    before = write(path, sources, [9, None, 3, 3, 2, 1]).read_bytes()
    stored = grade_notebook(path)
    assert (stored.status, stored.parameters.count, stored.score.value) == ("failed", 99_999, 0.5)
    grade = grade_notebook(path, execute=True, timeout=120)
    assert (grade.status, grade.executed) == ("passed", True)
    assert grade.score.value == pytest.approx(0.9945)
    assert (grade.parameters.count, grade.parameters.source) == (12_345, "this run's summary")
    assert path.read_bytes() == before


def test_parameters_come_from_the_executed_model(path: Path) -> None:
    build = (
        "# a network, and one without weights\nimport keras\nimport numpy as np\n"
        "from keras import layers\nmodel = keras.Sequential([keras.Input((28, 28, 1)),\n"
        "    layers.Conv2D(10, 3), layers.GlobalAveragePooling2D(), layers.Softmax()])\n"
        "unbuilt = keras.Sequential([layers.Dense(3)])\nprint('Total params: 19')"
    )
    judge = (
        "# the score of images made up\n"
        "model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "score = model.evaluate(np.zeros((8, 28, 28, 1)), np.zeros(8), verbose=0)"
    )
    grade = execute(path, build, judge, "score[1]  # by the name")
    assert (grade.parameters.count, grade.parameters.source) == (100, "the executed model")
    assert grade.score.value in (0.0, 1.0)  # eight equal images


# The kernel knows real ones by the names of their classes.
MODEL = """\
# a model that is quickly there
class Model:
    built = True
    def __init__(self, count): self.count = count
    def count_params(self): return self.count
    def evaluate(self, images, labels): return [0.02, 0.9945]
Model.__module__ = "keras.models"
model = Model(1610)
class Module:  # of PyTorch, nearly
    def parameters(self): return [self] * 3
    def numel(self): return 100
Module.__module__ = "torch.nn.modules.module"
net = Module()
"""


def test_a_model_that_was_replaced(path: Path) -> None:
    judge = "# the score\nscore = model.evaluate(0, 0)\nprint(score)"
    grade = execute(path, MODEL, judge, "# a piece of it\nmodel = Model(160)")
    assert grade.parameters.count is None
    assert "another model is called `model` by then" in checks(grade, "parameters")[0].found


def test_what_follows_an_error_is_not_reached(path: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    old = "# breaks\nfrom keras.utils import np_utils\nraise NameError('gone')"
    write(path, [(old, None), (SUMMARY, summary_of(9_999)), (SCORE, "[0.5, 0.9942]\n"),
                 (f"# not reached\nopen({str(ran)!r}, 'w')", None)])  # fmt: skip
    grade = grade_notebook(path, execute=True, timeout=120)
    assert not ran.exists()
    assert [(c.rule, c.cells) for c in grade.checks if c.status == FAIL] == [("errors", (1,))]
    assert "keras.utils.to_categorical in place of np_utils" in str(checks(grade, "errors"))
    assert checks(grade, "order")[0].status == CANNOT_TELL
    for rule, value in (("parameters", "9,999"), ("score", "0.9942")):
        (check,) = checks(grade, rule)
        assert (check.status, check.repair) == (CANNOT_TELL, "")
        text = f"not reached, the run ended in cell 1; the stored outputs show {value}"
        assert check.found == text


def test_errors_that_are_no_fault(path: Path) -> None:
    for source in ("import no_such_package.part", "raise OSError('<urlopen error timed out>')"):
        grade = execute(path, f"# here\n{source}", SCORE)
        assert (grade.status, checks(grade, "errors")[0].status) == ("needs a look", CANNOT_TELL)
    notebook = json.loads(write(path, cells("# shows one\n1 / 0", SUMMARY, SCORE)).read_text())
    notebook["cells"][0]["metadata"] = {"tags": ["raises-exception"]}
    path.write_text(json.dumps(notebook))
    grade = grade_notebook(path, execute=True, timeout=120)
    assert (grade.status, checks(grade, "errors")[0].status) == ("passed", WARN)


def test_nothing_is_installed(path: Path) -> None:
    python = "import os, pip, subprocess, sys\npath = os.path.join(sys.prefix, 'bin', 'pip')\n"
    sources = (
        f"# from the shell\n{python}!pip --version\n!{{sys.executable}} -m pip --version\n!sudo x",
        "# by magics\n%pip --version\n%conda info",
        "# by Python\npip.main(['--version'])\nos.system('apt-get --version')\n"
        "subprocess.run([sys.executable, '-m', 'pip', '--version'], check=True)\n"
        "subprocess.run([path, '--version'], check=os.path.exists(path))",
        "# Keras 2 means kernels of 3x3\nif 0: Convolution2D(32, 3, 3)",
    )
    grade = execute(path, *sources, SUMMARY, SCORE)
    assert grade.status == "passed"
    (check,) = checks(grade, "installation")
    assert (check.status, check.number) == (WARN, 4)
    assert check.found.startswith("refused: pip --version; sudo x; conda info")
    assert "stride" in checks(grade, "old calls")[0].found


# Starts a child, and one in a session and with an environment of its own.
DETACHED = """\
# others that would stay
import os, subprocess, sys, time
marks = {!r}
code = 'import os, sys, time; open(sys.argv[1], "w").write(str(os.getpid())); time.sleep(600)'
subprocess.Popen([sys.executable, '-c', code, marks + '/child'])
subprocess.Popen([sys.executable, '-c', code, marks + '/session'], env={{}}, start_new_session=True)
while len([n for n in os.listdir(marks) if os.path.getsize(f'{{marks}}/{{n}}')]) < 2:
    time.sleep(0.1)"""


@pytest.mark.parametrize(
    ("end", "source"),
    [
        ("finished", SCORE),
        ("timeout", "# too long\nimport signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
         "print('so far', flush=True)\nwhile True:\n    pass"),
        ("kernel died", "# dies\nos._exit(1)"),
    ],
)  # fmt: skip
def test_no_process_stays_behind(path: Path, tmp_path: Path, end: str, source: str) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    write(path, cells(SUMMARY, DETACHED.format(str(marks)), source))
    run = run_submission(read_file(path), timeout=20 if end == "timeout" else 120)
    numbers = {file.name: int(file.read_text()) for file in marks.iterdir()}
    assert (run.end, run.cell, len(numbers)) == (end, 3, 2)
    if end == "kernel died":  # then one without its mark, and without a parent, is not found
        os.kill(numbers.pop("session"), signal.SIGKILL)
    assert not any(map(is_running, numbers.values()))
    assert end != "timeout" or run.submission.cells[2].text() == "so far\n"


def test_when_the_time_is_up_the_models_are_still_asked(path, capsys):
    write(path, cells(MODEL, f"{WAIT}\nscore = model.evaluate(0, 0)\nprint(score)"))
    assert main(["grade", str(path), "--execute", "--timeout", "10", "--json"]) == 3
    marks = json.loads(capsys.readouterr().out)
    assert marks["parameters"]["count"] == 1_610
    found = {check["rule"]: (check["status"], check["found"]) for check in marks["checks"]}
    assert found["order"] == (CANNOT_TELL, "time was up, 10 s, in cell 2")
    assert found["score"] == (CANNOT_TELL, "not reached, time was up in cell 2")
    assert found["errors"][0] == PASS
    for refused in ("0", "nan", "1e9"):
        assert main(["grade", str(path), "--execute", "--timeout", refused]) == 2
        assert "expected a timeout above 0" in capsys.readouterr().err


def test_too_much_output_does_not_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr("evalib.tools.grade.execute.MOST_OUTPUT", 500_000)
    write(
        path, cells("# floods\nfor _ in range(20):\n    print('x' * 100_000, flush=True)\nprint(0)")
    )
    run = run_submission(read_file(path), timeout=120)
    assert (run.end, run.submission.cells[0].text()[-2:]) == ("finished", "x\n")


@pytest.mark.parametrize(("way", "others"), [(signal.SIGINT, 1), (signal.SIGKILL, 0)])
def test_an_end_from_outside(path, tmp_path, temporary, way, others):
    running = tmp_path / "running"
    wait = f"# waits\nimport os\nopen({str(running)!r}, 'w').write(str(os.getpid()))\n"
    write(path, cells(wait + WAIT))
    paths = [path, *[write(tmp_path / "other.ipynb", cells(WAIT))] * others]
    process = subprocess.Popen(
        [sys.executable, "-m", "evalib", "grade", *map(str, paths), "--execute", "--jobs", "2"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in the background, an interrupt would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    kernels = numbers_in(running)
    process.send_signal(way)
    _, errors = process.communicate(timeout=60)
    wait_for_end(kernels)
    if way == signal.SIGINT:
        assert (process.returncode, errors) == (130, "evalib: interrupted\n")
    for left in temporary.iterdir() if way == signal.SIGKILL else ():
        shutil.rmtree(left)  # what is killed cannot tidy up
