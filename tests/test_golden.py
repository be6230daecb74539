"""Files that earlier versions wrote, in ``golden/VERSION``: they open, say what they said, and go on."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from distil.cli import main
from distil.embedding import shards
from distil.labeling.events import Event
from distil.labeling.fold import fold
from distil.labeling.project import Project

GOLDEN = Path(__file__).parent / "golden"
_spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


def cases(name):
    """The folders with a file or folder of this name."""
    return pytest.mark.parametrize(
        "folder", sorted(path.parent for path in GOLDEN.glob(f"*/{name}")), ids=lambda p: p.name
    )


def said(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_this_release_has_all_of_them():
    assert {path.name for path in (GOLDEN / "0.1").iterdir()} == {
        *("run", "run.json", "project.db", "project.json", "embeddings", "embeddings.json", "pictures")
    }
    assert sum(path.stat().st_size for path in (GOLDEN / "0.1").rglob("*") if path.is_file()) < 300_000


@cases("run")
def test_a_run_directory_opens(tmp_path, folder):
    run = shutil.copytree(folder / "run", tmp_path / "run")
    assert make.run_says(run) == said(folder, "run")


@cases("run")
def test_a_finished_run_has_nothing_to_resume(tmp_path, folder, capsys):
    run = shutil.copytree(folder / "run", tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("events.jsonl")}
    assert main(["resume", str(run), "--no-progress", "--json"]) == 0
    assert {path: path.read_bytes() for path in run.rglob("events.jsonl")} == before
    assert make.run_says(run) == said(folder, "run")


@pytest.mark.filterwarnings("default::distil.errors.DistilWarning")
@cases("run")
def test_a_run_that_is_cut_ends_with_the_same_picks(tmp_path, folder, capsys):
    """The picks of random sampling depend on no weights, so they are the same on every machine."""
    run = shutil.copytree(folder / "run", tmp_path / "run")
    path = run / "random_sampling" / "1" / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    cut = next(k for k, line in enumerate(lines) if '"event": "asked", "round": 2' in line)
    path.write_text("".join(lines[:cut]))
    assert main(["resume", str(run), "--no-progress", "--json"]) == 0
    assert "it is trained again" in capsys.readouterr().err
    assert make.run_says(run)["picks"] == said(folder, "run")["picks"]


@cases("project.db")
def test_a_project_opens(tmp_path, folder):
    shutil.copyfile(folder / "project.db", tmp_path / "project.db")
    with Project.open(tmp_path) as project:
        assert make.project_says(project) == said(folder, "project")
        state = project.state()
        assert fold(each.event for each in project.events()) == state
        project.record_all([Event(kind="label", who="dora", item="fourth", label="kitty")])
        assert project.truths()["fourth"].votes["dora"] == "kitty"


@cases("embeddings")
def test_embeddings_in_shards_open(folder):
    assert make.embeddings_say(folder / "embeddings") == said(folder, "embeddings")


@cases("embeddings")
def test_nothing_is_embedded_again(tmp_path, folder, monkeypatch):
    """The times of the pictures are others than those that were recorded, so the rows are found by content."""
    monkeypatch.setattr(shards, "_BLOCK", 4)
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    found = shards.embed_shards("pictures", "pixels", "embeddings", rows_per_shard=4)
    assert (found.made, found.rows) == (0, 6)
    assert make.embeddings_say(Path("embeddings")) == said(folder, "embeddings")
