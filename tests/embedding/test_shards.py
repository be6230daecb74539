"""Shards of embeddings: their rows are those of one file, only what is missing or damaged is embedded, and the manifest is last."""

import pickle
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from distil.data.array_files import read_column
from distil.data.items import Items
from distil.distributed.select import pick_from_shards
from distil.embedding import shards as module
from distil.embedding.encoders import encoder_named
from distil.embedding.journal import lock_path
from distil.embedding.shards import embed_shards
from distil.errors import DataNotFound, DistilWarning, InvalidInput, RunError
from distil.strategies import strategy_named
from distil.system.executor import Executor, Serial
from distil.system.files import locked


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A table of 10 texts whose embedding is (length, 1), and shards of 4 rows in place of 4,096."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_BLOCK", 4)
    Path("sizes_of_shards.py").write_text(
        "def encode(texts):\n"
        "    with open('calls', 'a') as file:\n"
        "        file.writelines(f'{text}\\n' for text in texts)\n"
        "    return [[len(text), 1] for text in texts]\n"
    )
    Path("pool.csv").write_text("id,text\n" + "".join(f"t{i},{'x' * (i + 1)}\n" for i in range(10)))


def made(**given):
    """Embed the pool, and return the result and the lengths of the texts that went through the model."""
    Path("calls").unlink(missing_ok=True)
    found = embed_shards("pool.csv", "sizes_of_shards:encode", "emb", rows_per_shard=4, **given)
    return found, [len(line) for line in Path("calls").read_text().split()] if Path("calls").exists() else []


def test_shards_hold_the_rows_of_the_pool(here):
    found, lengths = made()
    assert (found.rows, found.dims, found.made, found.missing) == (10, 2, 10, ())
    assert sorted(lengths) == list(range(1, 11))
    assert [len(np.load(f"emb/0000{k}.npy")) for k in range(3)] == [4, 4, 2]
    column = read_column("emb")
    assert column.values.tolist() == [[i + 1, 1] for i in range(10)]
    assert column.names == [f"t{i}" for i in range(10)]


def test_only_missing_and_damaged_shards_are_embedded_again(here):
    made()
    manifest = Path("emb/manifest.json").read_bytes()
    found, lengths = made()
    assert (found.made, found.notes, lengths) == (0, (), [])
    Path("emb/00002.npy").unlink()
    raw = bytearray(Path("emb/00001.npy").read_bytes())
    raw[-1] ^= 1
    Path("emb/00001.npy").write_bytes(raw)
    with pytest.warns(
        DistilWarning, match=r"00001\.npy is not as distil wrote it, so it is kept as 00001 \(edited\)\.npy"
    ):
        found, lengths = made()
    assert sorted(lengths) == [5, 6, 7, 8, 9, 10]
    assert Path("emb/00001 (edited).npy").read_bytes() == raw
    assert read_column("emb").values[:, 0].tolist() == list(range(1, 11))
    assert Path("emb/manifest.json").read_bytes() == manifest


def test_a_manifest_of_other_shards_stays_without_force(here):
    made()
    manifest = Path("emb/manifest.json")
    own = manifest.read_text()
    for other in ['{"name": "my extension"}', "rubbish", own.replace('"00001.npy"', '"00001.npy", "probs": "p.npy"')]:
        manifest.write_text(other)
        Path("emb/00001.npy").unlink(missing_ok=True)
        with pytest.raises(
            InvalidInput, match=r"manifest\.json is not as distil embed wrote it, so nothing was written"
        ):
            made()
        assert (manifest.read_text(), Path("emb/00001.npy").exists()) == (other, False)
    made(force=True)
    assert manifest.read_text() == own


def test_parts_are_independent_and_the_last_writes_the_manifest(here):
    found, lengths = made(part=(2, 2))
    assert (sorted(lengths), found.missing) == ([5, 6, 7, 8], (0, 2))
    with pytest.raises(DataNotFound, match=r"without a manifest\.json"):
        read_column("emb")
    found, lengths = made(part=(1, 2))
    assert (sorted(lengths), found.missing, found.rows) == ([1, 2, 3, 4, 9, 10], (), 10)
    assert len(read_column("emb")) == 10


class Elsewhere(Executor):
    """Does tasks from the last to the first, after a copy of everything, as if in another process."""

    def __init__(self):
        self.steps = 0

    def map(self, prepare, work, tasks, report):
        state = pickle.loads(pickle.dumps(prepare))()
        self.loads = [id(state[0].encoder.load(state[1])) for _ in range(2)]
        return [work(state, task, report) for task in reversed(tasks)][::-1]

    def actors(self, make, keys):
        raise NotImplementedError


def test_an_executor_embeds_the_shards(here, monkeypatch):
    found, lengths = made(executor=(executor := Elsewhere()), device="cpu")
    assert (found.rows, found.dims, found.made, found.missing) == (10, 2, 10, ())
    assert lengths == [9, 10, 5, 6, 7, 8, 1, 2, 3, 4]
    assert executor.loads[0] == executor.loads[1]  # the model is loaded once
    assert read_column("emb").values[:, 0].tolist() == list(range(1, 11))
    found, lengths = made(part=(2, 2), executor=Elsewhere())
    assert (found.made, lengths) == (0, [])
    Path("emb").rename("emb-of-the-driver")
    monkeypatch.setattr(module.Path, "mkdir", lambda *_, **__: None)  # as if made on another machine
    with pytest.raises(RunError, match="has no folder emb; all machines must see the pool and the shards"):
        made(executor=Elsewhere())


