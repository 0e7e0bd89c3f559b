"""The exec probe that docs/operating.md gives for agents that ask for client certificates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.agent import running_agent
from support.certificates import self_signed
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


def documented_probe() -> list[str]:
    """The command of the page's livenessProbe."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    block = text[text.index("    livenessProbe:") :].partition("\n\n")[0]
    return yaml.safe_load(block)["livenessProbe"]["exec"]["command"]


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


def probe(certificate, address: str) -> int:
    """Run it as the kubelet would, with the test's files and port in place of the pod's."""
    program, *arguments = documented_probe()
    assert program == "python"
    given = {
        "/etc/raptor-tls/ca.crt": str(certificate.cert),
        "/etc/raptor-tls/tls.crt": str(certificate.cert),
        "/etc/raptor-tls/tls.key": str(certificate.key),
        "localhost:19222": address.replace("127.0.0.1", "localhost"),
    }
    for written, here in given.items():
        assert any(written in argument for argument in arguments), written
        arguments = [argument.replace(written, here) for argument in arguments]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=False)
    return done.returncode


def test_the_probe_passes_a_living_agent_and_fails_a_dead_one(certificate, store_dir, tmp_path):
    web = tmp_path / "web.json"
    web.write_text(
        json.dumps(
            {
                "tls_server_config": {
                    "cert_file": str(certificate.cert),
                    "key_file": str(certificate.key),
                    "client_ca_file": str(certificate.cert),
                    "client_auth_type": "RequireAndVerifyClientCert",
                }
            }
        )
    )
    arguments = ("--store", str(store_dir), "--web.config.file", str(web))
    with running_agent(*arguments, wait_ready=False) as agent:
        eventually(lambda: agent.address, what="listening")
        assert probe(certificate, agent.address) == 0
        assert agent.end() == 0
        assert probe(certificate, agent.address) == 1
