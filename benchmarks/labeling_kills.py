"""kill -9 of labeling clients under load: every acknowledged answer is kept, none counts twice, no item has two people.

``python -m benchmarks labeling_kills [KILLS]`` kills one of three clients at a random moment, 50 times by default. A killed client
starts again and sends what was not acknowledged, with the same keys.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distil.labeling.events import ANSWERS, Event
from distil.labeling.fold import fold
from distil.labeling.project import Project

ROOT = Path(__file__).parents[1]
CLIENTS = ("anna", "ben", "carl")
ITEMS = 5_000
_NETWORK = 0.004  # seconds between a commit and the moment at which the client hears of it


def main(argv: Sequence[str]) -> int:
    """Run the kills and write what was found, or be one client."""
    if argv and argv[0] == "client":
        _client(Path(argv[1]), argv[2], Path(argv[3]))
    from benchmarks.machine import write

    with tempfile.TemporaryDirectory() as folder:
        found = kills(Path(folder), int(argv[0]) if argv else 50)
    rows = "".join(f"| {quantity} | {value:,} |\n" for quantity, value in found.items())
    title = "Clients of a labeling project, killed under load"
    write("labeling_kills", f"# {title}\n\nFrom `python -m benchmarks labeling_kills`.\n\n| | |\n|---|---|\n{rows}")
    return 0


def kills(folder: Path, times: int, seed: int = 0) -> dict[str, int]:
    """Kill clients, then check the record; returns how often what occurred.

    Raises:
        RuntimeError: The record is not what was acknowledged.
    """
    draws = random.Random(seed)
    (folder / "texts.txt").write_text("".join(f"text {n}\n" for n in range(ITEMS)))
    with Project.create(folder / "p", classes=["cat", "dog"]) as project:
        project.add(folder / "texts.txt")
    running = {who: _start(folder, who) for who in CLIENTS}
    try:
        for _ in range(times):
            time.sleep(draws.uniform(0.1, 0.6))
            who = draws.choice(CLIENTS)
            _kill(running[who])
            running[who] = _start(folder, who)
        for who, client in running.items():  # the last ones resend too
            _kill(client)
            running[who] = _start(folder, who)
        time.sleep(2)
    finally:
        for client in running.values():
            _kill(client)
    return {"kills": times + 2 * len(CLIENTS), **_check(folder)}


def _start(folder: Path, who: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "labeling_kills",
        "client",
        str(folder / "p"),
        who,
        str(_log(folder, who)),
    ]
    paths = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})


def _kill(client: subprocess.Popen[bytes]) -> None:
    if client.poll() is not None:
        raise RuntimeError(f"a client ended by itself, with {client.returncode}")
    client.send_signal(signal.SIGKILL)
    client.wait()


def _log(folder: Path, who: str) -> Path:
    return folder / f"{who}.jsonl"


# ---------------------------------------------------------------------------------------------------------------- client


def _client(path: Path, who: str, log: Path) -> None:
    """Label endlessly; each event is in the log before it is sent, and again once it is acknowledged."""
    draws = random.Random(os.getpid())
    with Project.open(path) as project, log.open("a") as file:
        for event in _waiting(log):
            _send(project, event, file)
        last: list[str] = []
        while True:
            if last and draws.random() < 0.15:
                _send(project, Event(kind="undo", who=who, target=last.pop()), file)
            for item in project.leased(who) or project.lease(who, 3, project.open_items(who)[:200]):
                kind = draws.choice(["label", "label", "label", "skip"])
                event = Event(kind=kind, who=who, item=item, label="cat" if kind == "label" else None)
                _send(project, event, file)
                last.append(event.key)


def _send(project: Project, event: Event, file) -> None:
    file.write(json.dumps({"sent": json.loads(event.text())}) + "\n")
    file.flush()
    (ack,) = project.record([event])
    time.sleep(_NETWORK)
    if ack.error is not None:
        raise RuntimeError(ack.error)
    file.write(json.dumps({"acknowledged": ack.key, "seq": ack.seq, "duplicate": ack.duplicate}) + "\n")
    file.flush()


def _lines(log: Path) -> list[dict[str, object]]:
    found = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # a line that a kill cut off, followed by another
            continue
    return found


def _waiting(log: Path) -> list[Event]:
    """The events that were sent and not acknowledged, in order."""
    lines = _lines(log)
    heard = {line["acknowledged"] for line in lines if "acknowledged" in line}
    sent = {event.key: event for line in lines if "sent" in line for event in [Event.read(line["sent"])]}
    return [event for key, event in sent.items() if key not in heard]


# ----------------------------------------------------------------------------------------------------------------- check


def _check(folder: Path) -> dict[str, int]:
    lines = [line for who in CLIENTS for line in _lines(_log(folder, who))]
    heard = {str(line["acknowledged"]): line["seq"] for line in lines if "acknowledged" in line}
    sent = {Event.read(line["sent"]).key for line in lines if "sent" in line}
    with Project.open(folder / "p") as project:
        recorded = [each for each in project.events() if each.event.who in CLIENTS]
        seqs = {each.event.key: each.seq for each in recorded}
        wrong = {
            "acknowledged and lost": sum(seqs.get(key) != seq for key, seq in heard.items()),
            "recorded twice": len(recorded) - len(seqs),
            "recorded and never sent": len(seqs.keys() - sent),
            "items that two people have": _of_two(project),
            "state is not the fold": int(project.state() != fold(each.event for each in project.events())),
        }
    if any(wrong.values()):
        raise RuntimeError(f"the record is wrong: {wrong}")
    repeated = sum(line.get("duplicate") is True for line in lines)
    return {"acknowledged": len(heard), "acknowledged again after a kill": repeated, **wrong}


def _of_two(project: Project) -> int:
    answers = [item for (item, _), answer in project.state().answers.items() if answer.kind in ANSWERS]
    people = Counter([*answers, *(item for item, _ in project.leases())])
    return sum(count > 1 for count in people.values())
