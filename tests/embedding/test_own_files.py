"""The files of embeddings: only its own are replaced, and a call that was stopped at any step is continued."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from distil.data.array_files import read_column
from distil.data.pools import open_pool
from distil.embedding.embed import embed
from distil.embedding.encoders import Encoder, encoder_named
from distil.errors import InvalidInput

FILES = ("emb.npy", "emb.ids.txt", "emb.contents", "emb.info.json")
LENGTHS = "means:lengths"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("means.py").write_text("def lengths(items):\n    return [[float(len(item)), 1.0] for item in items]\n")
    yield tmp_path
    sys.modules.pop("means", None)


@pytest.mark.parametrize("out", ["emb.npy", "emb.parquet"])
def test_only_its_own_files_are_replaced(here, out):
    """Each of them, edited or another's, is refused by name; with force, it is written anew."""
    if out.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    texts = ["a", "b c", "d"]
    for grown in (False, True):
        pool = [*texts, "new"] if grown else texts
        embed(texts, LENGTHS, out=out, force=True)
        whole = {name: Path(name).read_bytes() for name in FILES if Path(name).exists()} | {out: Path(out).read_bytes()}
        edited = [(name, content) for name in whole for content in (b"mine", b"{}", b"")]
        edited += [(name, whole[name][:-1] + b"\1") for name in whole]
        for name, content in edited:
            Path(name).write_bytes(content)
            with pytest.raises(InvalidInput, match=rf"^{name} is not as distil embed left it, so nothing.*\(--force\)"):
                embed(pool, LENGTHS, out=out)
            assert {each: Path(each).read_bytes() for each in whole} == {**whole, name: content}
            Path(name).write_bytes(whole[name])
        assert embed(pool, LENGTHS, out=out).made == grown
        for name, content in edited:
            Path(name).write_bytes(content)
        found = embed(pool, LENGTHS, out=out, force=True)
        assert (found.made, "is not as it was written" in found.note) == (len(pool), True)
        assert sorted(path.name for path in here.iterdir() if path.name.startswith((".", "emb"))) == sorted(whole)


def test_an_array_of_the_same_name_keeps_its_information(here):
    pytest.importorskip("pyarrow")
    embed(["a"], LENGTHS, out="emb.npy")
    with pytest.raises(
        InvalidInput, match=r"^emb\.info\.json belongs to emb\.npy, so nothing was written; choose another name"
    ):
        embed(["a"], LENGTHS, out="emb.parquet")
    for name in FILES:
        Path(name).rename(f"new{name[3:]}")
    found = embed(["a", "b"], LENGTHS, out="new.npy")  # under another name they are still its own
    assert (found.made, found.reused) == (1, 1)


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
def test_a_link_is_refused_before_the_work(here):
    """To a file or to none; the array and the files next to it would come apart. One whose array is complete may stay."""
    for name in FILES:
        for force in (False, True):
            Path(name).symlink_to("elsewhere")
            with pytest.raises(InvalidInput, match=rf"^{name} is a link to elsewhere, so nothing was written; choose"):
                embed(["a"], LENGTHS, out="emb.npy", force=force)
            assert [each.name for each in here.iterdir() if each.name.startswith((".", "e"))] == [name]
            Path(name).unlink()
    embed(["a"], LENGTHS, out="emb.npy")
    Path("emb.npy").rename("moved.npy")
    Path("emb.npy").symlink_to("moved.npy")
    assert embed(["a"], LENGTHS, out="emb.npy").made == 0
    with pytest.raises(InvalidInput, match=r"is a link to moved\.npy"):
        embed(["a", "b"], LENGTHS, out="emb.npy")


