#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Libraries that spawn for their programs, used through Python's bindings of them: the fork is the library's,
# and bare and under the shim output, errors, exit status and the files left behind must be equal.

load helper

setup() {
	work_setup
	export QT_LOGGING_RULES='*.debug=false'
}

# binding MODULE: Python's own and this one, or the test is skipped, aloud
binding() {
	"$PYTHON" -c "import $1" 2>/dev/null || skip "no Python binding $1 here"
}

@test "glib: g_spawn in all its forms" {
	binding gi
	cat >glib.py <<-'END'
		import os
		from gi.repository import Gio, GLib

		def show(*what):
		    print(*what, flush=True)

		none = GLib.SpawnFlags.DEFAULT
		for i in range(8):
		    show(GLib.spawn_sync(None, ["/bin/echo", f"sync {i}"], None, none, None, None))
		    show(GLib.spawn_sync("/", ["pwd"], ["A=b"], GLib.SpawnFlags.SEARCH_PATH, None, None))
		    show(GLib.spawn_command_line_sync(f"/bin/sh -c 'echo err >&2; exit {i}'"))
		    show(GLib.spawn_sync(None, ["/bin/sh", "-c", "kill -9 $$"], None, none, None, None))
		for i in range(6):
		    for arguments in (["/nonexistent/program"], ["no-such-program-anywhere"]):
		        try:
		            GLib.spawn_sync(None, arguments, None, GLib.SpawnFlags.SEARCH_PATH, None, None)
		        except GLib.Error as error:
		            show(error.message, error.code)
		    try:
		        GLib.spawn_sync("/nonexistent", ["/bin/true"], None, none, None, None)
		    except GLib.Error as error:
		        show(error.message)
		loop = GLib.MainLoop()

		def ended(pid, status):
		    show("ended", GLib.spawn_check_wait_status(status) if not status else status)
		    loop.quit()

		for i in range(6):
		    pid = GLib.spawn_async(["/bin/sh", "-c", f"echo {i} >async{i}; exit {i}"],
		                           flags=GLib.SpawnFlags.DO_NOT_REAP_CHILD)[0]
		    GLib.child_watch_add(GLib.PRIORITY_DEFAULT, pid, ended)
		    loop.run()
		for i in range(5): # reaped by a process between the two
		    GLib.spawn_command_line_async(f"/bin/sh -c 'echo {i} >async.tmp; mv async.tmp async'")
		    while not os.path.exists("async"):
		        pass
		    show(open("async").read())
		    os.unlink("async")
		for i in range(6):
		    child = Gio.Subprocess.new(["tr", "a-z", "A-Z"], Gio.SubprocessFlags.STDIN_PIPE | Gio.SubprocessFlags.STDOUT_PIPE)
		    show(child.communicate_utf8(f"gio {i}", None), child.get_exit_status())
		launcher = Gio.SubprocessLauncher.new(Gio.SubprocessFlags.STDOUT_PIPE)
		launcher.set_cwd("/")
		launcher.setenv("A", "b", True)
		for i in range(6):
		    show(launcher.spawnv(["/bin/sh", "-c", "echo $A; pwd"]).communicate_utf8(None, None))
	END
	LIMIT=60 same_as_bare "$PYTHON" glib.py
}

@test "Qt: QProcess" {
	binding PySide2.QtCore
	cat >qt.py <<-'END'
		import os, sys
		from PySide2.QtCore import QCoreApplication, QProcess, QProcessEnvironment

		def show(*what):
		    print(*what, flush=True)

		application = QCoreApplication(sys.argv)
		environment = QProcessEnvironment()
		environment.insert("A", "b")
		for i in range(8):
		    p = QProcess()
		    p.setProcessEnvironment(environment)
		    p.setWorkingDirectory("/")
		    p.start("/bin/sh", ["-c", f"cat; echo $A; pwd; echo err >&2; exit {i}"])
		    show(p.waitForStarted(), p.write(f"in {i}\n".encode()))
		    p.closeWriteChannel()
		    show(p.waitForFinished(), bytes(p.readAllStandardOutput()), bytes(p.readAllStandardError()), p.exitCode())
		for i in range(6):
		    p = QProcess()
		    p.start("/nonexistent/program", [])
		    show(p.waitForStarted(), p.error(), p.errorString())
		    p = QProcess()
		    p.setWorkingDirectory("/nonexistent")
		    p.start("/bin/true", [])
		    show(p.waitForFinished(), p.error(), p.errorString())
		    p = QProcess()
		    p.start("sleep", ["10"])
		    p.waitForStarted()
		    p.kill()
		    show(p.waitForFinished(), p.exitStatus())
		for i in range(6):
		    first, second = QProcess(), QProcess()
		    first.setStandardOutputProcess(second)
		    second.setStandardOutputFile(f"piped{i}")
		    first.start("/bin/echo", [f"piped {i}"])
		    second.start("tr", ["a-z", "A-Z"])
		    show(first.waitForFinished(), second.waitForFinished(), QProcess.execute("/bin/echo", [f"execute {i}"]))
		for i in range(5):
		    ok = QProcess.startDetached("/bin/sh", ["-c", f"echo {i} >detached.tmp; mv detached.tmp detached"])
		    while not os.path.exists("detached"):
		        pass
		    show(bool(ok), open("detached").read())
		    os.unlink("detached")
		for i in range(5):
		    p = QProcess()
		    p.finished.connect(lambda code, status: (show("finished", code, status), application.quit()))
		    p.start("/bin/sh", ["-c", f"exit {i}"])
		    application.exec_()
	END
	LIMIT=60 same_as_bare "$PYTHON" qt.py
}
