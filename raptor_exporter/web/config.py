"""``--web.config.file``: TLS and basic authentication, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yaml.nodes import Node

from raptor_exporter.config.document import MAX_BYTES, compose
from raptor_exporter.config.nodes import Kind, kind
from raptor_exporter.config.problems import At, Report
from raptor_exporter.config.scalars import Duration, Number, Text, Word
from raptor_exporter.config.shapes import WRONG, Fields, Items, Key, Shape, Table
from raptor_exporter.exceptions import ConfigError, Problem

VERIFIED: Final = "RequireAndVerifyClientCert"
_IF_GIVEN: Final = "VerifyClientCertIfGiven"
_NO_CERTIFICATE: Final = "NoClientCert"
_CLIENT_AUTH: Final = (_NO_CERTIFICATE, _IF_GIVEN, VERIFIED)
_TLS_VERSIONS: Final = ("TLS12", "TLS13")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """What the server shows and asks. Certificates and keys are paths, or PEM text where inline."""

    cert: str | bytes
    key: str | bytes = field(repr=False)
    client_ca: str | bytes | None = None
    client_auth: str = _NO_CERTIFICATE
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    prefer_server_ciphers: bool = True


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bucket of ``burst`` requests that one is added to every ``interval`` seconds."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A checked web configuration; the default protects nothing."""

    tls: TlsConfig | None = None
    tls_place: tuple[int, int] = (1, 1)  # line and column, for what shows only when files are read
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # bcrypt hashes by name
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None

    @property
    def asks_who_it_is(self) -> bool:
        """Whether every client has shown a password or a certificate that was verified."""
        return bool(self.users) or (self.tls is not None and self.tls.client_auth == VERIFIED)


@dataclass(frozen=True)
class _Flag(Shape):
    """true or false."""

    accepted: str = "true or false"
    only: bool | None = None
    why: str = ""

    def read(self, node: Node, at: At) -> object:
        """The boolean."""
        if kind(node) is not Kind.BOOLEAN or node.value not in ("true", "false"):
            return self.reject(node, at)
        value = node.value == "true"
        if self.only is not None and value is not self.only:
            at.problem(node, f"is {node.value}, {self.why}", self.accepted)
            return WRONG
        return value

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class _Unsupported(Shape):
    """A key of the format that this server leaves to its TLS library."""

    accepted: str = "leaving it out: the TLS library's own choice holds"

    def read(self, node: Node, at: At) -> object:
        """Never a value: a security setting must not be ignored in silence."""
        at.problem(node, "is not supported here", self.accepted)
        return WRONG

    def schema(self) -> dict[str, Any]:
        """Nothing fits."""
        return {"not": {}}


@dataclass(frozen=True)
class _Secret(Shape):
    """A text of a form, which no message repeats: what stands there by mistake may be a password."""

    accepted: str
    pattern: str

    def read(self, node: Node, at: At) -> object:
        """The text as bytes."""
        if kind(node) is Kind.TEXT and re.fullmatch(self.pattern, node.value, re.ASCII):
            return node.value.encode()
        at.problem(node, "is something else", self.accepted)
        return WRONG

    def schema(self) -> dict[str, Any]:
        """A string of that form."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


_FILE = Text("the path of a file, absolute or from this file's directory", r"[^\0]+")
_PEM = _Secret("PEM text", r"\s*-----BEGIN [A-Z ]+-----[\s\S]*")
_TLS = Fields(
    {
        "cert": Key(_PEM, "Certificate (and its chain), inline."),
        "key": Key(_PEM, "Its key, inline."),
        "cert_file": Key(_FILE, "File with the certificate and its chain."),
        "key_file": Key(_FILE, "File with its key."),
        "client_auth_type": Key(Word(_CLIENT_AUTH), "What is asked of clients.", default=_NO_CERTIFICATE),
        "client_ca": Key(_PEM, "Authorities of client certificates, inline."),
        "client_ca_file": Key(_FILE, "File with the authorities of client certificates."),
        "client_allowed_sans": Key(
            Items(Text("a name"), "a list of at least one name", accepted_empty=False),
            "Names of which a client certificate must have one.",
        ),
        "min_version": Key(Word(_TLS_VERSIONS), "Oldest version of TLS.", default="TLS12"),
        "max_version": Key(Word(_TLS_VERSIONS), "Newest version of TLS.", default="TLS13"),
        "prefer_server_cipher_suites": Key(_Flag(), "Whose order of ciphers counts.", default=True),
        "cipher_suites": Key(_Unsupported(), "Left to the library."),
        "curve_preferences": Key(_Unsupported(), "Left to the library."),
    }
)
_HEADER_TEXT = r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|"
_HEADERS = Fields(
    {
        "Content-Security-Policy": Key(Text("a policy in one line", _HEADER_TEXT), "Replaces our own."),
        "X-Frame-Options": Key(Word(("deny", "sameorigin", "")), "Replaces our own."),
        "X-Content-Type-Options": Key(Word(("nosniff", "")), "Replaces our own."),
        "X-XSS-Protection": Key(Text("a value in one line", _HEADER_TEXT), "Added to every answer."),
        "Strict-Transport-Security": Key(Text("a value in one line", _HEADER_TEXT), "Added to every answer."),
    }
)
_HTTP = Fields(
    {
        "http2": Key(_Flag("false: this server speaks HTTP/1.1", only=False, why="not supported"), "Off."),
        "headers": Key(_HEADERS, "Headers of every answer."),
    }
)
_USERS = Table(
    _Secret(
        "a bcrypt hash such as htpasswd -nBC 10 prints",
        r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}",
    ),
    "a mapping of user names to bcrypt hashes, at least one",
)
_RATE = Fields(
    {
        "interval": Key(Duration(off="switches the limit off"), "Time between two requests.", required=True),
        "burst": Key(Number("a whole number, at least 1", 1), "Requests at once.", default=1),
    }
)
_ROOT = Fields(
    {
        "tls_server_config": Key(_TLS, "TLS."),
        "http_server_config": Key(_HTTP, "HTTP."),
        "basic_auth_users": Key(_USERS, "Who may read, by password."),
        "rate_limit": Key(_RATE, "Requests in a time, over all clients."),
    }
)


def load_web_config(path: str) -> tuple[WebConfig, bytes]:
    """The configuration in a file, and its bytes to know it again by.

    Raises:
        ConfigError: it can't be read, or holds all that is wrong with it.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot be read: {reason}, accepted is a YAML file that this user may read"
        raise ConfigError([Problem(path, 1, 1, "", message)]) from error
    return parse_web_config(data, path), data


