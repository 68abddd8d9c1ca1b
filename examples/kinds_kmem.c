/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_kmem.c -- memory on nodes that the system made of persistent or CXL
 * memory (KMEM), where there are any
 *
 * daxctl-reconfigure-device(1) makes such nodes. The environment variable
 * MEMKIND_DAX_KMEM_NODES names them if they cannot be told otherwise.
 */
#include <memkind.h>

#include <stdio.h>
#include <string.h>

int
main(void)
{
	memkind_t kind = MEMKIND_DAX_KMEM;

	if (memkind_check_available(kind) != MEMKIND_SUCCESS) {
		printf("no KMEM node, so DRAM\n");
		kind = MEMKIND_DEFAULT;
	}
	char *text = memkind_malloc(kind, 64);
	if (text == NULL)
		return 1;
	strcpy(text, "allocated");
	printf("%s\n", text);
	memkind_free(kind, text);
	return 0;
}
