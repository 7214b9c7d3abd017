"""TLS of the webhook: served by the certificate's files, and by renewed ones without a restart."""

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from certificates import make_certificate
from remediator.__main__ import main
from remediator.receiver.certificate import Certificate

Make = Callable[[str], None]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a certificate of its own issuer, named after the argument, and its key."""

    def run(name: str) -> None:
        make_certificate(tmp_path / "tls.key", tmp_path / "tls.crt", name=name, host="DNS:localhost")

    run("first")
    return run


@pytest.fixture
async def url(make: Make, tmp_path: Path) -> AsyncIterator[str]:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    context = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key").context
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def get(url: str, authority: str) -> str:
    async with httpx.AsyncClient(verify=ssl.create_default_context(cadata=authority)) as client:
        return (await client.get(url)).text


async def test_a_renewed_certificate_is_served_at_once(url: str, make: Make, tmp_path: Path) -> None:
    first = (tmp_path / "tls.crt").read_text()
    assert await get(url, first) == "hello"
    make("second")
    assert await get(url, (tmp_path / "tls.crt").read_text()) == "hello"
    with pytest.raises(httpx.ConnectError):
        await get(url, first)


async def test_half_a_renewal_leaves_the_old_one(url: str, make: Make, tmp_path: Path) -> None:
    first = (tmp_path / "tls.crt").read_text()
    key = (tmp_path / "tls.key").read_bytes()
    make("second")
    (tmp_path / "tls.key").write_bytes(key)
    assert await get(url, first) == "hello"


def test_a_certificate_needs_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["receiver", "--namespace=a", "--token-file=t", "--tls-cert-file=c"])
    assert "belong together" in capsys.readouterr().err
