"""Tells systemd when the service is ready and stops (sd_notify's protocol)."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

logger = logging.getLogger(__name__)


class Notifier:
    """Sends states to the socket that ``NOTIFY_SOCKET`` names; without one it does nothing.

    A supervisor that can't be told is logged once and never a reason to fail.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        # Taken out of the environment: processes that we start must not speak for us.
        self._address = environment.pop("NOTIFY_SOCKET", "")
        self._complained = False

    def ready(self, status: str = "") -> None:
        """The service answers."""
        self._send("READY=1", *_status(status))

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(*_status(text))

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # An @ stands for the NUL byte of an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.settimeout(0)
                notify.connect(address)
                notify.sendall("\n".join(assignments).encode())
        except OSError as error:
            if not self._complained:
                logger.warning("systemd can't be notified", extra={"error": str(error)})
            self._complained = True


def _status(text: str) -> tuple[str, ...]:
    # A line end would begin another assignment.
    return ("STATUS=" + " ".join(text.split()),) if text else ()
