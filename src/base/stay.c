/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stay.c -- what this is linked into stays loaded
 *
 * Threads that have used the library call its destructors of thread-specific
 * data when they end: its own, and those of the heap that metadata comes from.
 * If dlclose(3) had taken the code away by then, they would crash. The shared
 * libraries say so to the linker (-z nodelete). The static one may be in a
 * plug-in that does not, so that asks the loader, as if somebody had opened it
 * with RTLD_NODELETE. A plug-in that is loaded again is the same one then, and
 * takes no more memory or keys.
 *
 * Rejected: giving the keys up when the plug-in goes. Threads that live on
 * would keep what they hold for good, and jemalloc is not made for it.
 *
 * Weak: a program without a loader (-static) has no use for it, and a C library
 * before glibc 2.34 has it elsewhere.
 */
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

#pragma weak dladdr1
#pragma weak dlopen
#pragma weak dlclose

__attribute__((constructor)) static void
stay(void)
{
	static const char here;
	struct link_map *self = NULL;
	Dl_info info;

	if (!dladdr1 || !dlopen || !dlclose ||
		!dladdr1(&here, &info, (void **)&self, RTLD_DL_LINKMAP) ||
		!self || !self->l_name[0]) /* the program itself */
		return;
	void *handle =
		dlopen(self->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	if (handle)
		dlclose(handle);
}
