"""The images of the end-to-end tests, built without a network from what tests/e2e/prepare.py made."""

from __future__ import annotations

import os
from pathlib import Path

from support.podman import Podman

ROOT = Path(__file__).resolve().parents[2]
MATERIALS = ROOT / ".make" / "e2e"
AGENT = "localhost/raptor-exporter:0.1.0"
PLAYWRIGHT = "localhost/raptor-exporter:0.1.0-playwright"
KEEPER = "localhost/session-keeper:1.0.0"
SERVICE = "localhost/raptor-service:test"
BASE = "localhost/python:base"
REVISION = "0123456789abcdef"
# What manifests call the images, and what they are called here.
LOCAL = {"raptor-exporter:0.1.0": AGENT, "session-keeper:1.0.0": KEEPER}
_PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def build(podman: Podman) -> None:
    """All images; what did not change comes from podman's cache."""
    assert (MATERIALS / "wheels").exists(), "run `make e2e`, which makes what images are built of"
    if not podman("images", "-q", BASE):
        podman("import", "-c", _PATH, MATERIALS / "base.tar", BASE)
    chromium = _with_layer(podman, "chromium")
    _project(podman, "agent", BASE, AGENT)
    _project(podman, "playwright", chromium, PLAYWRIGHT)
    example = ROOT / "deploy" / "kubernetes" / "examples" / "playwright"
    podman("build", "--network=none", "--build-arg", f"RAPTOR={PLAYWRIGHT}", "-t", KEEPER, example)
    _service(podman)


def _with_layer(podman: Podman, name: str) -> str:
    """The base with the files of one tar."""
    folder = MATERIALS / name
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nADD {name}.tar /\n")
    (folder / f"{name}.tar").unlink(missing_ok=True)
    os.link(MATERIALS / f"{name}.tar", folder / f"{name}.tar")
    podman("build", "--network=none", "-t", f"localhost/python:{name}", folder)
    return f"localhost/python:{name}"


def _project(podman: Podman, target: str, base: str, tag: str) -> None:
    """A target of the shipped Dockerfile."""
    arguments = {
        "BASE": base,
        "BUILDER": BASE,
        "REVISION": REVISION,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
    }
    podman(
        *("build", "--network=none", "--target", target, "-t", tag),
        *(part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")),
        *("-v", f"{MATERIALS / 'wheels'}:/wheels:ro"),
        *("-f", ROOT / "deploy" / "docker" / "Dockerfile", ROOT),
        timeout=600,
    )


def _service(podman: Podman) -> None:
    """A machine with systemd and the package in a virtual environment, as docs/operating.md installs it."""
    systemd = _with_layer(podman, "systemd")
    folder = MATERIALS / "service"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(
        f"FROM {systemd}\n"
        f"COPY --from={AGENT} /opt/raptor /opt/raptor\n"
        "RUN ln -s /opt/raptor/bin/raptor-exporter /usr/local/bin/raptor-exporter\n"
        "COPY raptor-exporter.service /etc/systemd/system/\n"
        "COPY sysusers.conf /usr/lib/sysusers.d/raptor-exporter.conf\n"
        "RUN systemd-sysusers && systemctl enable raptor-exporter.service"
        " && systemctl set-default multi-user.target\n"
    )
    for name in ("raptor-exporter.service", "sysusers.conf"):
        (folder / name).write_bytes((ROOT / "deploy" / "systemd" / name).read_bytes())
    podman("build", "--network=none", "-t", SERVICE, folder)


def debian(podman: Podman, name: str, program: str) -> str:
    """An image of one of Debian's programs, with that program as its entry point."""
    folder = MATERIALS / name
    folder.mkdir(exist_ok=True)
    (folder / "program").write_bytes(Path(program).read_bytes())
    (folder / "Dockerfile").write_text(
        f'FROM {BASE}\nCOPY --chmod=755 program /bin/{name}\nENTRYPOINT ["/bin/{name}"]\n'
    )
    podman("build", "--network=none", "-t", f"localhost/{name}:debian", folder)
    return f"localhost/{name}:debian"
