"""The small web server of `--host web`: a bundle's files, and a few posts that need the address's token.

Nothing but the files that the site names is served; a post is limited in size before it is read.
"""

from __future__ import annotations

import gzip
import http.server
import json
import mimetypes
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from regnet_edge.errors import DeviceError, ToolError
from regnet_edge.programs import finished
from regnet_edge.reading import JsonObject, parse_json_object

Post = Callable[[str, str, JsonObject], JsonObject]  # (what, key, body) to the answer; raises Refused

POSTS = "/session/"
SMALL_BYTES = 64 << 10
OBSERVATION_BYTES = 16 << 20  # 200,000 samples are 2 MB
IDLE_S = 90
PACKED = frozenset({".js", ".wasm", ".json", ".html", ".css"})
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next two a secure page has threads
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Refused(Exception):  # noqa: N818  # it is an answer, with its HTTP status
    """A post that is not taken: the page shows the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Server:
    """Serves until closed; `files` tells at each request what there is, `post` answers the posts.

    Raises DeviceError where the port cannot be had. certificate holds key and certificate in one file.
    """

    def __init__(
        self,
        port: int,
        files: Callable[[], Mapping[str, Path]],
        post: Post,
        certificate: Path | None = None,
    ) -> None:
        handler = type("Handler", (_Handler,), {"files": staticmethod(files), "post": staticmethod(post)})
        try:
            self._server = http.server.ThreadingHTTPServer(("", port), handler)
        except OSError as error:
            raise DeviceError(
                f"port {port} cannot be used ({error.strerror}); choose another with --host web:PORT, or "
                "leave the port out for any that is free"
            ) from error
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket,
                server_side=True,
                do_handshake_on_connect=False,  # in its own thread
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "regnet-edge"
    sys_version = ""
    timeout = IDLE_S
    files: Callable[[], Mapping[str, Path]]
    post: Post

    def do_GET(self) -> None:  # http.server's name
        name = self.path.partition("?")[0].lstrip("/") or "index.html"
        path = self.files().get(name)
        if path is None:
            self._send(404, b"no such file", {"Content-Type": "text/plain"})
            return
        tag = f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'
        headers = {"Content-Type": _type_of(path), "ETag": tag, "Vary": "Accept-Encoding"}
        if self.headers.get("If-None-Match") == tag:
            self._send(304, b"", headers)
            return
        content = path.read_bytes()
        if path.suffix in PACKED and "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers["Content-Encoding"] = _packed(path, tag), "gzip"
        self._send(200, content, headers)

    do_HEAD = do_GET  # noqa: N815  # http.server's name

    def do_POST(self) -> None:  # http.server's name
        try:
            status, answer = 200, self._answer()
        except Refused as refusal:
            status, answer = refusal.status, {"error": str(refusal)}
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _answer(self) -> JsonObject:
        if not self.path.startswith(POSTS):
            raise Refused(404, "there is nothing to post to here")
        what = self.path.removeprefix(POSTS)
        return self.post(what, self.headers.get("X-Key", ""), self._body(what))

    def _body(self, what: str) -> JsonObject:
        limit = OBSERVATION_BYTES if what == "observation" else SMALL_BYTES
        stated = self.headers.get("Content-Length", "")
        if not stated.isdigit() or int(stated) > limit:
            self.close_connection = True  # what comes is not read
            raise Refused(413, f"a post to {what[:20]} has at most {limit} bytes, and says how many")
        try:
            return parse_json_object(self.rfile.read(int(stated)).decode())
        except ValueError as error:
            raise Refused(400, f"the post is not a JSON object: {error}") from None

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in (HEADERS | dict(headers)).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ssl.SSLError):  # the browser went away, or spoke http to https
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # http.server's name
        """Nothing: the terminal shows the session's progress."""


def _type_of(path: Path) -> str:
    own = {".wasm": "application/wasm", ".js": "text/javascript", ".tflite": "application/octet-stream"}
    return own.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


@lru_cache(maxsize=64)
def _packed(path: Path, tag: str) -> bytes:
    """The file as gzip; the tag tells a changed file apart."""
    return gzip.compress(path.read_bytes(), compresslevel=6)


def own_address() -> str:
    """This machine's address on the local network, 127.0.0.1 where there is none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: picks the interface only
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def self_signed(folder: Path, address: str) -> Path:
    """A certificate for this address with its key, made on the spot by openssl, in one file."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    names = dict.fromkeys((f"IP:{address}", "IP:127.0.0.1", "DNS:localhost"))
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=regnet-edge",
        "-addext", f"subjectAltName={','.join(names)}", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    try:
        done = finished(command)
    except ToolError as error:
        raise ToolError(
            "openssl is not installed, which makes the certificate; install it, or leave --https out"
        ) from error
    if done.returncode:
        raise ToolError(f"openssl made no certificate ({done.stderr.strip()[-80:]}); leave --https out")
    both.touch(mode=0o600)
    both.write_text(key.read_text() + certificate.read_text())
    key.unlink()
    return both
