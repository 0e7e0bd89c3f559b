"""The systemd unit under a real systemd, in a container that is a machine of its own."""

from __future__ import annotations

import urllib.request

import pytest
from support import images
from support.prometheus import running_prometheus
from support.waiting import eventually

UNIT = "raptor-exporter.service"


class Machine:
    """A container whose first process is systemd."""

    def __init__(self, podman):
        self._podman = podman
        self.address = podman("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "machine")

    def run(self, *command: str, check: bool = True) -> str:
        return self._podman("exec", "machine", *command, check=check)

    def shows(self, key: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={key}", UNIT, check=False)

    def get(self, path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address}:19222{path}", timeout=10) as response:
            return response.read().decode()


@pytest.fixture(scope="module")
def machine(podman):
    podman(
        "run",
        "-d",
        "--name=machine",
        "--systemd=always",
        "--privileged",
        images.SERVICE,
        "/lib/systemd/systemd",
    )
    try:
        found = Machine(podman)
        eventually(lambda: found.shows("ActiveState") == "active", within=60, what="the unit is active")
        yield found
    finally:
        podman("rm", "--force", "--time=5", "machine")


def test_systemd_is_told_when_the_agent_is_ready(machine):
    """Type=notify: active means that it answers, without waiting any longer."""
    assert machine.shows("Type") == "notify"
    assert "raptor_store_up 1.0" in machine.get("/metrics")


def test_the_service_runs_as_its_own_user_without_capabilities(machine):
    pid = machine.shows("MainPID")
    status = machine.run("cat", f"/proc/{pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    raptor = machine.run("id", "-u", "raptor")
    assert raptor != "0"
    assert set(fields["Uid"].split()) == {raptor}
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_the_process_can_still_measure_itself(machine):
    assert "process_resident_memory_bytes" in machine.get("/metrics")
    assert "process_start_time_seconds" in machine.get("/metrics")


def test_the_store_belongs_to_the_service_alone(machine):
    assert machine.run("stat", "-c", "%U %a", "/var/lib/raptor-exporter/sessions") == "raptor 700"


def test_prometheus_scrapes_the_service(machine, tmp_path):
    job = {"job_name": "raptor-exporter", "static_configs": [{"targets": [f"{machine.address}:19222"]}]}
    with running_prometheus(
        tmp_path, {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    ) as server:
        eventually(lambda: server.value("raptor_store_up") == 1, what="a scrape")


def test_a_reload_keeps_the_process(machine):
    pid = machine.shows("MainPID")
    machine.run("systemctl", "reload", UNIT)
    assert machine.shows("MainPID") == pid
    assert machine.shows("ActiveState") == "active"


def test_a_stop_is_clean(machine):
    """Last in this file: the service goes."""
    machine.run("systemctl", "stop", UNIT)
    assert machine.shows("Result") == "success"
    assert machine.shows("ExecMainStatus") == "0"
