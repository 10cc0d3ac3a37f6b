"""Takes a request, and then: reads no body (`/unread`), says half an answer (`/half`), or answers with
its port. Waits for a file `go` before it listens, with its port in a file `port`."""

import os
import socket
import sys
import threading
import time

port = sys.argv[-1]


def serve(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(1)
        if not more:
            return
        received += more
    if received.startswith(b"POST /unread"):
        threading.Event().wait()
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "
    if received.startswith(b"GET /half"):
        connection.sendall(f"{head}100\r\n\r\nhalf".encode())
        threading.Event().wait()
    connection.sendall(f"{head}{len(port)}\r\n\r\n{port}".encode())
    connection.close()


with open("port.new", "w") as file:
    file.write(port)
os.rename("port.new", "port")
while not os.path.exists("go"):
    time.sleep(0.01)
listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
