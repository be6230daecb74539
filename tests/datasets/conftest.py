"""Fixtures for the tests of data sets."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from distil.datasets.download import DOWNLOADS, Download


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "nothing"))


@pytest.fixture
def server(monkeypatch):
    """A local server of files by name; a file given as (length, body) announces more bytes than it sends."""
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
            if name.endswith(".gz"):
                self.send_header("Content-Encoding", "x-gzip")  # as some servers do; the file must stay compressed
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
