# SPDX-License-Identifier: MIT
"""storm.py WHAT COUNT SPORK SHIM VICTIMS: COUNT times SIGKILL, at random moments, and what is left behind.

target: of a program that spawns, with a box of its own. child: of its children, most in a window. run: of spork run,
whose command goes on to its end. The current folder is empty, and so it is afterwards. Only processes that were
started here are signalled: a child of this process that was not waited for yet keeps its id, others have a pidfd.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time

what, count, spork, shim, victims = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
program = victims + "/fork_exec"
child = victims + "/exit_static"
PR_SET_CHILD_SUBREAPER = 36
LONG = "1000000"


def fail(text):
    sys.exit(f"storm: {text}")


def start(argv, options=None, out=subprocess.DEVNULL):
    environment = dict(os.environ)
    if options is not None:
        environment.update(LD_PRELOAD=shim, SPORK_OPTIONS=options)
    return subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)


def wait_for_orphans():
    """All that the killed one had started comes to this process, and ends."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
        except ChildProcessError:
            return
    fail("processes are left: " + open(f"/proc/self/task/{os.getpid()}/children").read())


def nothing_left():
    for folder in (".", os.environ["TMPDIR"]):
        if os.listdir(folder):
            fail(f"{folder} has {os.listdir(folder)}")
    if shared_before != set(os.listdir("/dev/shm")):
        print("note: /dev/shm has changed")
        if any("spork" in name for name in os.listdir("/dev/shm")):
            fail("/dev/shm has files of spork's")


def read_box(path):
    report = subprocess.run([spork, "report", "-f", "json", path], capture_output=True, text=True, timeout=20)
    if "is empty; was the disk full, or is the box still being made?" in report.stderr:
        return None
    if report.returncode:
        fail(f"the box cannot be read: {report.stderr}")
    rows = [json.loads(line) for line in report.stdout.splitlines()]
    return next(row for row in rows if row["type"] == "summary")


def kill_soon(process, most):
    time.sleep(random.random() * most)
    process.kill()
    errors = process.communicate()[1]
    if process.returncode != -signal.SIGKILL or errors:
        fail(f"ended by itself, {process.returncode}: {errors.decode()}")


def storm_target():
    spawns = empty = 0
    for i in range(count):
        process = start([program, LONG, child], "box=" + os.path.abspath("box"))
        kill_soon(process, 0.03)
        wait_for_orphans()
        summary = read_box("box") if os.path.exists("box") else None
        empty += not summary
        spawns += summary["spawns"] if summary else 0
        if os.path.exists("box"):
            os.unlink("box")
        nothing_left()
    if not spawns:
        fail("nothing was ever spawned")
    print(f"{count} targets killed, {empty} before they had a box, {spawns} spawns in the others")


def children_of(pid):
    try:
        return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def kill_child(parent):
    """Is one killed that has not executed yet? A pidfd is of one process, whatever becomes of its number."""
    for pid in children_of(parent):
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if pid in children_of(parent) and os.readlink(f"/proc/{pid}/exe") == os.path.realpath(program):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        except OSError:
            pass
        finally:
            os.close(handle)
    return False


def storm_child():
    box = os.path.abspath("box")
    with open("out", "w+") as out:
        process = start([program, LONG, child], "box=" + box, out)
        done = 0
        until = time.monotonic() + 60 + count
        # Until it has learned: one that is killed while it is audited has not executed.
        while os.path.getsize("out") < 1000 and time.monotonic() < until:
            time.sleep(0.001)
        while done < count and process.poll() is None and time.monotonic() < until:
            done += kill_child(process.pid)
            time.sleep(random.random() * 0.002)
        if done < count or process.poll() is not None:
            fail(f"{done} were killed, then the program ended, {process.returncode}")
        size = os.path.getsize("out")
        while os.path.getsize("out") < size + 1000 and time.monotonic() < until:
            time.sleep(0.001)
        if os.path.getsize("out") < size + 1000:
            fail("the program does not go on")
        kill_soon(process, 0)
        wait_for_orphans()
        lines = [line.split(": ")[1].strip() for line in open("out").read().splitlines()[:-1]]
    other = set(lines) - {"exit 0", "signal 9"}
    killed = lines.count("signal 9")
    summary = read_box("box")
    if other or not killed or not summary["by_tier"]["vfork"]:
        fail(f"{other}, {killed} killed, {summary['by_tier']}")
    print(f"{done} children killed before exec, {killed} seen to die of {len(lines)}, "
          f"{summary['by_tier']['vfork']} by the fast path")
    os.unlink("box")
    os.unlink("out")
    nothing_left()


def storm_run():
    whole = 0
    for i in range(count):
        box = i % 2
        argv = [spork, "run", "-q"] + (["-o", "box"] if box else []) + ["--", program, "20", child]
        with open("out", "w+") as out:
            process = start(argv, None, out)
            time.sleep(random.random() * 0.06)
            process.kill()
            process.communicate()
        wait_for_orphans()
        text = open("out").read()
        if text and not text.endswith("20 spawns\n"):
            fail(f"the command did not come to its end: {text}")
        whole += bool(text)
        if box and os.path.exists("box"):
            read_box("box")
            os.unlink("box")
        os.unlink("out")
        nothing_left()
    if not whole:
        fail("no command was ever started")
    print(f"{count} runs killed, {whole} commands went on to their end")


ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
shared_before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
{"target": storm_target, "child": storm_child, "run": storm_run}[what]()
