"""Embeddings of pools: what is written, what is skipped, what is not done twice, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from distil.data.array_files import read_column
from distil.data.pools import open_pool
from distil.embedding import embed as module
from distil.embedding.embed import embed
from distil.embedding.encoders import Encoder, Loaded, encoder_named
from distil.errors import DataNotFound, InvalidInput, RunError, UnknownName, UnsupportedModel
from distil.system.imports import import_torchvision
from distil.system.runtime import Runtime

SOURCE = str(Path(__file__).parents[2] / "src")
TIMM = pytest.mark.skipif(find_spec("timm") is None, reason='needs timm: pip install "distil[vision]"')

MEANS = """
import numpy as np

def encode(items):
    return np.stack([np.asarray(item, dtype=np.float64).mean((0, 1)) for item in items])

def lengths(items):
    return [[float(len(item)), 1.0] for item in items]

def wrong(items):
    return np.zeros((len(items) - 1, 2))

def nan(items):
    return np.full((len(items), 2), np.nan)
"""


def test_pixels_need_no_model(here):
    Path("images").mkdir()
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (16, 1))).save("images/ramp.png")
    Image.new("RGB", (300, 7), (255, 0, 51)).save("images/red.png")
    x = np.load(embed("images", "pixels", out="emb.npy").path).reshape(2, 32, 32, 3)
    assert np.allclose(x[1], [1, 0, 0.2])
    assert np.allclose(x[0], x[0, :1, :, :1])
    assert np.allclose(x[0, 0, :, 0], ramp.reshape(32, 2).mean(1) / 255, atol=0.01)
    with pytest.raises(InvalidInput, match="pixels are no model, so leave weights out"):
        embed("images", "pixels", weights="random", out="other.npy")
    Path("texts.txt").write_text("one\ntwo\n")
    with pytest.raises(InvalidInput, match="pixels embeds images, but the pool holds texts"):
        embed("texts.txt", "pixels", out="other.npy")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "means.py").write_text(MEANS)
    yield tmp_path
    sys.modules.pop("means", None)


@pytest.fixture
def images(here):
    """Thirty images of one color each; their means are known."""
    colors = np.random.default_rng(0).integers(0, 255, (30, 3), dtype=np.uint8)
    for row, color in enumerate(colors):
        path = here / "images" / f"{row % 3}" / f"{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.broadcast_to(color, (4, 5, 3)).copy()).save(path)
    names = sorted(f"{row % 3}/{row:02}.png" for row in range(30))
    return names, np.stack([colors[int(name[2:4])] for name in names]).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------ what it does


@pytest.mark.parametrize("out", ["emb.npy", "emb.parquet", "deep/er/emb.npy"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_images_through_a_callable(here, images, out, batch_size):
    if out.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    names, means = images
    found = embed("images", "means:encode", out=out, runtime=Runtime(batch_size=batch_size, num_workers=3))
    assert (found.shape, found.made, found.skipped) == ((30, 3), 30, {})
    column = read_column(out)
    assert column.names == names
    assert column.values.dtype == np.float32
    np.testing.assert_allclose(column.values, means, atol=1e-5)
    assert not [path for path in Path(out).parent.iterdir() if path.name.startswith(".")]


def test_texts_through_a_callable(here):
    Path("t.csv").write_text("id,text\na,one\nb,three\n")
    embed("t.csv", "means:lengths", out="emb.npy")
    column = read_column("emb.npy")
    assert column.names == ["a", "b"]
    np.testing.assert_array_equal(column.values, [[3, 1], [5, 1]])


def test_without_out_the_file_is_cached(here, images):
    first = embed("images", "means:encode")
    assert first.path.is_relative_to(here / "cache" / "distil")
    assert embed("images", "means:encode").made == 0
    assert embed(open_pool("images"), "means:encode").path == first.path


def test_a_second_call_does_nothing(here, images, monkeypatch):
    embed("images", "means:encode", out="emb.npy")
    before = Path("emb.npy").stat().st_mtime_ns
    monkeypatch.setattr(module, "_append", None)
    assert embed("images", "means:encode", out="emb.npy").made == 0
    assert Path("emb.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["an image", "a new image", "the model", "the ids", "the array is gone"])
def test_changed_items_or_models_are_embedded_again(here, images, change):
    names, _ = images
    embed("images", "means:encode", out="emb.npy")
    ids = None
    if change == "an image":
        Image.new("RGB", (9, 9)).save(Path("images") / names[0])
    elif change == "a new image":
        Image.new("RGB", (9, 9)).save("images/new.png")
    elif change == "the model":
        Path("means.py").write_text(MEANS + "\n# another\n")
    elif change == "the ids":
        Path("ids.txt").write_text("".join(f"{row}\n" for row in range(30)))
        ids = "ids.txt"
    else:
        Path("emb.npy").unlink()
    pool = open_pool("images")
    if ids is not None:
        pool.names = [str(row) for row in range(30)]
    found = embed(pool, "means:encode", out="emb.npy")
    assert found.made == (len(pool) if change in ("the model", "the array is gone") else change != "the ids")
    assert found.made + found.reused == len(pool)
    assert ("all items were embedded" in found.note) == (change == "the model")
    assert read_column("emb.npy").names == list(pool.names)


LOUD = """
import numpy as np

