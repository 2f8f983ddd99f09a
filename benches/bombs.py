#!/usr/bin/env python3
"""Peak memory of hostile inputs: makes each of them, gives it to the program, and prints a table.

    benches/bombs.py [--binary target/release/kubectl-meshaudit] [--limit 300] [NAME…]

Files go to a temporary directory; what a server says comes from one on the loopback interface, which is an API server,
an istiod, a Prometheus and an admin endpoint in one. Nothing else is needed than Python. Each run has an address space
of 4 GB and two minutes, so that a bomb that goes off costs no more. Ends with 1 where one needed more than the limit.
"""

import argparse
import base64
import bz2
import gzip
import hashlib
import http.server
import io
import json
import lzma
import os
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile

MIB = 1 << 20
BINARY = "target/release/kubectl-meshaudit"


def packed(pieces):
    """gzip of many pieces, without holding them."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as file:
        for piece in pieces:
            file.write(piece)
    return out.getvalue()


def members(pieces):
    """The same as a member a piece, of which equal ones are packed once."""
    last, member = None, b""
    for piece in pieces:
        if piece is not last:
            last, member = piece, gzip.compress(piece, 6, mtime=0)
        yield member


def repeated(piece, count):
    if not piece:
        return
    block = piece * max(1, MIB // len(piece))
    whole = len(block) // len(piece)
    for _ in range(count // whole):
        yield block
    yield piece * (count % whole)


def many(begin, piece, count, end):
    yield begin
    yield from repeated(piece, count)
    yield end


# --- files -----------------------------------------------------------------------------------------------------------


def clusters(count, name_length=0):
    """A dump of small clusters, each of another name."""
    yield b'{"configs":['
    for start in range(0, count, 10_000):
        part = [
            b'{"@type":"x.DynamicCluster","cluster":{"name":"%d%s"}}' % (index, b"n" * name_length)
            for index in range(start, min(start + 10_000, count))
        ]
        yield (b"," if start else b"") + b",".join(part)
    yield b"]}"


def one_element(size):
    yield b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"'
    yield from repeated(b"a", size)
    yield b'"}}]}'


def tar_header(name, size, kind):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def tar_special(kind, size):
    yield tar_header("././@LongLink", size, kind)
    yield from repeated(b"a", size)
    yield b"\0" * (-size % 512)
    yield tar_header("dump.json", 2, b"0") + b"{}" + b"\0" * 510 + b"\0" * 1024


def tar_entries(count):
    for index in range(count):
        yield tar_header(f"d/{index}", 0, b"0")
    yield b"\0" * 1024


def tar_sparse(size):
    """A file that is all hole, in GNU's old form."""
    header = bytearray(tar_header("hole", 0, b"S"))
    header[386:398] = b"%011o\0" % 0
    header[398:410] = b"%011o\0" % 0
    header[483:495] = b"%011o\0" % size
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    yield bytes(header) + b"\0" * 1024


def zip_entries(count):
    """A central directory of many empty files with long names."""
    out, central = io.BytesIO(), io.BytesIO()
    for index in range(count):
        name = b"%07d" % index
        offset = out.tell()
        out.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name)
        central.write(
            struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, offset)
            + name
        )
    start, length = out.tell(), central.tell()
    out.write(central.getvalue())
    out.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, length, start))
    out.write(struct.pack("<IIQI", 0x07064B50, 0, start + length, 1))
    out.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, length, start, 0))
    return out.getvalue()


def stored_zip(size):
    """A zip that holds one incompressible file, for what is kept whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.log", random.Random(1).randbytes(size))
    return out.getvalue()


def xz_layers(layers, size):
    data = b"line\n" * (size // 5)
    for _ in range(layers):
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 128 * MIB}]
        data = lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters)
    return data


def zstd_frame(size, window_log=27):
    """A zstd frame of RLE blocks with a large window."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0x00, (window_log - 10) << 3)
    block = 128 << 10
    for start in range(0, size, block):
        length = min(block, size - start)
        frame += struct.pack("<I", (length << 3) | (1 << 1) | int(start + length >= size))[:3] + b"\n"
    return frame


