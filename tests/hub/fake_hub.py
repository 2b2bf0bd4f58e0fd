"""A Hugging Face Hub in a thread: the requests that `huggingface_hub` makes, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".model", ".spm")


def git_hash(content: bytes) -> str:
    """Return git's checksum of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """A repository: files by path of each commit, and the commit of each branch."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    refuses: tuple[int, str] | None = None  # status and error code of all requests

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit with these files, and return it."""
        name = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[name] = files
        self.branches[branch] = name
        return name

    def files(self) -> dict[str, bytes]:
        """Return the files of the main branch."""
        return self.commits[self.branches["main"]]

    def resolve(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


class Hub:
    """The Hub.

    Attributes:
        repositories: by name.
        tampered: content to send in place of that of these paths.
        cut: after how many bytes the next responses with these paths are cut off.
        ranges: path and first byte of every request for a part of a file.
        requests: method and path of every request.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.tampered: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        self.ranges: list[str] = []
        self.requests: list[str] = []
        self.url = ""


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def _answer(self, status: int, value: Any = None, **headers: str) -> None:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            length = {} if "Content_Length" in headers else {"Content_Length": str(len(body))}
            for name, text in {**headers, **length}.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _error(self, status: int, code: str) -> None:
            self._answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            if path == "/api/validate-yaml":
                return self._answer(200, {"errors": [], "warnings": []})
            if path == "/api/repos/create":
                return self._create(json.loads(body))
            if match := re.fullmatch(r"/upload/(\w+)", path):
                hub.large[match[1]] = body
                return self._answer(200, {})
            if match := re.fullmatch(r"/(\w+/[\w.-]+)\.git/info/lfs/objects/batch", path):
                return self._batch(json.loads(body))
            pattern = r"/(?:api/models/)?([\w-]+/[\w.-]+?)(?:/(\w+)/(.+))?"
            match = re.fullmatch(pattern, path)
            assert match, path
            repository = hub.repositories.get(match[1])
            if repository is None:
                return self._error(404, "RepoNotFound")
            if repository.refuses:
                return self._error(*repository.refuses)
            action, rest = match[2] or "revision", match[3] or "main"
            if action == "resolve":
                revision, _, file = rest.partition("/")
                return self._resolve(repository, revision, file)
            if action == "branch":
                repository.branches[rest] = repository.branches["main"]
                return self._answer(200, {})
            commit = repository.resolve(rest)
            if commit is None:
                return self._error(404, "RevisionNotFound")
            answers = {"revision": self._info, "tree": self._tree, "preupload": self._preupload}
            if action == "commit":
                return self._commit(repository, rest, body)
            return answers[action](match[1], repository, commit, body)

        do_GET = do_HEAD = do_POST = do_PUT = _handle

        def _create(self, wanted: dict[str, Any]) -> None:
            name = f"{wanted['organization']}/{wanted['name']}"
            status = 409 if name in hub.repositories else 200
            repository = Repository(private=bool(wanted.get("private")))
            if status == 200:
                repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
                hub.repositories[name] = repository
            self._answer(status, {"url": f"{hub.url}/{name}", "name": name})

        def _batch(self, wanted: dict[str, Any]) -> None:
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}
                for one in wanted["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})

        def _info(self, name: str, repository: Repository, commit: str, _: bytes) -> None:
            siblings = [{"rfilename": path} for path in repository.commits[commit]]
            values = {"id": name, "sha": commit, "private": repository.private, "tags": []}
            self._answer(200, {**values, "siblings": siblings})

        def _tree(self, name: str, repository: Repository, commit: str, _: bytes) -> None:
            entries = []
            for path, content in repository.commits[commit].items():
                entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content)}
                entry["oid"] = git_hash(content)
                if path.endswith(LARGE):
                    oid = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
                entries.append(entry)
            self._answer(200, entries)

        def _preupload(self, name: str, repository: Repository, commit: str, body: bytes) -> None:
            paths = [one["path"] for one in json.loads(body)["files"]]
            modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in paths}
            files = [
                {"path": path, "uploadMode": mode, "shouldIgnore": False}
                for path, mode in modes.items()
            ]
            self._answer(200, {"files": files})

        def _commit(self, repository: Repository, branch: str, body: bytes) -> None:
            files = dict(repository.commits[repository.branches[branch]])
            for line in body.split(b"\n"):
                one = json.loads(line) if line else {"key": "header"}
                value = one.get("value")
                if one["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif one["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
                elif one["key"] == "deletedFile":
                    del files[value["path"]]
            commit = repository.commit(files, branch)
            self._answer(
                200,
                {
                    "success": True,
                    "commitOid": commit,
                    "commitUrl": f"{hub.url}/o/n/commit/{commit}",
                },
            )

        def _resolve(self, repository: Repository, revision: str, path: str) -> None:
            commit = repository.resolve(revision)
            if commit is None:
                return self._error(404, "RevisionNotFound")
            content = repository.commits[commit].get(path)
            if content is None:
                return self._error(404, "EntryNotFound")
            is_large = path.endswith(LARGE)
            etag = hashlib.sha256(content).hexdigest() if is_large else git_hash(content)
            headers = {"ETag": f'"{etag}"', "X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
            if is_large:
                headers |= {"X_Linked_ETag": f'"{etag}"', "X_Linked_Size": str(len(content))}
            content = hub.tampered.get(path, content)
            status = 200
            if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
                start, size = int(match[1]), len(content)
                hub.ranges.append(f"{path} {start}")
                headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
                content, status = content[start:], 206
            if self.command == "GET" and hub.cut.get(path):
                part = content[: hub.cut[path].pop()]
                self._answer(status, part, Content_Length=str(len(content)), **headers)
                self.close_connection = True
                return None
            return self._answer(status, content, **headers)

    return Handler


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a Hub on a port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
