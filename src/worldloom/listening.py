"""A bound socket for a server, or one sentence on why there is none."""

import socket

from worldloom.errors import WorldloomError


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound and listens.

    Args:
      host: name or address of one of this machine's interfaces.
      port: 0 takes any free one.

    Raises:
      WorldloomError: there is no such address, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, OverflowError, UnicodeError) as error:
        raise WorldloomError(f"`{host}:{port}` is no address: {error}", "try 127.0.0.1") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise WorldloomError(
            f"cannot serve on port {port} of {host}: {str(reason).lower()}",
            "pass --port 0 for any free port",
        ) from error
    return listener