def zstd_stored(data, window_log=27):
    frame = [struct.pack("<IBB", 0xFD2FB528, 0x00, (window_log - 10) << 3)]
    block = 100 << 10
    for start in range(0, len(data), block):
        part = data[start : start + block]
        frame += [struct.pack("<I", (len(part) << 3) | int(start + block >= len(data)))[:3], part]
    return b"".join(frame)


def snapshot(proxies, span):
    yield b'{"apiVersion":"meshaudit/v1","kind":"MeshSnapshot","tool":{"name":"x","version":"1"},"snapshot":'
    yield b'{"takenAt":"2026-11-23T18:00:00Z","clusters":[],"proxies":['
    for index in range(proxies):
        proxy = {"proxy": {"id": {"context": "", "namespace": "a", "name": f"p{index}"}}, "clusters": [[0, span]]}
        yield (b"," if index else b"") + json.dumps(proxy).encode()
    yield b'],"skipped":[],"failed":[]}}'


def snapshot_rows(count):
    cluster = {
        "name": "outbound|80||a",
        "direction": "outbound",
        "source": "active",
        "discoveryType": "EDS",
        "connectTimeout": None,
    }
    yield b'{"apiVersion":"meshaudit/v1","kind":"MeshSnapshot","tool":{"name":"x","version":"1"},"snapshot":'
    yield b'{"takenAt":"2026-11-23T18:00:00Z","proxies":[],"skipped":['
    yield from repeated(b'{"id":{"namespace":"","name":""},"reason":""},', count)
    yield b'{"id":{"namespace":"","name":""},"reason":""}],"failed":[],"clusters":[' + json.dumps(cluster).encode() + b"]}}"


def log_connections(count):
    """Debug lines of as many connections, none of which ends."""
    for index in range(count):
        yield (
            b"2026-11-23T18:00:00.%06dZ\tdebug\tenvoy client external/envoy/source/common/http/codec_client.cc:57\t"
            b"[Tags: \"ConnectionId\":\"%d\"] connecting\tthread=15\n" % (index % 1_000_000, index)
        )


def log_access(count):
    """Access log lines, each with another upstream and another cluster."""
    for index in range(count):
        yield (
            b'[2026-11-23T18:00:00.000Z] "GET /%d HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{'
            b'connection_timeout} - "-" 0 91 1000 - "-" "curl" "%d" "h%d" "10.%d.%d.%d:80" outbound|80||h%d - '
            b"10.0.0.1:80 10.0.0.2:1 - default\n"
            % (index, index, index, index >> 16 & 255, index >> 8 & 255, index & 255, index)
        )


def log_resets(count):
    for index in range(count):
        yield (
            b'{"time":"2026-11-%02dT18:00:00Z","service":"s%d","message":"java.net.SocketException: Connection reset"}\n'
            % (1 + index % 28, index)
        )


