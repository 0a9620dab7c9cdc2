"""A model hub on loopback, for tests: Hugging Face's and ModelScope's layouts, with faults on request."""

import hashlib
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubServer:
    """Files of one repository, "owner/model". `faults` maps a path to a list of functions, each used for one request of it."""

    def __init__(self, files, storage=None):
        self.files = files
        self.requests = []  # (path, headers) of each
        self.faults = {}
        self.tree = None  # overrides the list of files
        self.page_size = 1000
        self.storage = storage  # another HubServer that file requests are redirected to, as hubs do
        self.etags = True
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def requested(self, path):
        return [headers for asked, headers in self.requests if asked == path]

    def answer(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        path = urllib.parse.unquote(parts.path)
        query = urllib.parse.parse_qs(parts.query)
        self.requests.append((path, dict(handler.headers)))
        if path == "/api/models/owner/model/tree/main":
            self.send_tree(handler, int(query.get("cursor", ["0"])[0]))
        elif path == "/api/v1/models/owner/model/repo/files":
            self.send_json(handler, {"Code": 200, "Data": {"Files": self.modelscope_files()}})
        else:
            for prefix in ("/owner/model/resolve/main/", "/models/owner/model/resolve/master/"):
                if path.startswith(prefix) and path.removeprefix(prefix) in self.files:
                    return self.send_file(handler, path.removeprefix(prefix))
            handler.send_error(404)

    def send_json(self, handler, value, headers=None):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(200)
        for name, text in (headers or {}).items():
            handler.send_header(name, text)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def tree_entry(self, path):
        data = self.files[path]
        entry = {
            "type": "file",
            "path": path,
            "size": len(data),
            "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
        }
        if path.endswith((".gguf", ".safetensors")):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
        return entry

    def send_tree(self, handler, cursor):
        entries = (
            self.tree
            if self.tree is not None
            else [{"type": "directory", "path": "x", "size": 0, "oid": "0"}, *map(self.tree_entry, sorted(self.files))]
        )
        if isinstance(entries, bytes):
            return self.send_json(handler, entries)
        headers = {}
        if cursor + self.page_size < len(entries):
            headers["Link"] = (
                f'<{self.url}/api/models/owner/model/tree/main?cursor={cursor + self.page_size}>; rel="next"'
            )
        self.send_json(handler, entries[cursor : cursor + self.page_size], headers)

    def modelscope_files(self):
        return [
            {"Type": "blob", "Path": path, "Name": path, "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
            for path, data in self.files.items()
        ]

    def send_file(self, handler, name):
        faults = self.faults.get(name)
        if faults:
            return faults.pop(0)(handler, self.files[name])
        if self.storage:
            handler.send_response(302)
            handler.send_header(
                "Location", f"{self.storage.url}/owner/model/resolve/main/{urllib.parse.quote(name)}?signature=x"
            )
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        send_range(handler, self.files[name], self.etags)


def etag_of(data):
    return '"' + hashlib.md5(data).hexdigest() + '"'


def send_range(handler, data, etags=True, truncate_at=None):
    """The body as Range and If-Range ask; truncate_at: the connection ends when the file has been sent up to there."""
    first = 0
    asked = handler.headers.get("Range")
    matches = handler.headers.get("If-Range") in (None, etag_of(data))
    if asked and matches:
        first = int(asked.removeprefix("bytes=").removesuffix("-"))
        if first >= len(data):
            handler.send_error(416)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
    else:
        handler.send_response(200)
    if etags:
        handler.send_header("ETag", etag_of(data))
    handler.send_header("Content-Length", str(len(data) - first))
    handler.end_headers()
    handler.wfile.write(data[first:truncate_at])
    if truncate_at is not None:
        handler.close_connection = True


def truncated_at(position):
    return lambda handler, data: send_range(handler, data, truncate_at=position)


def status(code):
    return lambda handler, data: handler.send_error(code)


def redirect(address):
    def answer(handler, data):
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def with_body(body):
    return lambda handler, data: send_range(handler, body)


def without_ranges(handler, data):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
