"""Like driver.py (same arguments, same report), but through supabase-py: closed loop, one event for each call."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions, create_async_client

from benchmarks.latency import NO_ANSWER, Report, summarise
from benchmarks.requests import Requests

TIMEOUT_SECONDS = 12.0


async def run(options: argparse.Namespace) -> Report:
    """Calls until the requests or the time run out."""
    requests = Requests(options.requests)
    count = min(options.count, len(requests) - options.skip)
    calls = [read_call(requests[options.skip + index]) for index in range(count)]
    client = await open_client(f"http://{options.target[0]}", calls[0][2], options.connections)
    statuses: list[int] = []
    latencies: list[float] = []
    began = time.perf_counter()
    began_cpu = time.process_time()

    async def one_after_another() -> None:
        while len(statuses) < count and time.perf_counter() - began < options.seconds:
            index = len(statuses)
            statuses.append(NO_ANSWER)
            function, arguments, _ = calls[index]
            sent = time.perf_counter()
            try:
                await client.rpc(function, arguments).execute()
            except (APIError, httpx.HTTPError):
                continue  # counts as unanswered
            latencies.append(time.perf_counter() - sent)
            statuses[index] = 200

    async with asyncio.TaskGroup() as tasks:
        for _ in range(options.connections):
            tasks.create_task(one_after_another())
    return summarise(statuses, latencies, time.perf_counter() - began, time.process_time() - began_cpu)


def read_call(request: bytes) -> tuple[str, dict[str, Any], str]:
    """Function, arguments and key of a captured call."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return first.split()[1].rpartition("/")[2], json.loads(body), headers["apikey"]


async def open_client(url: str, key: str, connections: int) -> AsyncClient:
    """A client over HTTP/1.1, with a connection for each call in flight."""
    http = httpx.AsyncClient(
        timeout=TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=False,
    )
    options = AsyncClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
    return await create_async_client(url, key, options)


def main() -> int:
    """Runs one load and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.rpc_client", description=__doc__)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0)
    print(json.dumps(uvloop.run(run(parser.parse_args())).to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
