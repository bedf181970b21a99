"""Reading and writing of results: atomic, locked, and clear where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalib import results
from evalib.results import atomic_replace, folder_lock, write_atomically


def test_results_come_back_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "evalib")
    with pytest.raises(FileNotFoundError, match="expected a folder outputs"):
        results.results_folder()
    (tmp_path / "evalib" / "outputs").mkdir(parents=True)  # of an installed copy
    assert results.results_folder() == tmp_path / "evalib" / "outputs"
    (tmp_path / "outputs").mkdir()
    with pytest.raises(FileNotFoundError, match="a script in `scripts/` writes it"):
        results.read_results("study/a.json")
    results.write_results(results.results_folder() / "study" / "a.json", [{"accuracy": 0.1 + 0.2}])
    assert results.read_results("study/a.json") == [{"accuracy": 0.1 + 0.2}]
    assert os.listdir(tmp_path / "outputs" / "study") == ["a.json"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "folder" / "picture.png"
    with atomic_replace(file) as place:
        place.write_text("first")
        assert not file.exists()
        assert place.suffix == ".png"  # what is saved there knows its format by it
    file.chmod(0o640)
    with pytest.raises(ZeroDivisionError), atomic_replace(file) as place:
        place.write_text("sec") // 0  # when half of it is written
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert file.read_text() == "first"
    write_atomically(file, "second\n")
    assert file.read_bytes() == b"second\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(file.parent) == ["picture.png"]


def test_a_folder_is_kept_by_one_process(tmp_path):
    with pytest.raises(ValueError, match="expected a folder to"), folder_lock(Path(__file__)):
        pass
    hold = (
        "import sys\nfrom pathlib import Path\nfrom evalib.results import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n    print('locked', flush=True)\n"
        "    sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "out")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(RuntimeError, match=r"another process is writing to .*out"),
            folder_lock(tmp_path / "out", patience=0.2),
        ):
            pass
        other.kill()  # which unlocks it
    with folder_lock(tmp_path / "out"):
        assert os.listdir(tmp_path / "out") == [".lock"]
