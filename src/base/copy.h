/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.h -- copying bytes that another thread may be overwriting
 *
 * A get copies a value out of the pool without a lock and looks afterwards
 * whether the value was still there (get.c). If it was not, blocks may have
 * been rewritten meanwhile and the copy is thrown away, never looked at. That
 * is a data race by the letter of C11, on bytes only, whose outcome is not
 * used; thread sanitizer is right to report it and cannot know about the
 * check. In its builds the copy is an assembler instruction, which it does not
 * see, instead of a suppression that would hide other races too.
 */
#ifndef VMC_BASE_COPY_H
#define VMC_BASE_COPY_H

#include "atomic.h"

#include <stddef.h>
#include <string.h>

static inline void
vmc_copy_racing(void *to, const void *from, size_t size)
{
#if defined(VMC_TSAN) && defined(__x86_64__)
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(size)
			 :
			 : "memory");
#else
	memcpy(to, from, size);
#endif
}

#endif
