"""The agent's image: small, without a driver, needing no user, no shell and no writable root."""

from __future__ import annotations

import json

from support import images

RESTRICTED = ("--rm", "--network=none", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


def test_the_image_says_what_it_is(podman):
    image = podman.json("image", "inspect", images.AGENT)[0]
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "raptor-exporter"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.revision"] == images.REVISION
    assert image["Config"]["User"] == "65532:65532"
    assert image["Config"]["Entrypoint"] == ["raptor-exporter"]


def test_the_agents_image_adds_less_than_40_mb_to_its_base(podman, figures):
    base, agent, playwright = map(podman.size, (images.BASE, images.AGENT, images.PLAYWRIGHT))
    figures("image base", base)
    figures("image agent", agent)
    figures("image playwright, with Chromium", playwright)
    assert agent - base < 40e6


def test_the_agents_image_carries_no_playwright(podman):
    found = podman(
        *("run", *RESTRICTED, "--entrypoint=python", images.AGENT, "-c"),
        "import importlib.util as u; print(u.find_spec('playwright'), u.find_spec('pip'))",
    )
    assert found == "None None"


def test_the_other_target_carries_the_driver(podman):
    version = podman(
        *("run", *RESTRICTED, "--entrypoint=python", images.PLAYWRIGHT, "-c"),
        "import subprocess as s; from playwright._impl._driver import compute_driver_executable as c; "
        "print(s.run([*c(), '--version'], capture_output=True, text=True, check=True).stdout)",
    )
    assert version.startswith("Version 1.")


def test_commands_work_in_a_restricted_container(podman):
    stats = podman(
        *("run", *RESTRICTED, "--tmpfs=/var/lib/raptor/sessions:mode=1777", images.AGENT),
        *("stats", "-o", "json"),
    )
    assert json.loads(stats)["sessions"] == 0
    assert "raptor-exporter" in podman("run", *RESTRICTED, images.AGENT, "--version")
