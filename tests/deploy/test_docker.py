"""compose.yaml and the Dockerfile as their readers see them; tests/e2e builds and runs the image."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from raptor_exporter.config import load_config

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy" / "docker"


def compose() -> dict:
    """What `docker compose config` makes of the file."""
    done = subprocess.run(
        ["docker-compose", "-f", str(DOCKER / "compose.yaml"), "config"],
        env={"PATH": os.environ["PATH"], "HOME": "/home/user"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_accepts_the_file_and_starts_four_services():
    assert set(compose()["services"]) == {"agent", "prometheus", "alertmanager", "grafana"}


def test_every_service_is_hardened_pinned_and_reachable_from_this_machine_alone():
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        for port in service["ports"]:
            assert str(port if isinstance(port, str) else port["published"]).startswith("127.0.0.1:"), name


def test_everything_that_is_mounted_is_in_the_repository():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for service in services.values():
        for mount in service["volumes"]:
            if isinstance(mount, str) and mount.startswith("."):
                assert (DOCKER / mount.split(":")[0]).exists(), mount


def test_prometheus_finds_its_rules_and_targets_where_compose_mounts_them():
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert all((ROOT / "deploy/prometheus" / name).exists() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    (manager,) = config["alerting"]["alertmanagers"]
    for found in (job, manager):
        (files,) = found["file_sd_configs"]
        (name,) = files["files"]
        for folder in (DOCKER, ROOT / "deploy" / "prometheus"):
            (entry, *_) = yaml.safe_load((folder / name).read_text())
            assert entry["targets"]


def test_the_agents_final_stages_need_no_shell_and_have_a_numeric_user():
    text = (DOCKER / "Dockerfile").read_text()
    final = text[text.index("FROM ${BASE} AS base") : text.index("FROM base AS playwright")]
    assert "RUN" not in final
    assert re.search(r"^USER (?!0)\d+:(?!0)\d+$", final, flags=re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["', final, flags=re.MULTILINE)


def test_only_what_the_wheel_is_made_of_reaches_the_build():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources


def test_the_policies_of_the_compose_file_are_valid():
    config = load_config(DOCKER / "agent" / "raptor.yaml")
    assert config.store.url == "/var/lib/raptor/sessions"
    assert [policy.name for policy in config.rules.policies] == ["broken", "idle"]
