/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.pml -- the life of an entry (entry.h, get.c, put.c, evict.c): a reader, an
 * evictor of keys, a drainer that evicts what the policy says, and a putter
 *
 * Two keys, a block or two of two words each. Every put is a new entry; its number is
 * what it writes into both words of the block, so a reader knows whose bytes
 * it got. Each access to shared memory is a step, whatever else runs; all but
 * states, slots and rings that is written under the policy's lock is read under
 * it, too. The epoch is taken as promised (epoch.pml): a retired entry is ripe
 * when every thread that was in an epoch has left it.
 *
 * Shown of all interleavings: no pointer to a freed entry is followed; none is
 * left in the index, the policy, a ring or a slot when it is freed; each is
 * freed once; the block has one owner, which is DEAD before the next one
 * writes; a get returns the bytes of the entry it found, never others; an
 * entry in on_evict still has its bytes; when all is over, what was not evicted
 * can be, and everything else is free.
 *
 * RESERVE: victims reserved in slots, one a thread (see policy/reserve.h).
 *
 * Broken variants, each of which must fail:
 *   NO_RECHECK      a get does not look at the state after the copy
 *   PUT_OUTSIDE     a put pushes its entry outside the epoch in which it
 *                   published it
 *   INDEX_FIRST     an entry is in the index before its bytes are written
 *   BLOCKS_EARLY    the block is given up before the entry is DEAD
 *   NO_EPOCH        entries are ripe at once
 *   NO_DRAIN        ripe entries are freed without one more drain
 *   DRAIN_EARLY     that drain is made when they are retired
 *   DRAIN_DEAD      a drain does not look at the state
 *   PUSH_OUTSIDE    a reader pushes after it has left the epoch
 * and of RESERVE:
 *   TAKE_OUTSIDE    the owner takes from its slot outside an epoch
 *   NO_WITHDRAW     evict(key) leaves the slot as it is
 *   STATE_FIRST     a drain reads the state before the mark
 *   KEEP_TAKEN      a drain keeps an entry although its owner has taken it
 */
#ifndef PUTS
#define PUTS 2
#endif
#ifndef GETS
#define GETS 1
#endif
#ifdef RESERVE
/* Two entries at once; the later one is reserved when the first is evicted. */
#define BLOCKS 2
#define EVICTIONS 2
#define SOUGHT 0
#else
/* The second entry gets the block of the first. */
#define BLOCKS 1
#define EVICTIONS 1
#define SOUGHT 1
#endif
#define THREADS 4
#define ENTRIES PUTS
#define KEY(e) ((e) & 1)

/* states */
#define NONE 0
#define LIVE 2
#define EVICTING 3
#define DEAD 4
#define FREED 5

byte state[ENTRIES + 1];
byte block[ENTRIES + 1]; /* which one it has, + 1 */
byte index[2];           /* entry by key */
bool held[ENTRIES + 1];  /* by the policy */
byte lock;               /* of the policy: thread + 1 */
chan ring[THREADS] = [2] of { byte };
byte owner[BLOCKS], low[BLOCKS], high[BLOCKS];

bool in_epoch[THREADS];
byte limbo[ENTRIES + 1];   /* thread + 1 that retired it */
byte waiting[ENTRIES + 1]; /* bit by thread: still in that epoch */
byte inside[THREADS];      /* the entry that a thread holds a pointer to */

byte slot[THREADS];     /* reserved for that thread */
byte mark[ENTRIES + 1]; /* reserved by thread + 1 */

byte done;

#define BIT(t) (1 << (t))
#define FOLLOW(e) assert(state[e] != FREED && state[e] != NONE)

inline acquire()
{
	atomic { lock == 0 -> lock = _pid + 1 }
}

inline release()
{
	lock = 0
}

inline enter()
{
	in_epoch[_pid] = true
}

inline leave()
{
	d_step {
		in_epoch[_pid] = false;
		inside[_pid] = 0;
		i = 1;
		do
		:: i <= ENTRIES -> waiting[i] = waiting[i] & ~BIT(_pid); i++
		:: else -> break
		od;
		i = 0
	}
}

