"""A server on this machine that misbehaves on request."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serve(answer):
    """Serve `answer(request)` on 127.0.0.1; yields the address and the requests (path, headers)."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, dict(self.headers)))
            with contextlib.suppress(ConnectionError):
                answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(request, content, *, status=200, cut=None, ranges=True, **headers):
    """Answer with `content`, from the byte that was asked for, cut after `cut` bytes."""
    start = 0
    asked = request.headers.get("Range")
    if asked and ranges and status == 200:
        start = int(asked.removeprefix("bytes=").split("-")[0])
        status = 206 if start < len(content) else 416
        last = f"{start}-{len(content) - 1}" if status == 206 else "*"
        headers["Content-Range"] = f"bytes {last}/{len(content)}"
    body = content[start:] if status != 416 else b""
    request.send_response(status)
    for name, value in {"Content-Length": len(body), **headers}.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(body[:cut])
    if cut is not None:
        request.close_connection = True
