/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inside.h -- what libmemkind exports for libmemtier alone
 */
#ifndef VMC_MEMTIER_INSIDE_H
#define VMC_MEMTIER_INSIDE_H

#include <stdbool.h>

/*
 * memtier_free() of what is not NULL, and false for what is of no kind, which
 * is left alone: memtier_free() would turn to free(), which is libmemtier's.
 */
__attribute__((visibility("default"))) bool memtier_try_free(void *ptr);

#endif
