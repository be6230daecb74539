"""Mutated configurations: each is run up to its first training or refused, in one line, at once, within a memory limit.

``python -m benchmarks configurations [CASES]`` changes a value, a type, a key, the structure or the bytes of one of five
configurations, 2,000 times by default, and writes ``results/configurations.md``. Each case is a process of its own.
"""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import write

SECONDS = 2.0  # of the processor
MEMORY = 2**30  # beyond what the process holds when a case begins
ACCEPTED = 100

MODEL = {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 4}
TRAIN = {"lr": 0.1, "batch_size": 8, "n_epoch": 2}
LOOP = {"strategy": "margin_sampling", "budget": 2, "rounds": 3}
BASES = (
    {
        "model": MODEL,
        "train_parameters": {
            **TRAIN,
            **{"optimizer": "adam", "momentum": 0.5, "weight_decay": 0.1, "schedule": "constant", "max_accuracy": 0.9},
            **{"min_diff_acc": 0.0, "window_size": 4, "patience": 2, "amp": False, "retrain": "warm", "device": "cpu"},
        },
        "active_learning": {
            "strategies": ["badge", {"name": "bald_dropout", "args": {"n_drop": 3}, "label": "few", "candidates": 9}],
            **{"budget": 2, "rounds": 3, "initial_points": 4, "initial_strategy": "kmeans_sampling", "candidates": 20},
        },
        "dataset": {"name": "csv", "path": "data.csv", "label": "label", "test_points": 9, "validation_points": 5},
        "experiment": {"seeds": [1, 2], "split_seed": 3, "output": "out", "threads": 1, "trackers": []},
    },
    {  # as the DISTIL document has it
        "model": {**MODEL, "input_dim": 3},
        "train_parameters": {
            **TRAIN,
            "max_accuracy": 0.95,
            "isreset": True,
            "islogs": True,
            "logs_location": "logs.txt",
        },
        "active_learning": {
            **LOOP,
            "strategy": "glister",
            "initial_points": 4,
            "strategy_args": {"batch_size": 9, "lr": 0.1},
        },
        "dataset": {"name": "csv", "path": "data.csv"},
    },
    {
        "active_learning": {"strategies": ["typiclust", "probcover"], "budget": 2, "rounds": 3},
        "train_parameters": {"decay": 0.1, "class_weights": "balanced"},
        "dataset": {
            "embeddings": "emb.npy",
            "labels": "labels.csv",
            "standardize": True,
            "redundancy": 2,
            "label_noise": 0.1,
        },
        "experiment": {"seeds": 2, "target_accuracy": 0.9, "full_data": True},
    },
    {
        "active_learning": LOOP,
        "dataset": {"texts": "texts.csv", "encoder": "own_code:encode", "column": "text", "test_points": 9},
        "experiment": {"seed": 3},
    },
    {
        "model": {"architecture": "own_code:network", "target_classes": 2, "width": 3},
        "train_parameters": TRAIN,
        "active_learning": {**LOOP, "strategy": {"name": "own_code:strategy", "args": {"temperature": 1.0}}},
        "dataset": {"name": "own_code:data", "n": 60},
    },
)
CODE = """
import torch
from distil.datasets.data_set import DataSet
from distil.strategies import MarginSampling

def network(num_classes, width):
    return torch.nn.Sequential(torch.nn.Linear(3, int(width)), torch.nn.Linear(int(width), num_classes))

def data(n):
    x = torch.arange(3.0 * min(n, 1000)).view(-1, 3)
    return DataSet("mine", x / x.max(), torch.arange(len(x)) % 2, None, None, 2)

def strategy(temperature):
    return MarginSampling()

def encode(texts):
    return torch.tensor([[len(text), text.count("a")] for text in texts]).float()
"""
VALUES = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -0.5, 10**9, 2**63, -(2**63) - 1, 1e308, 1e-308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "x",
        "badge",
        "\0",
        "\n",
        "\ud800",
        "ß" * 300,
        "x" * 5000,
        "..",
        ".",
        "/",
        "~no-such-user/x",
        "a:b",
        ":",
        "timm:x",
    ),
    *("own_code:nothing", "os:getcwd", "cuda:99", "1", [], {}, [[]], [None], {"": 0}, [1] * 20_000, {"name": "badge"}),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        code: Exit code of the command; ``ACCEPTED``: it would begin to train.
        said: What it wrote to standard error.
        seconds: Seconds of the processor.
        megabytes: Peak of its memory beyond that at its begin.
    """

    code: int
    said: str
    seconds: float
    megabytes: float


def mutated(number: int) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a mutated configuration, and what its message must name: one of these."""
    draws = random.Random(number)
    document = copy.deepcopy(draws.choice(BASES))
    change = draws.choice((_value, _value, _value, _key, _key, _structure, _bytes))
    return change(document, draws)


