"""A Hugging Face hub of one process on 127.0.0.1: the two requests that a download makes."""

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class Hub:
    """files {(repository, name): bytes}; what is sent can be bent by the attributes below."""

    def __init__(self):
        self.files = {}
        self.requests = []  # (method, path, Range)
        self.wrong = None  # bytes to send in place of the file's
        self.cut = None  # send only so many bytes of each answer, then hang up
        self.revisions = {"main", COMMIT}
        self.lfs = True  # etags are SHA-256, else git's SHA-1
        self.ranges = True

    def etag(self, content):
        """As the hub has it for large and for small files."""
        if self.lfs:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def refuse(self, code):
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self):
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            if match is None:
                return self.refuse("EntryNotFound")
            repo, revision, name = match.groups()
            if repo not in {r for r, _ in hub.files}:
                return self.refuse("RepoNotFound")
            if revision not in hub.revisions:
                return self.refuse("RevisionNotFound")
            if (repo, name) not in hub.files:
                return self.refuse("EntryNotFound")
            content = hub.files[repo, name]
            start = 0
            if hub.ranges and (asked := self.headers.get("Range")):
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hub.etag(content)}"')
            self.send_header("X-Linked-Etag", f'"{hub.etag(content)}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            if self.command == "GET":
                sent = (content if hub.wrong is None else hub.wrong)[start:]
                self.wfile.write(sent if hub.cut is None else sent[: hub.cut])
                self.close_connection = True

        do_GET = do_HEAD = answer

    return Handler


@contextmanager
def running():
    """(Hub, its address)."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
