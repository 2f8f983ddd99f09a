#!/usr/bin/env python3
"""Reads generated logs with `resets`, beside grep -c and wc -l on the same bytes.

    cargo build --release
    python3 benches/resets.py [--mb 300] [--binary target/release/kubectl-meshaudit]

Two files of each kind, so that two cores have work: JSON lines of a logger, text with stack traces, and the same text in
Japanese. Prints MB/s, peak memory, and how many times grep's and wc's time it takes. The goal is 300 MB/s of JSON lines
and of text on two cores, under 64 MiB, and of text that is not ASCII no less than half of that.
"""
import json, os, subprocess, sys, tempfile, time
from pathlib import Path

args = sys.argv[1:]
option = lambda name, default: args[args.index(name) + 1] if name in args else default
SIZE = int(option("--mb", "300")) << 20
BINARY = option("--binary", str(Path(__file__).resolve().parent.parent / "target" / "release" / "kubectl-meshaudit"))


def json_lines(number):
    at = f"2020-07-08T{number // 36000 % 24:02}:{number // 600 % 60:02}:{number // 10 % 60:02}.{number % 10}00Z"
    record = {"@timestamp": at, "level": "INFO", "logger_name": "com.example.shop.checkout.CardGateway",
              "thread_name": f"http-nio-8080-exec-{number % 20}", "service": "checkout", "traceId": f"{number:032x}",
              "message": f"POST https://cc-api.example.io/v1/charges 200 in {number % 90} ms", "customer": number % 1000,
              "tags": ["payment", "card"], "kubernetes": {"pod": "checkout-7d9f8b6c5d-x2x4z", "labels": {"app": "checkout"}}}
    if number % 500 == 0:
        record |= {"level": "ERROR", "stack_trace": "java.net.SocketException: Connection reset\n\tat a.B.c(D.java:1)"}
    return json.dumps(record) + "\n"


def text(number, words="order placed for customer"):
    at = f"2020-07-08 {number // 36000 % 24:02}:{number // 600 % 60:02}:{number // 10 % 60:02},{number % 10}00"
    thread = f"http-nio-8080-exec-{number % 20}"
    if number % 500 == 0:
        return (f"{at} ERROR [{thread}] c.e.s.checkout.CardGateway : {words} POST https://cc-api.example.io/v1/charges failed\n"
                "java.net.SocketException: Connection reset\n" + "\tat a.B.c(D.java:1)\n" * 20)
    return f"{at} INFO  [{thread}] c.e.s.checkout.CheckoutService : {words} {number}\n"


def timed(command):
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    return time.monotonic() - start, usage.ru_maxrss / 1024


with tempfile.TemporaryDirectory() as directory:
    for kind, line in [("json", json_lines), ("text", text),
                       ("japanese", lambda number: text(number, "注文を受け付けました お客様番号"))]:
        place = Path(directory) / kind
        place.mkdir()
        block = "".join(line(number) for number in range(20000)).encode()
        for half in range(2):
            with open(place / f"checkout-{half}.log", "wb") as out:
                # The halves differ, or the second is a copy.
                out.write(line(half * 7 + 1).encode())
                for _ in range(SIZE // 2 // len(block)):
                    out.write(block)
        files = [str(file) for file in sorted(place.iterdir())]
        bytes_ = sum(os.path.getsize(file) for file in files)
        for command in ([BINARY, "resets", "--from", str(place), "-o", "json"],):
            timed(["cat", *files])
            seconds, memory = timed(command)
            grep, _ = timed(["grep", "-c", "Connection reset", *files])
            wc, _ = timed(["wc", "-l", *files])
            print(f"{kind:9} {command[1]:8} {bytes_ / 1e6 / seconds:7.0f} MB/s  {memory:5.0f} MiB  "
                  f"{seconds / grep:5.1f} x grep -c  {seconds / wc:5.1f} x wc -l")
