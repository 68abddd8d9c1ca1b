/* SPDX-License-Identifier: BSD-3-Clause */
/* tiers.c -- is what malloc() gives of the tier that the environment names? */
#include <memkind.h>
#include <stdlib.h>

int
main(void)
{
	void *object = malloc(100);
	int wrong = object == NULL ||
		    memkind_detect_kind(object) != MEMKIND_DEFAULT;

	free(object);
	return wrong;
}
