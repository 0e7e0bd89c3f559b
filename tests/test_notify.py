from __future__ import annotations

import socket

import pytest

from raptor_exporter.notify import Notifier


@pytest.fixture
def supervisor(tmp_path):
    """A socket as systemd opens it; gives its path and a function that returns the next message."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(5)
        yield path, lambda: listening.recv(4096).decode()


def test_ready_status_and_stopping_are_told(supervisor):
    path, told = supervisor
    environment = {"NOTIFY_SOCKET": path}
    notifier = Notifier(environment)
    assert environment == {}
    notifier.ready("7 sessions\nSTOPPING=1")
    assert told() == "READY=1\nSTATUS=7 sessions STOPPING=1"
    notifier.status("1 session")
    assert told() == "STATUS=1 session"
    notifier.stopping()
    assert told() == "STOPPING=1"


def test_an_abstract_socket_is_told_too():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0raptor-exporter-test-notify")
        listening.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@raptor-exporter-test-notify"}).ready()
        assert listening.recv(4096) == b"READY=1"


def test_without_a_supervisor_nothing_happens(caplog):
    Notifier({}).ready()
    assert caplog.records == []


def test_a_supervisor_that_is_gone_is_no_reason_to_fail_and_is_told_once(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    notifier.stopping()
    assert [r.message for r in caplog.records] == ["systemd can't be notified"]
