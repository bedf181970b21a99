"""A client of a Dask cluster, for `evalib sweep` and `evalib grade`: light, so without Keras."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from distributed import Client, Security, rpc

CONNECT_SECONDS = 5


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's log from the terminal: what matters of it is in the results."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of a scheduler that has a worker, or a RuntimeError after some seconds."""

    async def ask() -> str:
        options = Security().get_connection_args("client")
        async with rpc(address, connection_args=options) as server:
            return str((await server.identity())["type"])

    with quiet():
        try:  # a port of another kind, such as a dashboard's, would never answer a client
            kind = asyncio.run(asyncio.wait_for(ask(), CONNECT_SECONDS))
        except Exception as error:
            kind = f"no answer ({type(error).__name__})"
        if kind != "Scheduler":
            hint = "give the address that `dask scheduler` prints, not that of its dashboard"
            raise RuntimeError(f"expected a Dask scheduler at {address}, got {kind}: {hint}")
        with Client(address, timeout=CONNECT_SECONDS) as client:
            try:
                client.wait_for_workers(1, timeout=2 * CONNECT_SECONDS)
            except TimeoutError:
                hint = f"start one with `dask worker {address}`"
                raise RuntimeError(f"there is no worker: {hint}") from None
            yield client
