"""A TLS context from a web configuration, made anew whenever one of its files changes."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from raptor_exporter.web.config import VERIFIED, TlsConfig

_MAX_PEM = 1024 * 1024
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class TlsError(Exception):
    """A certificate or key can't be used; the message names it."""


def read_files(config: TlsConfig) -> dict[str, bytes]:
    """The contents of the files that a configuration names, by path.

    Raises:
        TlsError: one can't be read.
    """
    contents = {}
    for path in (config.cert, config.key, config.client_ca):
        if isinstance(path, str):
            try:
                with open(path, "rb") as stream:
                    contents[path] = stream.read(_MAX_PEM)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise TlsError(f"{path}: cannot be read: {reason}") from error
    return contents


def make_context(config: TlsConfig, contents: Mapping[str, bytes]) -> ssl.SSLContext:
    """A server's context with what the files held when they were read.

    Raises:
        TlsError: a certificate or key is none, or they don't belong together.
    """

    def pem(item: str | bytes) -> bytes:
        return item if isinstance(item, bytes) else contents[item]

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    if not config.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    names = " and ".join(
        item if isinstance(item, str) else "inline PEM" for item in (config.cert, config.key)
    )
    try:
        with _as_file(pem(config.cert)) as cert, _as_file(pem(config.key)) as key:
            # A key with a passphrase would otherwise ask for it on the terminal.
            context.load_cert_chain(cert, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"{names}: no certificate with its key: {_reason(error)}") from error
    if config.client_ca is not None:
        try:
            context.load_verify_locations(cadata=pem(config.client_ca).decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            where = config.client_ca if isinstance(config.client_ca, str) else "client_ca"
            raise TlsError(f"{where}: no certificates of authorities: {_reason(error)}") from error
        context.verify_mode = ssl.CERT_REQUIRED if config.client_auth == VERIFIED else ssl.CERT_OPTIONAL
    return context


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    # The library reads certificates from files alone, and the file may have changed since it was read.
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()


def has_allowed_name(certificate: Mapping[str, Any], allowed: tuple[str, ...]) -> bool:
    """Whether a verified client certificate has one of the names, if any are asked for."""
    return not allowed or any(value in allowed for _, value in certificate.get("subjectAltName", ()))
