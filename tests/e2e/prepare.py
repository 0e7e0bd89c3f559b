"""Makes what the images of the end-to-end tests are built from, while there is a network.

`python tests/e2e/prepare.py FOLDER` writes:

- base.tar: this Debian release with Python, by mmdebstrap;
- chromium.tar, systemd.tar: this machine's own, with the libraries that the base lacks;
- wheels/: everything that the package needs, and what builds it.

What is there already is kept.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE_PACKAGES = "python3,python3-venv,ca-certificates,libatomic1"
LAYERS = {
    "chromium": (
        ["chromium", "chromium-common", "fontconfig-config", "fonts-dejavu-core"],
        ["/usr/lib/chromium/chromium"],
    ),
    "systemd": (
        ["systemd", "procps"],
        ["/lib/systemd/systemd", "/bin/systemctl", "/bin/systemd-sysusers", "/bin/kill"],
    ),
}


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def make_base(target: Path) -> None:
    codename = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    if codename is None:
        sys.exit("this is no Debian with a code name: the images are made of the machine's own release")
    draft = target.with_suffix(".new.tar")
    trimmed = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info")]
    include = f"--include={BASE_PACKAGES}"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", include, *trimmed, codename[1], draft], check=True
    )
    draft.rename(target)


def make_layer(target: Path, base: Path, packages: list[str], *programs: str) -> None:
    """The files of this machine's packages, and of those whose libraries the programs need."""
    with tarfile.open(base) as image:
        status = image.extractfile("./var/lib/dpkg/status")
        assert status is not None
        in_base = set(re.findall(r"^Package: (\S+)$", status.read().decode(), flags=re.MULTILINE))
    libraries = re.findall(r"=> (/\S+)", output("ldd", *programs))
    owners = output("dpkg", "-S", *{f"*/{Path(library).name}" for library in libraries})
    needed = {line.partition(":")[0] for line in owners.splitlines()} - in_base
    files: set[str] = set()
    for package in sorted(needed | set(packages)):
        files |= {name for name in output("dpkg", "-L", package).splitlines() if Path(name).is_file()}
    draft = target.with_suffix(".new.tar")
    with tarfile.open(draft, "w") as archive:
        for name in sorted(files):
            # Merged /usr: a file under /lib goes where the base's link leads.
            place = re.sub(r"^/(lib|bin|sbin)/", r"/usr/\1/", name)
            if not re.match(r"/usr/share/(doc|man|locale|info)/", place):
                archive.add(name, arcname=place.lstrip("/"), recursive=False)
    draft.rename(target)


def make_wheels(target: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    draft = target.with_name("wheels.new")
    download = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", str(draft)]
    subprocess.run([*download, *wanted], check=True)
    draft.rename(target)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    base, wheels = folder / "base.tar", folder / "wheels"
    if not base.exists():
        make_base(base)
    for name, (packages, programs) in LAYERS.items():
        if not (folder / f"{name}.tar").exists():
            make_layer(folder / f"{name}.tar", base, packages, *programs)
    if not wheels.exists():
        make_wheels(wheels)


if __name__ == "__main__":
    main()
