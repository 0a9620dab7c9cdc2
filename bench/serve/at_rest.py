#!/usr/bin/env python3
"""What a server costs before it does anything: seconds to the ready line, memory beside that of its weights, and the CPU time
an idle one uses. Linux only: reads /proc.

  python3 bench/serve/at_rest.py MODEL.gguf -- --threads 2      (what follows -- are flags of `retort serve`)
"""

import argparse
import time
import urllib.request
from pathlib import Path

from server_process import ServerProcess


def ask(url: str):
    body = b'{"prompt": "Once upon a time", "max_tokens": 64, "ignore_eos": true}'
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url + "/v1/completions", body, headers), timeout=600).read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--binary", default="build/release/retort")
    parser.add_argument("--seconds", type=float, default=30, help="how long the idle server is watched (30)")
    parser.add_argument("flags", nargs="*")
    args = parser.parse_args()
    with args.model.open("rb") as file:  # so that the disk is not what is measured
        while file.read(1 << 24):
            pass
    start = time.monotonic()
    server = ServerProcess(args.binary, args.model, args.flags)
    try:
        url = server.wait_until_ready()
        seconds = time.monotonic() - start
        ready = server.resident_bytes()
        ask(url)
        asked, before = server.resident_bytes(), server.cpu_seconds()
        time.sleep(args.seconds)
        used = server.cpu_seconds() - before
    finally:
        server.stop()
    size = args.model.stat().st_size
    print(f"ready after {seconds:.2f} s")
    print(f"resident: {ready / 1e6:.0f} MB when ready, {asked / 1e6:.0f} MB after one answer of 64 tokens")
    print(f"          {asked / size:.2f} times the file's {size / 1e6:.0f} MB")
    print(f"idle: {1e3 * used:.0f} ms of CPU time in {args.seconds:.0f} s")


if __name__ == "__main__":
    main()
