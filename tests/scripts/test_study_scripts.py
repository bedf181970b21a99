"""The scripts behind the tables: what they train again, and what an interrupt leaves."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from evalib.training.recipe import Recipe


def test_a_choice_is_trained_again_only_with_another_recipe(load_script, monkeypatch):
    script = load_script("recipe_choices")
    assert set(script.known_records()) == set(script.CANDIDATES)
    records = [
        {"name": "the recipe", "recipe": {"epochs": script.EPOCHS}},
        {"name": "no augmentation", "recipe": {"epochs": script.EPOCHS, "rotation": 8.0}},
    ]
    monkeypatch.setattr(script, "read_results", lambda _: records)
    assert list(script.known_records()) == ["the recipe"]


@pytest.fixture
def study(load_script, monkeypatch, tmp_path):
    """The study of records, writing to a folder of its own, where a training takes no time."""
    script = load_script("record_study")
    (tmp_path / "study").mkdir()
    monkeypatch.setattr(script, "results_folder", lambda: tmp_path)
    monkeypatch.setattr("evalib.results.results_folder", lambda: tmp_path)
    run = SimpleNamespace(history={"accuracy": [0.5]}, seconds=1.0, device="cpu")
    monkeypatch.setattr(script, "train", lambda *_, **__: run)
    monkeypatch.setattr(script, "score", lambda *_: (0.5, 1.0))
    monkeypatch.setattr(script, "disturbed_accuracies", lambda _: {})
    monkeypatch.setattr(script, "train_reference", lambda *_: {"reference_seconds": 2.0})
    return script


def test_an_interrupt_leaves_no_new_weights_beside_old_scores(study, monkeypatch):
    monkeypatch.setattr(study, "train_reference", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        study.study("speed", 1, 1, again=False)
    assert list(study.model_file("speed").parent.iterdir()) == []


def test_runs_with_other_versions_name_them_those_of_another_recipe_are_stale(study, monkeypatch):
    study.study("speed", 1, 1, again=False)
    monkeypatch.setattr(study, "versions", lambda: {"keras": "9"})
    study.study("speed", 2, 1, again=False)
    entry = json.loads((study.results_folder() / study.file_of("speed")).read_text())["speed"]
    assert [run.get("versions") for run in entry["runs"]] == [None, {"keras": "9"}]
    assert entry["versions"]["keras"] != "9"
    assert len(study.known_entry("speed", again=False)["runs"]) == 2
    other = study.BestNetwork(study.BEST_NETWORKS["speed"].build, Recipe(epochs=4))
    monkeypatch.setitem(study.NETWORKS, "speed", other)
    assert study.known_entry("speed", again=False)["runs"] == []  # of another recipe


def test_teachers_are_trained_before_who_learns_from_them(study, monkeypatch):
    build = study.BEST_NETWORKS["speed"].build
    student = study.BestNetwork(build, Recipe(teacher_share=0.9), teachers=2)
    monkeypatch.setitem(study.NETWORKS, "taught", student)
    with pytest.raises(SystemExit, match="train the teachers first: 2 of 2"):
        study.study("taught", 1, 1, again=False)

    study.study("teachers", 2, 1, again=False)
    trainer = study.trainer_of(student.build(), student)
    assert len(trainer.teacher.get_layer("mean").input) == 2
    assert trainer.share == 0.9
    study.study("taught", 1, 1, again=False)
    assert len(study.known_entry("taught", again=False)["runs"]) == 1

    # Runs by other teachers do not hold, and teachers of another recipe are none.
    other = study.BestNetwork(study.BEST_NETWORKS["speed"].build, Recipe(epochs=4))
    monkeypatch.setitem(study.NETWORKS, "teachers", other)
    assert study.known_entry("taught", again=False)["runs"] == []
    with pytest.raises(SystemExit, match="train the teachers first"):
        study.study("taught", 1, 1, again=False)
