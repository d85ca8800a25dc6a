/* SPDX-License-Identifier: MIT */
/*
 * The options of SPORK_OPTIONS, as config.def lists them.
 */
#ifndef SPORK_CONFIG_H
#define SPORK_CONFIG_H

#include <stdint.h>

enum { REROUTE_OFF, REROUTE_AUTO, REROUTE_VFORK, REROUTE_LEAN };
enum { LOCKS_OFF, LOCKS_ON, LOCKS_ORDER };
enum { ON_ORPHAN_REPORT, ON_ORPHAN_REPAIR, ON_ORPHAN_ABORT };

/* Bytes of a path, the ending NUL included, at most. */
#define CONFIG_PATH_SIZE 1024

struct config {
#define CHOICE(key, initial, words, meaning) uint32_t key;
#define NUMBER(key, initial, low, high, meaning) uint32_t key;
#define PATHS(key, initial, words, meaning) const char *key;
#include "config.def"
#undef CHOICE
#undef NUMBER
#undef PATHS
};

extern struct config config;

/* Sets every option to its default. Before, paths have theirs, and the others are zero. */
void config_default(void);

/*
 * The same, and reads SPORK_OPTIONS from environ. What is wrong with it is told on stderr, one line each; the default
 * stays. Called once, by the constructor or the first hook, while the process has one thread.
 */
void config_init(void);

/* For a set-user-ID program: it runs as it would without. */
void config_secure(void);

/* Takes an option out of SPORK_OPTIONS, for the programs that this one executes. Before they can be. */
void config_drop(const char *key);

/* The value of a variable in `environment`, or NULL. */
const char *config_variable(char *const *environment, const char *name);

#endif
