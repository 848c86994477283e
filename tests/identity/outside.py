"""The outside on this machine's loopback: an SMS gateway that answers as Mobile Seva does, and a mail server. Both speak TLS."""

import base64
import hashlib
import html
import socketserver
import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

USERNAME, PASSWORD, SECURE_KEY = "lokos-up", "wheat and rice", "a secure key"


class Outside:
    """What came in, in `got`; `answer` says what is answered to the next."""

    def __init__(self):
        self.got = []
        self.came = threading.Event()
        self.answer = None
        self.ended = threading.Event()

    def note(self, what):
        self.got.append(what)
        self.came.set()


@contextmanager
def served(server, outside):
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield outside
    finally:
        outside.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def tls(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def checked(form, password_hash="sha1"):
    """What the gateway answers: 402 only where password and key are right, and the kind of message fits its text."""
    seal = hashlib.sha512(f"{form['username']}{form['senderid']}{form['content']}{SECURE_KEY}".encode()).hexdigest()
    unicode = html.unescape(form["content"]) != form["content"]
    kinds = {"unicodemsg", "unicodeotpmsg"} if unicode else {"singlemsg", "otpmsg"}
    if form["password"] != hashlib.new(password_hash, PASSWORD.encode()).hexdigest():
        return 200, "401,Invalid username or password"
    if form["key"] != seal or form["smsservicetype"] not in kinds or not form["content"].isascii():
        return 200, "416,Hash is not matching"
    return 200, "402,MsgID = 221120261010lokos-up\r\n"


@contextmanager
def gateway(certificate, key):
    """An SMS gateway; its `url` is what LOKOS_SMS_URL takes. `answer(form)` gives status and body, or None to hang."""
    outside = Outside()
    outside.answer = checked

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
            form = dict(parse_qsl(body, strict_parsing=True))
            outside.note((self.path, form))
            answer = outside.answer(form)
            if answer is None:
                outside.ended.wait(60)
                return
            self.send_response(answer[0])
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(answer[1].encode())

        def do_GET(self):  # As whoever follows a redirection does.
            outside.note((self.path, {}))

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request, address):
            # Shaken hands with in the thread, so that a stranger holds nobody up.
            with suppress(OSError), context.wrap_socket(request, server_side=True) as secret:
                super().finish_request(secret, address)

    context = tls(certificate, key)
    server = Server(("127.0.0.1", 0), Handler)
    outside.url = f"https://127.0.0.1:{server.server_port}/esms/sendsmsrequestDLT"
    with served(server, outside):
        yield outside


@contextmanager
def mail_server(certificate, key, *, at_once=False, offers_tls=True):
    """A mail server, secret at once or after STARTTLS. `answer(command)` gives a reply in place of the usual one, or None; "" hangs."""
    outside = Outside()
    outside.answer = lambda _command: None
    context = tls(certificate, key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with suppress(OSError), ExitStack() as held:
                self.talk(held)

        def talk(self, held):
            def hide(wire):
                return held.enter_context(context.wrap_socket(wire, server_side=True))

            secret = at_once
            wire = hide(self.request) if at_once else self.request
            lines = held.enter_context(wire.makefile("rb"))
            wire.sendall(b"220 loopback\r\n")
            while line := lines.readline():
                command = line.decode().strip()
                outside.note(command)
                word = command.partition(" ")[0].upper()
                reply = outside.answer(command)
                if reply == "":
                    outside.ended.wait(60)
                    return
                wire.sendall(f"{reply or self.usual(word, secret)}\r\n".encode())
                if reply is None and word == "STARTTLS":
                    wire, secret = hide(wire), True
                    lines = held.enter_context(wire.makefile("rb"))
                elif reply is None and word == "AUTH":
                    outside.note(base64.b64decode(command.split()[2]).decode())
                elif reply is None and word == "DATA":
                    outside.note(b"".join(iter(lines.readline, b".\r\n")))
                    wire.sendall(b"250 taken\r\n")

        def usual(self, word, secret):
            extensions = ["AUTH PLAIN"] if secret else ["STARTTLS"] if offers_tls else []
            hello = [*extensions, "8BITMIME"]
            greeting = "\r\n".join([*(f"250-{one}" for one in ["loopback", *hello[:-1]]), f"250 {hello[-1]}"])
            known = {"EHLO": greeting, "STARTTLS": "220 go on", "AUTH": "235 welcome", "DATA": "354 go on", "QUIT": "221 bye"}
            return known.get(word, "250 well")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    outside.port = server.server_address[1]
    with served(server, outside):
        yield outside
