/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tenants.c DIRECTORY -- tenants that share one pool, each with a quota
 *
 * Each tenant has a space: its keys are its own, and what it stores beyond its
 * quota evicts nothing of the others. Some of the pool is reserved for the one
 * that has paid for it. A tenant that leaves takes all of its values along.
 */
#include <libvmemcache.h>

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
#define VALUE 4096

static VMEMcache *
admit(VMEMcache *cache, const char *name, size_t quota, size_t reserved)
{
	const struct vmemcache_space how = {sizeof(how), name, quota, reserved};
	VMEMcache *tenant = vmemcache_new_space(cache, &how);

	if (tenant == NULL)
		fprintf(stderr, "%s: %s\n", name, vmemcache_errormsg());
	return tenant;
}

static int
fill(VMEMcache *tenant, int values)
{
	char value[VALUE];

	for (int key = 0; key < values; key++) {
		memset(value, key, sizeof(value));
		if (vmemcache_put(tenant, &key, sizeof(key), value,
			    sizeof(value)) != 0) {
			fprintf(stderr, "%s\n", vmemcache_errormsg());
			return -1;
		}
	}
	return 0;
}

static void
show(const char *name, VMEMcache *tenant)
{
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};

	vmemcache_statistics(tenant, &s);
	printf("%s: %llu values, %llu KiB\n", name, (unsigned long long)s.items,
		(unsigned long long)s.block_bytes / 1024);
}

/* bob stores more than his quota, eve more than there is. */
static int
serve(VMEMcache *cache)
{
	VMEMcache *ann = admit(cache, "ann", 0, MIB);
	VMEMcache *bob = admit(cache, "bob", MIB, 0);
	VMEMcache *eve = admit(cache, "eve", 0, 0);

	if (ann == NULL || bob == NULL || eve == NULL || fill(ann, 200) != 0 ||
		fill(bob, 1000) != 0)
		return 1;
	show("bob", bob);
	if (fill(eve, 5000) != 0)
		return 1;
	show("ann", ann);
	vmemcache_clear(eve); /* at once, however much it is */
	show("eve", eve);
	vmemcache_delete(bob); /* who leaves */
	show("all", cache);
	return 0;
}

int
main(int argc, char *argv[])
{
	VMEMcache *cache = vmemcache_new();

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: tenants DIRECTORY\n");
		return 2;
	}
	vmemcache_set_size(cache, 4 * MIB);
	if (vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	int result = serve(cache);
	vmemcache_delete(cache); /* and the spaces that are left */
	return result;
}