def log_latest_first(count):
    """The latest line first, which is held to be read from its end; then lines of one byte."""
    for line in range(300):
        yield b"2026-11-23T18:00:%02d.000000Z\tdebug\tenvoy pool\t[C1] connect timeout\tthread=15\n" % (59 - line // 6)
    yield from many(b"", b"x\n", count, b"")


def files():
    """Each bomb as a file: its name, its bytes in pieces, and the commands that are to survive it."""
    dump = [["timeouts"], ["clusters"], ["clusters", "-o", "json"]]
    one = [["timeouts"]]
    logs = [["diagnose"], ["resets"]]
    gz = members
    nested = lambda open_, count: many(b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","x":', open_, count, b"")
    return {
        "tar-long-name-3g": (lambda: gz(tar_special(b"L", 3 << 30)), one + logs),
        "tar-long-link-256m": (lambda: gz(tar_special(b"K", 256 * MIB)), one),
        "tar-pax-256m": (lambda: gz(tar_special(b"x", 256 * MIB)), one),
        "tar-pax-global-256m": (lambda: gz(tar_special(b"g", 256 * MIB)), one),
        "tar-entries-2m": (lambda: gz(tar_entries(2_000_000)), one + logs),
        "tar-sparse-1t": (lambda: gz(tar_sparse(1 << 40 >> 8)), one + logs),
        "tar-blanks-2g": (
            lambda: gz(many(tar_header("a.json", 2 << 30, b"0"), b" ", 2 << 30, b"\0" * 1024)),
            one + logs,
        ),
        "zip-entries-1m": (lambda: [zip_entries(1_000_000)], one + logs),
        "zip-in-gzip-250m": (lambda: gz([stored_zip(250 * MIB)]), [["resets"]]),
        "xz-window-128m-layers-4": (lambda: [xz_layers(4, 300 * MIB)], one + logs),
        "zstd-window-128m": (lambda: [zstd_frame(1 << 30)], one + logs),
        "zstd-window-128m-layers-4": (
            lambda: [zstd_stored(zstd_stored(zstd_stored(zstd_frame(1 << 30))))],
            one + logs,
        ),
        # What a frame may ask for: the largest window that there is a field for, and one of 2 GiB.
        "zstd-window-3.75t": (lambda: [zstd_frame(1 << 20, 41)], one + logs),
        "zstd-window-2g": (lambda: [zstd_frame(1 << 30, 31)], one + logs),
        "zstd-layers-of-stored": (
            lambda: [zstd_stored(zstd_stored(zstd_stored(zstd_frame(300 * MIB) + zstd_stored(os.urandom(200 * MIB)))))],
            one + logs,
        ),
        "gzip-blanks-4g": (lambda: gz(repeated(b" ", 4 << 30)), one + logs),
        "bzip2-blanks-1g": (lambda: [bz2.compress(b" " * (1 << 30))], one),
        "dump-900k-clusters": (lambda: clusters(900_000), dump),
        "dump-190k-long-clusters": (lambda: clusters(190_000, 300), dump),
        "dump-element-127m": (lambda: one_element(127 * MIB - 100), dump),
        "dump-element-1g": (lambda: gz(one_element(1 << 30)), dump),
        "dump-section-40m-entries": (
            lambda: many(b'{"configs":[{"@type":"x.ClustersConfigDump","static_clusters":[', b"{},", 40_000_000, b"{}]}]}"),
            dump,
        ),
        "dump-section-10m-clusters": (
            lambda: many(
                b'{"configs":[{"@type":"x.ClustersConfigDump","dynamic_active_clusters":[',
                b'{"cluster":{}},',
                8_000_000,
                b"{}]}]}",
            ),
            dump,
        ),
        "dump-nested-120m": (lambda: nested(b"[", 120 * MIB), dump),
        "dump-element-of-arrays": (
            lambda: many(b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","x":[', b"[],", 40_000_000, b"0]}}]}"),
            dump,
        ),
        "dump-elements-of-numbers": (
            lambda: many(b'{"configs":[', b'{"@type":"x.DynamicCluster","cluster":{"name":"a","x":[1,1,1,1,1,1,1]}},', 4_000_000, b"{}]}"),
            [["clusters", "-o", "json"]],
        ),
        "dump-services-5m": (
            lambda: many(
                b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","metadata":{"filter_metadata":{"istio":{"services":[',
                b'{"host":"h","name":"n","namespace":"x"},',
                3_000_000,
                b'{"host":"h","name":"n","namespace":"x"}]}}}}}]}',
            ),
            dump,
        ),
        "dump-node-labels": (
            lambda: many(
                b'{"configs":[{"@type":"x.BootstrapConfigDump","bootstrap":{"node":{"id":"sidecar~1~a.b~c","metadata":{"LABELS":{',
                b"",
                0,
                b",".join(b'"%d":"x"' % index for index in range(6_000_000)) + b"}}}}}]}",
            ),
            one,
        ),
        "snapshot-spans": (lambda: snapshot(40, 4_294_967_295), dump),
        "snapshot-skipped-2m": (lambda: snapshot_rows(2_000_000), one),
        "log-one-line-2g": (lambda: gz(repeated(b"x", 2 << 30)), logs),
        "log-nested-json": (lambda: many(b"", b'{"a":[', 20_000_000, b"\n"), logs),
        "log-json-array-of-objects": (lambda: many(b"[", b'{"message":"a"},', 8_000_000, b"{}]"), logs),
        "log-table-of-long-names": (
            lambda: many(
                b'{"columns":[{"name":"@timestamp"},{"name":"message"},{"name":"' + b"n" * 30_000 + b'"}],"values":[',
                b"[1,2,3],", 1_000_000, b"[1,2,3]]}\n",
            ),
            logs,
        ),
        "log-table-of-rows": (
            lambda: many(
                b'{"columns":[{"name":"@timestamp"},{"name":"message"},{"name":"' + b"n" * 150 + b'"}],"values":[',
                b"[1,2,3],", 1_000_000, b"[1,2,3]]}\n",
            ),
            logs,
        ),
        "log-json-one-line-of-arrays": (lambda: many(b'{"message":[', b"[],", 300_000, b"[]]}\n"), logs),
        "log-latest-first-30m-lines": (lambda: log_latest_first(30_000_000), logs),
        "log-2m-connections": (lambda: log_connections(2_000_000), logs),
        "log-1m-upstreams": (lambda: log_access(1_000_000), logs),
        "log-1m-services": (lambda: log_resets(1_000_000), logs),
        "log-partial-lines": (
            lambda: many(b"", b"2026-11-23T18:00:00.000000000Z stdout P " + b"y" * 8000 + b"\n", 40_000, b""),
            logs,
        ),
        "log-open-document": (lambda: many(b"{\n", b'"a": 1,\n', 30_000_000, b""), logs),
        "log-traces": (
            lambda: many(b"Exception in thread \"main\" java.net.SocketException: Connection reset\n", b"\tat a.b(C.java:1)\n", 15_000_000, b""),
            logs,
        ),
        "log-caused-by": (
            lambda: many(b"java.net.SocketException: Connection reset\n", b"Caused by: java.net.SocketException: Connection reset\n", 4_000_000, b""),
            logs,
        ),
    }


