"""The webhook's certificate, read from files that may change while the process runs."""

import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)


class Certificate:
    """Serves TLS by a certificate; the files are read anew when they have changed, for the next connection on."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate, self._key = certificate, key
        self._seen = self._version()
        self._current = self._load()
        self.context = self._load()
        """What a server is started with; each handshake gets the newest one instead."""
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        try:
            version = self._version()
            if version != self._seen:
                self._current = self._load()
                self._seen = version
        except (OSError, ssl.SSLError) as error:
            # Half of a renewal, perhaps. The old one may still be good, and no alert shall be lost by it.
            log.error("certificate cannot be read", extra={"error": str(error)})
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key)
        return context

    def _version(self) -> list[tuple[int, int]]:
        # stat follows the links by which a mounted Secret is swapped.
        return [(stat.st_mtime_ns, stat.st_ino) for stat in (self._certificate.stat(), self._key.stat())]
