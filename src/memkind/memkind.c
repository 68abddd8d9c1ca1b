/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind.c -- the public calls that create and destroy kinds, and error texts
 *
 * Validates, calls the modules below, and translates their negative errno
 * into the codes of memkind.h. The heap calls are in decorators.c and
 * malloc.c, the kinds of NUMA nodes in static_kinds.c, statistics in stats.c.
 */
#include "kinds.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/os.h"
#include "base/os_space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memkind_config {
	const char *path;
	size_t size;
	memkind_mem_usage_policy policy;
};

/* The code that the thread's latest memkind_create_pmem() failed with, if there
 * is more to tell than the code does: vmc_error_message(). Else 0. */
static _Thread_local int explained;

static const struct vmc_kind_type pmem_type = {.name = "pmem"};
static const struct vmc_kind_type fixed_type = {.name = "fixed"};

int
memkind_get_version(void)
{
	return 1014000;
}

static const struct {
	int code;
	const char *text;
} messages[] = {
	{MEMKIND_ERROR_UNAVAILABLE, "Requested memory kind is not available"},
	{MEMKIND_ERROR_MBIND, "Call to mbind() failed"},
	{MEMKIND_ERROR_MMAP, "Call to mmap() failed"},
	{MEMKIND_ERROR_MALLOC, "Call to malloc() failed"},
	{MEMKIND_ERROR_ENVIRON,
		"Error parsing environment variable (MEMKIND_*)"},
	{MEMKIND_ERROR_INVALID, "Invalid input arguments to memkind routine"},
	{MEMKIND_ERROR_TOOMANY,
		"Attempted to initialize more than maximum (512) number of "
		"kinds"},
	{MEMKIND_ERROR_BADOPS,
		"memkind_ops structure is poorly formed (missing or incorrect "
		"functions)"},
	{MEMKIND_ERROR_HUGETLB, "unable to allocate huge pages"},
	{MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE,
		"Requested memory type is not available"},
	{MEMKIND_ERROR_OPERATION_FAILED, "Operation failed"},
	{MEMKIND_ERROR_ARENAS_CREATE,
		"Call to jemalloc's arenas.create () failed"},
	{MEMKIND_ERROR_RUNTIME, "Unspecified run-time error"},
	{EINVAL, "Alignment must be a power of two and larger than "
		 "sizeof(void *)"},
	{ENOMEM, "Call to jemk_mallocx() failed"},
};

void
memkind_error_message(int err, char *msg, size_t size)
{
	if (!msg || size == 0)
		return;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (messages[i].code == err) {
			bool more = err == explained;
			snprintf(msg, size, "<memkind> %s%s%s",
				messages[i].text, more ? ": " : "",
				more ? vmc_error_message() : "");
			return;
		}
	}
	snprintf(msg, size, "<memkind> Undefined error number: %i", err);
}

struct memkind_config *
memkind_config_new(void)
{
	return calloc(1, sizeof(struct memkind_config));
}

void
memkind_config_delete(struct memkind_config *cfg)
{
	free(cfg);
}

void
memkind_config_set_path(struct memkind_config *cfg, const char *pmem_dir)
{
	cfg->path = pmem_dir;
}

void
memkind_config_set_size(struct memkind_config *cfg, size_t pmem_size)
{
	cfg->size = pmem_size;
}

void
memkind_config_set_memory_usage_policy(
	struct memkind_config *cfg, memkind_mem_usage_policy policy)
{
	cfg->policy = policy;
}

/* errno stays as the call that failed left it. */
static int
code_of(int err)
{
	errno = -err;
	switch (err) {
	case -EUSERS:
		return MEMKIND_ERROR_TOOMANY;
	case -ENOMEM:
		return MEMKIND_ERROR_MALLOC;
	default:
		return MEMKIND_ERROR_INVALID;
	}
}

static int
create_pmem(const char *dir, size_t size, ssize_t decay, memkind_t *kind)
{
	struct vmc_space space;
	int err;

	VMC_NO_CANCEL;
	explained = 0;
	if (!kind || !dir || size > SIZE_MAX / 2)
		return MEMKIND_ERROR_INVALID;
	if (size > 0 && size < (size_t)MEMKIND_PMEM_MIN_SIZE) {
		vmc_fail_const(EINVAL, "a size below 16 MiB, and not 0");
		return explained = MEMKIND_ERROR_INVALID;
	}
	size = (size + VMC_OS_CHUNK - 1) & ~(VMC_OS_CHUNK - 1);
	err = vmc_space_file(&space, dir, size, vmc_kind_arena_limit());
	if (err) {
		vmc_fail(-err, "!%s", dir);
		return explained = code_of(err);
	}
	err = vmc_kind_create(&pmem_type, &space, decay, kind);
	return err ? code_of(err) : MEMKIND_SUCCESS;
}

int
memkind_create_pmem(const char *dir, size_t max_size, memkind_t *kind)
{
	int saved = errno;

	return vmc_keep_errno(
		create_pmem(dir, max_size, VMC_DECAY_MS, kind), saved);
}

int
memkind_create_pmem_with_config(struct memkind_config *cfg, memkind_t *kind)
{
	ssize_t decay = VMC_DECAY_MS;
	int saved = errno;

	if (!cfg || cfg->policy < MEMKIND_MEM_USAGE_POLICY_DEFAULT ||
		cfg->policy >= MEMKIND_MEM_USAGE_POLICY_MAX_VALUE)
		return MEMKIND_ERROR_INVALID;
	if (cfg->policy == MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE)
		decay = 0;
	return vmc_keep_errno(
		create_pmem(cfg->path, cfg->size, decay, kind), saved);
}

int
memkind_create_fixed(void *addr, size_t size, memkind_t *kind)
{
	struct vmc_space space;
	int saved = errno, err;

	/* before anybody walks through addresses that are none */
	if (!kind || size == 0 || !vmc_os_is_mapped(addr, size))
		return MEMKIND_ERROR_INVALID;
	err = vmc_space_user(&space, addr, size, vmc_kind_arena_limit());
	if (!err)
		err = vmc_kind_create(&fixed_type, &space, -1, kind);
	return vmc_keep_errno(err ? code_of(err) : MEMKIND_SUCCESS, saved);
}

int
memkind_destroy_kind(memkind_t kind)
{
	int saved = errno;

	vmc_kinds_init();
	if (kind && kind->number >= MEMKIND_NUM_BASE_KIND &&
		vmc_load_relaxed(&kind->state) != VMC_KIND_FREE)
		vmc_kind_destroy(kind);
	return vmc_keep_errno(MEMKIND_SUCCESS, saved);
}

int
memkind_check_dax_path(const char *pmem_dir)
{
	int saved = errno;
	VMC_NO_CANCEL;
	int err = pmem_dir ? vmc_os_check_dax(pmem_dir) : -EINVAL;

	switch (err) {
	case 0:
		return vmc_keep_errno(MEMKIND_SUCCESS, saved);
	case -EOPNOTSUPP:
		return MEMKIND_ERROR_MMAP;
	default:
		return MEMKIND_ERROR_RUNTIME;
	}
}
