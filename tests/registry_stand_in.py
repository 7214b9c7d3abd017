"""A stand-in for a schema registry: the two requests of its REST protocol by which readers find schemas.

Confluent's registry is in no package registry that tests may use; its protocol is
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class RegistryStandIn:
    """Schemas are added in Python, and read over HTTP or HTTPS."""

    def __init__(self, user: str = "", certificate: Path | None = None) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], int] = {}
        self.asked: list[str] = []
        self.down = False
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                wanted = f"Basic {base64.b64encode(user.encode()).decode()}"
                if registry.down:
                    self._answer(503, {"error_code": 50003, "message": "down"})
                elif user and self.headers.get("Authorization") != wanted:
                    self._answer(401, {"error_code": 401, "message": "Unauthorized"})
                else:
                    self._schema(urlsplit(self.path))

            def _schema(self, url: Any) -> None:
                match [unquote(part) for part in url.path.strip("/").split("/")]:
                    case ["schemas", "ids", number]:
                        found = registry.schemas.get(int(number))
                    case ["subjects", subject, "versions", version]:
                        found = registry.schemas.get(registry.subjects.get((subject, int(version)), 0))
                    case _:
                        found = None
                if found is None:
                    self._answer(404, {"error_code": 40403, "message": "Schema not found"})
                    return
                form = parse_qs(url.query).get("format", [""])[0]
                text = found["serialized"] if form == "serialized" and "serialized" in found else found["schema"]
                body = {"schema": text, "references": found["references"]}
                # As the real one does: absent for Avro.
                kind = {} if found["type"] == "AVRO" else {"schemaType": found["type"]}
                self._answer(200, body | kind)

            def _answer(self, status: int, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Tests say what they need."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(
        self, number: int, schema: str, kind: str = "AVRO", *, subject: str = "", references=(), **more: str
    ) -> None:
        """Know a schema by its id, and where others import it, by a subject of version 1."""
        self.schemas[number] = {"schema": schema, "type": kind, "references": list(references), **more}
        if subject:
            self.subjects[subject, 1] = number

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
