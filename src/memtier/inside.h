/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inside.h -- what libmemkind exports for libmemtier alone
 */
#ifndef VMC_MEMTIER_INSIDE_H
#define VMC_MEMTIER_INSIDE_H

/*
 * memtier_free() of what is not NULL. What is of no kind goes to otherwise,
 * while memtier_free() would turn to free(), which is libmemtier's.
 */
__attribute__((visibility("default"))) void memtier_free_or(
	void *ptr, void (*otherwise)(void *));

#endif
