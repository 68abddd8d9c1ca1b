/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodes_tool.c -- memkind-hbw-nodes and memkind-auto-dax-kmem-nodes
 *
 * Print which nodes libmemkind takes for high-bandwidth memory, or for
 * persistent memory used as volatile memory, as a list that numactl and the
 * MEMKIND_*_NODES variables understand. One program, built twice: the build
 * says which call answers, what the nodes are called, and the exit status where
 * there are none. It is linked with the library, so it cannot disagree with it.
 *
 * Exit status: 0, 2 for a bad argument, NODES_NONE (1 or 3, as the tools of
 * memkind 1.14 have it).
 */
#include "memkind.h"

#include <stdio.h>
#include <string.h>

#define MAX_NODES 1024u
#define WORD_BITS (8 * (unsigned)sizeof(unsigned long))

int NODES_CALL(
	struct memkind *kind, unsigned long *nodemask, unsigned long maxnode);

static void
print_usage(FILE *to, const char *name)
{
	fprintf(to,
		"usage: %s [-h | -v]\n"
		"Print a list of the NUMA nodes with " NODES_NAME " memory.\n"
		"  -h, --help     this text\n"
		"  -v, --version  version of libmemkind\n",
		name);
}

int
main(int argc, char **argv)
{
	unsigned long mask[MAX_NODES / WORD_BITS] = {0};
	char text[MEMKIND_ERROR_MESSAGE_SIZE];
	const char *separator = "";
	int code, version;

	if (argc == 2 &&
		(!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_usage(stdout, argv[0]);
		return 0;
	}
	if (argc == 2 &&
		(!strcmp(argv[1], "-v") || !strcmp(argv[1], "--version"))) {
		version = memkind_get_version();
		printf("%d.%d.%d\n", version / 1000000, version / 1000 % 1000,
			version % 1000);
		return 0;
	}
	if (argc != 1) {
		print_usage(stderr, argv[0]);
		return 2;
	}
	code = NODES_CALL(NULL, mask, MAX_NODES);
	if (code != MEMKIND_SUCCESS) {
		memkind_error_message(code, text, sizeof(text));
		fprintf(stderr, "%s: no " NODES_NAME " memory: %s\n", argv[0],
			text);
		return NODES_NONE;
	}
	for (unsigned i = 0; i < MAX_NODES; i++) {
		if (!(mask[i / WORD_BITS] >> i % WORD_BITS & 1))
			continue;
		printf("%s%u", separator, i);
		separator = ",";
	}
	putchar('\n');
	return 0;
}