seen = []

def encode(items):
    seen.extend(items)
    return [[len(item), sum(map(ord, item)) / 7] for item in items]
"""


@pytest.mark.parametrize("out", ["emb.npy", "emb.parquet"])
def test_only_new_content_goes_through_the_model(here, monkeypatch, out):
    """A growing table: the file is, byte by byte, that of embedding anew; rows move with their ids."""
    if out.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    Path("loud.py").write_text(LOUD)
    first = [(f"n{row}", f"text {row}" * (row + 1)) for row in range(12)]
    steps = [
        (first, 12),
        ([*first, ("new", "more")], 1),
        ([("begin", "b"), *first[5:], first[0], ("end", "e")], 2),
        ([*first[::-1]], 4),  # rows 1 to 4 were deleted before
        ([(id_, text.upper() if id_ == "n3" else text) for id_, text in first], 1),
        ([(id_, first[0][1]) for id_, _ in first], 0),
        (first[:1], 0),
    ]
    monkeypatch.syspath_prepend(str(here))
    loud = import_module("loud")
    for pool, new in steps:
        Path("t.csv").write_text("id,text\n" + "".join(f"{id_},{text}\n" for id_, text in pool))
        loud.seen.clear()
        found = embed("t.csv", "loud:encode", out=out, runtime=Runtime(batch_size=5))
        assert (found.made, found.reused, len(loud.seen)) == (new, len(pool) - new, new)
        anew = embed("t.csv", "loud:encode", out=f"anew{new}-{len(pool)}.npy")
        column = read_column(out)
        assert column.names == [id_ for id_, _ in pool]
        np.testing.assert_array_equal(column.values, read_column(anew.path).values)
        info = json.loads(Path("emb.info.json").read_text())
        assert (info["made"], info["reused"]) == (new, len(pool) - new)
    sys.modules.pop("loud", None)


def test_a_growing_pool_that_was_stopped_goes_on(here, monkeypatch):
    """Rows of the earlier file and rows made before the stop are both kept."""
    monkeypatch.setattr("distil.embedding.journal._SYNC_SECONDS", 0)
    Path("loud.py").write_text(LOUD)
    monkeypatch.syspath_prepend(str(here))
    loud = import_module("loud")
    before = [f"text {row}" * (row + 1) for row in range(10)]
    embed(before, "loud:encode", out="emb.npy")
    grown = [text for row in range(10) for text in (before[row], f"new {row}")]
    whole = loud.encode

    def stops(items):
        if items == ["new 4", "new 5"]:
            raise KeyboardInterrupt
        return whole(items)

    with monkeypatch.context() as patch:
        patch.setattr(loud, "encode", stops)
        with pytest.raises(KeyboardInterrupt):
            embed(grown, "loud:encode", out="emb.npy", runtime=Runtime(batch_size=2))
    assert len(read_column("emb.npy")) == 10
    found = embed(grown, "loud:encode", out="emb.npy", runtime=Runtime(batch_size=2))
    assert found.made == 6
    assert read_column("emb.npy").values.tobytes() == np.array(whole(grown), np.float32).tobytes()
    sys.modules.pop("loud", None)


def test_what_a_stop_left_is_not_believed_where_it_was_altered(here, monkeypatch, case):
    """Each digit of the last line of the journal, and rows and hashes: the whole is that of a call that was not stopped."""
    monkeypatch.setattr("distil.embedding.journal._SYNC_SECONDS", 0)
    Path("loud.py").write_text(LOUD)
    monkeypatch.syspath_prepend(str(here))
    loud = import_module("loud")
    texts = [f"text {row}" * (row + 1) for row in range(10)]
    whole, runtime = loud.encode, Runtime(batch_size=2)

    def stops(items):
        if items == texts[6:8]:
            raise KeyboardInterrupt
        return whole(items)

    with monkeypatch.context() as patch:
        patch.setattr(loud, "encode", stops)
        with pytest.raises(KeyboardInterrupt):
            embed(texts, "loud:encode", out="emb.npy", runtime=runtime)
    hidden = {name: Path(name).read_bytes() for name in (".emb.npy.journal", ".emb.npy.rows", ".emb.npy.contents")}
    *lines, last = hidden[".emb.npy.journal"].decode().splitlines(keepends=True)
    fields = [f'"{key}": ' for key in ("done", "dims", "reused")]
    altered = [
        (".emb.npy.journal", "".join([*lines, last.replace(field, f"{field}1")]).encode(), 6) for field in fields
    ]
    altered += [
        (".emb.npy.journal", ('{"done": "x"}\n' + "[" * 9999 + "\n").encode(), 10),
        (".emb.npy.journal", b"\xff\n", 10),
    ]
    altered += [(name, content[:-1] + b"\7", 10) for name, content in hidden.items() if name != ".emb.npy.journal"]
    altered += [(name, content[:-1], 10) for name, content in hidden.items() if name != ".emb.npy.journal"]
    for name, content, made in [*altered, (".emb.npy.rows", hidden[".emb.npy.rows"], 4)]:
        with case(name, content[:200]):
            for each, before in hidden.items():
                Path(each).write_bytes(before)
            Path(name).write_bytes(content)
            assert embed(texts, "loud:encode", out="emb.npy", runtime=runtime).made == made
            assert read_column("emb.npy").values.tobytes() == np.array(whole(texts), np.float32).tobytes()
            for path in here.glob("emb.*"):
                path.unlink()
    sys.modules.pop("loud", None)


def test_images_that_move_are_not_embedded_again(here, images):
    """Content decides: a new name or time of change is no change; items that could not be read are tried again."""
    names, _ = images
    Path("images/bad.png").write_text("no image")
    embed("images", "means:encode", out="emb.npy", on_error="skip")
    Path("images", names[0]).rename("images/moved.png")
    os.utime(Path("images", names[1]), (1, 1))
    Image.new("RGB", (4, 4), (1, 2, 3)).save("images/bad.png")
    found = embed("images", "means:encode", out="emb.npy")
    assert (found.made, found.reused, found.skipped) == (1, 30, {})
    anew = embed("images", "means:encode", out="anew.npy")
    assert Path("emb.npy").read_bytes() == anew.path.read_bytes()
    assert Path("emb.ids.txt").read_text() == Path("anew.ids.txt").read_text()


def test_the_cache_is_keyed_by_content(here, images):
    first = embed("images", "means:encode")
    assert first.made == 30
    for path in Path("images").rglob("*.png"):
        os.utime(path, (1, 1))
    Path("images").rename("elsewhere")
    again = embed("elsewhere", "means:encode")
    assert (again.made, again.path) == (0, first.path)
    Image.new("RGB", (9, 9)).save("elsewhere/new.png")
    assert embed("elsewhere", "means:encode").path != first.path


def test_how_images_were_read_is_said_every_time(here):
    Path("images").mkdir()
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save("images/a.png")
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save("images/b.gif", save_all=True, append_images=frames[1:])
    said = "read the first image of files with several (animations, pages); scaled gray values of images from 0..65535 to 0..255"
    for _ in range(2):
        assert embed("images", "means:encode", out="emb.npy").note == said


def test_pools_in_memory(here):
    texts = ["a", "bb"]
    assert embed(texts, "means:lengths", out="emb.npy").made == 2
    assert embed(list(texts), "means:lengths", out="emb.npy").made == 0
    assert embed(["a", "cc"], "means:lengths", out="emb.npy").made == 1
    opaque = [[1, 2], [3]]  # nothing identifies this pool
    for _ in range(2):
        assert embed(opaque, "means:lengths", out="x.npy").made == 2
    with pytest.raises(InvalidInput, match=r"pass out= \(--out\)"):
        embed(opaque, "means:lengths")


# --------------------------------------------------------------------------------------------------------- what is broken


def test_an_embedding_that_is_not_finite_is_named_by_the_users_id(here):
    Path("texts.csv").write_text("id,text\nt7,one\nt9,two\n")
    with pytest.raises(
        InvalidInput, match=r"^embeddings has NaN or infinite values in 2 of 2 examples: ids 't7', 't9'$"
    ):
        embed("texts.csv", "means:nan", out="emb.npy")


def test_an_image_that_cannot_be_read(here, images):
    names, means = images
    (Path("images") / names[4]).write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match=rf"^{names[4]}: cannot be read as an image.*--on-error skip"):
        embed("images", "means:encode", out="emb.npy")
    assert not Path("emb.npy").exists()
    found = embed("images", "means:encode", out="emb.npy", on_error="skip")
    assert list(found.skipped) == [names[4]]
    assert found.shape == (29, 3)
    column = read_column("emb.npy")
    assert column.names == names[:4] + names[5:]
    np.testing.assert_allclose(column.values, np.delete(means, 4, 0), atol=1e-5)
    assert embed("images", "means:encode", out="emb.npy", on_error="skip").made == 0
    assert json.loads(Path("emb.info.json").read_text())["skipped"] == found.skipped
    with pytest.raises(InvalidInput, match=rf"^{names[4]}: .*was written with on_error='skip'"):
        embed("images", "means:encode", out="emb.npy")


def test_nothing_can_be_read(here):
    Path("images").mkdir()
    Path("images/a.png").write_bytes(b"")
    with pytest.raises(InvalidInput, match="none of the 1 items could be read"):
        embed("images", "means:encode", out="emb.npy", on_error="skip")


def test_wrong_arguments_are_refused(here, images):
    with pytest.raises(InvalidInput, match=r"out must be a \.npy or \.parquet file, got emb\.txt"):
        embed("images", "means:encode", out="emb.txt")
    with pytest.raises(InvalidInput, match="on_error must be"):
        embed("images", "means:encode", out="emb.npy", on_error="ignore")
    with pytest.raises(UnsupportedModel, match=r"must return an array \(30, D\) for 30 items, got shape \(29, 2\)"):
        embed("images", "means:wrong", out="emb.npy")
    with pytest.raises(InvalidInput, match="timm:resnet18 embeds images, but the pool holds texts"):
        embed(["a"], "timm:resnet18", weights="random", out="emb.npy")
    for model, message in (
        ("nothing-like-that", "expected a model as timm:NAME"),
        ("timm", "expected a model as timm:NAME"),
    ):
        with pytest.raises(UnknownName, match=message):
            encoder_named(model)
    with pytest.raises(InvalidInput, match="weights are for timm models"):
        encoder_named("means:encode", "w.pth")
    with pytest.raises(InvalidInput, match="distil downloads none"):
        encoder_named("timm:resnet18")
    with pytest.raises(DataNotFound, match="no weights file"):
        encoder_named("timm:resnet18", "missing.pth")


def test_an_id_with_a_line_break_is_refused(here):
    pool = open_pool(["a", "b"], ids=["one\nline", "two"])
    with pytest.raises(InvalidInput, match="cannot be a line"):
        embed(pool, "means:lengths", out="emb.npy")


def test_one_process_at_a_time(here, images):
    def load(runtime):
        with pytest.raises(RunError, match="being written by another process"):
            embed("images", "means:encode", out="emb.npy")
        return Loaded(encoder_named("means:encode").load(runtime).network, lambda item: item, list)

    assert embed("images", Encoder("mine", "mine", None, load), out="emb.npy").made == 30


# ------------------------------------------------------------------------------------------------------------------ kills

SLOW = """
import time
import numpy as np
from distil.embedding import journal
from distil.embedding.embed import embed
from distil.system.runtime import Runtime

