/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counts.c -- _exit() that writes down what was executed, as exit() does
 *
 * For the many children of tests: where the library is forked, or runs out of
 * everything, they are the ones that see it.
 */
#include <unistd.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void
__wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
