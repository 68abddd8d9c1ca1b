/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.c -- the environment, as far as it concerns every kind
 *
 * secure_getenv(3): a set-user-ID program, or one with capabilities, ignores
 * the environment of the user who started it. An invalid value costs a line in
 * the log, and the default holds; memkind 1.14 ends the process for some of
 * them. pthread_once orders the reading before every use.
 *
 * Nothing here calls malloc(), since a kind's first use may be a malloc() that
 * a program implements with it; also called under locks.
 *
 * The library prints only with MEMKIND_DEBUG=1. An invalid value of that
 * variable is reported, too.
 */
#include "settings.h"

#include "base/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vmc_settings settings;

/* Of the C library's: NULL until its own start. */
extern char **environ;

static void
print(const char *level, const char *format, va_list ap)
{
	char line[512];
	const size_t most = sizeof(line) - 1;
	int start = snprintf(line, most, "%s: ", level);
	int n = vsnprintf(line + start, most - (size_t)start, format, ap);
	size_t length = (size_t)start + (size_t)(n > 0 ? n : 0);

	length = length < most ? length : most - 1;
	line[length++] = '\n';
	vmc_os_print(line, length);
}

static __attribute__((format(printf, 2, 3))) void
complain(bool aloud, const char *format, ...)
{
	va_list ap;

	if (!aloud)
		return;
	va_start(ap, format);
	print("MEMKIND_WARNING", format, ap);
	va_end(ap);
}

static bool
read_switch(const char *name, bool aloud)
{
	const char *text = secure_getenv(name);

	if (text && strcmp(text, "1") != 0 && strcmp(text, "0") != 0)
		complain(aloud, "%s=%s is neither 0 nor 1: taken as 0", name,
			text);
	return text && strcmp(text, "1") == 0;
}

/* A number from least to UINT32_MAX; 0 if the variable has none. */
static unsigned
read_number(const char *name, unsigned long least)
{
	const char *text = secure_getenv(name);
	unsigned long number;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || strchr(text, '-') ||
		number < least || number > UINT32_MAX) {
		complain(settings.debug,
			"%s=%s is not a number from %lu on: taken as not set",
			name, text, least);
		return 0;
	}
	return (unsigned)number;
}

static void
read_settings(void)
{
	const char *manager = secure_getenv("MEMKIND_HEAP_MANAGER");
	int saved = errno;

	settings.debug = read_switch("MEMKIND_DEBUG", true);
	settings.hoard = read_switch("MEMKIND_HOG_MEMORY", settings.debug);
	settings.tbb = manager && strcmp(manager, "TBB") == 0;
	if (manager && !settings.tbb && strcmp(manager, "JEMALLOC") != 0)
		complain(settings.debug,
			"MEMKIND_HEAP_MANAGER=%s is neither JEMALLOC nor TBB: "
			"taken as JEMALLOC",
			manager);
	settings.arenas = read_number("MEMKIND_ARENA_NUM_PER_KIND", 1);
	settings.background_threads =
		read_number("MEMKIND_BACKGROUND_THREAD_LIMIT", 0);
	errno = saved;
}

const struct vmc_settings *
vmc_settings(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const struct vmc_settings none;

	/* somebody's malloc() is called very early: not once and for all */
	if (!environ)
		return &none;
	pthread_once(&once, read_settings);
	return &settings;
}

void
vmc_settings_reject_manager(void)
{
	settings.tbb = false;
	complain(settings.debug,
		"MEMKIND_HEAP_MANAGER=TBB: no libtbbmalloc.so.2 with memory "
		"pools: taken as JEMALLOC");
}

void
vmc_log_at(const char *level, const char *format, ...)
{
	va_list ap;

	if (!vmc_settings()->debug)
		return;
	va_start(ap, format);
	print(level, format, ap);
	va_end(ap);
}
