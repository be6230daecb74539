"""The file of picks: it replaces no file of a person's, and is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from distil.cli import main

LABELED = "id,label\n0,1\n1,0\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("emb.npy", np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32))
    Path("labeled.csv").write_text(LABELED)
    return tmp_path


@pytest.fixture
def said(capsys):
    def call(*argv, out="picks.csv"):
        capsys.readouterr()
        given = ("--embeddings", "emb.npy", "--strategy", "core_set", "--n", "4", "--out", out)
        code = main(["select", *given, *argv])
        return code, *capsys.readouterr()

    return call


def unfinished(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("out", ["picks.csv", "picks.jsonl"])
def test_only_the_same_bytes_or_force_replace_a_file(here, said, out):
    assert said(out=out)[0] == 0
    path = Path(out)
    picks, before = path.read_bytes(), path.stat().st_mtime_ns
    code, printed, err = said(out=out)
    assert (code, err, path.stat().st_mtime_ns) == (0, f"note: {out} holds these picks already\n", before)
    assert printed.startswith(f"4 picks of 30 in {out}; the first: ")
    for mine in (picks.replace(b"1", b"2", 1), picks + b"\n", b"", b"notes", picks[:40]):
        path.write_bytes(mine)
        code, printed, err = said(out=out)
        assert (code, printed) == (2, "")
        assert err.startswith(
            f"distil: {out} exists already, with other content, and was left as it is; choose another"
        )
        assert path.read_bytes() == mine
    path.chmod(0o600)
    assert said("--force", out=out)[::2] == (0, "")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (picks, 0o600)
    assert unfinished(here) == []


def test_a_file_of_other_content_is_refused_before_any_work(here, said, monkeypatch):
    monkeypatch.setattr("distil.selection.from_files.chosen", lambda _: pytest.fail("chose"))
    Path("notes.csv").write_text("my notes")
    assert said(out="notes.csv")[0] == 2
    assert said(out="labeled.csv")[0] == 2


def test_an_input_is_never_replaced(here, said):
    """By any path or link to it, and with --force too."""
    (here / "folder").mkdir()
    os.symlink(here, here / "folder" / "up")
    os.symlink("labeled.csv", "link.csv")
    os.link("labeled.csv", "second.csv")
    same = (
        "labeled.csv",
        "./labeled.csv",
        str(here / "labeled.csv"),
        "folder/up/labeled.csv",
        "link.csv",
        "second.csv",
    )
    for out in same:
        for name in ("labeled", "candidates", "exclude", "ids", "probs"):
            code, _, err = said(f"--{name}", "labeled.csv", "--force", out=out)
            assert (code, err) == (
                2,
                f"distil: {Path(out)} is the file of {name} too, which is never replaced; choose another name for out\n",
            )
    Path("more.csv").write_text(LABELED)
    code, _, err = said("--labeled", "more.csv", "--labeled", "labeled.csv#label", "--force", out="labeled.csv")
    assert (code, "the file of labeled too" in err) == (2, True)
    assert Path("labeled.csv").read_text() == LABELED


def test_a_file_that_appears_meanwhile_is_kept(here, said, monkeypatch):
    """Also where the file system has no hard links."""
    link, real = os.link, os.fsync

    def appears(handle):
        Path("picks.csv").write_text("mine")
        real(handle)

    monkeypatch.setattr("os.fsync", appears)
    for with_links in (True, False):
        Path("picks.csv").unlink(missing_ok=True)
        monkeypatch.setattr("os.link", link if with_links else no_links)
        code, _, err = said()
        assert (code, "picks.csv exists already" in err) == (2, True)
        assert Path("picks.csv").read_text() == "mine"
        assert unfinished(here) == []


def broke(number):
    raise OSError(number, os.strerror(number))


def no_links(*_):
    broke(errno.EPERM)


def test_without_hard_links(here, said, monkeypatch):
    monkeypatch.setattr("os.link", no_links)
    assert said()[0] == 0
    assert len(Path("picks.csv").read_text().splitlines()) == 5


def test_a_link_keeps_its_place(here, said):
    os.symlink("far/picks.csv", "link.csv")
    assert said(out="link.csv")[0] == 0
    assert Path("link.csv").is_symlink()
    Path("far/picks.csv").write_text("mine")
    assert said(out="link.csv")[0] == 2
    assert Path("far/picks.csv").read_text() == "mine"
    assert said("--force", out="link.csv")[0] == 0
    assert Path("link.csv").is_symlink()
    assert Path("far/picks.csv").read_text().startswith("rank,")


def test_what_is_no_file(here, said):
    os.mkfifo("pipe.csv")
    Path("folder.csv").mkdir()
    for out, what in (("pipe.csv", "no ordinary file"), ("folder.csv", "a folder")):
        code, _, err = said("--force", out=out)
        assert (code, err) == (2, f"distil: {out} is {what}; expected a file\n")


def test_an_interrupted_command_leaves_no_file(here, said, monkeypatch):
    def stops(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stops)
    code, out, err = said()
    assert (code, out) == (130, "")
    assert err.startswith("\ndistil: interrupted; nothing was written; the same command begins again, and embeddings")
    assert sorted(path.name for path in here.iterdir()) == ["emb.npy", "labeled.csv"]


@pytest.mark.parametrize("step", ["pathlib.Path.write_bytes", "os.fsync"])
def test_a_full_or_broken_disk_is_a_line(here, said, monkeypatch, step):
    Path("old.csv").write_text("mine")
    before = sorted(here.iterdir())
    for number in (errno.ENOSPC, errno.EROFS, errno.EIO):
        for out in ("picks.csv", "old.csv"):
            with monkeypatch.context() as broken:
                broken.setattr(step, lambda *_, number=number: broke(number))
                code, printed, err = said("--force", out=out)
            assert (code, printed, err.startswith(f"distil: {out}: {os.strerror(number)}")) == (1, "", True)
            assert Path("old.csv").read_text() == "mine"
            assert sorted(here.iterdir()) == before
