/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h -- what the command line says
 */
#ifndef VMCD_OPTIONS_H
#define VMCD_OPTIONS_H

#include "number.h"

#include "libvmemcache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMCD_THREADS_MAX 256
#define VMCD_NAMED_MAX 1024

/* A space that an option names. */
struct vmcd_named {
	struct vmcd_span name;
	size_t quota, reserved; /* bytes; 0: none */
};

struct vmcd_options {
	size_t memory;    /* bytes of the pool */
	size_t value_max; /* bytes */
	const char *address;
	const char *socket; /* a path; NULL: TCP */
	const char *directory;
	uint16_t port; /* 0: any that is free */
	unsigned mode; /* of the socket */
	unsigned threads;
	unsigned connections;
	unsigned verbose;
	enum vmemcache_repl_p policy;
	char separator;     /* behind prefixes; zero: keys have none */
	size_t space_quota; /* bytes of each space that is not named; 0: none */
	unsigned spaces;
	struct vmcd_named space[VMCD_NAMED_MAX];
};

/* As main() gets them. Ends the program if they are wrong, or --help is one. */
void vmcd_options_parse(int argc, char **argv, struct vmcd_options *options);

/*
 * A size such as 64m (k, m, g: powers of 1024) in units of `unit` where there
 * is no letter; false: it is none, or below least.
 */
bool vmcd_size_parse(const char *text, size_t unit, size_t least, size_t *size);

#endif
