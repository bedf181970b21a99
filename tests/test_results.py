"""Reading and writing of results: atomic, and clear where something is missing."""

import pytest

from evalib import results
from evalib.files import replacing, write_atomically
from evalib.results import read_results, results_folder, write_results


def test_results_come_back_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "evalib")
    (tmp_path / "outputs").mkdir()
    write_results(results_folder() / "study" / "a.json", [{"accuracy": 0.1 + 0.2}])
    assert read_results("study/a.json") == [{"accuracy": 0.1 + 0.2}]
    assert [path.name for path in (tmp_path / "outputs" / "study").iterdir()] == ["a.json"]


def test_an_installed_copy_reads_the_results_inside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "evalib")
    (tmp_path / "evalib" / "outputs").mkdir(parents=True)
    assert results_folder() == tmp_path / "evalib" / "outputs"


def test_missing_results_are_named_with_their_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path / "evalib")
    with pytest.raises(FileNotFoundError, match="expected a folder outputs"):
        results_folder()
    (tmp_path / "outputs").mkdir()
    with pytest.raises(FileNotFoundError, match="a script in `scripts/` writes it"):
        read_results("none.json")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "folder" / "picture.png"
    with replacing(file) as place:
        place.write_text("first")
        assert not file.exists()
        assert place.suffix == ".png"  # what is saved there knows its format by it

    def fail_half_way() -> None:
        with replacing(file) as place:
            place.write_text("sec")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail_half_way()
    assert file.read_text() == "first"
    assert [path.name for path in file.parent.iterdir()] == ["picture.png"]
