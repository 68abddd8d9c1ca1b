/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash.h -- the one hash of a key: 64 bits, seeded per cache
 *
 * XXH3 (Yann Collet, libxxhash), inlined. It reads exactly the key's bytes,
 * and the seed is random per cache, so that collisions cannot be prepared
 * without knowing it. It is no cryptographic hash: see SECURITY.md for what
 * is and is not promised.
 */
#ifndef VMC_BASE_HASH_H
#define VMC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t
vmc_hash(const void *key, size_t size, uint64_t seed)
{
	/* for keys of one word, without a call: they are many */
	if (size == sizeof(uint64_t))
		return XXH3_64bits_withSeed(key, sizeof(uint64_t), seed);
	return XXH3_64bits_withSeed(key, size, seed);
}

#endif
