"""Files that commands write anew: one that somebody edited is kept, whatever happens meanwhile."""

import errno
import json
import multiprocessing
import os
import shutil
import warnings
from functools import partial
from pathlib import Path

import pytest

import distil
from distil.errors import DistilWarning
from distil.experiment import outputs, replaced
from distil.experiment.directory import directory_lock
from distil.experiment.outputs import write_results
from distil.experiment.replaced import write_anew
from distil.system import files

RESULTS = ("results.csv", "results.md", "curves.png", "report.html")


def asides(folder):
    return sorted(path.name for path in folder.iterdir() if "(edited" in path.name)


@pytest.fixture
def drawn(monkeypatch):
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")


def test_every_result_that_somebody_edited_is_kept_under_another_name(case, made_up, drawn):
    config = made_up(seeds=2, rounds=2)
    write_results(config, page=True)
    written = {name: (config.output / name).read_bytes() for name in RESULTS}
    write_results(config, page=True)
    assert asides(config.output) == []
    for name in RESULTS:
        with case(name):
            path = config.output / name
            stem, _, suffix = name.partition(".")
            for number, note in enumerate((b"a note", b"another note", b"another note")):
                path.write_bytes(written[name] + note)
                with pytest.warns(
                    DistilWarning, match=rf"{name} is not as distil wrote it, so it is kept as {stem} \("
                ):
                    write_results(config, page=True)
                assert {name: (config.output / name).read_bytes() for name in RESULTS} == written
                aside = config.output / f"{stem} (edited{' 2' * (number > 0)}).{suffix}"
                assert aside.read_bytes() == written[name] + note
    assert len(asides(config.output)) == 2 * len(RESULTS)


def test_results_of_later_runs_replace_those_of_earlier_ones(made_up, drawn):
    """All that is there is distil's, so nothing is set aside, also after a file was removed or restored."""
    config = made_up(unfinished=[("badge", 0)])
    write_results(config, page=True)
    before = {name: (config.output / name).read_bytes() for name in RESULTS}
    shutil.copy(config.output / "margin_sampling/0/events.jsonl", events := config.output / "margin_sampling/0/kept")
    events.rename(events.with_name("events.jsonl"))
    shutil.rmtree(config.output / "badge")
    shutil.rmtree(config.output / "margin_sampling")
    write_results(config, page=True)
    assert (config.output / "results.csv").read_bytes() != before["results.csv"]
    (config.output / "results.md").unlink()
    write_results(config, page=True)
    assert asides(config.output) == []


def test_a_file_that_distil_did_not_write_is_kept(tmp_path, case):
    """Also where what is known of the files is lost or damaged."""
    for number, record in enumerate((None, b"{", b"[]", b'{"a.csv": 3}', b"\xff")):
        with case(record):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "a.csv").write_text("mine")
            if record is not None:
                (folder / "outputs.json").write_bytes(record)
            with pytest.warns(DistilWarning, match=r"kept as a \(edited\)\.csv"):
                assert write_anew(folder / "a.csv", "new")
            assert [(folder / name).read_text() for name in ("a (edited).csv", "a.csv")] == ["mine", "new"]
            assert write_anew(folder / "a.csv", "newer")
            assert asides(folder) == ["a (edited).csv"]


def test_a_file_with_the_same_content_is_not_touched(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("same")
    os.utime(path, (1, 1))
    assert write_anew(path, "same") is False
    assert path.stat().st_mtime == 1
    assert write_anew(path, b"other") is True  # what has the content that distil wrote is distil's
    assert asides(tmp_path) == []


def test_a_link_keeps_its_place(tmp_path):
    (tmp_path / "shared").mkdir()
    target, link = tmp_path / "shared" / "table.csv", tmp_path / "a.csv"
    link.symlink_to(target)
    write_anew(link, "first")
    write_anew(link, "second")
    assert link.is_symlink()
    target.write_text("mine")
    with pytest.warns(DistilWarning, match=r"kept as table \(edited\)\.csv"):
        write_anew(link, "third")
    assert link.is_symlink()
    assert sorted((path.name, path.read_text()) for path in target.parent.iterdir()) == [
        ("table (edited).csv", "mine"),
        ("table.csv", "third"),
    ]


def test_an_error_names_the_file_as_it_was_given(tmp_path, monkeypatch):
    """A relative path stays one, through a link too."""
    monkeypatch.chdir(tmp_path)
    Path("link.csv").symlink_to("real.csv")
    for name in ("a.csv", "link.csv"):
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", full)
            broken.setattr(replaced, "write_text", lambda *_: None)
            with pytest.raises(OSError, match=r"\[Errno") as found:
                write_anew(Path(name), "text")
        assert found.value.filename == name


def full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Killed(BaseException):
    pass


def test_a_process_that_is_killed_at_any_step(tmp_path, monkeypatch, case):
    """Nothing of distil's is set aside afterwards, and what somebody edited is kept once."""
    steps = [(name, when) for name in ("name_new", "write_text", "replacing") for when in ("before", "after")]
    for number, (name, when) in enumerate(steps):
        for edited in (False, True):
            with case((name, when, edited)):
                folder = tmp_path / f"{number}-{edited}"
                folder.mkdir()
                path = folder / "a.md"
                write_anew(path, "first")
                if edited:
                    path.write_text("mine")
                with monkeypatch.context() as patch, warnings.catch_warnings():
                    warnings.simplefilter("ignore", DistilWarning)
                    module = files if name == "name_new" else replaced
                    patch.setattr(module, name, partial(killed, getattr(module, name), when))
                    try:
                        write_anew(path, "second")
                    except Killed:
                        pass
                    else:
                        assert (name, edited) == ("name_new", False)  # there was nothing to set aside
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DistilWarning)
                    write_anew(path, "third")
                assert path.read_text() == "third"
                assert asides(folder) == ["a (edited).md"] * edited
                assert not edited or (folder / "a (edited).md").read_text() == "mine"


def killed(step, when, *args):
    if when == "after":
        result = step(*args)
        if hasattr(result, "__enter__"):
            with result as temporary:
                temporary.write_text("second")
    raise Killed


def test_where_files_cannot_have_two_names(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "a.csv").write_text("mine")
    with pytest.warns(DistilWarning, match="kept as"):
        write_anew(tmp_path / "a.csv", "new")
    assert [(tmp_path / name).read_text() for name in ("a (edited).csv", "a.csv")] == ["mine", "new"]


def _write_often(folder, number):
    for turn in range(20):
        with directory_lock(folder):
            write_anew(folder / "a.csv", f"{number} {turn}")


def test_several_commands_at_once_take_each_others_files_for_their_own(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_often, args=(tmp_path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a.csv", "outputs.json"]
    assert len(json.loads((tmp_path / "outputs.json").read_text())["a.csv"]) == 2


def test_a_page_that_is_named_in_its_directory_is_that_of_the_directory(made_up, drawn, recwarn):
    """What `--output DIR/report.html` wrote is known to later commands, and one that was edited is kept."""
    config = made_up(unfinished=[("badge", 0)])
    page = config.output / "report.html"
    distil.report(config.output, output=page)
    shutil.rmtree(config.output / "badge")
    write_results(config, page=True)
    assert [str(note.message) for note in recwarn if issubclass(note.category, DistilWarning)] == []
    page.write_text("a note")
    with pytest.warns(DistilWarning, match=r"kept as report \(edited\)\.html"):
        distil.report(config.output, output=page)
    assert asides(config.output) == ["report (edited).html"]