journal._SYNC_SECONDS = 0.0
embed("images", "slow:encode", out="emb.npy", runtime=Runtime(batch_size=4))
"""


@pytest.mark.slow
def test_a_kill_loses_nothing(here, images):
    names, means = images
    Path("slow.py").write_text(
        MEANS + "import time\nplain = encode\ndef encode(items):\n    time.sleep(0.05)\n    return plain(items)\n"
    )
    journal = Path(".emb.npy.journal")
    seen = 0
    while seen < 8:
        process = subprocess.Popen([sys.executable, "-c", SLOW], env={**os.environ, "PYTHONPATH": f"{SOURCE}:."})
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            lines = journal.read_text().splitlines() if journal.exists() else []
            done = json.loads(lines[-1])["done"] if lines and lines[-1].endswith("}") else 0
            if done > seen:
                seen = done
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not Path("emb.npy").exists()
    with journal.open("a") as file:
        file.write('{"torn": ')
    found = embed("images", "slow:encode", out="emb.npy", runtime=Runtime(batch_size=4))
    assert found.made == 30 - seen < 30
    assert read_column("emb.npy").names == names
    whole = embed("images", "slow:encode", out="whole.npy", runtime=Runtime(batch_size=4))
    assert Path("emb.npy").read_bytes() == whole.path.read_bytes()
    np.testing.assert_allclose(read_column("emb.npy").values, means, atol=1e-5)
    sys.modules.pop("slow", None)


@pytest.mark.parametrize("out", ["emb.npy", "emb.parquet"])
@pytest.mark.parametrize("step", ["replacing", "write_text", "replace", "unlink"])
def test_stopped_while_it_finishes(here, images, monkeypatch, step, out):
    """Whatever the last thing was that worked, the next call ends with the same files."""
    if out.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    target = module if step == "replacing" else Path
    calls, whole = [], getattr(target, step)

    def fails(*arguments, **options):
        calls.append(step)
        if len(calls) == 1:
            raise OSError("stopped")
        return whole(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(target, step, fails)
        with suppress(OSError):  # not every kind of file takes every step
            embed("images", "means:encode", out=out)
    embed("images", "means:encode", out=out)
    np.testing.assert_allclose(read_column(out).values, images[1], atol=1e-5)
    assert embed("images", "means:encode", out=out).made == 0


# ----------------------------------------------------------------------------------------------------------------- models


@TIMM
@pytest.mark.slow
def test_a_timm_backbone(case, here, images):
    # Lightning and DataParallel put a prefix before names, and Lightning keeps more than the model.
    for suffix, prefix in [(".safetensors", ""), (".pth", "module."), (".pth", "model.backbone.")]:
        with case(suffix, prefix):
            import_torchvision()
            import timm

            torch.manual_seed(3)
            whole = timm.create_model("resnet10t", num_classes=7)
            state = {f"{prefix}{name}": values for name, values in whole.state_dict().items()}
            if suffix == ".pth":
                torch.save({"state_dict": {**state, "loss.weight": torch.ones(7)}}, "w.pth")
            else:
                save_file(state, "w.safetensors")
            found = embed("images", "timm:resnet10t", weights=f"w{suffix}", out="emb.npy")
            transform = timm.data.create_transform(**timm.data.resolve_model_data_config(whole), is_training=False)
            pool = open_pool("images", transform=transform)
            whole.eval()
            with torch.no_grad():
                expected = whole.forward_head(
                    whole.forward_features(torch.stack([pool[row] for row in range(30)])), pre_logits=True
                )
            np.testing.assert_allclose(np.load(found.path), expected, rtol=1e-3, atol=1e-4)
            assert embed("images", "timm:resnet10t", weights=f"w{suffix}", out="emb.npy").made == 0
            with pytest.raises(InvalidInput, match="does not fit timm:resnet14t"):
                embed("images", "timm:resnet14t", weights=f"w{suffix}", out="emb.npy")
            with pytest.raises(UnknownName, match="did you mean"):
                embed("images", "timm:resnet18x", weights="random", out="emb.npy")
            Path("bad.pth").write_bytes(b"nonsense")
            with pytest.raises(UnsupportedModel, match="must hold tensors only"):
                embed("images", "timm:resnet10t", weights="bad.pth", out="emb.npy")


STAND_IN = """
import json
from pathlib import Path

