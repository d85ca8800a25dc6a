<?php
// SPDX-License-Identifier: MIT
//
// spawn.php WAY BYTES RUNS PROGRAM: as spawn.py does it, from PHP.
ini_set("memory_limit", -1);
[, $way, $bytes, $runs, $program] = $argv;
$held = str_repeat("x", (int)$bytes);
$ways = [
	"proc_open" => fn() => proc_close(proc_open([$program], [], $pipes)),
	"exec" => function () use ($program) { exec($program, $lines, $status); return $status; },
	"shell_exec" => function () use ($program) { shell_exec($program); return 0; },
	"pcntl_fork" => function () use ($program) {
		$pid = pcntl_fork();
		if (!$pid) {
			pcntl_exec($program);
			exit(99);
		}
		pcntl_waitpid($pid, $status);
		return $status;
	},
];
$times = [];
for ($i = -10; $i < $runs; $i++) {
	$began = hrtime(true);
	if ($ways[$way]() !== 0) {
		fwrite(STDERR, "spawn.php: the program failed\n");
		exit(1);
	}
	if ($i >= 0)
		$times[] = hrtime(true) - $began;
}
sort($times);
echo $times[intdiv($runs, 2)], "\n";
