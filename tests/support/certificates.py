"""Self-signed certificates by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def self_signed(
    directory: Path, names: Sequence[str] = ("IP:127.0.0.1", "DNS:localhost"), days: int = 2
) -> Certificate:
    """A certificate for the names, each written as OpenSSL does (``DNS:host``, ``IP:127.0.0.1``)."""
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    alternatives = f"subjectAltName={','.join(names)}"
    request(made.key, "test", "-x509", "-out", made.cert, "-days", days, "-addext", alternatives)
    return made


def request(key: Path, name: str, *arguments: object) -> None:
    """``openssl req`` with a new key, for the common name."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", *curve, "-keyout", key, "-subj", f"/CN={name}", *arguments)


def openssl(*arguments: object) -> None:
    """Run it; CalledProcessError where it fails."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
