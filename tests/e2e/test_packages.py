"""Wheel and sdist: built without a network, installed where nothing else is, and served from there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support import images
from support.agent import RunningAgent
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("RAPTOR_", "PYTHON", "PIP_"))},
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": str(images.MATERIALS / "wheels"),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def run(*command: object, **settings) -> str:
    done = subprocess.run(
        [str(part) for part in command], env=OFFLINE, capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory, figures) -> dict[str, Path]:
    """Both packages, by the project's own build backend."""
    folder = tmp_path_factory.mktemp("packages")
    tools = folder / "tools"
    run(sys.executable, "-m", "venv", tools)
    run(tools / "bin" / "pip", "install", "hatchling")
    run(tools / "bin" / "hatchling", "build", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    for path in (wheel, sdist):
        figures(path.name, path.stat().st_size)
    return {"wheel": wheel, "sdist": sdist}


def test_the_wheel_holds_the_package_alone(packages):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(packages["wheel"]).namelist()}
    assert tops == {"raptor_exporter", "raptor_exporter-0.1.0.dist-info"}
    names = zipfile.ZipFile(packages["wheel"]).namelist()
    assert "raptor_exporter/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_what_its_tests_need(packages):
    with tarfile.open(packages["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = [
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "deploy/docker/Dockerfile",
        "grafana/agent.py",
    ]
    assert [name for name in wanted if name not in names] == []


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_package_serves_from_an_empty_environment(packages, kind, tmp_path):
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin" / "pip", "install", packages[kind])
    assert run(venv / "bin" / "pip", "check").startswith("No broken requirements")
    store = tmp_path / "sessions"
    store.mkdir(mode=0o700)
    process = subprocess.Popen(
        [venv / "bin" / "raptor-exporter", "serve", "--store", store, "--web.listen-address", "127.0.0.1:0"],
        env=OFFLINE,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    agent = RunningAgent(process)
    try:
        eventually(lambda: agent.address, what="listening")
        eventually(agent.is_ready, what="ready")
        assert "raptor_store_up 1.0" in agent.get("/metrics")
        assert "raptor" in agent.get("/")
    finally:
        process.terminate()
        assert process.wait(timeout=15) == 0
        process.stderr.close()
