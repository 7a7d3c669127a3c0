"""HTTP with JSON bodies, for all services of the store, and the switch that plants a fault.

serve() runs a server with one thread per connection; call() sends one request to another service.
"""

import contextlib
import http.client
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PLANTED = os.environ.get("STORE_FAULT", "")


def fault(name):
    """True if this store shall have the fault `name` (see faults.toml)."""
    return PLANTED == name


class Unreachable(Exception):
    """The other service did not answer: it is dead, paused or cut off."""


def call(port, method, path, body=None, timeout=5.0):
    """Sends one request to another service; returns the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"port {port}: {error}") from error
    finally:
        connection.close()


def error(status, message):
    """The answer to a request that failed."""
    return status, {"error": {"code": status, "message": message}}


class Malformed(Exception):
    """A body that cannot be understood."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True

    def do_GET(self):
        key = self.headers.get("Idempotency-Key")
        try:
            status, answer = self.server.answer(self.command, self.path, self.read_body(), key)
        except Malformed as problem:
            status, answer = error(400, str(problem))
        except Unreachable as problem:
            status, answer = error(503, str(problem))
        self.reply(status, answer)

    do_POST = do_GET

    def read_body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit():
            self.close_connection = True
            raise Malformed("Content-Length is no number")
        text = self.rfile.read(int(length))
        if not text:
            return {}
        if "form" in self.headers.get("Content-Type", ""):
            return {name: values[0] for name, values in parse_qs(text.decode("latin-1")).items()}
        try:
            body = json.loads(text)
        except ValueError:
            if fault("hangs-on-malformed"):
                self.rfile.read()  # "the rest of the body will come"
            raise Malformed("the body is no JSON") from None
        if not isinstance(body, dict):
            raise Malformed("the body is no JSON object")
        return body

    def reply(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self._headers_buffer.append(b"\r\n" + body)  # head and body in one packet
        self.flush_headers()

    def log_message(self, *_):
        pass  # the services print what matters


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, port, answer, sessions):
        self.answer = answer
        self.slots = threading.Semaphore(sessions) if sessions else contextlib.nullcontext()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request_thread(self, request, client_address):
        with self.slots:
            super().process_request_thread(request, client_address)


def serve(port, answer, sessions=None):
    """Answers requests for ever: answer(method, path, body, key) returns a status and an answer.

    At most `sessions` connections are served at a time, the others wait.
    """
    server = Server(port, answer, sessions)
    print(f"listening on {port}", flush=True)
    server.serve_forever()
