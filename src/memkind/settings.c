/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.c -- the environment, as far as it concerns every kind
 *
 * secure_getenv(3): a program with privileges of its own does not take advice
 * from whoever started it. A value that makes no sense is remembered, and
 * making a kind then fails with MEMKIND_ERROR_ENVIRON; the predecessor ended
 * the process. pthread_once orders the reading before every use.
 *
 * Nothing here calls malloc(), as a kind's first use may be a call of malloc()
 * that is made of it; also called under locks.
 *
 * MEMKIND_DEBUG=1 is the one case in which this library prints.
 */
#include "settings.h"

#include "kind.h"

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
wrong(const char *name)
{
	if (!settings.wrong)
		settings.wrong = name;
}

static bool
read_switch(const char *name)
{
	const char *text = secure_getenv(name);

	if (text && strcmp(text, "1") != 0 && strcmp(text, "0") != 0)
		wrong(name);
	return text && strcmp(text, "1") == 0;
}

/* A number from 1 to most; 0 if the variable is not set. */
static unsigned long
read_number(const char *name, unsigned long most)
{
	const char *text = secure_getenv(name);
	unsigned long number;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || number == 0 ||
		number > most) {
		wrong(name);
		return 0;
	}
	return number;
}

static void
read_settings(void)
{
	const char *manager = secure_getenv("MEMKIND_HEAP_MANAGER");

	settings.tbb = manager && strcmp(manager, "TBB") == 0;
	if (manager && !settings.tbb && strcmp(manager, "JEMALLOC") != 0)
		wrong("MEMKIND_HEAP_MANAGER");
	settings.debug = read_switch("MEMKIND_DEBUG");
	settings.hoard = read_switch("MEMKIND_HOG_MEMORY");
	settings.arenas =
		(unsigned)read_number("MEMKIND_ARENA_NUM_PER_KIND", UINT32_MAX);
	if (settings.arenas > VMC_KIND_ARENAS)
		settings.arenas = VMC_KIND_ARENAS;
	settings.background_threads =
		read_number("MEMKIND_BACKGROUND_THREAD_LIMIT", 4096);
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
	wrong("MEMKIND_HEAP_MANAGER");
}

void
vmc_log(const char *format, ...)
{
	char line[512] = "MEMKIND_INFO: ";
	const size_t start = strlen(line), most = sizeof(line) - 1;
	size_t length;
	va_list ap;

	if (!vmc_settings()->debug)
		return;
	va_start(ap, format);
	int n = vsnprintf(line + start, most - start, format, ap);
	va_end(ap);
	length = start + (size_t)(n > 0 ? n : 0);
	length = length < most ? length : most - 1;
	line[length++] = '\n';
	vmc_os_print(line, length);
}
