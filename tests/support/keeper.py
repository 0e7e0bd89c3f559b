"""The example's pod, running: the agent beside a real Playwright application, and ways to trouble both."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml

from support import images, kubectl
from support.podman import Podman, as_pod
from support.sessions import write_session
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
STORE = "/var/lib/raptor/sessions"


def rendered(example: str) -> list[dict]:
    """What `kubectl apply -k` would send."""
    done = subprocess.run(
        [kubectl.find(), "kustomize", str(ROOT / "deploy" / "kubernetes" / "examples" / example)],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(yaml.safe_load_all(done.stdout))


class Keeper:
    """The pod `keeper`."""

    def __init__(self, podman: Podman, manifests: list[dict]) -> None:
        self.podman = podman
        self.manifests = manifests
        self.agent = "keeper-raptor-exporter"
        self.application = "keeper-keeper"
        infra = podman("pod", "inspect", "-f", "{{.InfraContainerID}}", "keeper")
        self.address = podman(
            "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", infra
        )
        self.store = podman.mount(self.agent, STORE)
        self.configuration = podman.mount(self.agent, "/etc/raptor-exporter") / "raptor.yaml"

    def get(self, path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address}:19222{path}", timeout=10) as response:
            return response.read().decode()

    def answers(self, path: str) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.get(path))
        return False

    def pid(self, container: str) -> int:
        """On this machine."""
        return self.podman.state(container)["Pid"]

    def status(self, container: str) -> dict[str, str]:
        """What the kernel says of a container's first process."""
        text = Path(f"/proc/{self.pid(container)}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def browser(self) -> int:
        """The application's Chromium, on this machine."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                in_pod = os.readlink(entry / "ns/net") == os.readlink(f"/proc/{self.pid(self.agent)}/ns/net")
                if (
                    in_pod
                    and words[0].endswith(b"/chromium")
                    and not any(w.startswith(b"--type=") for w in words)
                ):
                    return int(entry.name)
        raise AssertionError("no browser in the pod")

    def kill_browser(self) -> None:
        os.kill(self.browser(), signal.SIGKILL)

    def add(self, name: str, *, idle: float = 0.0, **fields) -> Path:
        """A session as the application would have saved it, at its live browser."""
        alive = json.loads((self.store / "alice.json").read_text())["cdp_url"]
        path = write_session(self.store, name, idle=idle, **{"cdp_url": alive, **fields})
        os.chown(path, 1000, 1000)
        return path

    def remove(self, pattern: str) -> None:
        for path in self.store.glob(pattern):
            path.unlink(missing_ok=True)

    def labels(self) -> dict[str, str]:
        """What Kubernetes' service discovery would say of this pod's metrics port."""
        (deployment,) = [m for m in self.manifests if m["kind"] == "Deployment"]
        template = deployment["spec"]["template"]
        (sidecar,) = template["spec"]["initContainers"]
        (port,) = sidecar["ports"]
        found = {
            "__meta_kubernetes_namespace": deployment["metadata"]["namespace"],
            "__meta_kubernetes_pod_name": "keeper-7d9f8b6c5-x2x4k",
            "__meta_kubernetes_pod_node_name": "node-1",
            "__meta_kubernetes_pod_phase": "Running",
            "__meta_kubernetes_pod_container_init": "true",
            "__meta_kubernetes_pod_container_name": sidecar["name"],
            "__meta_kubernetes_pod_container_port_name": port["name"],
        }
        for key, value in template["metadata"]["labels"].items():
            found["__meta_kubernetes_pod_label_" + "".join(c if c.isalnum() else "_" for c in key)] = value
        return found


@contextlib.contextmanager
def running_keeper(
    podman: Podman, folder: Path, example: str, policies: str, environment: dict[str, str], **adjust
) -> Iterator[Keeper]:
    """An example's pod with these policies; further variables go to all its containers.

    ``adjust`` may hold ``pod``, a function that changes the pod's spec before it is played.
    """
    manifests = rendered(example)
    (configuration,) = [m for m in manifests if m["kind"] == "ConfigMap"]
    configuration["data"]["raptor.yaml"] = policies
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    for container in [*spec["initContainers"], *spec["containers"]]:
        container["env"] += [{"name": key, "value": value} for key, value in environment.items()]
    if "pod" in adjust:
        adjust["pod"](spec)
    path = folder / "pod.yaml"
    path.write_text(as_pod(manifests, "keeper", images.LOCAL))
    try:
        podman.play(path)
        pod = Keeper(podman, manifests)
        # What the startup probe asks: a native sidecar answers before the application starts.
        eventually(lambda: pod.answers("/-/healthy"), within=60, what="the startup probe")
        eventually((pod.store / "dave.json").exists, within=90, what="the application's sessions")
        yield pod
    finally:
        podman("pod", "rm", "--force", "--time=5", "keeper", check=False)
        podman("volume", "prune", "--force", check=False)
