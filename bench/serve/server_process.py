"""A `retort serve` of one's own: started, watched from outside, ended. Linux only: reads /proc."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

READY = re.compile(r"ready at (http://\S+)")


def name_and_cpu_seconds(stat: Path) -> tuple[str, float]:
    """Of a process or a thread, from its /proc/…/stat (proc(5)): user and system time are fields 14 and 15."""
    head, _, tail = stat.read_text().rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_by_thread(pid: int) -> dict[str, float]:
    """Seconds of CPU time by names of threads; those that have ended are not in it."""
    seconds: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, used = name_and_cpu_seconds(task / "stat")
        seconds[name] = seconds.get(name, 0) + used
    return seconds


class ServerProcess:
    """Its log goes to a file, so that nobody has to read along for it to go on."""

    def __init__(self, binary: str, model: Path, flags: list[str]):
        self._log = tempfile.NamedTemporaryFile(prefix="retort_serve_", suffix=".log")
        command = [binary, "serve", str(model), "--port", "0", *flags]
        self._process = subprocess.Popen(command, stderr=self._log, stdout=subprocess.DEVNULL)
        self.pid = self._process.pid

    def wait_until_ready(self) -> str:
        """Its address."""
        while not (found := READY.search(self.log())):
            if self._process.poll() is not None:
                raise SystemExit(f"the server ended before it was ready:\n{self.log()}")
            time.sleep(0.01)
        return found[1]

    def log(self) -> str:
        return Path(self._log.name).read_text(errors="backslashreplace")

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        return name_and_cpu_seconds(Path(f"/proc/{self.pid}/stat"))[1]

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Its exit code. The engine looks over its books when it ends, and a program whose books are wrong aborts."""
        self._process.terminate()
        return self._process.wait()
