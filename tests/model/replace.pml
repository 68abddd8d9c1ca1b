/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replace.pml -- an entry that is exchanged in the index for another one (store.c),
 * beside an evictor of what it finds, another store, and a reader
 *
 * One key. Each store makes an entry, numbered, with a block of its own, and puts it
 * in the place of what is there, under the latch; where nothing is, it inserts. Who
 * claims an entry (LIVE to EVICTING) finishes it: DEAD, its block is free. The
 * evictor may run a callback before it takes its entry out, and may have to give it
 * back. Each access to shared memory is a step. What an entry's memory needs beyond
 * that (epochs, rings, the policy) is in entry.pml.
 *
 * Shown of all interleavings: as long as nobody has evicted, a reader finds a value;
 * what it copies is of the entry that it found; each block is freed once; when all is
 * over, the one entry in the index is LIVE and all others are DEAD; a version is
 * replaced by one store only, of those that ask for it.
 *
 * Broken variants, each of which must fail:
 *   GAP           the old entry is taken out before the new one is there
 *   FREE_TWICE    a store finishes what another has claimed
 *   NOT_FINISHED  an evictor that finds its entry exchanged leaves it
 *   GIVE_BACK     it gives an entry back without a look whether it was exchanged
 *   NO_LATCH      a store decides by what it saw before the latch
 */
#define STORES 2
#define NONE 0
#define LIVE 1
#define EVICTING 2
#define DEAD 3

byte state[STORES + 2]; /* of entries 1 (there from the start), 2, 3 */
byte index = 1;
byte block[STORES + 2]; /* whose bytes are in the block of that entry */
bool freed[STORES + 2];
bool latch;
bool evicted;      /* by the evictor, or about to */
byte replaced_one; /* stores that have replaced entry 1 on condition */
byte done;

#define LATCH() atomic { !latch -> latch = true }
#define UNLATCH() latch = false

inline finish(e)
{
	d_step { assert(state[e] != DEAD); state[e] = DEAD };
	d_step { assert(!freed[e]); freed[e] = true; block[e] = 99 }
}

/* Stores replace 1 if it is there: only one of them may have done so. */
proctype store(byte e)
{
	byte old;
	bool mine, only_one;

	if
	:: only_one = true  /* IF_VERSION: of entry 1 */
	:: only_one = false /* SET */
	fi;
	block[e] = e;
	state[e] = LIVE;
#ifdef NO_LATCH
	old = index;
	if
	:: only_one && old != 1 -> goto refused
	:: else
	fi;
#endif
	LATCH();
#ifndef NO_LATCH
	old = index;
	if
	:: only_one && old != 1 -> UNLATCH(); goto refused
	:: else
	fi;
#endif
	if
	:: old == 0 -> index = e; UNLATCH()
	:: else ->
		/* claim */
		atomic {
			mine = state[old] == LIVE;
			if
			:: mine -> state[old] = EVICTING
			:: else
			fi
		};
#ifdef FREE_TWICE
		mine = true;
#endif
#ifdef GAP
		index = 0;
#endif
		d_step {
			index = e;
			if
			:: only_one -> replaced_one++; assert(replaced_one == 1)
			:: else
			fi
		};
		UNLATCH();
		if
		:: mine -> finish(old)
		:: else
		fi
	fi;
	goto end;
refused:
	skip;
	d_step { state[e] = DEAD; freed[e] = true };
end:	done++
}

proctype evictor()
{
	byte e;
	bool mine, there;

	e = index;
	if
	:: e != 0 ->
		atomic {
			mine = state[e] == LIVE;
			if
			:: mine -> state[e] = EVICTING
			:: else
			fi
		}
	:: else
	fi;
	if
	:: !mine
	:: mine -> /* on_evict */
		if
		:: true -> /* enough: it goes */
			evicted = true;
			LATCH();
			there = index == e;
			if
			:: there -> index = 0
			:: else
			fi;
			UNLATCH();
#ifdef NOT_FINISHED
			if
			:: there -> finish(e)
			:: else
			fi
#else
			finish(e)
#endif
		:: true -> /* given back */
			LATCH();
			there = index == e;
#ifdef GIVE_BACK
			there = true;
#endif
			if
			:: there -> state[e] = LIVE
			:: else
			fi;
			UNLATCH();
			if
			:: there
			:: else -> finish(e)
			fi
		fi
	fi;
	done++
}

proctype reader()
{
	byte e, seen, was;

again:	atomic { e = index; assert(e != 0 || evicted) };
	if
	:: e != 0 ->
		seen = block[e];
		was = state[e];
		if
		:: was == DEAD -> goto again
		:: else -> assert(seen == e)
		fi
	:: else
	fi;
	done++
}

init {
	byte e = 1;

	atomic {
		block[1] = 1; state[1] = LIVE;
		run store(2); run store(3); run evictor(); run reader()
	};
	done == 4;
	do
	:: e <= STORES + 1 ->
		if
		:: index == e -> assert(state[e] == LIVE && !freed[e])
		:: else -> assert(state[e] == DEAD && freed[e])
		fi;
		e++
	:: else -> break
	od
}
