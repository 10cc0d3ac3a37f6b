"""Writes lines to both streams, each in two pieces, and says its number; ends in the middle of a line at
`/end`."""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

number = os.getpid()


def chat(stream):
    while True:
        with talking[stream]:
            for piece in (f"begin {number} ", f"of {number} end\n"):
                os.write(stream, piece.encode())
                quiet.wait(0.001)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/end":
            talking[2].acquire()
            os.write(2, f"last words of {number}\nand an unfinished ".encode())
            os._exit(3)
        body = str(number).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


quiet = threading.Event()
talking = {1: threading.Lock(), 2: threading.Lock()}
for stream in (1, 2):
    threading.Thread(target=chat, args=(stream,), daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
