from __future__ import annotations

import bcrypt
import pytest

from raptor_exporter.exceptions import ConfigError
from raptor_exporter.web.config import RateLimit, TlsConfig, WebConfig, load_web_config, parse_web_config

HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n\n  # at all\n", "{}\n", "---\n{}\n"])
def test_a_file_without_a_key_protects_nothing(text):
    config = parse_web_config(text.encode(), "web.yml")
    assert (config.tls, dict(config.users), config.rate_limit) == (None, {}, None)
    assert not config.asks_who_it_is


def test_the_whole_format_is_read():
    text = f"""\
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: sub/ca.crt
  client_allowed_sans: [prometheus.example]
  min_version: TLS13
  max_version: TLS13
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  ada: {HASH}
  "1": {HASH}
rate_limit:
  interval: 100ms
  burst: 20
"""
    config = parse_web_config(text.encode(), "/etc/raptor/web.yml")
    assert config == WebConfig(
        tls=TlsConfig(
            cert="/etc/raptor/server.crt",
            key="/keys/server.key",
            client_ca="/etc/raptor/sub/ca.crt",
            client_auth="RequireAndVerifyClientCert",
            client_allowed_sans=("prometheus.example",),
            min_version="TLS13",
            max_version="TLS13",
            prefer_server_ciphers=False,
        ),
        tls_place=(2, 3),
        users={"ada": HASH.encode(), "1": HASH.encode()},
        headers={
            "Content-Security-Policy": "default-src 'self'",
            "X-Frame-Options": "sameorigin",
            "X-Content-Type-Options": "nosniff",
            "X-XSS-Protection": "0",
            "Strict-Transport-Security": "max-age=31536000",
        },
        rate_limit=RateLimit(0.1, 20),
    )
    assert config.asks_who_it_is
    assert HASH not in repr(config)


@pytest.mark.parametrize(
    ("tls", "asks"),
    [
        ("", False),
        ("client_auth_type: NoClientCert", False),
        ("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca", False),
        ("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca", True),
    ],
)
def test_tls_alone_tells_nothing_of_the_client_and_a_verified_certificate_does(tls, asks):
    config = parse_web_config(f"tls_server_config: {{cert_file: c, key_file: k, {tls}}}".encode(), "web.yml")
    assert config.asks_who_it_is is asks


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "web.yml:1:1: is a list, accepted is a mapping of "),
        ("basic_auth_user: {}", "web.yml:1:1: basic_auth_user: is an unknown key, accepted is "),
        ("basic_auth_users: {}", "web.yml:1:19: basic_auth_users: is an empty mapping, accepted is "),
        (
            "basic_auth_users:\n  ada: secret",
            "web.yml:2:8: basic_auth_users.ada: is something else, accepted is ",
        ),
        (
            "tls_server_config:\n  key: secret\n  cert: secret",
            "web.yml:2:8: tls_server_config.key: is something",
        ),
        (
            f"basic_auth_users:\n  ada: {HASH}\n  ada: {HASH}",
            "web.yml:3:3: basic_auth_users.ada: is a duplicate",
        ),
        ("tls_server_config:\n  cert_file: a", "web.yml:2:3: tls_server_config.key_file: is missing"),
        ("tls_server_config: {key_file: a}", "web.yml:1:20: tls_server_config.cert_file: is missing"),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
            "web.yml:1:20: tls_server_config.client_auth_type: is missing beside the authorities",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
            "web.yml:1:20: tls_server_config.client_ca_file: is missing beside RequireAndVerifyClientCert",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}",
            'tls_server_config.client_auth_type: is "RequireAnyClientCert", accepted is NoClientCert, ',
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
            'tls_server_config.min_version: is "TLS10", accepted is TLS12 or TLS13',
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
            "tls_server_config.min_version: is TLS13, above max_version",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, cipher_suites: [X]}",
            "tls_server_config.cipher_suites: is not supported here, accepted is leaving it out",
        ),
        (
            "tls_server_config: {cert_file: a, cert: '-----BEGIN CERTIFICATE-----', key_file: b}",
            "tls_server_config.cert: stands beside cert_file",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [x]}",
            "tls_server_config.client_allowed_sans: needs client_auth_type",
        ),
        (
            "http_server_config: {http2: true}",
            "http_server_config.http2: is true, not supported, accepted is false",
        ),
        (
            "http_server_config: {headers: {X-Other: a}}",
            "http_server_config.headers.X-Other: is an unknown key",
        ),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nB: c"}}', "headers.X-XSS-Protection: is "),
        ("rate_limit: {interval: 5}", "rate_limit.interval: is the number 5 without a unit"),
        ("rate_limit: {burst: 5}", "rate_limit.interval: is missing"),
        ("a: [", "web.yml:2:1: not valid YAML"),
    ],
)
def test_every_mistake_is_told_at_its_place_with_what_is_accepted(text, problem):
    with pytest.raises(ConfigError) as caught:
        parse_web_config(text.encode(), "web.yml")
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse_web_config(b"nonsense: 1\nrate_limit: 2\nbasic_auth_users: 3\n", "web.yml")
    assert [p.line for p in caught.value.problems] == [1, 2, 3]


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yml:1:1: cannot be read: No such file"):
        load_web_config(str(tmp_path / "none.yml"))