def test_a_file_that_appears_meanwhile_is_kept(here):
    """Whichever it is, new or replaced; what was embedded is kept for the next call."""
    for before in (False, True):
        for name in FILES:
            for file in FILES:
                Path(file).unlink(missing_ok=True)
            if before:
                embed(["a"], LENGTHS, out="emb.npy")

            def load(runtime, name=name):
                Path(name).unlink(missing_ok=True)
                Path(name).write_text("mine")
                return encoder_named(LENGTHS).load(runtime)

            with pytest.raises(InvalidInput, match=f"^{name} was written by another program meanwhile"):
                embed(["a", "b"], Encoder("mine", encoder_named(LENGTHS).identity, None, load), out="emb.npy")
            assert Path(name).read_text() == "mine"
            Path(name).unlink()
            found = embed(["a", "b"], LENGTHS, out="emb.npy", force=True)
            assert (found.made, read_column("emb.npy").values.tolist()) == (0, [[1, 1], [1, 1]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("out", "before"), [("emb.npy", ()), ("emb.npy", ("a", "other")), ("emb.parquet", ("a", "other"))]
)
def test_stopped_at_any_step_of_finishing(here, monkeypatch, out, before):
    """After its last system call, a killed process does nothing more; the next call ends with the same bytes, item by item."""
    if out.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    texts = ["a", "b c", "d"]

    def files(name):
        return {path.name: path.read_bytes() for path in here.iterdir() if path.stem.startswith(name)}

    def start():
        for path in here.iterdir():
            if path.name.startswith(("emb", ".emb")):
                path.unlink()
        if before:
            embed(list(before), LENGTHS, out=out)

    start()
    embed(texts, LENGTHS, out=out)
    whole, step = files("emb"), 0
    while True:
        start()
        calls = []
        with monkeypatch.context() as patch:
            for name in ("fsync", "rename", "replace", "link", "unlink"):
                patch.setattr(os, name, killing(getattr(os, name), calls, step))
            with suppress(KeyboardInterrupt):
                embed(texts, LENGTHS, out=out)
                break
        step += 1
        if step % 3 == 0:  # the pool may change before the next call
            embed([*texts, "e"], LENGTHS, out=out)
        assert embed(texts, LENGTHS, out=out).shape == (3, 2)
        found = files("emb")
        info = [json.loads(each.pop("emb.info.json")) for each in (found, dict(whole))]
        assert found == {name: content for name, content in whole.items() if name != "emb.info.json"}
        if step % 3:
            assert info[0] == info[1]
        assert not files(".emb")
    assert step > 10


def killing(whole, calls, step):
    def call(*arguments, **options):
        calls.append(whole)
        if len(calls) > step:
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    return call


def test_a_full_disk_is_named_and_the_next_call_goes_on(here, monkeypatch):
    step, calls = -1, [None]
    while len(calls) > step:
        step += 1
        for path in here.iterdir():
            if path.name.startswith(("emb", ".emb")):
                path.unlink()
        calls.clear()
        with monkeypatch.context() as patch:
            for name in ("fsync", "replace"):
                patch.setattr(os, name, failing(getattr(os, name), calls, step))
            patch.setattr(os, "link", failing(os.link, [], 0))  # as on a file system without links
            error = stopped_by()
        assert error is None or (error.errno, Path(error.filename).name in FILES) == (errno.ENOSPC, True)
        assert not any(path.name.endswith(".tmp") for path in here.iterdir())
        assert embed(["a", "b"], LENGTHS, out="emb.npy").shape == (2, 2)
    assert step > 10


def stopped_by():
    try:
        embed(["a", "b"], LENGTHS, out="emb.npy")
    except OSError as error:
        return error
    return None


def failing(whole, calls, step):
    def call(*arguments, **options):
        calls.append(whole)
        if len(calls) == step + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(*arguments, **options)

    return call


def test_ids_that_the_files_cannot_hold_are_refused_at_once(here):
    never = Encoder("mine", "mine", None, lambda _: pytest.fail("embedded"))
    for name in ("a\nb", "a\rb", "\ud800", "\ufeffa"):
        with pytest.raises(InvalidInput, match=r"cannot be a line of the file of ids; write a \.parquet file") as error:
            embed(open_pool(["x", "y"], ids=[name, "b"]), never, out="emb.npy")
        assert repr(name) in str(error.value)
    with pytest.raises(InvalidInput, match=r"is not UTF-8 text, which Parquet needs; write a \.npy file"):
        embed(open_pool(["x"], ids=["\udce9"]), never, out="emb.parquet")
    names = [" a", "b ", "\udce9", "a\u2028b", "\ta", "'=a"]
    embed(open_pool(list("xyzuvw"), ids=names), LENGTHS, out="emb.npy")
    assert read_column("emb.npy").names == names


def test_a_pool_of_other_items_says_what_was_read(here):
    (here / "t.csv").write_text("id,text,score\na,12,0.5\nb,13,0.25\n")
    words = Encoder("mine", "mine", "texts", lambda _: pytest.fail("embedded"))
    with pytest.raises(
        InvalidInput, match=r"pool holds rows \(read 2 columns .*`text`, `score`\)\); .* name the column of texts"
    ):
        embed("t.csv", words, out="emb.npy")
