/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exceptions.cpp -- see exceptions.h
 */
#include "exceptions.h"

namespace
{
struct thrown {
};
} // namespace

void
exceptions_throw(void)
{
	throw thrown();
}

int
exceptions_caught(void (*f)(void *arg), void *arg)
{
	try {
		f(arg);
	} catch (const thrown &) {
		return 1;
	}
	return 0;
}
