"""TLS and client certificates, swapped while the server runs, with a real Prometheus scraping."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
from pathlib import Path

import bcrypt
import pytest
from support.agent_view import View, seven_sessions
from support.certificates import Certificate, openssl, request
from support.http_face import ask, host_port, serving
from support.prometheus import running_prometheus
from support.waiting import eventually

from raptor_exporter.exceptions import ConfigError
from raptor_exporter.web.server import HttpServer

PASSWORD = "correct horse"


class Authority:
    """Signs certificates, expired ones too."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.cert = directory / "ca.pem"
        self.key = directory / "ca.key"
        request(self.key, "authority", "-x509", "-out", self.cert, "-days", 2)

    def sign(self, name, *, days=2, san="DNS:localhost,IP:127.0.0.1"):
        made = Certificate(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        csr, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={san}\n")
        request(made.key, name, "-new", "-out", csr)
        openssl(
            *("x509", "-req", "-in", csr, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial"),
            *("-days", days, "-extfile", extensions, "-out", made.cert),
        )
        return made

    def trusting(self, client: Certificate | None = None):
        context = ssl.create_default_context(cafile=str(self.cert))
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def install(certificate, directory):
    """Put a certificate where the server looks, as a mounted secret does: whole, by rename."""
    for source, target in [(certificate.cert, "server.crt"), (certificate.key, "server.key")]:
        shutil.copy(source, directory / f"{target}.new")
        os.replace(directory / f"{target}.new", directory / target)


def write_config(directory, **sections):
    tls = {"cert_file": "server.crt", "key_file": "server.key", **sections.pop("tls", {})}
    file = directory / "web.yml"
    file.write_text(json.dumps({"tls_server_config": tls, **sections}))
    return str(file)


def test_a_page_comes_over_tls_and_nothing_over_plain_http(authority, tmp_path):
    install(authority.sign("a"), tmp_path)
    with serving(seven_sessions(), web_config_file=write_config(tmp_path)) as server:
        assert ask(server, "/metrics", context=authority.trusting()).status == 200
        with pytest.raises(OSError, match=r"reset|closed|without response"):
            ask(server, "/metrics")


@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
def test_versions_below_the_least_are_refused(authority, tmp_path, version):
    install(authority.sign("a"), tmp_path)
    with serving(View(), web_config_file=write_config(tmp_path, tls={"min_version": version})) as server:
        assert ask(server, "/-/healthy", context=authority.trusting()).status == 200
        old = authority.trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        if version == "TLS12":
            assert ask(server, "/-/healthy", context=old).status == 200
        else:
            with pytest.raises(OSError, match=r"alert|reset|EOF"):
                ask(server, "/-/healthy", context=old)


def test_a_renewed_certificate_holds_from_the_next_connection_on(authority, tmp_path):
    expired, renewed = authority.sign("expired", days=-1), authority.sign("renewed")
    install(expired, tmp_path)
    context = authority.trusting()
    with serving(View(), web_config_file=write_config(tmp_path)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            ask(server, "/-/healthy", context=context)
        install(renewed, tmp_path)

        def answers():
            with contextlib.suppress(ssl.SSLError):
                return ask(server, "/-/healthy", context=context).status == 200
            return False

        eventually(answers)


def test_a_bad_certificate_leaves_the_old_one_in_force_and_is_told_once(authority, tmp_path, caplog):
    install(authority.sign("a"), tmp_path)
    context = authority.trusting()
    with serving(View(), web_config_file=write_config(tmp_path), lifecycle=True) as server:
        (tmp_path / "server.crt").write_text("no certificate at all")
        for _ in range(2):
            answer = ask(server, "/-/reload", "POST", context=context)
            assert answer.status == 500
            assert f"{tmp_path}/web.yml:1:23: tls_server_config: {tmp_path}/server.crt and " in answer.text
        assert ask(server, "/-/healthy", context=context).status == 200
        assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
            "the web configuration is wrong, the old one stays in force"
        ]
        install(authority.sign("b"), tmp_path)
        assert ask(server, "/-/reload", "POST", context=context).status == 200


def test_tls_and_passwords_come_and_go_with_the_file(authority, tmp_path):
    install(authority.sign("a"), tmp_path)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    file = tmp_path / "web.yml"
    file.write_text("# open\n")
    with serving(seven_sessions(), web_config_file=str(file), lifecycle=True) as server:
        assert ask(server, "/metrics").status == 200
        write_config(tmp_path, basic_auth_users={"ada": hashed})
        context = authority.trusting()
        eventually(lambda: _status(server, context) == 401)
        file.write_text("# open again\n")
        eventually(lambda: _status(server, None) == 200)


def _status(server, context):
    with contextlib.suppress(OSError):
        return ask(server, "/metrics", context=context).status


def test_only_clients_with_a_verified_certificate_of_an_allowed_name_get_in(authority, tmp_path):
    install(authority.sign("a"), tmp_path)
    known = authority.sign("client", san="DNS:prometheus.example")
    unnamed = authority.sign("other", san="DNS:other.example")
    (tmp_path / "foreign").mkdir()
    foreign = Authority(tmp_path / "foreign").sign("client", san="DNS:prometheus.example")
    tls = {
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.cert),
        "client_allowed_sans": ["prometheus.example"],
    }
    with serving(seven_sessions(), "0.0.0.0:0", web_config_file=write_config(tmp_path, tls=tls)) as server:
        answer = ask(server, "/api/v1/sessions", context=authority.trusting(known))
        assert "nightly-42" in answer.text
        for client in (None, unnamed, foreign):
            with pytest.raises(OSError, match=r"alert|reset|EOF|closed"):
                ask(server, "/-/healthy", context=authority.trusting(client))


def test_certificates_may_stand_in_the_file_itself(authority, tmp_path):
    made = authority.sign("inline")
    tls = {"cert": made.cert.read_text(), "key": made.key.read_text()}
    file = tmp_path / "web.yml"
    file.write_text(json.dumps({"tls_server_config": tls}))
    with serving(View(), web_config_file=str(file)) as server:
        assert ask(server, "/-/healthy", context=authority.trusting()).status == 200


@pytest.mark.parametrize("missing", ["server.crt", "server.key", "web.yml"])
def test_a_missing_file_stops_the_start_before_anything_listens(authority, tmp_path, missing):
    install(authority.sign("a"), tmp_path)
    file = write_config(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigError, match=f"{missing}.*cannot be read: No such file"):
        HttpServer(View(), "127.0.0.1:0", web_config_file=file)


def test_key_and_certificate_that_do_not_belong_together_stop_the_start(authority, tmp_path):
    install(authority.sign("a"), tmp_path)
    shutil.copy(authority.sign("b").key, tmp_path / "server.key")
    with pytest.raises(ConfigError, match=r"web\.yml:1:23: tls_server_config: .*key values mismatch"):
        HttpServer(View(), "127.0.0.1:0", web_config_file=write_config(tmp_path))


def test_configured_headers_replace_ours_and_the_rate_is_limited(tmp_path):
    file = tmp_path / "web.yml"
    file.write_text(
        "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=9}}\n"
        "rate_limit: {interval: 1h, burst: 3}\n"
    )
    with serving(View(), web_config_file=str(file)) as server:
        answers = [ask(server, "/metrics") for _ in range(4)]
        assert ask(server, "/-/healthy").status == 200
    assert [a.status for a in answers] == [200, 200, 200, 429]
    for answer in answers:
        assert answer.headers["x-frame-options"] == "sameorigin"
        assert answer.headers["strict-transport-security"] == "max-age=9"
        assert answer.headers["x-content-type-options"] == "nosniff"


def scrape(jobs):
    """A configuration for Prometheus that asks often."""
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}


