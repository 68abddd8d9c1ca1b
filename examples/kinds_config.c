/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_config.c DIRECTORY -- a PMEM kind made from a configuration
 *
 * The policy CONSERVATIVE returns free space to the file system at once. The
 * default keeps it for some seconds, which is faster if it is used again.
 */
#include <memkind.h>

#include <stdio.h>

int
main(int argc, char *argv[])
{
	struct memkind_config *config = memkind_config_new();
	memkind_t kind;

	if (argc != 2 || config == NULL) {
		fprintf(stderr, "usage: kinds_config DIRECTORY\n");
		return 2;
	}
	memkind_config_set_path(config, argv[1]);
	memkind_config_set_size(config, (size_t)64 * 1024 * 1024);
	memkind_config_set_memory_usage_policy(
		config, MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE);
	int err = memkind_create_pmem_with_config(config, &kind);
	memkind_config_delete(config); /* the kind does not need it any more */
	if (err != MEMKIND_SUCCESS)
		return 1;

	void *object = memkind_malloc(kind, 1000);
	printf("allocated with the policy CONSERVATIVE: %s\n",
		object != NULL ? "yes" : "no");
	memkind_free(kind, object);
	memkind_destroy_kind(kind);
	return 0;
}
