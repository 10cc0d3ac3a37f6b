"""Ready at the third request for its readiness path, and not while a file `hold` is there; says its number,
and notes whoever asks for it before it is ready. Nor without `/page` before."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

number = os.getpid()
asked = 0
has_page = False


def note(name):
    with open(f"{name}-{number}", "a") as file:
        file.write(".")


def is_ready():
    return has_page and asked >= 3 and not os.path.exists("hold")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global asked, has_page
        status = 200
        if self.path == "/ready":
            note("asked")
            asked += 1
            status = 200 if is_ready() else 503
        elif self.path == "/page":
            has_page = True
        elif not is_ready():
            note("too-early")
        body = str(number).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler)
print(f"{number} listens", flush=True)
server.serve_forever()
