# SPDX-License-Identifier: MIT
#
# spawn.pl WAY BYTES RUNS PROGRAM: as spawn.py does it, from Perl.
use strict;
use warnings;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($way, $bytes, $runs, $program) = @ARGV;
my $held = "x" x $bytes;
my %ways = (
	'system' => sub { system($program) },
	'backtick' => sub { my $out = `$program` },
	'open' => sub { open(my $pipe, '-|', $program) or die; close $pipe },
	'fork' => sub {
		my $pid = fork;
		die unless defined $pid;
		exec $program unless $pid;
		waitpid $pid, 0;
	},
);
my @times;
for my $i (-10 .. $runs - 1) {
	my $began = clock_gettime(CLOCK_MONOTONIC);
	$ways{$way}->();
	die "spawn.pl: the program ended with $?" if $?;
	push @times, clock_gettime(CLOCK_MONOTONIC) - $began if $i >= 0;
}
printf "%d\n", 1e9 * (sort { $a <=> $b } @times)[$runs / 2];