# --- files that flags name ---------------------------------------------------------------------------------------------


def document(kind, rest):
    return [b'{"apiVersion":"meshaudit/v1","kind":"%s",' % kind, *rest]


ROW = (
    b'{"name":"outbound|80||a%d","direction":"outbound","port":80,"subset":"","host":"a","type":"EDS","connectTimeout":"1s",'
    b'"connectTimeoutMs":1000,"explicit":true,"synRetransmissions":0,"origin":{"kind":"Unknown","namespace":"","name":"",'
    b'"part":"","certain":false},"proxyCount":1,"proxySet":"s1"}'
)


def named():
    """Files that are named by a flag, with {} where their path stands."""
    here = [["convert", "{}", "-o", "csv"], ["diff", "{}", "{}"], ["timeouts", "--admin-url", "URL", "--baseline", "{}"]]
    token = [
        ["resets", "--loki", "URL", "--store-token-file", "{}"],
        ["resets", "--loki", "URL", "--store-ca", "{}"],
        ["resets", "--prometheus", "URL", "--prometheus-token-file", "{}", "--since", "1h"],
        ["timeouts", "--server", "https://127.0.0.1:1", "--certificate-authority", "{}"],
        ["timeouts", "--server", "https://127.0.0.1:1", "--client-certificate", "{}", "--client-key", "{}"],
        ["timeouts", "--kubeconfig", "{}"],
        ["policy", "check", "{}"],
    ]
    return {
        "audit-of-empty-objects": (
            lambda: document(b"TimeoutAudit", many(b'"clusters":[', b"{},", 20_000_000, b"{}]}")), here,
        ),
        "audit-of-empty-arrays": (
            lambda: document(b"TimeoutAudit", many(b'"x":[', b"[],", 20_000_000, b"[]]}")), here,
        ),
        "audit-of-300k-clusters": (
            lambda: document(b"TimeoutAudit", [b'"clusters":[', b",".join(ROW % index for index in range(300_000)), b"]}"]),
            here,
        ),
        "diagnosis-of-empty-objects": (
            lambda: document(b"Diagnosis", many(b'"diagnoses":[', b"{},", 20_000_000, b"{}]}")), here[:1],
        ),
        "plan-of-empty-sets": (
            lambda: document(b"FixPlan", many(b'"effect":{"changes":[]},"proxySets":{"a":[', b'"",', 40_000_000, b'""]}}')),
            [["verify", "--admin-url", "URL", "--plan", "{}"]],
        ),
        "plan-of-changes": (
            lambda: document(
                b"FixPlan",
                many(b'"proxySets":{},"effect":{"changes":[', b'{"cluster":"","after":null,"proxySet":""},', 5_000_000,
                     b'{"cluster":"","after":null,"proxySet":""}]}}'),
            ),
            [["verify", "--admin-url", "URL", "--plan", "{}"]],
        ),
        "dump-listeners-of-arrays": (
            lambda: many(
                b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a"}},{"@type":"x.ListenersConfigDump","x":[',
                b"[],", 15_000_000, b"[]]}]}",
            ),
            [["diagnose", "--from", "LOG", "--config-dump", "{}"]],
        ),
        "text-600m": (lambda: repeated(b"x", 600 * MIB), token),
        "yaml-aliases": (
            lambda: [b"a: &a [x,x,x,x,x,x,x,x,x]\n"]
            + [b"%c: &%c [%s]\n" % (98 + at, 98 + at, b",".join([b"*%c" % (97 + at)] * 9)) for at in range(9)],
            token[-2:],
        ),
        "yaml-list-25m": (lambda: many(b"ignore:\n", b"- {}\n", 5_000_000, b""), token[-2:]),
    }


