"""Makes a port of the namespace reachable on 127.0.0.1 outside of it: ``python -m cluster.forwarder``.

The listening socket is bound first, outside; then the process enters the namespace, where its connections go out.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
from pathlib import Path

from .daemons import Daemons
from .namespaces import Namespace

NAME = "forwarder"
_CLONE_NEWNET = 0x40000000
_PACKAGE = Path(__file__).resolve().parents[1]


def start(daemons: Daemons, outside: int, namespace: Namespace, host: str, port: int) -> None:
    """Start it as one of a cluster's daemons."""
    command = [sys.executable, "-m", "cluster.forwarder", str(outside), str(namespace.file), host, str(port)]
    daemons.start(NAME, command, {"PYTHONPATH": str(_PACKAGE)})


def enter_namespace(path: str) -> None:
    """Move this process into a network namespace; sockets that are open stay where they are."""
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Forward every connection of the listener."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        for end in (writer, inner_writer):
            end.close()

    server = await asyncio.start_server(handle, sock=listener)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()  # only this direction is over: the answer may still be on its way
    except OSError:
        writer.close()


def main() -> None:
    """Run with: outside port, namespace file, inside host, inside port."""
    outside, namespace, host, port = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(outside)), backlog=64)
    enter_namespace(namespace)
    asyncio.run(serve(listener, host, int(port)))


if __name__ == "__main__":
    main()
