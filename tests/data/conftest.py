"""What the tests of distil.data share."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from distil.datasets.download import DOWNLOADS, Download


@pytest.fixture(scope="session")
def data_root_real() -> Path:
    """The folder of real data sets; a test that asks for it is skipped where there is none."""
    named = os.environ.get("DISTIL_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not root.is_dir():
        pytest.skip(
            f"no real data at {root}; set DISTIL_DATA to a folder with MNIST/raw, tabular/satimage, tabular/ijcnn1"
        )
    return root


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "nothing"))


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


@pytest.fixture
def server(monkeypatch):
    """A server on the loopback: its files, by name; a value of (total, body) promises more than it sends."""
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rsplit("/", 1)[-1]
            asked.append(name)
            if name not in files:
                self.send_error(404)
                return
            total, body = files[name] if isinstance(files[name], tuple) else (len(files[name]), files[name])
            self.send_response(200)
            self.send_header("Content-Length", str(total))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(variable, "127.0.0.1")

        def publish(name, contents):
            files.update(contents)
            sums = {file: hashlib.md5(raw).hexdigest() for file, raw in contents.items()}
            base = f"http://127.0.0.1:{running.server_port}/pub/"
            monkeypatch.setitem(DOWNLOADS, name, Download(base, DOWNLOADS[name].folder, sums))

        yield publish, files, asked
        running.shutdown()
        thread.join()