# --- servers ---------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answer = None

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        answer = self.server.answer(self.path, self.headers)
        if answer is None:
            answer = (404, {}, [b'{"kind":"Status","reason":"NotFound","message":"none"}'])
        status, headers, pieces = answer
        if callable(pieces):
            return pieces(self)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                if piece:
                    self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    do_POST = do_GET


def gzipped(mib):
    return 200, {"Content-Encoding": "gzip"}, [packed(many(b'{"kind":"PodList","x":"', b" ", mib * MIB, b'"}'))]


def listed(kind, pieces):
    yield b'{"kind":"%sList","apiVersion":"v1","metadata":{},"items":[' % kind
    yield from pieces
    yield b"]}"


POD = {
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"},
    "spec": {"containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "istio-proxy", "restartCount": 0, "state": {"running": {}}}],
    },
}
SMALL_DUMP = b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"outbound|80||a","connect_timeout":"1s"}}]}'


def frame(payload, opcode=2):
    length = len(payload)
    size = bytes([length]) if length < 126 else struct.pack(">BH", 126, length) if length < 65536 else struct.pack(">BQ", 127, length)
    return bytes([0x80 | opcode]) + size + payload


def requests(stream):
    """One `True` for each request that comes in a client's frames."""
    data = b""
    while head := stream.read(2):
        length = head[1] & 127
        length = length if length < 126 else int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        mask, masked = stream.read(4), stream.read(length)
        if head[0] & 15 == 2:
            data += bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))[1:]
        while b"\r\n\r\n" in data:
            data = data.split(b"\r\n\r\n", 1)[1]
            yield True


def tunnel(pieces):
    """A port-forward over a WebSocket with these frames."""

    def upgrade(handler):
        key = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        handler.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: " + handler.headers["Sec-WebSocket-Protocol"].split(",")[0].encode() + b"\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        try:
            for piece in pieces(handler.rfile):
                handler.wfile.write(piece)
            time.sleep(2)
        except OSError:
            pass
        handler.close_connection = True

    return 101, {}, upgrade


PORTS = frame(b"\0" + struct.pack("<H", 15000)) + frame(b"\1" + struct.pack("<H", 15000))