def _places(value: object, name: str = "") -> list[tuple[object, object, str]]:
    """Every place in a document: the container, the key or index, and the name of the nearest key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, part in items:
        own = key if isinstance(key, str) else name
        found += [(value, key, own), *_places(part, own)]
    return found


def _value(document: dict, draws: random.Random) -> tuple[bytes, tuple[str, ...]]:
    container, key, name = draws.choice(_places(document))
    before, container[key] = container[key], copy.deepcopy(draws.choice(VALUES))
    return json.dumps(document).encode(), (name, *_keys(before), *_texts(container[key]))


def _key(document: dict, draws: random.Random) -> tuple[bytes, tuple[str, ...]]:
    container, key, _ = draws.choice([place for place in _places(document) if isinstance(place[1], str)])
    value = container.pop(key)
    at = draws.randrange(len(key))
    changed = draws.choice(
        (None, key[:at] + key[at + 1 :], key[:at] + "q" + key[at:], key.upper(), "\ud800", key + " ")
    )
    if changed is not None:
        container[changed] = value
    return json.dumps(document).encode(), (key, str(changed), repr(changed), *_keys(value))


def _keys(value: object) -> list[str]:
    """The keys of an object, which may be missing once it is gone."""
    return list(value) if isinstance(value, dict) else []


def _structure(document: dict, draws: random.Random) -> tuple[bytes, tuple[str, ...]]:
    container, key, name = draws.choice(_places(document))
    other, second, name2 = draws.choice(_places(document))
    change = draws.randrange(5)
    if change == 0:
        container[key] = [container[key]]
    elif change == 1:
        container[key] = {"name": container[key], "more": 1}
    elif change == 2:
        container[key] = copy.deepcopy(other[second])
    elif change == 3:
        for _ in range(draws.choice((40, 60, 900))):
            container[key] = [container[key]]
    else:
        return json.dumps(document).encode()[:-1] + b', "%s": {}}' % draws.choice([b"model", b"x"]), (
            "model",
            "'x'",
            " x",
        )
    try:
        return json.dumps(document).encode(), (
            name,
            name2,
            "name",
            "more",
            "50 lists",
            "50 deep",
            *_texts(container[key]),
        )
    except RecursionError:
        return b"[" * 200_000, ("a.json",)


def _bytes(document: dict, draws: random.Random) -> tuple[bytes, tuple[str, ...]]:
    text = json.dumps(document)
    content = bytearray(text.encode())
    at, change = draws.randrange(len(content)), draws.randrange(8)
    if change == 0:
        content[at] = draws.randrange(256)
    elif change == 1:
        del content[at:]
    elif change == 2:
        content[at:at] = draws.randbytes(3)
    elif change == 3:
        content[:0] = b"\xef\xbb\xbf"
    elif change == 4:
        content = bytearray(text.encode(draws.choice(("utf-16", "utf-16-be", "utf-32"))))
    elif change == 5:
        content[at:at] = draws.choice((b"[", b"{", b"9")) * 200_000
    elif change == 6:
        content = bytearray(draws.choice((b"", b"\0" * 2**21, b"null", b"3", b'"x"')))
    else:
        content[at : at + 40] = b""
    return bytes(content), ("distil: ",)  # any key may have changed


def _texts(value: object) -> list[str]:
    return [repr(value)[1:-1][:150].replace("\\\\", "\\")] if isinstance(value, str) and value else []


def try_cases(cases: Sequence[int], say: Callable[[str], None] = lambda _: None) -> tuple[Counter[str], list[str]]:
    """Try cases; what became of them, and one sentence for each that went wrong."""
    counts: Counter[str] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        for number in cases:
            content, names = mutated(number)
            outcome = _tried(Path(folder), content)
            faults = _faults(outcome, names)
            wrong += [f"case {number}: {fault}: {outcome.said[:300]!r}" for fault in faults]
            for fault in faults:
                say(f"case {number}: {fault}: {outcome.said[:300]!r}")
            counts["accepted" if outcome.code == ACCEPTED else f"exit code {outcome.code}"] += 1
            counts["most milliseconds"] = max(counts["most milliseconds"], round(1000 * outcome.seconds))
            counts["most MB"] = max(counts["most MB"], round(outcome.megabytes))
    return counts, wrong


def try_bases() -> list[int]:
    """The exit codes of the configurations as they are."""
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        return [_tried(Path(folder), json.dumps(base).encode()).code for base in BASES]


def _faults(outcome: Outcome, names: tuple[str, ...]) -> list[str]:
    """What is wrong with an outcome."""
    said, found = outcome.said, []
    if outcome.code not in (ACCEPTED, 1, 2):
        found.append(f"exit code {outcome.code}")
    if "Traceback" in said or (outcome.code != ACCEPTED and "distil: " not in said):
        found.append("no message of distil")
    if outcome.code in (1, 2) and not any(name in said for name in (*names, "own_code.py")):
        found.append(f"none of {names} is named")
    if outcome.seconds > SECONDS:
        found.append(f"{outcome.seconds:.1f} s")
    return found


def _prepare(folder: Path) -> None:
    import numpy as np

    rows = [f"{i * 7 % 11},{i % 7},{(i * 3) % 5},{'ab'[i % 2]}" for i in range(80)]
    (folder / "data.csv").write_text("u,v,w,label\n" + "\n".join(rows) + "\n")
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(80)))
    (folder / "texts.csv").write_text(
        "id,text,label\n" + "".join(f"{i},{'a' * (i % 9)} text,{i % 2}\n" for i in range(80))
    )
    (folder / "own_code.py").write_text(CODE)
    np.save(folder / "emb.npy", np.random.default_rng(0).normal(size=(80, 3)).astype("float32"))
    os.environ |= {"XDG_DATA_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}


def _tried(folder: Path, content: bytes) -> Outcome:
    """Run the command in a process of its own, up to the first training."""
    (folder / "a.json").write_bytes(content)
    for output in folder.iterdir():
        if output.is_dir() and output.name not in ("home", "cache"):
            shutil.rmtree(output)
    child = os.fork()
    if child == 0:
        os._exit(_child(folder))
    _, status, usage = os.wait4(child, 0)
    said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    before = int((folder / "before").read_text() or 0)
    return Outcome(
        os.waitstatus_to_exitcode(status), said, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024 - before
    )


class _Accepted(BaseException):
    """The run would begin."""


def _child(folder: Path) -> int:
    from distil.cli import main
    from distil.experiment.loop import Experiment

    def begin(*_: object, **__: object) -> bool:
        raise _Accepted

    Experiment.advance = begin  # type: ignore[method-assign, assignment]
    os.chdir(folder)
    os.nice(5)
    signal.alarm(60)  # a hang
    (folder / "before").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    with (
        (folder / "stderr").open("w", encoding="utf-8", errors="backslashreplace") as err,
        (folder / "stdout").open("w", encoding="utf-8", errors="backslashreplace") as out,
        redirect_stderr(err),
        redirect_stdout(out),
    ):
        try:
            return main(["run", "a.json"])
        except _Accepted:
            return ACCEPTED
        except BaseException:  # noqa: BLE001
            import traceback

            traceback.print_exc()
            return 99


def main(argv: Sequence[str]) -> int:
    """Try the cases and write the result."""
    import distil.cli
    import distil.experiment.outputs
    import distil.experiment.suite  # noqa: F401 - imported once for all cases

    count = int(argv[0]) if argv else 2_000
    start = time.perf_counter()
    counts, wrong = try_cases(range(count), lambda line: print(line, flush=True))
    lines = "".join(f"| {what} | {number:,} |\n" for what, number in sorted(counts.items()))
    text = (
        f"# Mutated configurations\n\n`python -m benchmarks configurations`: {count:,} cases, each a process that may take "
        f"{MEMORY >> 20:,} MB more than at its begin. {len(wrong)} went wrong: a traceback, another exit code, more than "
        f"{SECONDS:g} s of the processor, or a message that does not name what was changed.\n\n| outcome | number |\n|---|---|\n"
        f"{lines}"
    )
    print(text, f"{time.perf_counter() - start:.0f} s")
    if count >= 2_000:
        write("configurations", text)
    return 1 if wrong else 0
