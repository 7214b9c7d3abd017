"""The bearer token, read from a file that may change while the process runs."""

import hmac
from pathlib import Path


class TokenFile:
    """Compares tokens with the content of a file; the file is read anew when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._token = b""
        self._load()

    def accepts(self, authorization: str | None) -> bool:
        """Tell whether an Authorization header carries the token, in constant time."""
        self._load()
        scheme, _, given = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    def _load(self) -> None:
        stat = self._path.stat()  # follows the links by which a mounted Secret is swapped
        version = (stat.st_mtime_ns, stat.st_ino)
        if version == self._seen:
            return
        token = self._path.read_bytes().strip()
        if not token:
            raise ValueError(f"{self._path} holds no token")
        self._seen, self._token = version, token
