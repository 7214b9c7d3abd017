"""A schema registry that speaks Confluent's REST protocol: schemas by the id in a record, kept for good.

Confluent's, Karapace, Apicurio (its ``ccompat`` endpoint) and Redpanda's do.
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Final

import msgspec

from data_monitor.adapters.kafka import Unavailable
from data_monitor.config import SchemaRegistry
from data_monitor.errors import InputError

_TIMEOUT_SECONDS: Final = 10.0


class Reference(msgspec.Struct):
    """A schema that another one imports."""

    name: str
    subject: str
    version: int


class Schema(msgspec.Struct, rename="camel"):
    """What the registry answers."""

    schema: str
    schema_type: str = "AVRO"
    references: list[Reference] = []


class Registry:
    """One registry."""

    def __init__(self, settings: SchemaRegistry) -> None:
        self._url = settings.url.rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        # From a Secret whose keys are a name and a password.
        name, password = (os.environ.get(f"SCHEMA_REGISTRY_{key}", "") for key in ("USERNAME", "PASSWORD"))
        if name:
            basic = base64.b64encode(f"{name}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}"
        try:
            self._tls = ssl.create_default_context(cafile=settings.ca_file)
            if settings.certificate_file:
                self._tls.load_cert_chain(settings.certificate_file, settings.key_file)
        except OSError as error:
            raise InputError(f"schemaRegistry: its certificates cannot be read: {error}") from error

    def by_id(self, number: int, form: str = "") -> Schema | None:
        """A schema; None where the registry has no such. Raises Unavailable."""
        return self._get(f"/schemas/ids/{number}", form)

    def reference(self, wanted: Reference, form: str = "") -> Schema | None:
        """A schema that another one imports. Raises Unavailable."""
        return self._get(f"/subjects/{urllib.parse.quote(wanted.subject, safe='')}/versions/{wanted.version}", form)

    def _get(self, path: str, form: str) -> Schema | None:
        url = self._url + path + (f"?format={form}" if form else "")
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=self._tls) as answer:  # noqa: S310
                return msgspec.json.decode(answer.read(), type=Schema)
        except urllib.error.HTTPError as error:
            if error.code in (404, 422):
                return None
            raise Unavailable(f"schema registry: {url}: {error.code} {error.reason}") from error
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(f"schema registry: {url}: {getattr(error, 'reason', error)}") from error


def number_of(record: bytes) -> int | None:
    """The id of a record's schema: a zero and four bytes before the data; None where there is none."""
    return int.from_bytes(record[1:5]) if len(record) >= 5 and record[0] == 0 else None
