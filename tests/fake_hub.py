"""As much of the Hugging Face Hub as pushing and fetching a model asks for, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHA = "0" * 40  # of the one commit there is


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name -> file -> bytes; and who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"POST {self.path}")
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said.get('organization') or 'me'}/{said['name'].rpartition('/')[2]}"
            self.server.repos.setdefault(name, {})
            self.server.private[name] = bool(
                said.get("private") or said.get("visibility") == "private"
            )
            self._json({"url": f"{self.server.address}/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in self.path:
            (name,) = re.findall(r"/api/models/(.+)/commit/", self.path)
            for line in body.splitlines():
                one = json.loads(line)
                if one["key"] == "file":
                    content = base64.b64decode(one["value"]["content"])
                    self.server.repos[name][one["value"]["path"]] = content
            address = f"{self.server.address}/{name}/commit/{SHA}"
            self._json({"success": True, "commitOid": SHA, "commitUrl": address, "hookOutput": ""})
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self._file(send=False)

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        path = self.path.partition("?")[0]
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path)
        if path.startswith("/api/models/") and "/tree/" in path:
            name = path.removeprefix("/api/models/").partition("/tree/")[0]
            self._json([_entry(file, data) for file, data in self.server.repos[name].items()])
        elif found and found[1] in self.server.repos:
            files = [{"rfilename": file} for file in self.server.repos[found[1]]]
            self._json(
                {"id": found[1], "sha": SHA, "siblings": files, "tags": [], "private": False}
            )
        elif found:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._file(send=True)

    def _file(self, *, send: bool) -> None:
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path.partition("?")[0])
        data = self.server.repos.get(found[1], {}).get(found[2]) if found else None
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if send:
            self.wfile.write(data)

    def _json(self, said: Any) -> None:
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _entry(file: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


@contextmanager
def fake_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
