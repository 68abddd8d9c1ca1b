/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exceptions.h -- exceptions of C++ for tests in C
 */
#ifndef VMC_TESTS_EXCEPTIONS_H
#define VMC_TESTS_EXCEPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Throw one. */
void exceptions_throw(void);

/* f(arg), and whether it ended by one. */
int exceptions_caught(void (*f)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