import numpy as np

class SentenceTransformer:
    def __init__(self, path, device=None, local_files_only=False):
        assert local_files_only
        self.scale = json.loads((Path(path) / "modules.json").read_text())["scale"]

    def encode(self, texts, batch_size, show_progress_bar, convert_to_numpy):
        assert isinstance(texts, list) and not show_progress_bar and convert_to_numpy
        return np.array([[len(text) * self.scale, 1] for text in texts], dtype=np.float32)
"""


def test_sentence_transformers_from_a_folder_or_a_package(here, monkeypatch):
    """With a stand-in of the package, which may not be there."""
    for folder in ("lib/sentence_transformers", "lib/my_minilm/model/0"):
        (here / folder).mkdir(parents=True)
        (here / folder / "__init__.py").write_text(STAND_IN if "sentence" in folder else "")
    (here / "lib/my_minilm/__init__.py").touch()
    (here / "lib/my_minilm/model/0/modules.json").write_text(textwrap.dedent('{"scale": 3}'))
    monkeypatch.syspath_prepend(str(here / "lib"))
    monkeypatch.delitem(sys.modules, "sentence_transformers", raising=False)  # the real one, where another test used it
    monkeypatch.setitem(sys.modules, "torchvision", sys.modules.get("torchvision"))
    monkeypatch.setattr("distil.embedding.encoders._torchvision_if_there", lambda: None)
    try:
        for model in ("my-minilm", "lib/my_minilm/model/0"):
            found = embed(["a", "bbb"], model, out="emb.npy")
            np.testing.assert_array_equal(np.load(found.path), [[3, 1], [9, 1]])
        (here / "lib/my_minilm/model/0/modules.json").write_text('{"scale": 4}')
        assert embed(["a", "bbb"], "my-minilm", out="emb.npy").made == 2
    finally:
        for name in ("sentence_transformers", "my_minilm"):
            sys.modules.pop(name, None)


# What sentence-transformers saves, but for the weights and the tokenizer.
SAVED = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
    "1_Pooling/config.json": {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True},
}


@pytest.fixture
def tiny_bert(here):
    """A package ``tiny_bert`` with a model of random weights as sentence-transformers saves it; its module and tokenizer."""
    if find_spec("torchvision") is not None:
        import_torchvision()  # sentence-transformers imports it
    pytest.importorskip("sentence_transformers", reason='needs sentence-transformers: pip install "distil[text]"')
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = here / "lib/tiny_bert/model"
    (folder / "1_Pooling").mkdir(parents=True)
    (here / "lib/tiny_bert/__init__.py").touch()
    for name, content in SAVED.items():
        (folder / name).write_text(json.dumps(content))
    (here / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]))
    tokenizer = BertTokenizerFast(str(here / "vocab.txt"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).eval()
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return bert, tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_a_real_sentence_transformer(here, tiny_bert, monkeypatch, capfd, batch_size):
    """Each text as the model alone gives it, in the order of the pool, whatever they are ordered by meanwhile."""
    bert, tokenizer = tiny_bert
    monkeypatch.syspath_prepend(str(here / "lib"))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(1, 40))) for _ in range(50)]
    capfd.readouterr()
    made = embed(texts, "tiny-bert", out="emb.npy", runtime=Runtime(batch_size=batch_size, device="cpu"))
    assert capfd.readouterr() == ("", "")
    assert (made.shape, made.made) == ((50, 16), 50)
    with torch.no_grad():
        alone = [bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in texts]
    np.testing.assert_allclose(np.load(made.path), torch.stack(alone), atol=1e-5)
    assert embed(texts, "lib/tiny_bert/model", out="emb.npy").made == 0  # the same weights, so the same encoder


@pytest.mark.slow
def test_texts_of_a_table_and_their_ids_through_a_sentence_transformer(here, tiny_bert):
    Path("t.csv").write_text("id,text\nq-7,a b c\nq-2,d\n")
    embed("t.csv", "lib/tiny_bert/model", out="emb.npy")
    assert read_column("emb.npy").names == ["q-7", "q-2"]
    with pytest.raises(InvalidInput, match="embeds texts, but the pool holds rows"):
        embed(np.zeros((3, 2)), "lib/tiny_bert/model", out="rows.npy")


def test_what_a_callable_returns_is_an_array_of_numbers(here):
    (here / "odd.py").write_text(
        "import numpy as np\n"
        "def ragged(items): return [[1.0] * (row + 1) for row in range(len(items))]\n"
        "def words(items): return ['x' for _ in items]\n"
        "def named(items): return {'e': np.ones((len(items), 2))}\n"
        "def lazy(items): return ([1.0, 2.0] for _ in items)\n"
        "def nothing(items): return np.full((len(items), 2), np.nan)\n"
    )
    for name in ["ragged", "words", "named", "lazy"]:
        with pytest.raises(
            UnsupportedModel, match=rf"odd:{name} must return an array \(2, D\) of numbers for 2 items, got"
        ):
            embed(["a", "bb"], f"odd:{name}", out="e.npy")
    with pytest.raises(InvalidInput, match="NaN or infinite values in 2 of 2 examples: ids 'p', 'q'"):
        embed(["a", "bb"], "odd:nothing", out="e.npy", ids=["p", "q"])
    sys.modules.pop("odd", None)


def test_skipped_items_are_not_counted_as_embedded(here):
    found = embed(["a", None, "ccc"], "means:lengths", out="e.npy", on_error="skip")
    assert (found.made, found.reused, [*found.skipped]) == (2, 0, ["1"])
    found = embed(["a", None, "ccc", "dd"], "means:lengths", out="e.npy", on_error="skip")
    assert (found.made, found.reused, [*found.skipped]) == (1, 2, ["1"])