def over_tunnel(body):
    """Frames of an HTTP answer whose body goes on as `body` does."""

    def pieces(_):
        yield PORTS
        yield frame(b"\0HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for piece in body():
            yield frame(b"\0" + piece)

    return tunnel(pieces)


def answering(body):
    """A port-forward to a proxy that answers each request with this."""

    def pieces(stream):
        yield PORTS
        for _ in requests(stream):
            yield frame(b"\0HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return tunnel(pieces)


def api(pods=None, forward=None, lists=None, logs=None):
    """An API server with this list of pods, this behind a port-forward, and these other lists by resource."""

    def answer(path, headers):
        plain = path.split("?")[0]
        if plain.endswith("/portforward") and forward:
            return forward
        if plain.endswith("/log") and logs:
            return 200, {"Content-Type": "text/plain"}, logs()
        if plain == "/api/v1/pods" or plain.endswith("/namespaces/shop/pods"):
            return pods if pods else (200, {}, listed(b"Pod", [json.dumps(POD).encode()]))
        if plain.endswith("/pods/web-1"):
            return 200, {}, [json.dumps(POD | {"kind": "Pod", "apiVersion": "v1"}).encode()]
        if plain == "/apis":
            group = {"name": "networking.istio.io", "preferredVersion": {"groupVersion": "networking.istio.io/v1"}}
            return 200, {}, [json.dumps({"kind": "APIGroupList", "groups": [group]}).encode()]
        for resource, made in (lists or {}).items():
            if plain.endswith("/" + resource):
                return 200, {}, made()
        if plain.endswith("s") and "/namespaces/" not in plain:
            return 200, {}, listed(b"Object", [])
        return None

    return answer


def objects(kind, count, spec):
    """A list of objects of which each has another name and this spec."""

    def made():
        def pieces():
            for index in range(count):
                meta = b'{"kind":"%s","metadata":{"name":"n%d","namespace":"shop"},"spec":' % (kind, index)
                yield (b"," if index else b"") + meta + spec + b"}"

        return listed(kind, pieces())

    return made


def pod_list(count, text):
    def pieces():
        for index in range(count):
            pod = POD | {"metadata": POD["metadata"] | {"name": f"p{index}", "uid": str(index), **text}}
            yield (b"," if index else b"") + json.dumps(pod).encode()

    return 200, {}, listed(b"Pod", pieces())


STORES = [["resets", flag, "URL"] for flag in ["--elasticsearch", "--loki", "--victorialogs", "--splunk"]]


def servers():
    audit = [["timeouts", "-A"]]
    small = answering(SMALL_DUMP)
    endless = lambda piece: (lambda: (piece for _ in range(20_000)))
    arrays = b"[" + b"[]," * 900_000 + b"0]"
    long_label = {"labels": {f"l{index}": "v" * 200 for index in range(20)}}
    dump = lambda *args: lambda: many(*args)
    reached = [["timeouts"], ["clusters"], ["clusters", "-o", "json"]]
    admin = lambda body: (lambda path, headers: (200, {}, body()))
    result = {
        "api-pods-gzip-3g": (api(pods=gzipped(3072)), audit, "api"),
        "api-pods-endless": (api(pods=(200, {}, many(b'{"kind":"PodList","x":"', b" ", 2 << 30, b""))), audit, "api"),
        "api-pods-of-arrays": (
            api(pods=(200, {}, listed(b"Pod", many(b"", b'{"x":' + arrays + b"},", 80, b"{}")))), audit, "api",
        ),
        "api-pods-100k": (api(pods=pod_list(100_000, {})), audit, "api"),
        "api-pods-60k-long-labels": (api(pods=pod_list(40_000, long_label)), audit, "api"),
        "api-tunnel-endless-body": (api(forward=over_tunnel(endless(b" " * MIB))), audit, "api"),
        "api-tunnel-frames-of-64m": (
            api(forward=tunnel(lambda _: (frame(b"\0" + b"x" * (64 * MIB)) for _ in range(8)))), audit, "api",
        ),
        "api-tunnel-error-channel": (
            api(forward=tunnel(lambda _: (frame(b"\1" + b"x" * (3 * MIB)) for _ in range(500)))), audit, "api",
        ),
        "api-tunnel-900k-clusters": (api(forward=over_tunnel(lambda: clusters(900_000))), audit, "api"),
        "api-60-tunnels-of-60m-elements": (
            api(pods=pod_list(60, {}), forward=over_tunnel(lambda: one_element(60 * MIB))), audit, "api",
        ),
        "api-60-tunnels-of-60m-of-clusters": (
            api(pods=pod_list(60, {}), forward=over_tunnel(lambda: clusters(150_000, 300))), audit, "api",
        ),
        "api-rules-of-arrays": (
            api(forward=small, lists={"destinationrules": objects(b"DestinationRule", 60, b'{"host":' + arrays + b"}")}),
            audit, "api",
        ),
        "api-rules-100k": (
            api(forward=small, lists={"destinationrules": objects(b"DestinationRule", 400_000, b'{"host":"a.example.com","trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"1s"}}}}')}),
            audit, "api",
        ),
        "api-filters-of-arrays": (
            api(forward=small, lists={"envoyfilters": objects(b"EnvoyFilter", 60, b'{"configPatches":[{"applyTo":"CLUSTER","patch":{"operation":"MERGE","value":{"x":' + arrays + b"}}}]}")}),
            audit, "api",
        ),
        "api-services-1m": (
            api(forward=small, lists={
                "destinationrules": objects(b"DestinationRule", 1, b'{"host":"a"}'),
                "services": objects(b"Service", 1_000_000, b'{"ports":[{"port":80}]}'),
            }),
            audit, "api",
        ),
        "api-log-endless": (
            api(logs=lambda: repeated(b"2026-11-23T18:00:00Z java.net.SocketException: Connection reset\n", 8_000_000)),
            [["resets", "-n", "shop", "web-1", "-c", "istio-proxy"], ["diagnose", "-n", "shop", "web-1"]], "api",
        ),
        "api-log-one-line": (
            api(logs=lambda: repeated(b"x", 1 << 30)),
            [["resets", "-n", "shop", "web-1", "-c", "istio-proxy"], ["diagnose", "-n", "shop", "web-1"]], "api",
        ),
        "admin-900k-clusters": (admin(lambda: clusters(900_000)), reached, "admin"),
        "admin-1g": (admin(lambda: many(b'{"configs":[', b'{"a":1},', 1 << 27, b"{}]}")), reached, "admin"),
        "admin-section-of-entries": (
            admin(dump(b'{"configs":[{"@type":"x.ClustersConfigDump","static_clusters":[', b"{},", 20_000_000, b"{}]}]}")),
            reached, "admin",
        ),
        "admin-element-of-arrays": (
            admin(dump(b'{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","x":[', b"[],", 20_000_000, b"0]}}]}")),
            reached, "admin",
        ),
        "admin-warming": (admin(lambda: one_element(60 * MIB)), reached, "admin"),
        "admin-endpoints-and-stats": (
            lambda path, headers: (200, {}, [SMALL_DUMP] if path.startswith("/config_dump")
                                   else many(b'{"cluster_statuses":[', b'{"name":"outbound|80||%d","host_statuses":[{"stats":[{"value":"9","name":"cx_total"}]}]},', 500_000, b"{}]}")
                                   if path.startswith("/clusters")
                                   else repeated(b"cluster.outbound|80||a.upstream_cx_connect_fail: 5\n", 1_000_000)),
            [["timeouts"]], "admin",
        ),
        "admin-long-header": (
            lambda path, headers: (200, {"X-Long": "y" * (200 * 1000)}, [SMALL_DUMP]), [["timeouts"]], "admin",
        ),
        "prometheus-matrix": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"matrix","result":[', b'{"metric":{"a":"b"},"values":[[1795456800,"1"]]},', 5_000_000, b'{"metric":{},"values":[]}]}}')),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "prometheus-series-1m": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"matrix","result":[{}', b"", 0, b"".join(
                b',{"metric":{"destination_service":"s%d"},"values":[[1795456800,"1"]]}' % index for index in range(1_000_000)) + b"]}}")),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "prometheus-label-1g": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"', b"x", 1 << 30, b'"},"values":[]}]}}')),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "prometheus-labels-20m": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{', b'"a":"b",', 20_000_000, b'"c":""},"values":[]}]}}')),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "prometheus-nested": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"matrix","result":', b"[", 200 * MIB, b"")),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "prometheus-error-1g": (
            lambda path, headers: (400, {}, many(b'{"status":"error","error":"', b"x", 1 << 30, b'"}')),
            [["resets", "--since", "1h"]], "prometheus",
        ),
        "store-endless": (lambda path, headers: (200, {}, repeated(b" ", 4 << 30)), STORES, "store"),
        "store-arrays": (lambda path, headers: (200, {}, many(b"[", b"[],", 60_000_000, b"[]]")), STORES, "store"),
        "store-nested": (lambda path, headers: (200, {}, repeated(b'{"a":', 400 * MIB)), STORES, "store"),
        "store-lines": (
            lambda path, headers: (200, {}, many(b"", b'{"_time":"2026-11-23T18:00:00Z","_msg":"x","result":{}}\n', 10_000_000, b"")),
            STORES, "store",
        ),
        "store-one-line": (
            lambda path, headers: (200, {}, many(b'{"_time":"2026-11-23T18:00:00Z","_msg":"', b"x", 1 << 30, b'"}')), STORES, "store",
        ),
        "store-elasticsearch-hits": (
            lambda path, headers: (200, {}, many(b'{"pit_id":"x","id":"x","hits":{"hits":[', b'{"_source":{}},', 20_000_000, b'{"_source":{}}]}}')),
            STORES[:1], "store",
        ),
        "store-loki-values": (
            lambda path, headers: (200, {}, many(b'{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[', b'["1795456800000000000","x"],', 10_000_000, b'["1","x"]]}]}}')),
            STORES[1:2], "store",
        ),
        "store-gzip": (lambda path, headers: gzipped(2048), STORES, "store"),
        "prometheus-blanks-gzip": (
            lambda path, headers: gzipped(2048), [["resets", "--since", "1h"]], "prometheus",
        ),
    }
    return result


