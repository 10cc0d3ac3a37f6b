"""Says its number; resets every connection at once while a file `moody` has its number."""

import os
import socket
import struct
import sys
import threading

number = str(os.getpid())


def is_moody():
    try:
        with open("moody") as file:
            return file.read() == number
    except FileNotFoundError:
        return False


def serve(connection):
    if is_moody():
        with open(f"resets-{number}", "a") as file:
            file.write(".")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(4096)
        if not more:
            return
        received += more
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(number)}\r\n\r\n"
    connection.sendall((head + number).encode())
    connection.close()


listener = socket.create_server(("127.0.0.1", int(sys.argv[-1])), backlog=128)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,)).start()
