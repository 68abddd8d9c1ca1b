/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pin.pml -- pins of one entry (pin.c, claim.c, evict.c): two threads that pin
 * it, one that evicts its key, one that evicts for room, one that drains the
 * ring and one that takes the block as soon as it is free
 *
 * The state word is read as a whole and changed by compare and swap; each access
 * is a step. That the entry's own memory stays is the matter of entry.pml.
 *
 * Shown of all interleavings: the block is the entry's under every pin; it is
 * given up once, and is when the entry has gone; a victim is not pinned when it
 * is chosen; in the end an entry that is LIVE is held by the policy, once.
 *
 * Broken variants, each of which must fail:
 *   FREE_UNDER_PIN  the evictor gives the block up whatever the pins
 *   LOOK_FIRST      it looks at the pins before it says DEAD
 *   PIN_DEAD        an entry that is DEAD is pinned
 *   PLAIN_UNPIN     an unpin reads and writes in two steps
 *   BOTH_FREE       an unpin that finds it DEAD gives the block up
 *   NO_UNPARK       the last unpin does not put the entry back
 *   UNPARK_LATE     it does so after it has dropped the pin
 *   CLAIM_PINNED    a victim is chosen whatever its pins
 */
#define LIVE 0
#define EVICTING 1
#define DEAD 2

#define FREE 0
#define ENTRY 1
#define OTHER 2

byte state = LIVE, pins;
bool parked;
bool indexed = true;
bool held = true; /* by the policy */
byte ring;        /* touches of it that wait */
byte owner = ENTRY;
byte given_up, done;
bool lock;

inline give_up_block()
{
	d_step {
		assert(owner == ENTRY && given_up == 0);
		owner = FREE;
		given_up++
	}
}

inline acquire()
{
	atomic { !lock -> lock = true }
}

proctype pinner()
{
	byte s, p;
	bool k, got, last, late;

	if
	:: !indexed -> goto end
	:: else
	fi;
	/* pin */
	do
	:: d_step { s = state; p = pins };
#ifndef PIN_DEAD
		if
		:: s == DEAD -> goto end
		:: else
		fi;
#endif
		d_step {
			got = state == s && pins == p;
			if
			:: got -> pins++
			:: else
			fi
		}
		if
		:: got -> break
		:: else
		fi
	od;
	/* the bytes, as long as it likes */
	assert(owner == ENTRY);
	assert(owner == ENTRY);
	/* unpin */
	got = false;
	do
	:: d_step { s = state; p = pins; k = parked };
		if
#if !defined(NO_UNPARK) && !defined(UNPARK_LATE)
		:: k && s == LIVE && p == 1 ->
			d_step {
				got = state == s && pins == p && parked;
				if
				:: got -> parked = false
				:: else
				fi
			}
			if
			:: got -> ring++
			:: else
			fi;
			got = false
		:: !(k && s == LIVE && p == 1) ->
#else
		:: true ->
#endif
#ifdef PLAIN_UNPIN
			pins = p - 1;
			d_step { got = true; last = s == DEAD && p == 1 };
#else
			d_step {
				got = state == s && pins == p && parked == k;
				if
				:: got ->
					pins--;
					last = s == DEAD && pins == 0
				:: else
				fi
			};
#endif
			if
			:: got -> break
			:: else
			fi
		fi
	od;
#ifdef UNPARK_LATE
	if
	:: k && s == LIVE && p == 1 ->
		assert(state != DEAD); /* and freed */
		parked = false;
		ring++
	:: else
	fi;
#endif
#ifdef BOTH_FREE
	last = state == DEAD;
#endif
	if
	:: last -> give_up_block()
	:: else
	fi;
end:	done++
}

/* From the claim on */
inline remove()
{
	indexed = false;
#ifdef LOOK_FIRST
	last = pins == 0;
	state = DEAD;
#else
	d_step { state = DEAD; last = pins == 0 };
#endif
#ifdef FREE_UNDER_PIN
	last = true;
#endif
	if
	:: last -> give_up_block()
	:: else
	fi
}

/* evict of its key */
proctype key_evictor()
{
	bool got, last;

	if
	:: goto end /* or nobody evicts it */
	:: true
	fi;
	d_step {
		got = indexed && state == LIVE;
		if
		:: got -> state = EVICTING; parked = false
		:: else
		fi
	};
	if
	:: got ->
		acquire();
		held = false;
		lock = false;
		remove()
	:: else
	fi;
end:	done++
}

/* What the policy says, under its lock: claim_under_lock() */
proctype evictor()
{
	byte s, p;
	bool got, last, claimed;

	acquire();
	if
	:: held ->
		held = false;
		do
		:: d_step { s = state; p = pins };
			if
			:: s != LIVE -> break
#ifndef CLAIM_PINNED
			:: s == LIVE && p > 0 ->
				d_step {
					got = state == s && pins == p;
					if
					:: got -> parked = true
					:: else
					fi
				}
				if
				:: got -> break
				:: else
				fi
			:: s == LIVE && p == 0 ->
#else
			:: s == LIVE ->
#endif
				d_step {
					claimed = state == s && pins == p;
					if
					:: claimed ->
						assert(pins == 0);
						state = EVICTING
					:: else
					fi
				}
				if
				:: claimed -> break
				:: else
				fi
			fi
		od
	:: else
	fi;
	lock = false;
	if
	:: claimed -> remove()
	:: else
	fi;
	done++
}

proctype drainer()
{
	acquire();
	if
	:: ring > 0 ->
		ring--;
		if
		:: state == LIVE -> held = true
		:: else
		fi
	:: else
	fi;
	lock = false;
	done++
}

/* Whoever puts next */
active proctype putter()
{
	if
	:: owner == FREE -> owner = OTHER
	:: done == 5
	fi
}

init
{
	atomic {
		run pinner();
		run pinner();
		run key_evictor();
		run evictor();
		run drainer()
	};
	done == 5;
	acquire();
	do
	:: ring > 0 ->
		ring--;
		if
		:: state == LIVE -> held = true
		:: else
		fi
	:: else -> break
	od;
	lock = false;
	assert(pins == 0);
	if
	:: state == LIVE -> assert(indexed && held && !parked && owner == ENTRY)
	:: else -> assert(state == DEAD && !indexed && given_up == 1)
	fi
}
