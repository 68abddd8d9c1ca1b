/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clear_beside_put.h -- the test is told of each store of hash/linear_move.c,
 * before which the compiler includes this (CMakeLists.txt)
 */
#ifndef VMC_TESTS_REGRESS_CLEAR_BESIDE_PUT_H
#define VMC_TESTS_REGRESS_CLEAR_BESIDE_PUT_H

#include "base/lock.h"

void clear_beside_put_stored(void);

#undef vmc_store_relaxed
#define vmc_store_relaxed(p, v)                                                \
	(atomic_store_explicit((p), (v), memory_order_relaxed),                \
		clear_beside_put_stored())
#undef vmc_store_release
#define vmc_store_release(p, v)                                                \
	(atomic_store_explicit((p), (v), memory_order_release),                \
		clear_beside_put_stored())

#endif