/* LIVE to EVICTING: into claimed whether that was so, the state before */
inline claim(e)
{
	atomic {
		FOLLOW(e);
		was = state[e];
		if
		:: was == LIVE -> state[e] = EVICTING
		:: else
		fi
	}
}

/* Under the lock: is a reserved node still in its slot? Then it is ours. */
inline withdraw(e)
{
	atomic {
		FOLLOW(e);
		withdrawn = mark[e] != 0 && slot[mark[e] - 1] == e;
		if
		:: withdrawn -> slot[mark[e] - 1] = 0; mark[e] = 0
		:: else
		fi
	}
}

#ifdef STATE_FIRST
#define READ_FIRST was = state[node]
#define READ_SECOND marked = mark[node] != 0
#else
#define READ_FIRST marked = mark[node] != 0
#define READ_SECOND was = state[node]
#endif
#ifdef DRAIN_DEAD
#define ALIVE true
#else
#define ALIVE (was <= LIVE)
#endif
#ifdef KEEP_TAKEN
#define WITHDRAWN true
#else
#define WITHDRAWN withdrawn
#endif

/* vmc_cache_drain_all() */
inline drain()
{
	do
	:: atomic {
		r = 0;
		do
		:: r < THREADS && empty(ring[r]) -> r++
		:: r < THREADS && nempty(ring[r]) ->
			ring[r]?node;
			FOLLOW(node);
			READ_FIRST;
			break
		:: r == THREADS -> break
		od;
		r = 0;
		if
		:: node == 0 -> break
		:: else
		fi
	};
		d_step {
			READ_SECOND;
			if
			:: ALIVE && !marked -> held[node] = true; node = 0
			:: ALIVE && marked
			:: !ALIVE -> node = 0
			fi;
			was = 0; marked = false
		};
		if
		:: node != 0 ->
			d_step {
				withdraw(node);
				if
				:: WITHDRAWN -> held[node] = true
				:: else
				fi;
				node = 0; withdrawn = false
			}
		:: else
		fi
	od
}

/* Under the lock, drained: a victim, claimed, or 0 */
inline claim_victim()
{
	d_step { i = 1; victim = 0 };
	do
	:: atomic {
		do
		:: i <= ENTRIES && !held[i] -> i++
		:: else -> break
		od;
		if
		:: i > ENTRIES -> i = 0; break
		:: else -> claim(i)
		fi;
		held[i] = false;
		if
		:: was == LIVE -> victim = i; was = 0; i = 0; break
		:: else -> was = 0; i++
		fi
	}
	od
}

/* Within an epoch: from one's own slot, claimed, or 0 */
inline claim_reserved()
{
	d_step { victim = slot[_pid]; slot[_pid] = 0 };
	if
	:: victim != 0 ->
		claim(victim);
		d_step {
			if
			:: was == LIVE -> mark[victim] = 0
			:: else -> victim = 0
			fi;
			was = 0
		}
	:: else
	fi
}

/* Under the lock: a reserve for the next time */
inline reserve()
{
	d_step {
		i = 1;
		do
		:: i <= ENTRIES && held[i] && slot[_pid] == 0 ->
			FOLLOW(i);
			held[i] = false;
			if
			:: state[i] == LIVE ->
				mark[i] = _pid + 1;
				slot[_pid] = i
			:: else
			fi
		:: i <= ENTRIES && !(held[i] && slot[_pid] == 0) -> i++
		:: else -> break
		od;
		i = 0
	}
}

/* Under the lock: what others have reserved goes back */
inline recall()
{
	do
	:: atomic {
		do
		:: r < THREADS && slot[r] == 0 -> r++
		:: r < THREADS && slot[r] != 0 -> node = slot[r]; r++; break
		:: else -> break
		od;
		if
		:: node == 0 -> r = 0; break
		:: else
		fi
	};
		d_step {
			withdraw(node);
			if
			:: withdrawn -> held[node] = true
			:: else
			fi;
			node = 0; withdrawn = false
		}
	od
}

