/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room.h -- how large a pool the machine can take
 */
#ifndef BENCH_ROOM_H
#define BENCH_ROOM_H

#include "options.h"

bool bench_is_directory(const char *path);

/*
 * As much of wanted as leaves room for that many mappings of the size in
 * three quarters of what the medium and the memory have free.
 */
size_t bench_room(size_t wanted, unsigned mappings);

/* given, unless it is 0; else bench_room(), said on stderr when it is less. */
size_t bench_fit_pool(size_t given, size_t wanted, unsigned mappings);

#endif
