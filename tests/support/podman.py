"""Podman as root on a machine without systemd, with a storage and a configuration of its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import yaml

# Cgroups v1 or v2 without systemd, no journal, and limits that a container without capabilities can have.
_CONFIGURATION = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
"""


class Podman:
    """Every call is one command; fails with the command's own words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        configuration = folder / "containers.conf"
        configuration.write_text(_CONFIGURATION)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}
        self._command = [
            "podman",
            f"--root={folder / 'storage'}",
            f"--runroot={folder / 'run'}",
            f"--tmpdir={folder / 'tmp'}",
        ]

    def __call__(self, *arguments: object, check: bool = True, timeout: float = 300.0) -> str:
        done = subprocess.run(
            [*self._command, *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"podman {arguments[0]}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def script(self) -> Path:
        """A program that is this podman, for tools that call one themselves."""
        path = self.folder / "podman"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self._command)} "$@"\n')
        path.chmod(0o755)
        return path

    def json(self, *arguments: object) -> list[dict]:
        return json.loads(self(*arguments))

    def state(self, container: str) -> dict:
        return self.json("inspect", container)[0]["State"]

    def size(self, image: str) -> int:
        """Bytes of an image with all its layers."""
        return self.json("image", "inspect", image)[0]["Size"]

    def play(self, path: Path) -> None:
        """Start the pods of a manifest."""
        self("play", "kube", str(path))

    def mount(self, container: str, target: str) -> Path:
        """Where a container's volume lies on this machine."""
        (found,) = [
            mount for mount in self.json("inspect", container)[0]["Mounts"] if mount["Destination"] == target
        ]
        return Path(found["Source"])


def as_pod(manifests: list[dict], name: str, images: dict[str, str]) -> str:
    """What `podman play kube` can run of a Deployment: its pod, and the ConfigMaps.

    Podman hangs on a native sidecar, so it becomes the first container; it runs no probes, so they are
    taken out; it publishes container ports on the machine, so they are too; and it ignores fsGroup.
    """
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment" and m["metadata"]["name"] == name]
    template = yaml.safe_load(yaml.safe_dump(deployment["spec"]["template"]))
    spec = template["spec"]
    sidecars = spec.pop("initContainers", [])
    for sidecar in sidecars:
        assert sidecar.pop("restartPolicy") == "Always"
    spec["containers"] = [*sidecars, *spec["containers"]]
    spec["restartPolicy"] = "Never"
    for container in spec["containers"]:
        container["image"] = images[container["image"]]
        container["imagePullPolicy"] = "Never"
        for key in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
            container.pop(key, None)
    metadata = {**template["metadata"], "name": name}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    maps = [m for m in manifests if m["kind"] == "ConfigMap"]
    return yaml.safe_dump_all([*maps, pod])
