# SPDX-License-Identifier: MIT
#
# spawn.py WAY BYTES RUNS PROGRAM: from a Python that holds so much memory, spawns PROGRAM and waits for it.
# Prints the median of RUNS such times in nanoseconds; ten warm up first. Run by tests/bench/programs.
import os
import subprocess
import sys
import time

WARMUP = 10


def check(status):
    if status:
        sys.exit(f"spawn.py: the program ended with {status}")


def run(program, **options):
    check(subprocess.run([program], **options).returncode)


def without_vfork():
    subprocess._USE_VFORK = False
    return run


def with_preexec():
    return lambda program: run(program, preexec_fn=lambda: None)


def fork_exec():
    def spawn(program):
        pid = os.fork()
        if not pid:
            os.execv(program, [program])
        check(os.waitpid(pid, 0)[1])

    return spawn


def shell():
    return lambda program: check(os.system(program))


def glib():
    from gi.repository import GLib

    return lambda program: check(GLib.spawn_sync("/", [program], None, GLib.SpawnFlags.DEFAULT, None, None)[3])


def glib_async():
    from gi.repository import GLib

    def spawn(program):
        pid = GLib.spawn_async([program], working_directory="/", flags=GLib.SpawnFlags.DO_NOT_REAP_CHILD)[0]
        check(os.waitpid(pid, 0)[1])

    return spawn


def qt():
    from PySide2.QtCore import QCoreApplication, QProcess

    application = QCoreApplication(sys.argv)

    def spawn(program, _application=application):
        process = QProcess()
        process.start(program, [])
        if not process.waitForFinished():
            sys.exit("spawn.py: QProcess failed")
        check(process.exitCode())

    return spawn


WAYS = {
    "subprocess": lambda: run,
    "subprocess-fork": without_vfork,
    "preexec_fn": with_preexec,
    "fork": fork_exec,
    "system": shell,
    "glib": glib,
    "glib-async": glib_async,
    "qt": qt,
}

way, size, runs, program = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
held = b"\1" * size
spawn = WAYS[way]()
times = []
for i in range(-WARMUP, runs):
    began = time.monotonic_ns()
    spawn(program)
    if i >= 0:
        times.append(time.monotonic_ns() - began)
print(sorted(times)[runs // 2])
