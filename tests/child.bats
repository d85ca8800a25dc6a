#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Where only async-signal-safe functions may be called: the child of a process with several threads, and, with
# strict=1, signal handlers. Each fault with its call, its stack and where the fork or the handler is; and clean
# twins, after which nothing is said.

load helper

stderr= # set by run --separate-stderr

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# told KIND CALL COUNT [FUNCTION]...: exactly one violation is recorded, with these innermost functions of its stack
told() {
	assert_equal "$(query '[(v["kind"], v["severity"], v["call"], v["count"]) for v in violations]')" \
		"('$1', 'warning', '$2', $3)"
	assert_equal "$(query "[frame['symbol'] for frame in violations[0]['stack']][:$(($# - 3))]" | paste -sd' ')" "${*:4}"
	assert_equal "$(query "summary['violations']['$1']")" "$3"
}

# forked FUNCTION: and the fork was there
forked() {
	assert_equal "$(query 'violations[0]["fork"]["stack"][0]["symbol"]')" "$1"
	assert_equal "$(query 'bool(violations[0]["fork"]["site"]) and "handler" not in violations[0] and "signal" not in violations[0]')" True
}

# handled FUNCTION NUMBER NAME: and the handler is that of this signal
handled() {
	assert_equal "$(query '[violations[0][key] for key in ("signal", "signal_name")] + [violations[0]["handler"]["symbol"], "fork" in violations[0]]' | paste -sd' ')" \
		"$2 $3 $1 False"
}

# silent [SPORK-RUN-OPTION]... -- PROG...: it ends as it should, and nothing is recorded
silent() {
	record "$@"
	assert_equal "$(query '[(v["kind"], v.get("call")) for v in violations]')" ""
}

@test "child-thread: pthread_create in the function that forked's callee, and deeper" {
	record -- child_thread create
	told child-thread pthread_create 1 start main
	forked xfork
	record -- child_thread create 1
	told child-thread pthread_create 1 start deeper main
	forked xfork
}

@test "child-thread: thrd_create" {
	record -- child_thread thrd
	told child-thread thrd_create 1 start_c11 main
	forked xfork
	record -- child_thread thrd 1
	told child-thread thrd_create 1 start_c11 deeper main
}

@test "child-thread: threads that libc starts, for a timer and for asynchronous input" {
	record -- child_thread timer
	told child-thread timer_create 1 start_timer main
	record -- child_thread timer 1
	told child-thread timer_create 1 start_timer deeper main
	record -- child_thread aio
	told child-thread aio_read 1 start_aio main
	record -- child_thread aio 1
	told child-thread aio_read 1 start_aio deeper main
}

@test "no child-thread: of a process with one thread, of a child's child, after exec, by an atfork handler" {
	for way in alone joined grandchild exec handler grandchild_handler timer_signal; do
		silent -- child_thread "$way"
		silent -- child_thread "$way" 1
	done
}

@test "child-thread as text" {
	quietly "" child_thread create
	assert_equal "$status" 0
	assert_regex "$stderr" $'^==================\nWARNING: spork: child-thread \\(pid=[0-9]+\\)\n  The child of fork\\(\\), whose parent had other threads, starts a thread by pthread_create\\(\\) before exec:\n  The fork was here:\n    #0 child_thread\\+0x[0-9a-f]+\n'
	assert_regex "$stderr" $'\n  The child is here:\n    #0 child_thread\\+(0x[0-9a-f]+)\n'
	assert_regex "$stderr" $'\nSUMMARY: spork: child-thread child_thread\\+'"${BASH_REMATCH[1]}"$'\n==================$'
}

@test "child-unsafe-call: malloc, printf, pthread_mutex_lock, localtime" {
	for way in malloc:malloc printf:printf mutex:pthread_mutex_lock localtime:localtime; do
		record -s strict=1 -- child_call "${way%:*}"
		told child-unsafe-call "${way#*:}" 1 "call_${way%:*}" main
		forked xfork
		record -s strict=1 -- child_call "${way%:*}" deep
		told child-unsafe-call "${way#*:}" 1 "call_${way%:*}" deeper main
		forked xfork
	done
}

@test "no child-unsafe-call: with strict=0, alone, in a child that calls what is safe, or executes" {
	for way in malloc printf mutex localtime; do
		silent -- child_call "$way"
		silent -s strict=1 -- child_call "$way" alone
	done
	for way in safe execs; do
		silent -s strict=1 -- child_call "$way"
		silent -s strict=1 -- child_call "$way" deep
	done
}

@test "child-unsafe-call as text" {
	quietly strict=1 child_call malloc
	assert_equal "$status" 0
	assert_regex "$stderr" $'\n  The child of fork\\(\\), whose parent had other threads, calls malloc\\(\\) before exec, which is not async-signal-safe:\n  The fork was here:\n'
	assert_regex "$stderr" $'\nSUMMARY: spork: child-unsafe-call child_call\\+'
}

@test "signal-unsafe-call: printf in a handler of SIGALRM, twice the same" {
	record -s strict=1 -- signal_call printf
	told signal-unsafe-call printf 2 on_printf
	handled on_printf 14 SIGALRM
}

@test "signal-unsafe-call: malloc in a callee of a handler that signal() set" {
	record -s strict=1 -- signal_call callee
	told signal-unsafe-call malloc 1 call_malloc on_callee
	handled on_callee 10 SIGUSR1
}

@test "signal-unsafe-call: a handler with SA_SIGINFO gets all its arguments" {
	record -s strict=1 -- signal_call info
	told signal-unsafe-call localtime 1 on_info
	handled on_info 14 SIGALRM
}

@test "signal-unsafe-call: on the alternate stack, of a real-time signal" {
	record -s strict=1 -- signal_call alternate
	told signal-unsafe-call malloc 1 call_malloc on_callee
	handled on_callee 37 None
	quietly strict=1 signal_call alternate
	assert_regex "$stderr" $'\n  A handler of signal 37 calls malloc\\(\\), which is not async-signal-safe:\n  The handler is this one:\n    #0 signal_call\\+0x'
	record -s strict=1 -- signal_call alternate 32768
	told signal-unsafe-call malloc 1 call_malloc on_callee
}

@test "an alternate stack that is just large enough for a handler is large enough" {
	for size in 3600 4096 5120 6144 7168 8192 12288 16384; do
		victim signal_call alternate "$size" || continue
		record -s strict=1 -- signal_call alternate "$size"
	done
}

@test "signal-unsafe-call: nested handlers, each with its own" {
	record -s strict=1 -- signal_call nested
	assert_equal "$(query 'sorted((v["handler"]["symbol"], v["call"], v["count"]) for v in violations)')" \
		$'(\'on_nested\', \'calloc\', 2)\n(\'on_printf\', \'printf\', 1)'
}

@test "no signal-unsafe-call: with strict=0, or by handlers that call what is safe" {
	for way in printf callee info alternate nested; do
		silent -- signal_call "$way"
	done
	silent -s strict=1 -- signal_call safe
}

@test "a handler that jumps out, forks, or ends with its thread runs no longer" {
	for way in jump jump_alternate plain_jump cancelled fork; do
		same_as_bare signal_call "$way"
		silent -s strict=1 -- signal_call "$way"
	done
}

@test "sigaction and its kin tell what was set, and what was set takes place" {
	run victim signal_set
	assert_success
	assert_output "done"
	for options in "" strict=1 strict=1:reroute=off strict=1:locks=off; do
		quietly "$options" signal_set
		assert_equal "$status $output $stderr" "0 done "
	done
}

@test "nothing that is in the list of safe functions twice, or interposed under another kind of row" {
	run bash -c "grep -oE '^SAFE(_UNSEEN)?\([A-Z0-9]+, \w+' '$ROOT/shim/signal_safe.def' | sed 's/.*, //' | sort | uniq -d"
	assert_output ""
	run bash -c "comm -12 <(sed -n 's/^SAFE_UNSEEN([A-Z0-9]*, \(.*\))/\1/p' '$ROOT/shim/signal_safe.def' | sort) \
		<(sed -n 's/^HOOK([a-z]*, \w*, \(\w*\),.*/\1/p' '$ROOT/shim/hooks.def' | sort)"
	assert_output ""
	assert [ "$(grep -c '^SAFE' "$ROOT/shim/signal_safe.def")" -gt 300 ]
	for function in fork malloc printf exit pthread_mutex_lock sysconf; do
		run grep -E "^SAFE.*, $function\)" "$ROOT/shim/signal_safe.def"
		assert_failure
	done
}
