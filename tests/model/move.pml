/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * move.pml -- a value that is moved out of what is about to go (resize.c): one
 * thread that resizes, one that gets it, one that pins it, one that evicts it
 * and one that puts something else wherever it finds a block
 *
 * There are two blocks. TAIL is to go, and the value is there at first; LOW
 * stays. The state word is read as a whole and changed by compare and
 * swap; each access is a step, and so is each half of a copy. A block that is
 * beyond the end of the file is GONE.
 *
 * Shown of all interleavings: a get whose state says so has the value's bytes,
 * and no get reads beyond the end; what is pinned stays as it is, and what a
 * pin or an evictor has for the value's block is that; no block is given up
 * twice, or kept by nobody; the file gets shorter unless a pin is in the way.
 *
 * Broken variants, each of which must fail:
 *   NO_EPOCH      the file gets shorter without a look at who is reading
 *   FREE_AT_ONCE  the block that the value was in is given to others
 *   RUNS_FIRST    the value has its new block before that has its bytes
 *   NO_MOVING     the block is exchanged whatever the state is
 *   PIN_MOVING    a pin does not wait while the value is MOVING
 *   CLAIM_MOVING  nor does who evicts it
 *   NO_QUIET      a block closed a moment ago may be on its way to a put
 */
#define LIVE 0
#define MOVING 1
#define EVICTING 2
#define DEAD 3

/* blocks, and who they are of */
#define TAIL 0
#define LOW 1
#define NOBODY 3

#define VALUE 1
#define OTHER 2
#define MOVER 3

byte state = LIVE, pins;
bool indexed = true, latch, closed, shorter;
byte runs = TAIL;
/* two halves of each: whose bytes they are */
byte first[2], second[2];
byte owner[2];
byte reading; /* readers in an epoch that has to be waited for */
bool working; /* the put has something in hand */
byte done;

inline acquire()
{
	atomic { !latch -> latch = true }
}

inline give_up(block)
{
	d_step {
		assert(owner[block] == VALUE || owner[block] == MOVER);
		owner[block] = 0
	}
}

proctype getter()
{
	byte at, a, b;

	reading++;
	if
	:: !indexed -> goto end
	:: else
	fi;
	at = runs;
	assert(!(shorter && at == TAIL)); /* SIGBUS */
	a = first[at];
	assert(!(shorter && at == TAIL));
	b = second[at];
	if
	:: state != DEAD -> assert(a == VALUE && b == VALUE)
	:: else
	fi;
end:	reading--;
	done++
}

proctype pinner()
{
	byte s, p, at;
	bool got, last;

	if
	:: !indexed -> goto end
	:: else
	fi;
	do
	:: d_step { s = state; p = pins };
		if
		:: s == DEAD -> goto end
#ifndef PIN_MOVING
		:: s == MOVING -> skip
		:: s != DEAD && s != MOVING ->
#else
		:: s != DEAD ->
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
		fi
	od;
	at = runs;
	/* as long as it likes */
	assert(!(shorter && at == TAIL) && owner[at] == VALUE &&
	       first[at] == VALUE && second[at] == VALUE);
	assert(runs == at);
	d_step { pins--; last = state == DEAD && pins == 0 };
	if
	:: last -> give_up(runs)
	:: else
	fi;
end:	done++
}

proctype evictor()
{
	byte s, p;
	bool got, last;

	if
	:: goto end /* or nobody evicts it */
	:: true
	fi;
	do
	:: d_step { s = state; p = pins };
		if
#ifndef CLAIM_MOVING
		:: s == MOVING -> skip
		:: s == LIVE ->
#else
		:: s == LIVE || s == MOVING ->
#endif
			d_step {
				got = state == s && pins == p;
				if
				:: got -> state = EVICTING
				:: else
				fi
			}
			if
			:: got -> break
			:: else
			fi
		fi
	od;
	acquire();
	indexed = false;
	latch = false;
	s = runs; /* which it is about to give up */
	d_step { state = DEAD; last = pins == 0 };
	if
	:: last -> give_up(s)
	:: else
	fi;
end:	done++
}

inline take(block)
{
	d_step {
		got = owner[block] == 0;
		if
		:: got -> owner[block] = OTHER
		:: else
		fi
	}
	if
	:: got ->
		assert(!(shorter && block == TAIL));
		first[block] = OTHER;
		assert(!(shorter && block == TAIL));
		second[block] = OTHER
	:: else
	fi
}

/* A put, wherever there is a block, and the end of what it has put. */
proctype putter()
{
	bool got, known;

	working = true;
	known = closed;
	if
	:: !known -> take(TAIL); if :: got -> owner[TAIL] = 0 :: else fi
	:: take(LOW); if :: got -> owner[LOW] = 0 :: else fi
	fi;
	working = false;
	done++
}

proctype resizer()
{
	bool got, moved, met;

	closed = true;
#ifndef NO_QUIET
	!working;
#endif
	/* what is in the index with a block that goes */
	met = indexed && runs == TAIL;
	if
	:: met ->
		/* a free one: who has it lets go of it */
		atomic { owner[LOW] == 0 -> owner[LOW] = MOVER };
#ifdef RUNS_FIRST
		got = true;
#else
		first[LOW] = first[TAIL];
		second[LOW] = second[TAIL];
#endif
		acquire();
		if
		:: indexed && runs == TAIL ->
#ifdef NO_MOVING
			got = true;
#else
			d_step {
				got = state == LIVE && pins == 0;
				if
				:: got -> state = MOVING
				:: else
				fi
			}
#endif
			if
			:: got ->
				runs = LOW;
				owner[LOW] = VALUE;
#ifdef RUNS_FIRST
				first[LOW] = first[TAIL];
				second[LOW] = second[TAIL];
#endif
#ifndef NO_MOVING
				state = LIVE;
#endif
				moved = true
			:: else
			fi
		:: else
		fi;
		latch = false
	:: else
	fi;
	if
	:: moved ->
		give_up(TAIL)
#ifdef FREE_AT_ONCE
		; closed = false
#endif
	:: met && !moved -> give_up(LOW)
	:: else
	fi;
	/* is anything still there? */
	if
	:: owner[TAIL] == 0 ->
#ifndef NO_EPOCH
		reading == 0;
#endif
		shorter = true
	:: else
	fi;
	done++
}

init
{
	atomic {
		first[TAIL] = VALUE;
		second[TAIL] = VALUE;
		owner[TAIL] = VALUE;
		run getter();
		run pinner();
		run evictor();
		run putter();
		run resizer()
	};
	done == 5;
	assert(pins == 0 && !latch);
	if
	:: state == LIVE -> assert(indexed && owner[runs] == VALUE)
	:: else ->
		assert(state == DEAD && !indexed);
		assert(owner[TAIL] == 0 && owner[LOW] == 0)
	fi;
	assert(!(shorter && owner[TAIL] != 0))
}
