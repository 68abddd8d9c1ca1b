/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checker.h -- is a history of operations on one key linearizable?
 *
 * The sequential specification of one key of a cache. Its state is "absent"
 * or the version of the value that is there:
 *
 *   event   what of the interface          needs        state afterwards
 *   ADD     put: 0                         absent       the version put
 *   SEE     get: a hit; exists: 1;         a version    the same
 *           put: EEXIST; evict: EAGAIN     that fits
 *   LACK    get: ENOENT; exists: 0;        absent       the same
 *           put: ENOSPC; evict: ENOENT
 *   REMOVE  evict, remove: 0, an eviction  a version    absent
 *                                          that fits
 *   SET     store: 0                       nothing      the version stored
 *   WIPE    clear, remove_prefix           nothing      absent
 *   SWAP    REPLACE, IF_VERSION: 0         a version    the version stored
 *                                          that fits
 *   OTHER   IF_VERSION, remove: ESTALE     another      the same
 *                                          version
 *
 * Where evictions are not recorded, an entry may vanish at any time: LACK and
 * ADD may then happen to an entry that is there.
 *
 * A history is linearizable if each operation can be given one moment between
 * its call and its return such that, in the order of these moments, every one
 * finds what it needs. Keys do not know each other, so a history of many keys
 * is linearizable if that of each key is (Herlihy and Wing 1990).
 */
#ifndef VMC_TESTS_CHECKER_H
#define VMC_TESTS_CHECKER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CHECKER_ABSENT UINT64_C(0)
#define CHECKER_ANY_CLASS (-1)

/* A version tells the class of its value's size; 0 is none. */
enum { CHECKER_CLASSES = 8 };

enum checker_event { ADD, SEE, LACK, REMOVE, SET, SWAP, OTHER, WIPE };

struct checker_op {
	uint64_t call, ret; /* stamps of one clock */
	enum checker_event event;
	unsigned key;
	unsigned thread;
	/* of ADD; what SEE, REMOVE and SWAP found, 0: not known; of OTHER */
	uint64_t version;
	uint64_t stored; /* by SET and SWAP */
	/* of what they found, where the version is not known */
	int class;
};

/*
 * The history of one key, which is sorted by call; the state it starts from.
 * If it is not linearizable, print what could not be put in order.
 */
bool checker_linearizable(struct checker_op *ops, unsigned count,
	uint64_t initial, bool vanishing, FILE *report);

#endif
