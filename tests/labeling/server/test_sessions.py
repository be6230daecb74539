"""One-time addresses and sessions."""

import errno
import json
import stat

import pytest

from distil.errors import InvalidInput, RunError
from distil.labeling.server import sessions as module
from distil.labeling.server.sessions import FILE, Sessions


def test_a_token_opens_one_session(tmp_path):
    sessions = Sessions(tmp_path)
    token = sessions.launch("anna")
    session = sessions.open(token)
    assert sessions.who(session) == "anna"
    assert sessions.open(token) is None
    assert sessions.open("another") is None
    assert sessions.who(token) is None
    assert sessions.who(None) is None
    assert sessions.open(sessions.launch("anna")) != session


def test_sessions_and_links_outlive_a_restart_and_printed_addresses_do_not(tmp_path):
    before = Sessions(tmp_path)
    session, link, launch = before.open(before.launch("anna")), before.link("ben"), before.launch("carl")
    after = Sessions(tmp_path)
    assert after.who(session) == "anna"
    assert after.open(launch) is None
    assert after.who(after.open(link)) == "ben"
    assert Sessions(tmp_path).open(link) is None  # used up on disk too
    assert after.people == ["anna", "ben"]


def test_the_file_holds_no_token_and_only_its_owner_reads_it(tmp_path):
    sessions = Sessions(tmp_path)
    secrets = [sessions.open(sessions.launch("anna")), sessions.link("ben")]
    text = (tmp_path / FILE).read_text()
    assert not any(secret in text for secret in secrets)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[]",
        '{"sessions": {}}',
        '{"sessions": {"a": 5}, "links": {}}',
        '{"sessions": 5, "links": {}}',
    ],
)
def test_a_damaged_file(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RunError, match=r"sessions\.json is damaged; delete it"):
        Sessions(tmp_path)


def test_names_and_the_number_of_sessions(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    sessions = Sessions(tmp_path)
    with pytest.raises(InvalidInput, match="the name of a person must be"):
        sessions.link("")
    opened = [sessions.open(sessions.link("anna")) for _ in range(5)]
    assert [sessions.who(each) for each in opened] == [None, None, "anna", "anna", "anna"]
    assert len(json.loads((tmp_path / FILE).read_text())["sessions"]) == 3


def test_a_full_disk_uses_no_token_up(tmp_path, monkeypatch):
    sessions = Sessions(tmp_path)
    link, launch = sessions.link("ben"), sessions.launch("anna")

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replacing", full)
        for token in (link, launch):
            with pytest.raises(RunError, match=r"sessions\.json cannot be written \(No space left on device\)"):
                sessions.open(token)
        with pytest.raises(RunError, match="cannot be written"):
            sessions.link("carl")
    assert sessions.people == ["anna", "ben"]
    assert sessions.who(sessions.open(link)) == "ben"
    assert sessions.who(sessions.open(launch)) == "anna"
