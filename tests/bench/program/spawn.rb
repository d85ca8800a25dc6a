# SPDX-License-Identifier: MIT
#
# spawn.rb WAY BYTES RUNS PROGRAM: as spawn.py does it, from Ruby.
way, bytes, runs, program = ARGV
held = "x" * bytes.to_i
runs = runs.to_i
spawn_one = {
  "system" => -> { system(program) },
  "spawn" => -> { Process.wait(spawn(program)) },
  "backtick" => -> { `#{program}` },
  "fork" => -> { Process.wait(fork { exec program }) },
}.fetch(way)
times = (-10...runs).map do
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
  spawn_one.call
  abort "spawn.rb: the program ended with #{$?}" unless $?.success?
  Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond) - began
end
puts times.drop(10).sort[runs / 2]
held.clear