def parse_web_config(data: bytes, file: str) -> WebConfig:
    """The configuration in a text; relative paths start at the directory of ``file``.

    Raises:
        ConfigError: with everything that is wrong, in the file's order.
    """
    if not data.strip() or all(line.lstrip().startswith(b"#") for line in data.splitlines() if line.strip()):
        return WebConfig()  # the format has no required key
    report = Report(file)
    node = compose(data, file)
    at = At(report)
    values = _ROOT.read(node, at)
    tls, tls_place = None, (1, 1)
    if isinstance(values, dict) and "tls_server_config" in values:
        tls_node = next(value for key, value in node.value if key.value == "tls_server_config")
        tls_place = (tls_node.start_mark.line + 1, tls_node.start_mark.column + 1)
        tls = _tls(values["tls_server_config"], tls_node, at.key("tls_server_config"))
    report.finish()
    if not isinstance(values, dict):
        raise TypeError("a value was wrong, but no problem was noted")
    rate = values.get("rate_limit")
    return WebConfig(
        tls=tls,
        tls_place=tls_place,
        users=dict(values.get("basic_auth_users", ())),
        headers=values.get("http_server_config", {}).get("headers", {}),
        rate_limit=RateLimit(rate["interval"], rate.get("burst", 1)) if rate and rate["interval"] else None,
    )


def _tls(values: dict[str, Any], node: Node, at: At) -> TlsConfig | None:
    if not values:
        return None
    directory = os.path.dirname(at.report.file)

    def either(name: str, *, required: bool) -> str | bytes | None:
        inline, file = values.get(name), values.get(f"{name}_file")
        if inline is not None and file is not None:
            at.key(name).problem(node, f"stands beside {name}_file", "one of them")
        if inline is None and file is None and required:
            at.key(f"{name}_file").problem(node, "is missing", f"{_FILE.accepted}, or {name} with PEM text")
        return inline if inline is not None else os.path.join(directory, file) if file else None

    cert, key = either("cert", required=True), either("key", required=True)
    client_ca = either("client_ca", required=False)
    client_auth = values.get("client_auth_type", _NO_CERTIFICATE)
    sans = values.get("client_allowed_sans", ())
    if client_ca is not None and client_auth == _NO_CERTIFICATE:
        at.key("client_auth_type").problem(
            node, "is missing beside the authorities of clients", f"{VERIFIED} or {_IF_GIVEN}"
        )
    if client_ca is None and client_auth != _NO_CERTIFICATE:
        at.key("client_ca_file").problem(node, f"is missing beside {client_auth}", _FILE.accepted)
    if sans and client_auth != VERIFIED:
        at.key("client_allowed_sans").problem(node, f"needs client_auth_type {VERIFIED}", "both or neither")
    least, most = values.get("min_version", "TLS12"), values.get("max_version", "TLS13")
    if least > most:
        at.key("min_version").problem(node, f"is {least}, above max_version", "TLS12 or TLS13, not above it")
    if cert is None or key is None:
        return None
    prefer = values.get("prefer_server_cipher_suites", True)
    return TlsConfig(cert, key, client_ca, client_auth, tuple(sans), least, most, prefer)
