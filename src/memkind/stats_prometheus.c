/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats_prometheus.c -- what the kinds use, as text that Prometheus reads
 *
 * The figures are those of memkind_get_stat(). A kind that was never used has
 * none. Figures are the outer loop, as all lines of one must be together.
 *
 * The program's function is called without a lock: it may use the kinds, and
 * another thread may create and destroy some meanwhile. Such a kind is in the
 * lines of some figures and not in others.
 */
#include "heap/kind.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct figure {
	memkind_stat_type stat;
	const char *name, *help;
} figures[] = {
	{MEMKIND_STAT_TYPE_RESIDENT, "resident", "Memory behind the kind."},
	{MEMKIND_STAT_TYPE_ACTIVE, "active", "Pages with objects in them."},
	{MEMKIND_STAT_TYPE_ALLOCATED, "allocated", "Objects."},
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

static void
write_to_stderr(void *unused, const char *text)
{
	(void)unused;
	/* what cannot be told is lost */
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		errno = 0;
}

/* NULL: there is nothing to say of this kind. */
static const char *
name_of(struct memkind *kind)
{
	const char *name = NULL;

	if (kind == MEMKIND_DEFAULT) /* which is no kind that is opened */
		return vmc_static_types[MEMKIND_PARTITION_DEFAULT].name;
	vmc_lock_acquire(&vmc_kinds_lock);
	if (vmc_load_relaxed(&kind->state) == VMC_KIND_READY)
		name = kind->type->name;
	vmc_lock_release(&vmc_kinds_lock);
	return name;
}

int
memkind_stats_print_prometheus(
	void (*write_cb)(void *, const char *), void *cbopaque)
{
	char line[200];
	size_t value;
	int err = memkind_update_cached_stats();

	if (err)
		return err;
	if (!write_cb)
		write_cb = write_to_stderr;
	for (const struct figure *f = figures; f < figures + FIGURES; f++) {
		snprintf(line, sizeof(line),
			"# HELP memkind_%s_bytes %s\n"
			"# TYPE memkind_%s_bytes gauge\n",
			f->name, f->help, f->name);
		write_cb(cbopaque, line);
		for (unsigned i = 0; i < MEMKIND_MAX_KIND; i++) {
			const char *name = name_of(&vmc_kinds[i]);
			if (!name || memkind_get_stat(&vmc_kinds[i], f->stat,
					     &value) != MEMKIND_SUCCESS)
				continue;
			snprintf(line, sizeof(line),
				"memkind_%s_bytes{kind=\"%s\",number=\"%u\"} "
				"%zu\n",
				f->name, name, i, value);
			write_cb(cbopaque, line);
		}
	}
	return MEMKIND_SUCCESS;
}
