#!/usr/bin/env python3
"""How many instructions the decoders take, by valgrind's callgrind: a count that a busy machine does not change.

    python3 benches/instructions.py BINARY            # shows the counts, and what they were when they were recorded
    python3 benches/instructions.py BINARY --check    # ends with 1 where one has grown by more than the tolerance
    python3 benches/instructions.py BINARY --record   # writes benches/instructions.json

Counts are of a debug build, which CI has anyway, without those of the same command over one record. They are those of one
compiler: where another one built BINARY, `--check` says so and holds nothing against them.
"""
import argparse, json, re, subprocess, sys, tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import dumps, logs

RECORDED = Path(__file__).with_suffix(".json")
# Hash seeds differ from run to run by less than a hundredth; allocators and the standard library by a little more.
TOLERANCE = 0.10
BYTES = 200_000


def inputs(place):
    """Name and arguments of each measured run, and of one over little by which those of its command are measured."""
    for proxy in range(3):
        (place / f"whole-{proxy}.json").write_text(json.dumps(dumps.dump(proxy, 60), indent=1))
    one = [entry["cluster"] for entry in dumps.dump(1, 100)["configs"][1]["dynamic_active_clusters"]]
    (place / "istioctl.json").write_text(json.dumps(one, indent=4))
    (place / "little.json").write_text(json.dumps(one[:1]))
    whole = [part for proxy in range(3) for part in ("--from", place / f"whole-{proxy}.json")]
    yield "little", ["timeouts", "--from", place / "little.json"]
    yield "whole dumps", ["timeouts", *whole]
    yield "istioctl's clusters", ["timeouts", "--from", place / "istioctl.json"]
    for command, line in [("diagnose", "[2026-11-23T18:00:00.000Z][1][debug][pool] [C1] connecting"), ("resets", "2026-11-23T18:00:00Z INFO well")]:
        (place / f"{command}.log").write_text(line + "\n")
        yield "little", [command, "--from", place / f"{command}.log"]
    for name, command, _, files in logs.logs():
        if name not in ("debug log", "access log", "debug log in CRI", "application, JSON", "application, text"):
            continue
        path = place / (re.sub(r"\W", "-", name) + ".log")
        size = 0
        with open(path, "w", encoding="utf-8") as out:
            for line in files[0]():
                out.write(line)
                size += len(line)
                if size > BYTES:
                    break
        yield name, [command, "--from", path]


def instructions(binary, arguments):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary, *arguments]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if not found:
        sys.exit(f"valgrind has not counted:\n{run.stderr[-2000:]}")
    return int(found[1])


def compiler():
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true")
    how.add_argument("--record", action="store_true")
    args = parser.parse_args()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"compiler": "", "millions": {}}
    counts, little, grown = {}, {}, []
    with tempfile.TemporaryDirectory() as directory:
        for name, arguments in inputs(Path(directory)):
            count = instructions(args.binary, arguments)
            if name == "little":
                little[arguments[0]] = count
                continue
            count = round((count - little[arguments[0]]) / 1e6, 1)
            before = recorded["millions"].get(name)
            ratio = count / before if before else 1
            print(f"{name:30} {count:8.1f} million" + (f"  {ratio:5.2f} of what was recorded" if before else ""))
            counts[name] = count
            if ratio > 1 + TOLERANCE:
                grown.append(name)
    if args.record:
        RECORDED.write_text(json.dumps({"compiler": compiler(), "millions": counts}, indent=1) + "\n")
    if args.check and grown:
        if recorded["compiler"] != compiler():
            print(f"recorded with {recorded['compiler']}: other counts are no regression of ours")
            return
        sys.exit(f"more instructions than recorded, by over {TOLERANCE:.0%}: {', '.join(grown)}")


if __name__ == "__main__":
    main()
