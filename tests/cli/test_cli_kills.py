"""Commands on files and projects that are killed or interrupted at some moment: nothing is lost, and they run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")]

SOURCE = str(Path(__file__).parents[2] / "src")
N = 40
# Imports everything once, and forks a process for each command.
HELPER = r"""
import csv, json, os, shutil, signal, sys, time
from pathlib import Path

import torch

torch.set_num_threads(1)
import distil.auditing.audit, distil.embedding.embed, distil.labeling.exchange, distil.labeling.fitting
import distil.selection.from_files
from distil.cli import main
from distil.labeling.project import Project

sys.path.insert(0, ".")
signal.signal(signal.SIGINT, signal.SIG_IGN)


def start(argv):
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main(argv)
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(argv, after=None, number=None):
    begun = time.monotonic()
    pid = start(argv)
    if number is not None:
        time.sleep(after)
        os.kill(pid, number)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, Path("said").read_text(), time.monotonic() - begun


def filled():
    with open("sheet.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open("sheet.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": "ab"[place % 2]} for place, row in enumerate(rows))


def files():
    found = [p for p in Path(".").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    kept = [p for p in found if not any(part.startswith(".") for part in p.parts)]  # unfinished files have hidden names
    return {str(p): p.read_bytes() for p in kept if p.name != "said" and p.parts[0] != "prj"}


def said():
    if not Path("prj").exists():
        return None
    with Project.open("prj") as project:
        return len(project.items()), sorted(project.labels().items())


def tries(before, argv, again):
    for each in before:
        if each == "fill":
            filled()
        else:
            code, err, _ = run(each)
            assert code == 0, (each, err)
    had = files()
    shutil.copytree(".", "../base")
    code, err, took = run(argv)
    assert code == 0, (argv, err)
    want, meant, wrong = files(), said(), []
    for place, number in enumerate([signal.SIGKILL, signal.SIGINT, signal.SIGKILL]):
        os.chdir("..")
        shutil.rmtree("work")
        shutil.copytree("base", "work")
        os.chdir("work")
        code, err, _ = run(argv, took * (place + 1) / 4, number)
        here, lines = files(), err.strip("\n").splitlines()
        if number == signal.SIGINT and code and (code != 130 or "interrupted; " not in lines[-1] or "Traceback" in err):
            wrong.append(f"exit code {code}: {err}")
        wrong += [f"{name} was changed" for name in had if here.get(name) != had[name]]
        if code and again:
            wrong += [f"{name} is half written" for name in here.keys() - had.keys() if here[name] != want.get(name)]
        if code:
            done = said() == meant and here.keys() == want.keys()  # it had ended, but for the way out
            code, err, _ = run(argv)
            wrong += [f"again, exit code {code}: {err}"] * bool(code and not done)
            wrong += [f"{name} differs" for name in want if again and files().get(name) != want[name]]
            wrong += [f"the project holds {said()}"] * (said() != meant)
    return wrong


for line in sys.stdin:
    task = json.loads(line)
    os.chdir(task.pop("folder"))
    try:
        answer = tries(**task)
    except Exception as error:
        answer = [repr(error)]
    print(json.dumps(answer), flush=True)
"""

CREATE = ["project", "create", "prj", "--classes", "a,b"]
ADD = ["project", "add", "prj", "texts.csv"]
IMPORT = ["project", "import", "prj", "labels.csv", "--who", "bob"]
NEXT = ["next", "prj", "--n", "20", "--out", "sheet.csv", "--who", "ann", "--strategy", "random_sampling"]
SELECT = ["select", "--n", "5", "--embeddings", "e.csv", "--out", "picks.csv"]
# What is done before, the command, and whether it writes the same files each time.
COMMANDS = {
    "select --explain": ([], [*SELECT, "--strategy", "core_set", "--explain", "why.json"], True),
    "embed": ([], ["embed", "texts.csv", "--model", "m:f", "--out", "new.npy", "--batch-size", "4"], True),
    "audit": ([], ["audit", "texts.csv", "--embeddings", "e.csv", "--out", "audit.html"], False),
    "project create": ([], CREATE, True),
    "project add": ([CREATE], ADD, True),
    "project import": ([CREATE, ADD], IMPORT, True),
    "project export": ([CREATE, ADD, IMPORT], ["project", "export", "prj", "out.csv"], True),
    "project withdraw": ([CREATE, ADD, IMPORT], ["project", "withdraw", "prj", "--of", "bob"], True),
    "next": ([CREATE, ADD], NEXT, False),
    "answer": ([CREATE, ADD, NEXT, "fill"], ["answer", "prj", "sheet.csv"], True),
}


def test_commands_that_are_killed_or_interrupted_lose_nothing(tmp_path, case):
    with subprocess.Popen(
        [sys.executable, "-c", HELPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"},
    ) as process:
        for name, (before, argv, again) in COMMANDS.items():
            with case(name):
                folder = tmp_path / name.replace(" ", "_") / "work"
                folder.mkdir(parents=True)
                (folder / "texts.csv").write_text("id,text\n" + "".join(f"t{row},words {row}\n" for row in range(N)))
                (folder / "labels.csv").write_text("id,label\n" + "".join(f"t{row},a\n" for row in range(0, N, 2)))
                rows = "".join(f"t{row},{row * row % 7},{row % 5}.5\n" for row in range(N))
                (folder / "e.csv").write_text(f"id,e0,e1\n{rows}")
                (folder / "m.py").write_text("def f(items):\n    return [[len(item), 1.0] for item in items]\n")
                task = {"folder": str(folder), "before": before, "argv": argv, "again": again}
                print(json.dumps(task), file=process.stdin, flush=True)
                assert json.loads(process.stdout.readline()) == []
        process.stdin.close()
