"""Fails on a known vulnerability of what is installed; says so where the data can't be reached."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run pip-audit beside this interpreter and judge what it found."""
    command = [Path(sys.executable).with_name("pip-audit"), "--progress-spinner=off", "--format=json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        packages = []
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        print("not audited: the data of known vulnerabilities can't be reached from here")
        return 0
    found = [(p["name"], p["version"], v["id"]) for p in audited for v in p["vulns"]]
    for name, version, identifier in found:
        print(f"{name} {version}: {identifier}")
    print(f"audited {len(audited)} packages: {len(found)} known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
