"""The store of objects: a folder and an S3 store keep the same promises, and what lies in them is sealed."""

import hashlib
import hmac
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.machine import keys
from deploy.machine.layout import Layout
from services.chassis import objects
from services.chassis.objects import S3, Access, Folder, Objects
from services.chassis.outside import Outside
from services.kernel.errors import Unavailable
from tests.identity.outside import tls

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
BUCKET = "lokos-up-objects"
KEY_ID, SECRET, REGION = "UPIMAGES", "a secret of the store", "in-south-1"


def seal_of(method, path, headers, body):
    """The signature that the request should carry, put together once more by what the store would look at."""
    said = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/s3/aws4_request,SignedHeaders=([\w;-]+),Signature=(\w{64})", headers["Authorization"]
    )
    key_id, day, region, names, seal = said.groups()
    assert (key_id, region) == (KEY_ID, REGION)
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names.split(";"))
    body_hash = hashlib.sha256(body).hexdigest()
    assert headers["x-amz-content-sha256"] == body_hash
    canonical = f"{method}\n{path}\n\n" + "".join(f"{name}:{headers[name]}\n" for name in names.split(";")) + f"\n{names}\n{body_hash}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    made = ("AWS4" + SECRET).encode()
    for part in (day, region, "s3", "aws4_request", text):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return seal, made.hex()


class Double:
    """An S3 store on loopback: one bucket, and no answer to who does not sign."""

    def __init__(self):
        self.held, self.got, self.answer = {}, [], None


