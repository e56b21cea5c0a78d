#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""hello.py TEXT: an HTTP service on the sockets of LISTEN_FDS. It answers with the text and both addresses."""
import http.server
import os
import socket
import sys
import threading


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        local = self.connection.getsockname()
        text = f"{sys.argv[1]}: {self.client_address[0]} asked for {local[0]} port {local[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def serve(fd):
    server = http.server.ThreadingHTTPServer(("", 0), Hello, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=fd)
    server.serve_forever()


fds = range(3, 3 + int(os.environ.get("LISTEN_FDS", "0")))
if len(sys.argv) != 2 or not fds or os.environ.get("LISTEN_PID") != str(os.getpid()):
    sys.exit(f"{__doc__}\nNo sockets were passed.")
threads = [threading.Thread(target=serve, args=(fd,)) for fd in fds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
