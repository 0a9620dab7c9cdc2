"""HTTP to the byte: a client that sends whatever it is told and reads answers exactly as they come."""

import json
import socket
import struct
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes = b""

    def json(self):
        return json.loads(self.body)


def request(method: str, path: str, body: bytes | dict = b"", *headers: str, version: str = "1.1") -> bytes:
    """A request that is right but for what the caller makes wrong."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
    if data:
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


class Connection:
    def __init__(self, port: int, seconds: float = 240, receive_buffer: int = 0):
        self.socket = socket.socket()
        self.socket.settimeout(seconds)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self._held = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data: bytes) -> "Connection":
        """All of it, or as much as the server takes before it closes."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def finish_sending(self) -> "Connection":
        """The client has said all, and still reads."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.socket.close()

    def reset(self):
        """Away without a goodbye: the server gets a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._receive(f"before {mark!r}")
        size = self._held.index(mark) + len(mark)
        return self._take(size)

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            self._receive(f"within {size} bytes")
        return self._take(size)

    def read_to_end(self) -> bytes:
        while self._try_receive():
            pass
        return self._take(len(self._held))

    def read_head(self) -> Answer:
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        return Answer(
            int(status), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:-2])}
        )

    def read_answer(self, to_head: bool = False) -> Answer:
        answer = self.read_head()
        if not to_head and answer.status != 204:
            chunked = answer.headers.get("transfer-encoding") == "chunked"
            answer.body = b"".join(self.read_chunks()) if chunked else self.read(int(answer.headers["content-length"]))
        return answer

    def read_chunk(self) -> bytes:
        """Of a chunked body; empty: its end."""
        data = self.read(int(self.read_until(b"\r\n")[:-2], 16))
        assert self.read(2) == b"\r\n"
        return data

    def read_chunks(self) -> list[bytes]:
        """The rest of a chunked body."""
        return list(iter(self.read_chunk, b""))

    def is_closed(self) -> bool:
        """Whether the server ends the connection and says no more; waits for it."""
        return not self._held and not self._try_receive()

    def has_input(self) -> bool:
        """Whether anything has come that is not yet read."""
        if self._held:
            return True
        seconds = self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            return self._try_receive()
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(seconds)

    def _try_receive(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._held += data
        return bool(data)

    def _receive(self, where: str):
        assert self._try_receive(), f"the connection ended {where}: {self._held!r}"

    def _take(self, size: int) -> bytes:
        taken, self._held = self._held[:size], self._held[size:]
        return taken
