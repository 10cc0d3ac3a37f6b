"""Listens where its last argument says. What the other backends of this folder do, in Python."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, first, *rest = self.path.split("/")
        if first == "headers":
            text = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        elif first == "env":
            text = os.environ.get(rest[0], "")
        elif first == "argument":
            text = sys.argv[-1]
        elif first == "pid":
            text = str(os.getpid())
        else:
            self.answer(404, b"")
            return
        self.answer(200, text.encode())

    def do_POST(self):
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(200, body)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def stop(*_):
    print("asked to stop", flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler)
print("ready to serve", flush=True)
server.serve_forever()
