"""Servers for metrics, probes and reports, on IPv4 and IPv6 alike."""

from __future__ import annotations

import errno
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT)


class _Server(ThreadingHTTPServer):
    def __init__(self, family: socket.AddressFamily, address: str, port: int, handler: type[BaseHTTPRequestHandler]):
        self.address_family = family
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            # One socket for both, whatever the system's default is.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def bind(address: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server that is bound but does not answer yet: everywhere for an empty address. Raises OSError."""
    if address:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(family, address, port, handler)
    if socket.has_dualstack_ipv6():
        try:
            return _Server(socket.AF_INET6, "::", port, handler)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return _Server(socket.AF_INET, "", port, handler)