@contextmanager
def s3_store(certificate=None):
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            double.got.append((self.command, self.path))
            said, right = seal_of(self.command, self.path, self.headers, body)
            status, answer = double.answer or (self.do(body) if said == right else (403, b"<Code>SignatureDoesNotMatch</Code>"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do(self, body):
            if not self.path.startswith(f"/{BUCKET}/"):
                return 404, b"<Error><Code>NoSuchBucket</Code></Error>"
            if self.command == "PUT":
                double.held[self.path] = body
                return 200, b""
            if self.command == "DELETE":
                double.held.pop(self.path, None)
                return 204, b""
            return (200, double.held[self.path]) if self.path in double.held else (404, b"<Error><Code>NoSuchKey</Code></Error>")

        do_GET = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        server.socket = tls(certificate / "tls.pem", certificate / "tls.key").wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    double.url = f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}/{BUCKET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def s3():
    with s3_store() as double:
        double.store = S3(Outside("LOKOS_OBJECTS_URL", double.url, 5), Access(REGION, KEY_ID, SECRET))
        yield double


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    return Folder(tmp_path / "objects") if request.param == "folder" else request.getfixturevalue("s3").store


def test_what_was_put_is_got_until_it_is_erased(store):
    assert store.get("images/0f/one") is None
    for content in (b"first", b"\x00second" * 1000):
        store.put("images/0f/one", content)
        assert store.get("images/0f/one") == content
    store.put("images/0f/other", b"other")
    for _ in range(2):
        store.erase("images/0f/one")
        assert store.get("images/0f/one") is None
    assert store.get("images/0f/other") == b"other"


def test_the_signature_is_the_one_that_aws_shows():
    """The worked example of AWS's own pages: GET of a range of test.txt."""
    access = Access("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = {"Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9"}
    signed = access.signed("GET", "/test.txt", headers, hashlib.sha256(b"").hexdigest(), datetime(2013, 5, 24, tzinfo=UTC))
    assert signed["Authorization"].endswith("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    assert "wJalr" not in repr(access)


def test_a_store_that_refuses_or_is_away_is_away(s3):
    for answer in ((403, b"<Code>AccessDenied</Code>"), (500, b""), (404, b"<Code>NoSuchBucket</Code>"), (307, b"")):
        s3.answer = answer
        for ask in (lambda: s3.store.get("a"), lambda: s3.store.put("a", b"x"), lambda: s3.store.erase("a")):
            with pytest.raises(Unavailable) as refused:
                ask()
            assert refused.value.code == "OBJECTS_AWAY"
    stranger = S3(Outside("LOKOS_OBJECTS_URL", s3.url, 5), Access(REGION, KEY_ID, "another secret"))
    s3.answer = None
    with pytest.raises(Unavailable):
        stranger.put("a", b"x")
    assert s3.held == {}
    nobody = S3(Outside("LOKOS_OBJECTS_URL", "http://127.0.0.1:9/bucket", 0.5), Access(REGION, KEY_ID, SECRET))
    with pytest.raises(Unavailable):
        nobody.get("a")


def test_a_store_that_nobody_vouches_for_learns_nothing(tmp_path, monkeypatch):
    instances = Layout(tmp_path, 30000).instances()
    keys.make_keys(instances)
    with s3_store(instances["UP"].keys) as double:
        with pytest.raises(Unavailable):
            S3(Outside("LOKOS_OBJECTS_URL", double.url, 5), Access(REGION, KEY_ID, SECRET)).put("a", b"x")
        assert double.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(instances["UP"].keys / "ca.pem"))
        S3(Outside("LOKOS_OBJECTS_URL", double.url, 5), Access(REGION, KEY_ID, SECRET)).put("a", b"x")
        assert double.held == {f"/{BUCKET}/a": b"x"}


def test_a_folder_that_cannot_be_written_is_away_and_leaves_nothing_half_written(tmp_path):
    (tmp_path / "objects").write_text("a file where the folder should be")
    with pytest.raises(Unavailable):
        Folder(tmp_path / "objects").put("images/a", b"x")
    folder = Folder(tmp_path / "good")
    folder.put("images/a", b"x")
    assert [path.name for path in (tmp_path / "good").rglob("*") if path.is_file()] == ["a"]
    assert (tmp_path / "good/images/a").stat().st_mode & 0o777 == 0o600


def test_what_lies_in_the_store_tells_nothing_and_opens_under_its_name_and_key_alone(store):
    sealed = Objects(store, KEY)
    sealed.put("images/a", b"a face")
    sealed.put("images/b", b"a face")
    first, second = store.get("images/a"), store.get("images/b")
    assert b"a face" not in first
    assert first != second, "a nonce of its own"
    assert first[:4].hex() == sealed.key_id
    assert Objects(store, OTHER_KEY, [KEY]).get("images/a") == b"a face", "an old key still opens"
    assert Objects(store, OTHER_KEY, [KEY]).key_id != sealed.key_id
    store.put("images/b", first)
    for name, key in (("images/b", KEY), ("images/a", OTHER_KEY)):
        with pytest.raises(Unavailable) as refused:
            Objects(store, key).get(name)
        assert refused.value.code == "OBJECT_SEALED"
    for broken in (first[:-1], first[:10], b"", bytes([*first[:-1], first[-1] ^ 1])):
        store.put("images/a", broken)
        with pytest.raises(Unavailable):
            sealed.get("images/a")


@pytest.mark.parametrize("name", ["", "../keys", "/etc", "images//a", "images/A", "images/a/"])
def test_a_name_leads_nowhere_else(tmp_path, name):
    for ask in (lambda made: made.get(name), lambda made: made.put(name, b"x"), lambda made: made.erase(name)):
        with pytest.raises(ValueError, match="name"):
            ask(Objects(Folder(tmp_path), KEY))


def set_all(monkeypatch, **values):
    plain = {"": "s3", "_KEY": KEY.hex(), "_URL": "https://store.example/bucket", "_ACCESS_KEY_ID": KEY_ID, "_SECRET_ACCESS_KEY": SECRET}
    for name, value in (plain | values).items():
        monkeypatch.setenv(f"LOKOS_OBJECTS{name}", value)


def test_the_settings_name_the_store(monkeypatch, s3, tmp_path):
    set_all(monkeypatch, _URL=s3.url, _REGION=REGION)
    objects.objects().put("images/a", b"a face")
    assert list(s3.held) == [f"/{BUCKET}/images/a"]
    set_all(monkeypatch, **{"": "folder", "_FOLDER": str(tmp_path / "here"), "_KEY": OTHER_KEY.hex(), "_OLD_KEYS": KEY.hex()})
    objects.objects().put("images/a", b"a face")
    assert (tmp_path / "here/images/a").exists()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("", "cupboard", "must be s3 or folder"),
        ("_KEY", "00", "LOKOS_OBJECTS_KEY must be 32 bytes"),
        ("_OLD_KEYS", "no key", "LOKOS_OBJECTS_OLD_KEYS must be 32 bytes"),
        ("_URL", "http://store.example/bucket", "https address"),
        ("_URL", "http://localhost/bucket", "https address"),
        ("_URL", "https://user:word@store.example/bucket", "https address"),
        ("_URL", "https://store.example/bucket?x=1", "https address"),
        ("_SECRET_ACCESS_KEY", "", "LOKOS_OBJECTS_SECRET_ACCESS_KEY is missing"),
    ],
)
def test_a_store_that_could_not_be_asked_ends_the_process_in_words(monkeypatch, name, value, says):
    set_all(monkeypatch, **{name: value})
    with pytest.raises(SystemExit, match=says):
        objects.objects()
