// SPDX-License-Identifier: MIT
//
// node node.js BYTES RUNS PROGRAM: how long child_process.spawn() blocks the event loop of a process that
// holds so much memory, in nanoseconds: "call P50 P99 MIN", and "total ..." until 'exit' was seen. Ten
// spawns warm up first. Run by tools/demo.sh, bare and under the shim.
'use strict';

const { spawn } = require('child_process');

const WARMUP = 10;
const [bytes, runs] = process.argv.slice(2, 4).map(Number);
const program = process.argv[4];

// Held to the end, in pieces that any Node accepts.
const memory = [];
for (let left = bytes; left > 0; left -= 1 << 28)
	memory.push(Buffer.allocUnsafe(Math.min(left, 1 << 28)).fill(1));

const held = [];
const total = [];

function print(name, times) {
	times.sort((a, b) => a - b);
	console.log(name, times[runs >> 1], times[Math.floor(runs * 99 / 100)], times[0]);
}

function once(left) {
	if (left === 0) {
		print('call', held.slice(WARMUP));
		print('total', total.slice(WARMUP));
		return memory.length;
	}
	const began = process.hrtime.bigint();
	const child = spawn(program, [], { stdio: 'ignore' });
	held.push(Number(process.hrtime.bigint() - began));
	child.on('error', (error) => {
		console.error(`node.js: ${error.message}`);
		process.exit(1);
	});
	child.on('exit', (code) => {
		total.push(Number(process.hrtime.bigint() - began));
		if (code !== 0)
			process.exit(1);
		once(left - 1);
	});
	return 0;
}

once(runs + WARMUP);
