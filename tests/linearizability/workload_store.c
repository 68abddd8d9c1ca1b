/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * workload_store.c -- operations of a workload that replace, or go by versions
 */
#include "workload_internal.h"

/* A fetch of all, which is recorded; the cache's version, 0: a miss. */
static uint64_t
fetch(struct worker *me, unsigned key, uint64_t *version)
{
	struct run *r = me->run;
	struct vmemcache_info info = {.struct_size = sizeof(info)};
	uint64_t number = workload_number(me->run, key);
	char *buffer = me->buffers[me->depth];
	uint64_t call = workload_stamp();
	ssize_t n =
		vmemcache_fetch(workload_place(r, key), &number, sizeof(number),
			buffer, r->largest, 0, VMEMCACHE_NO_CALLBACK, &info);
	struct checker_op *op = workload_record(
		me, n < 0 ? LACK : SEE, key, call, workload_stamp());

	if (n < 0)
		return 0;
	workload_check_hit(me, op, buffer, n, r->largest, 0, info.value_size);
	*version = op->version;
	return info.version;
}

/* SET, REPLACE, IF_VERSION; or remove, with a version or without. */
void
workload_store(struct worker *me, unsigned key)
{
	struct run *r = me->run;
	unsigned what = (unsigned)testing_below(&me->random, 5);

	/*
	 * What has replaced a value that is being wiped may stay. To those who
	 * need no value to be there it is as if they had come after the wipe
	 */
	if (r->w->wipes && (what == 1 || what == 2))
		what = 0;
	struct vmemcache_store how = {.struct_size = sizeof(how)};
	int class = (int)testing_below(&me->random, CHECKER_CLASSES);
	uint64_t number = workload_number(me->run, key),
		 version = workload_new_version(class), found = 0;
	size_t size = r->w->sizes[class];
	char *value = me->buffers[me->depth];

	if (what == 1)
		how.mode = VMEMCACHE_REPLACE;
	if (what == 2 || what == 3) {
		how.mode = VMEMCACHE_IF_VERSION;
		how.if_version = fetch(me, key, &found);
		if (how.if_version == 0 || found == 0)
			return; /* too short to know its version */
	}
	value_fill(value, size, 0, key, version);
	uint64_t call = workload_stamp();
	int rc = what < 3 ? vmemcache_store(workload_place(r, key), &number,
				    sizeof(number), value, size, &how, NULL)
			  : vmemcache_remove(workload_place(r, key), &number,
				    sizeof(number), how.if_version);
	int err = rc ? errno : 0;
	uint64_t ret = workload_stamp();
	workload_expect(err == 0 || (err == ENOENT && what > 0) ||
				(err == ESTALE && found) ||
				(err == ENOSPC && what < 3) ||
				(err == EAGAIN && what >= 3),
		"error of store or remove", key);
	if (err == ENOSPC)
		return;
	enum checker_event event = err == ENOENT   ? LACK
				   : err == ESTALE ? OTHER
				   : err == EAGAIN ? SEE
				   : what >= 3     ? REMOVE
				   : what == 0     ? SET
						   : SWAP;
	struct checker_op *op = workload_record(me, event, key, call, ret);
	op->version = event == SEE ? 0 : found;
	op->stored = version;
}