/* claim_victims(): into victim, or 0 */
inline make_claim()
{
	victim = 0;
#ifdef RESERVE
#ifndef TAKE_OUTSIDE
	enter();
#endif
	claim_reserved();
#endif
	if
	:: victim == 0 ->
		acquire();
		drain();
#ifdef RESERVE
		claim_reserved();
		if
		:: victim == 0 -> claim_victim()
		:: else
		fi;
		if
		:: victim == 0 -> recall(); claim_victim()
		:: else
		fi;
		reserve();
#else
		claim_victim();
#endif
		release()
	:: else
	fi;
#ifdef RESERVE
	leave()
#endif
}

inline retire(e)
{
	d_step {
		assert(limbo[e] == 0);
		limbo[e] = _pid + 1;
		waiting[e] = 0;
		i = 0;
#ifndef NO_EPOCH
		do
		:: i < THREADS && in_epoch[i] ->
			waiting[e] = waiting[e] | BIT(i); i++
		:: i < THREADS && !in_epoch[i] -> i++
		:: else -> break
		od;
#endif
		i = 0
	}
#ifdef DRAIN_EARLY
	acquire();
	drain();
	release()
#endif
}

inline give_up_block(e)
{
	d_step {
		assert(owner[block[e] - 1] == e);
		owner[block[e] - 1] = 0
	}
}

/* remove_claimed() */
inline remove(e)
{
	d_step {
		/* on_evict until here: gets still answer */
		assert(state[e] == EVICTING && index[KEY(e)] == e);
		assert(low[block[e] - 1] == e && high[block[e] - 1] == e);
		index[KEY(e)] = 0
	};
#ifdef BLOCKS_EARLY
	give_up_block(e);
	state[e] = DEAD;
#else
	state[e] = DEAD;
	give_up_block(e);
#endif
	retire(e)
}

inline free(e)
{
	d_step {
		assert(state[e] == DEAD);
		assert(index[KEY(e)] != e && !held[e]);
		r = 0;
		do
		:: r < THREADS ->
			assert(inside[r] != e && slot[r] != e);
			assert(!(ring[r]??[eval(e)]));
			r++
		:: else -> break
		od;
		r = 0;
		state[e] = FREED;
		limbo[e] = 0
	}
}

/* vmc_cache_reclaim(): what this thread retired and is ripe */
inline reclaim()
{
	ripe = 1;
	do
	:: atomic {
		do
		:: ripe <= ENTRIES && limbo[ripe] == _pid + 1 &&
		   waiting[ripe] == 0 -> break
		:: ripe <= ENTRIES && !(limbo[ripe] == _pid + 1 &&
			waiting[ripe] == 0) -> ripe++
		:: else -> break
		od;
		if
		:: ripe > ENTRIES -> ripe = 0; break
		:: else
		fi
	};
#if !defined(NO_DRAIN) && !defined(DRAIN_EARLY)
		acquire();
		drain();
		release();
#endif
		free(ripe);
		ripe++
	od
}

#define VARIABLES byte i, r, node, victim, was, ripe; bool marked, withdrawn

/* Take a free block for e; true: there was one */
inline take_block(e)
{
	d_step {
		i = 0; block[e] = 0;
		do
		:: i < BLOCKS && owner[i] == 0 ->
			owner[i] = e; block[e] = i + 1; break
		:: i < BLOCKS && owner[i] != 0 -> i++
		:: else -> break
		od;
		i = 0
	}
}

inline write_value(e)
{
	low[block[e] - 1] = e;
	high[block[e] - 1] = e
}

