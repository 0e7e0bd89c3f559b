"""The unit and the user that the packages' own tools accept."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "raptor-exporter.service"
EXECUTABLE = "/usr/local/bin/raptor-exporter"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def unit(tmp_path):
    """The unit as installed: its command is there."""
    installed = tmp_path / "raptor-exporter"
    shutil.copy("/bin/true", installed)
    text = UNIT.read_text()
    assert text.count(EXECUTABLE) == 1
    path = tmp_path / UNIT.name
    path.write_text(text.replace(EXECUTABLE, str(installed)))
    return path


def test_systemd_has_nothing_to_say_about_the_unit(unit):
    """`verify` exits 0 on an unknown key: silence is the proof."""
    done = run("systemd-analyze", "verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_have_complained_of_a_misspelt_key(unit):
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in run("systemd-analyze", "verify", str(unit)).stderr


def test_the_service_is_exposed_little():
    """At most 2.0 of 10 by systemd's own measure."""
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", str(UNIT))
    assert done.returncode == 0, done.stdout
    score = re.search(r"Overall exposure level for raptor-exporter\.service: ([\d.]+)", done.stdout)
    assert score is not None
    assert float(score[1]) <= 2.0


def test_the_user_of_the_unit_is_made_by_sysusers(tmp_path):
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "sysusers.conf"))
    assert done.returncode == 0, done.stderr
    service = configparser.ConfigParser(strict=False, interpolation=None)
    service.optionxform = str
    service.read_string(UNIT.read_text())
    users = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    assert service["Service"]["User"] in users