def test_prometheus_scrapes_over_tls_with_a_password_and_nothing_without(authority, tmp_path):
    install(authority.sign("a"), tmp_path)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    file = write_config(tmp_path, basic_auth_users={"ada": hashed})
    with serving(seven_sessions(), "0.0.0.0:0", web_config_file=file) as server:
        port = host_port(server)[1]
        common = {
            "scheme": "https",
            "tls_config": {"ca_file": str(authority.cert)},
            "static_configs": [{"targets": [f"localhost:{port}"]}],
        }
        jobs = [
            {"job_name": "right", "basic_auth": {"username": "ada", "password": PASSWORD}, **common},
            {"job_name": "wrong", "basic_auth": {"username": "ada", "password": "guess"}, **common},
            {"job_name": "none", **common},
            {"job_name": "plain", "static_configs": common["static_configs"]},
            {"job_name": "distrust", "scheme": "https", "static_configs": common["static_configs"]},
        ]
        with running_prometheus(tmp_path, scrape(jobs)) as prometheus:

            def health():
                targets = prometheus.api("targets")["activeTargets"]
                return {t["labels"]["job"]: t["health"] for t in targets}

            down = dict.fromkeys(("wrong", "none", "plain", "distrust"), "down")
            eventually(lambda: health() == {"right": "up", **down}, within=60)
            series = eventually(lambda: prometheus.query("raptor_sessions"))
            values = {dict(labels)["state"]: value for labels, value in series.items()}
            assert values == {"valid": 5, "invalid": 1, "unreadable": 1}


def test_prometheus_keeps_scraping_through_500_slow_clients(tmp_path):
    with serving(seven_sessions()) as server, contextlib.ExitStack() as stack:
        host, port = host_port(server)
        job = {"job_name": "raptor", "static_configs": [{"targets": [f"{host}:{port}"]}]}
        with running_prometheus(tmp_path, scrape([job])) as prometheus:

            def samples():
                """How many scrapes have worked."""
                return prometheus.value("sum(sum_over_time(up[5m]))") or 0

            eventually(lambda: samples() >= 2, within=30)
            for number in range(500):
                slow = stack.enter_context(socket.create_connection((host, port), 10))
                slow.sendall(
                    [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: local", b"\x16\x03\x01"][number % 4]
                )
            before = samples()
            eventually(lambda: samples() >= before + 6, within=60)