# --- running ---------------------------------------------------------------------------------------------------------


# The peak of a child counts what its parent held when it was made, so that a parent that holds nothing makes it.
RUNNER = """
import json, os, resource, signal, sys
child = os.fork()
if child == 0:
    resource.setrlimit(resource.RLIMIT_AS, (4_000_000 << 10,) * 2)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(120)
_, status, usage = os.wait4(child, 0)
os.write(3, json.dumps([usage.ru_maxrss, os.waitstatus_to_exitcode(status)]).encode())
"""


def run(binary, args, environment):
    """Peak resident memory in MiB, seconds, exit code, and the first line of what was said."""
    with tempfile.TemporaryFile() as said:
        read, write = os.pipe()
        begun = time.monotonic()
        script = 'python=$0 runner=$1; shift; exec "$python" -S -E -c "$runner" "$@" 3>&%d' % write
        subprocess.run(
            ["/bin/sh", "-c", script, sys.executable, RUNNER, os.path.abspath(binary), *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=environment, pass_fds=[write],
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            peak, code = json.loads(pipe.read())
        said.seek(0)
        lines = [line for line in said.read(100_000).decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("error", "memory"))] or lines or [""]
        return peak / 1024, time.monotonic() - begun, code, errors[0].strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=BINARY)
    parser.add_argument("--limit", type=int, default=300, help="MiB")
    parser.add_argument("--after", help="begin behind this one")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("name", nargs="*")
    given = parser.parse_args()
    on_disk, by_flag, served = files(), named(), servers()
    names = [*on_disk, *by_flag, *served]
    if given.list:
        print("\n".join(names))
        return 0
    wanted = lambda name: not given.name or any(name == part or part.endswith("*") and name.startswith(part[:-1]) for part in given.name)
    if given.after:
        given.name = names[names.index(given.after) + 1 :]
    over = 0
    with tempfile.TemporaryDirectory(prefix="bombs-") as directory:
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "XDG_STATE_HOME": directory}
        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        print(f"{'bomb':36} {'command':24} {'MiB':>6} {'s':>6} {'exit':>4}  said", flush=True)

        def measure(name, command, args):
            nonlocal over
            peak, seconds, code, said = run(given.binary, args, environment)
            mark = " " if peak < given.limit and code >= 0 else "!"
            over += mark == "!"
            print(f"{name:36} {' '.join(command):24.24} {peak:6.0f} {seconds:6.1f} {code:4}{mark} {said[:110]}", flush=True)

        server.answer = lambda path, headers: (200, {}, [SMALL_DUMP])
        log = os.path.join(directory, "log")
        with open(log, "wb") as file:
            file.writelines(log_connections(10))
        path = os.path.join(directory, "input")
        for name, (made, commands) in [*on_disk.items(), *by_flag.items()]:
            if not wanted(name):
                continue
            with open(path, "wb") as file:
                for piece in made():
                    file.write(piece)
            for command in commands:
                given_as = {"{}": path, "URL": url, "LOG": log}
                args = [given_as.get(word, word) for word in command]
                measure(name, command, args if name in by_flag else [*args, "--from", path])
            os.remove(path)
        for name, (answer, commands, kind) in served.items():
            if not wanted(name):
                continue
            server.answer = answer
            for command in commands:
                where = {
                    "api": ["--server", url, "--timeout", "60s"],
                    "admin": ["--admin-url", url, "--timeout", "60s"],
                    "prometheus": ["--prometheus", url],
                    "store": ["--since", "1h", "--timeout", "60s"],
                }[kind]
                measure(name, command, [*(url if word == "URL" else word for word in command), *where])
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
