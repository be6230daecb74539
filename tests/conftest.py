"""What the tests share: one thread, reproducible Hypothesis examples, and a few small networks."""

import gc
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import nn

settings.register_profile("distil", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("distil")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What collecting makes stays to the end, so the garbage collector need not look at all of it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class SmallNet(nn.Module):
    """Linear, normalization, ReLU, dropout and a head; whatever goes wrong in a model goes wrong with these."""

    def __init__(self, n_inputs, n_classes, width, p):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(p))
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The same sums on every machine, and no quarrel between the workers of a parallel run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Unsynced(sqlite3.Connection):
    """Commits do not wait for the disk."""

    def execute(self, sql, *values):
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *values)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """``os.fsync`` only looks whether the file is open, and SQLite does not sync; gives ``sqlite3.connect`` as it was.

    No test cuts the power, and a sync takes 5 ms. Other processes sync.
    """
    connect = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        patch.setattr(sqlite3, "connect", partial(connect, factory=Unsynced))
        yield connect


@pytest.fixture(autouse=True)
def global_seed():
    """The same numbers from the global generators in every run of a test, whatever ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory):
    """The folder that the user's key is kept in, for this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data_home")
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def hostile():
    """A text that ends elements, opens templates, and has the line ends that scripts once refused."""
    return "</script></style></title><b>x</b><!--{{ 7 * 7 }}{% raw %}{# c #}[bold]\"'&amp;\u2028\u2029"


@pytest.fixture(scope="session")
def seeded():
    """``seeded(build, *args, seed=0, **kwargs)``: what ``build`` makes under that seed; the global generator stays as it was."""

    def build_seeded(build, *args, seed=0, **kwargs):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(*args, **kwargs)

    return build_seeded


@pytest.fixture(scope="session")
def small_net(seeded):
    """``small_net(seed=0, ...)``: a new small network in training mode whose normalization has seen some data."""

    def build(seed=0, n_inputs=6, n_classes=4, width=8, p=0.5):
        net = seeded(SmallNet, n_inputs, n_classes, width, p, seed=seed)
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            net.body[1].running_mean.copy_(torch.randn(width, generator=generator) / 4)
            net.body[1].running_var.copy_(torch.rand(width, generator=generator) + 0.5)
        return net

    return build


@pytest.fixture(scope="session")
def fingerprint():
    """``fingerprint(module)``: everything that asking a model might change, comparable with ``==``."""

    def print_of(module):
        def content(tensor):
            return None if tensor is None else (tensor.dtype, str(tensor.device), tensor.detach().numpy().tobytes())

        return {
            "values": {name: content(tensor) for name, tensor in module.state_dict().items()},
            "buffers": {name: content(tensor) for name, tensor in module.named_buffers()},
            "modes": {name: layer.training for name, layer in module.named_modules()},
            "requires_grad": {name: p.requires_grad for name, p in module.named_parameters()},
            "grads": {name: content(p.grad) for name, p in module.named_parameters()},
            "identities": {name: id(p) for name, p in module.named_parameters()},
            "hooks": {
                name: (len(layer._forward_hooks), len(layer._forward_pre_hooks), len(layer._backward_hooks))
                for name, layer in module.named_modules()
            },
        }

    return print_of


@pytest.fixture(scope="session")
def data_root_real() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    named = os.environ.get("DISTIL_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip(
            f"no real data at {root}; set DISTIL_DATA to a folder with MNIST/raw, tabular/satimage, tabular/ijcnn1"
        )
    return root


@pytest.fixture(scope="session")
def case():
    """``case(*labels)``: a context for one of several cases in a loop; a failure in it shows the labels."""

    @contextmanager
    def labeled(*labels):
        try:
            yield
        except BaseException as error:  # pytest's own failures are no Exceptions
            error.add_note(f"in the case {', '.join(map(repr, labels))}")
            raise

    return labeled


@pytest.fixture
def refuses():
    """``refuses(error, *parts)``: a context that expects the error, with a message that holds all parts."""

    def context(error, *parts):
        return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{re.escape(part)})" for part in parts))

    return context


@pytest.fixture
def write():
    """``write(path, content)``: a file and its folders, from text or bytes; gives the path."""

    def to(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


@pytest.fixture(scope="session")
def held_at_once():
    """``held_at_once(setup, work)``: the most MB that a process holds during ``work``, beyond what it holds after ``setup``."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from /proc")

    def measure(setup, work):
        code = f"""
from pathlib import Path
def megabytes(key):
    return next(int(l.split()[1]) / 1024 for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(key))
{setup}
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
{work}
print(megabytes("VmHWM") - before)
"""
        # Freed blocks go back to the system at once: what the allocator keeps for later depends on the machine.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
        out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
        return float(out.stdout)

    return measure


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; a test that asks for it is skipped where there is none.

    It ends with its module: while Playwright is open, no test of the same process can run an event loop of its own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the browser chromium")
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
        )
        yield made
        made.close()


@pytest.fixture
def opened(browser):
    """``opened(file, viewport, scheme, drawn)``: the page, once ``drawn`` is there; errors and requests of it fail the test."""
    faults, contexts = [], []

    def open_(file, viewport, scheme, drawn):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_navigation_timeout(60_000)
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request", lambda r: faults.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
        )
        page.goto(file.as_uri())
        page.wait_for_selector(drawn)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []
