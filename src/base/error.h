/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error.h -- negative errno inside, one message per thread
 *
 * Functions inside the library return 0 or a negative errno. Where a person
 * would want to know more, the place that found the error leaves a message
 * for vmemcache_errormsg(). The hot paths leave a constant string: no
 * formatting.
 */
#ifndef VMC_BASE_ERROR_H
#define VMC_BASE_ERROR_H

/*
 * Leave a formatted message (at most 255 bytes, cut beyond) for the calling
 * thread and return -err. A format that starts with "!" gets ": " and the
 * text of err appended, the "!" dropped. Keeps errno.
 */
int vmc_fail(int err, const char *format, ...)
	__attribute__((format(printf, 2, 3), cold));

/* The same of a call that failed with err on that file: "what: text: path". */
int vmc_fail_file(int err, const char *what, const char *path)
	__attribute__((cold));

/* The same with a string constant, which is kept by reference. Costs a store.
 */
int vmc_fail_const(int err, const char *message);

/* The calling thread's last message, "" if there was none. */
const char *vmc_error_message(void);

#endif
