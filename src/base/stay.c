/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stay.c -- what this is linked into stays loaded
 *
 * Threads that have used the library call its destructors of thread-specific
 * data when they end: its own, and those of the heap that metadata comes from.
 * If dlclose(3) had unmapped the code by then, they would crash. The shared
 * libraries are linked with -z nodelete. The static library may be part of a
 * plug-in that is not, so this file asks the loader to keep it, as dlopen(3)
 * with RTLD_NODELETE does. A plug-in that is loaded again is then the same one,
 * and takes no more memory or keys.
 *
 * Rejected: deleting the keys when the plug-in is unloaded. Threads that go on
 * would never free what they hold, and jemalloc does not support it.
 *
 * The reference to the loader's function is weak: a program without a loader
 * (-static) does not need it, and before glibc 2.34 it is in another library.
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
