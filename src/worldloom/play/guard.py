"""Who may talk to a server on this machine: the page that it served, nobody else.

Any web page can reach a local socket, and a name server can make a foreign name
point here. So the Host of every request must be this machine, and its Origin,
where a browser sends one, this server. Whoever passes still needs the access token.
"""

import hmac
import ipaddress
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worldloom.errors import WorldloomError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Guard:
    """Lets through only what comes from this machine and this server's own page.

    Args:
      app: what is guarded.
      open_to: the address that the server is bound to. Beyond the loopback
        device numeric addresses are accepted too: a page that was rebound by
        its name server always comes under a name.
    """

    def __init__(self, app: ASGIApp, open_to: str) -> None:
        self._app = app
        self._names = {"localhost", "127.0.0.1", "::1", open_to}
        self._numeric = not _loopback(open_to)
        if self._numeric:
            self._names.add(socket.gethostname())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if not self._known(host) or (origin is not None and _place(origin).netloc != host):
            refusal = PlainTextResponse("this server is for this machine's own page\n", 403)
            if scope["type"] == "http":
                return await refusal(scope, receive, send)
            return await send({"type": "websocket.close", "code": 1008})

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_safe_headers(host)]}
            await send(message)

        await self._app(scope, receive, send_safely)

    def _known(self, host: str) -> bool:
        name = _place(f"//{host}").hostname or ""
        return name in self._names or (self._numeric and _is_address(name))


def admit(request: Request, token: str) -> None:
    """Refuses a request that does not bring the token in its address."""
    if not same_token(request.query_params.get("token", ""), token):
        raise HTTPException(403, "the access token is missing or old")


def same_token(given: str, token: str) -> bool:
    """Compares in a time that tells nothing."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def read_token(path: str | None) -> str:
    """A fresh token, or the one in a file, which is made for its owner alone where missing."""
    if path is None:
        return secrets.token_urlsafe(16)
    file = Path(path)
    try:
        with suppress(FileExistsError), open(os.open(path, _NEW, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(16) + "\n")
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorldloomError(
            f"cannot use `{path}` as a token file: {error}", "name a file that you may write"
        ) from error
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise WorldloomError(
            f"`{path}` has no access token of 16 or more letters and digits", "delete the file"
        )
    return token


def _place(url: str) -> SplitResult:
    """The parts of a URL; all of them empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _safe_headers(host: str) -> list[tuple[bytes, bytes]]:
    """The page runs its own files and talks to its own server, nothing else."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-cache"),
    ]
