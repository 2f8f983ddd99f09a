#!/usr/bin/env python3
"""Writes a debug log of any size, for measuring: recorded calls, over and over, with times and connection ids that go on.

    python3 tests/fixtures/logs/record/generate.py 1000000000 > /tmp/debug.log

Of a thousand calls one meets a connect timeout, one a refused port; the others are healthy.
"""

import datetime
import pathlib
import re
import sys

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "recorded"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
ID = re.compile(r'"ConnectionId":"(\d+)"|\[C(\d+)\]')
CLIENT = re.compile(r"127\.0\.0\.1:(\d+)")


def template(name):
    """The lines of a recorded call, cut at what changes: pieces and, between them, functions of (base time, first id)."""
    log = (RECORDED / name).read_text()
    lines = [line for line in log.splitlines(keepends=True)]
    start = next(i for i, line in enumerate(lines) if "new connection from" in line or "new tcp proxy session" in line)
    end = next(i for i, line in enumerate(lines) if "caught ENVOY_SIGTERM" in line)
    text = "".join(lines[start:end])
    first = datetime.datetime.fromisoformat(TIME.search(text)[0])
    pieces, at = [], 0
    for match in re.finditer(f"{TIME.pattern}|{ID.pattern}", text):
        pieces.append(text[at:match.start()])
        at = match.end()
        if match[0][0] == "2":
            pieces.append((0, (datetime.datetime.fromisoformat(match[0]) - first).total_seconds(), match[0].count("") - 22))
        else:
            pieces.append((1, int(match[1] or match[2]), match[1] is not None))
    return [*pieces, text[at:]], max((piece[1] for piece in pieces if isinstance(piece, tuple) and piece[0] == 1), default=0) + 1


def fill(pieces, seconds, first_id):
    out = []
    for piece in pieces:
        if isinstance(piece, str):
            out.append(piece)
        elif piece[0] == 0:
            moment = datetime.datetime.fromtimestamp(seconds + piece[1], datetime.timezone.utc)
            stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
            out.append((stamp if piece[2] > 4 else stamp[:-3]) + "Z")
        else:
            number = first_id + piece[1]
            out.append(f'"ConnectionId":"{number}"' if piece[2] else f"[C{number}]")
    return "".join(out)


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000_000
    healthy = template("healthy/healthy_http.1.40.0.text.log")
    timeout = template("connect_timeout/connect_timeout_http.1.40.0.text.log")
    refused = template("connection_refused/refused_http.1.40.0.text.log")
    written, seconds, first_id, count = 0, 1_780_000_000.0, 0, 0
    while written < size:
        pieces, ids = timeout if count % 1000 == 500 else refused if count % 1000 == 999 else healthy
        text = fill(pieces, seconds, first_id)
        written += len(text)
        sys.stdout.write(text)
        seconds, first_id, count = seconds + 1.2 if pieces is timeout[0] else seconds + 0.01, first_id + ids, count + 1


if __name__ == "__main__":
    main()
