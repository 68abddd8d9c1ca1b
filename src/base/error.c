/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error.c -- the calling thread's last message
 *
 * A pointer per thread names either a string constant or the thread's own
 * buffer, so a failure on a hot path (a plain miss) costs one store. Nothing
 * here is shared, so nothing needs a lock. The buffer is thread-local storage
 * rather than an allocation: reporting ENOMEM must not need memory.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char buffer[256];
static _Thread_local const char *message;

int
vmc_fail(int err, const char *format, ...)
{
	int saved_errno = errno;
	bool append = format[0] == '!';
	va_list args;

	va_start(args, format);
	int n = vsnprintf(buffer, sizeof(buffer), format + append, args);
	va_end(args);
	if (append && n >= 0 && (size_t)n < sizeof(buffer)) {
		char text[128];
		snprintf(buffer + n, sizeof(buffer) - (size_t)n, ": %s",
			strerror_r(err, text, sizeof(text)));
	}
	message = buffer;
	errno = saved_errno;
	return -err;
}

int
vmc_fail_file(int err, const char *what, const char *path)
{
	char text[128];
	int saved_errno = errno;
	const char *reason = strerror_r(err, text, sizeof(text));

	errno = saved_errno;
	return vmc_fail(err, "%s: %s: %s", what, reason, path);
}

int
vmc_fail_const(int err, const char *constant)
{
	message = constant;
	return -err;
}

const char *
vmc_error_message(void)
{
	return message ? message : "";
}
