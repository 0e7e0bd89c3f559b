"""Application and agent under different users: they share the group that the kubelet gives the volume."""

from __future__ import annotations

import os
import stat

import pytest
from support.keeper import running_keeper
from support.waiting import eventually

GROUP = 2000
POLICIES = """
version: 1
store: {url: /var/lib/raptor/sessions, refresh_interval: 1s}
cleanup:
  mode: enforce
  guards: {min_age: 0s}
policies:
  - {name: visitors, interval: 2s, match: {name: "visitor-*"}, expire: {idle_for: 1h}}
"""


@pytest.fixture(scope="module")
def pod(podman, tmp_path_factory):
    """Podman ignores fsGroup: the volume gets its group here, and the containers theirs by runAsGroup."""
    podman("volume", "create", "raptor-sessions")
    volume = podman("volume", "inspect", "-f", "{{.Mountpoint}}", "raptor-sessions")
    os.chmod(volume, 0o2777)

    def in_group(spec):
        assert spec["securityContext"].pop("fsGroup") == GROUP
        spec["securityContext"].pop("fsGroupChangePolicy")
        for container in [*spec["initContainers"], *spec["containers"]]:
            container["securityContext"]["runAsGroup"] = GROUP

    with running_keeper(
        podman, tmp_path_factory.mktemp("pod"), "shared-group", POLICIES, {}, pod=in_group
    ) as running:
        yield running


def test_they_are_different_users_of_one_group(pod):
    agent, application = pod.status(pod.agent), pod.status(pod.application)
    assert (agent["Uid"].split()[0], application["Uid"].split()[0]) == ("65532", "1000")
    assert agent["Gid"].split()[0] == application["Gid"].split()[0] == str(GROUP)


def test_what_the_application_saves_the_agent_reads(pod):
    for name in ("alice", "bob", "carol", "dave"):
        saved = (pod.store / f"{name}.json").stat()
        assert (saved.st_uid, saved.st_gid, stat.S_IMODE(saved.st_mode)) == (1000, GROUP, 0o660)
    eventually(
        lambda: 'raptor_sessions{state="valid"} 4.0' in pod.get("/metrics"), what="four valid sessions"
    )
    assert 'raptor_sessions{state="unreadable"} 0.0' in pod.get("/metrics")


def test_the_agent_deletes_what_the_application_saved(pod):
    path = pod.add("visitor-1", idle=7200)
    os.chown(path, 1000, GROUP)
    path.chmod(0o660)
    eventually(lambda: not path.exists(), what="the deletion")
    eventually(
        lambda: (
            'raptor_cleanup_deleted_sessions_total{policy="visitors",reason="idle"} 1.0'
            in pod.get("/metrics")
        ),
        what="the deletion is counted",
    )


def test_both_write_into_the_folder_that_they_share(pod):
    home = (pod.store / ".raptor").stat()
    assert (home.st_gid, stat.S_IMODE(home.st_mode)) == (GROUP, 0o2770)


def test_the_application_goes_on_using_its_sessions(pod):
    before = (pod.store / "alice.json").read_text()
    done = pod.podman(
        *("exec", pod.application, "python", "-c"),
        "import asyncio; from raptor_exporter import SessionManager\n"
        "async def main():\n"
        "    async with SessionManager() as sessions:\n"
        "        print(await (await sessions.restore_session('alice')).title())\n"
        "asyncio.run(main())",
    )
    assert done.splitlines()[-1] == "alice"
    assert (pod.store / "alice.json").read_text() != before