active proctype putter()
{
	VARIABLES;
	byte e;

next:	if
	:: e == PUTS -> goto end
	:: else -> e++
	fi;
	/* look() */
	if
	:: index[KEY(e)] != 0 -> goto next
	:: else
	fi;
	state[e] = LIVE; /* unseen */
	do
	:: take_block(e);
		if
		:: block[e] != 0 -> break
		:: else
		fi;
		make_claim();
		if
		:: victim == 0 -> state[e] = FREED; goto next /* ENOSPC */
		:: else
		fi;
		remove(victim);
		victim = 0
	od;
	/* room in the ring, which others only empty */
	if
	:: nfull(ring[_pid])
	:: full(ring[_pid]) -> acquire(); drain(); release()
	fi;
#ifndef INDEX_FIRST
	write_value(e);
#endif
#ifndef PUT_OUTSIDE
	enter();
	inside[_pid] = e;
#endif
	index[KEY(e)] = e;
#ifdef INDEX_FIRST
	write_value(e);
#endif
	/* from here on it may be evicted */
	ring[_pid]!e;
#ifndef PUT_OUTSIDE
	leave();
#endif
	reclaim();
	goto next;
end:	done++
}

active proctype reader()
{
	VARIABLES;
	byte e, a, b, gets;

	do
	:: gets < GETS ->
		gets++;
again:		enter();
		atomic { e = index[SOUGHT]; inside[_pid] = e };
		if
		:: e == 0 -> leave()
		:: else ->
			d_step { FOLLOW(e); a = low[block[e] - 1] };
			b = high[block[e] - 1];
			d_step { FOLLOW(e); was = state[e] };
#ifdef PUSH_OUTSIDE
			leave();
#endif
			if
			:: was <= LIVE && nfull(ring[_pid]) -> ring[_pid]!e
			:: was > LIVE || full(ring[_pid])
			fi;
			leave();
			if
#ifndef NO_RECHECK
			:: was == DEAD ->
				e = 0; a = 0; b = 0; was = 0;
				goto again
#endif
			:: else -> assert(a == e && b == e)
			fi;
			e = 0; a = 0; b = 0; was = 0;
			/* feed_policy() */
			if
			:: skip
			:: atomic { lock == 0 -> lock = _pid + 1 };
				drain();
				release()
			fi
		fi
	:: else -> break
	od;
	done++
}

/* evict(key) */
active proctype evictor()
{
	VARIABLES;
	byte e;

	enter();
	atomic { e = index[SOUGHT]; inside[_pid] = e };
	if
	:: e != 0 -> claim(e)
	:: else
	fi;
	leave();
	if
	:: e != 0 && was == LIVE ->
		acquire();
		FOLLOW(e);
#ifdef RESERVE
		if
		:: mark[e] != 0 ->
#ifndef NO_WITHDRAW
			withdraw(e)
#else
			skip
#endif
		:: else -> held[e] = false
		fi;
#else
		held[e] = false;
#endif
		release();
		remove(e);
		reclaim()
	:: else
	fi;
	done++
}

/* evict(NULL) */
active proctype drainer()
{
	VARIABLES;
	byte evictions;

	do
	:: evictions < EVICTIONS ->
		evictions++;
		make_claim();
		if
		:: victim != 0 -> remove(victim); reclaim()
		:: else
		fi
	:: else -> break
	od;
	done++;

	/* And when all is over, whoever has got its slot and limbo. */
	done == THREADS;
	d_step {
		i = 1;
		do
		:: i <= ENTRIES && limbo[i] != 0 ->
			assert(waiting[i] == 0);
			limbo[i] = _pid + 1;
			i++
		:: i <= ENTRIES && limbo[i] == 0 -> i++
		:: else -> break
		od;
		i = 0
	};
	reclaim();
	acquire();
	drain();
	recall();
	release();
	victim = 1;
	do
	:: victim <= ENTRIES && state[victim] == LIVE ->
		/* found by its key, and by the policy */
		assert(index[KEY(victim)] == victim && held[victim]);
		assert(owner[block[victim] - 1] == victim);
		victim++
	:: victim <= ENTRIES && state[victim] != LIVE ->
		assert(state[victim] == FREED || state[victim] == NONE);
		assert(index[KEY(victim)] != victim && !held[victim]);
		victim++
	:: else -> break
	od;
	i = 0;
	do
	:: i < BLOCKS ->
		assert(owner[i] == 0 || state[owner[i]] == LIVE);
		i++
	:: else -> break
	od
}