def test_a_process_of_an_executor_waits_for_the_shard_of_a_lost_one(here, monkeypatch):
    """A machine that was cut off ends its processes some time after the others have noticed."""
    lost = ExitStack()
    Path("emb").mkdir()
    lost.enter_context(locked(lock_path(Path("emb/00001.npy"))))
    monkeypatch.setattr(module.time, "sleep", lambda _: lost.close())
    with pytest.warns(DistilWarning, match=r"00001\.npy is being written by another process; waiting until that"):
        found, lengths = made(executor=Elsewhere())
    assert (found.made, found.missing, sorted(lengths)) == (10, (), list(range(1, 11)))


@pytest.mark.slow
def test_a_killed_command_goes_on_from_the_complete_shards(here):
    """Its processes end with it; what they had finished is not embedded again."""
    Path("sizes_of_shards.py").write_text(
        "import os, time\n"
        "def encode(texts):\n"
        "    while texts[0] >= 't08192' and not os.path.exists('go'):\n"
        "        time.sleep(0.05)\n"
        "    with open('calls', 'a') as file:\n"
        "        file.writelines(f'{text}\\n' for text in texts)\n"
        "    return [[len(text), 1] for text in texts]\n"
    )
    Path("pool.csv").write_text("id,text\n" + "".join(f"t{i},t{i:05}\n" for i in range(12_288)))
    command = [
        sys.executable,
        "-m",
        "distil",
        "embed",
        "pool.csv",
        "--model",
        "sizes_of_shards:encode",
        "--shards",
        "emb",
    ]
    command += ["--rows-per-shard", "4096", "--executor", "processes", "--workers", "2", "--no-progress"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not all(Path(f"emb/0000{k}.npy").exists() for k in range(2)) and killed.poll() is None:
        time.sleep(0.05)
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    Path("go").touch()
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    assert '"rows": 12288' in done.stdout
    assert '"made": 4096' in done.stdout
    assert len(read_column("emb")) == 12_288


def test_another_pool_takes_the_manifest_away_until_all_its_shards_are_there(here):
    made()
    Path("pool.csv").write_text("id,text\n" + "".join(f"u{i},{'y' * (i + 2)}\n" for i in range(6)))
    found, _ = made(part=(1, 2))
    assert found.missing == (1,)
    assert not Path("emb/manifest.json").exists()
    found, _ = made()
    assert read_column("emb").values[:, 0].tolist() == list(range(2, 8))


def test_shards_of_two_models_are_no_pool(here):
    """As after the files of one shard were copied from the folder of another model."""
    made()
    Path("others.py").write_text("def encode(texts):\n    return [[1, len(text)] for text in texts]\n")
    embed_shards("pool.csv", "others:encode", "other", rows_per_shard=4)
    for file in Path("other").glob("00001.*"):
        file.replace(Path("emb") / file.name)
    match = (
        r"00001\.npy was embedded by another model or other weights \(others:encode\) than emb/00000\.npy \(sizes_of"
    )
    with pytest.raises(InvalidInput, match=match):
        read_column("emb")
    with pytest.raises(InvalidInput, match=match):
        pick_from_shards(strategy_named("core_set"), 1, "emb", Serial())
    made()
    assert read_column("emb").values[:, 0].tolist() == list(range(1, 11))


def test_skipped_items_have_no_row(here):
    texts = ['"a"', "null", '"abc"', '"b"', '"ab"']
    Path("pool.jsonl").write_text("".join(f'{{"id": "t{i}", "text": {text}}}\n' for i, text in enumerate(texts)))
    found = embed_shards("pool.jsonl", "sizes_of_shards:encode", "emb", rows_per_shard=4, on_error="skip")
    assert list(found.skipped) == ["t1"]
    column = read_column("emb")
    assert (column.names, column.values[:, 0].tolist()) == (["t0", "t2", "t3", "t4"], [1, 3, 1, 2])


def test_a_shard_whose_items_are_all_skipped_has_no_rows(here):
    texts = ['"ab"'] * 4 + ["null"] * 4 + ['"ab"'] * 2
    lines = [f'{{"id": "t{i}", "text": {text}}}\n' for i, text in enumerate(texts)]
    Path("pool.jsonl").write_text("".join(lines))

    def again(**given):
        return embed_shards("pool.jsonl", "sizes_of_shards:encode", "emb", rows_per_shard=4, **given)

    with pytest.raises(InvalidInput, match="t4: the text is missing"):
        again()
    found = again(on_error="skip")
    assert (found.rows, found.dims, len(found.skipped), found.missing) == (6, 2, 4, ())
    assert read_column("emb").names == ["t0", "t1", "t2", "t3", "t8", "t9"]
    assert again(on_error="skip").made == 0
    Path("pool.jsonl").write_text("".join(lines).replace("null", '"abc"', 1))
    assert again(on_error="skip").rows == 7
    Path("pool.jsonl").write_text("".join(lines).replace('"ab"', "null"))
    with pytest.raises(InvalidInput, match="none of the 10 items could be read; the reason for the first: the text is"):
        again(on_error="skip")


def test_faults(here):
    with pytest.raises(InvalidInput, match="rows_per_shard must be a multiple of 4, got 6"):
        embed_shards("pool.csv", "sizes_of_shards:encode", "emb", rows_per_shard=6)
    with pytest.raises(InvalidInput, match="K from 1 to N, got 0/3"):
        made(part=(0, 3))
    assert made(part=(4, 4))[0].notes == ("the pool has 3 shards, and none of them is in this part",)
    with pytest.raises(InvalidInput, match="no content or files to identify"):
        embed_shards(Items(lambda row: "text", 3, kind="texts"), encoder_named("sizes_of_shards:encode", None), "emb")
    Path("emb").mkdir()
    np.save("emb/00000.npy", np.zeros((2, 2)))
    with pytest.raises(InvalidInput, match=r"00000\.npy is not as distil embed left it"):
        made()
    assert np.load("emb/00000.npy").shape == (2, 2)
