"""Addresses of this machine that do not answer, as those of a machine that is off or behind a firewall."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def silent_addresses(count: int) -> Iterator[tuple[list[str], int]]:
    """Give addresses, and a port at which the kernel drops every connection: the queues of the listeners are full."""
    addresses = [f"127.0.77.{number + 1}" for number in range(count)]
    with ExitStack() as stack:
        port = 0
        for address in addresses:
            listener = stack.enter_context(socket.socket())
            listener.bind((address, port))
            listener.listen(0)
            port = listener.getsockname()[1]
            for _ in range(3):
                client = stack.enter_context(socket.socket())
                client.settimeout(0.2)
                with suppress(TimeoutError):
                    client.connect((address, port))
        yield addresses, port


@contextmanager
def mute_server() -> Iterator[int]:
    """Give the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield int(listener.getsockname()[1])
