/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * era.pml -- the eras of a space (space.c): it is cleared, twice, beside two puts
 * and a get, while entries are taken out and the era that ended first is freed
 *
 * There are two numbers for eras, so the second clear uses that of the first era
 * again. Each access to shared memory is a step. What an era really is, whatever its
 * number, is its birth, which nobody in the library knows: one more for each. Epochs
 * are sets here: who was inside when an era ended, and is so still; epoch.pml is about
 * them. An entry that is retired is in entry.pml.
 *
 * Shown of all interleavings: what a get finds is of the era that the space was in
 * when the get looked; nobody uses an era that is free, or has become another one
 * since it was found; each entry counts as removed once, when it goes or when its era
 * ends; what is left in the end is what is there.
 *
 * Broken variants, each of which must fail:
 *   NO_EPOCH       an era is freed that somebody has just found
 *   REFS_FIRST     its refs are looked at before the epoch has passed
 *   HOLD_OUTSIDE   a put counts itself when it has left the epoch
 *   NO_HOLD        a put does not count itself
 *   ENTRIES_FREE   entries do not count
 *   END_APART      what an era has, and that it has ended, are two words
 *   COUNT_LATE     an entry counts when it is in the index already
 */
#define NUMBERS 2
#define PUTS 2
#define NONE 9

/* by number */
byte birth[NUMBERS]; /* 0: free */
byte refs[NUMBERS];
short items[NUMBERS];
bool ended[NUMBERS];  /* the bit in items */
bool waiting[NUMBERS]; /* ended, and not free yet */
byte before[NUMBERS]; /* who was inside when it ended: bits */

byte space = 0; /* the number of its era */
byte births = 1;

/* entries, by put: the number behind the key, and what is really meant */
byte number[PUTS], meant[PUTS];
bool indexed[PUTS];

byte inside; /* an epoch: bits */
byte stored, removed;
byte done;
bool lock;

inline enter(me)
{
	inside = inside | (1 << me)
}

inline leave(me)
{
	d_step {
		inside = inside & ~(1 << me);
		before[0] = before[0] & ~(1 << me);
		before[1] = before[1] & ~(1 << me)
	}
}

proctype put(byte me)
{
	byte n, found;

	enter(me);
	atomic { n = space; found = birth[n] };
#ifdef HOLD_OUTSIDE
	leave(me);
#endif
#ifndef NO_HOLD
	d_step { assert(birth[n] == found && found != 0); refs[n]++ };
#endif
#ifndef HOLD_OUTSIDE
	leave(me);
#endif
	/* the entry */
	d_step {
#ifndef ENTRIES_FREE
		assert(birth[n] == found);
		refs[n]++;
#endif
		number[me] = n;
		meant[me] = found;
		stored++
	};
#ifdef COUNT_LATE
	indexed[me] = true;
#endif
	d_step {
		assert(birth[n] == found);
		items[n]++;
		if
		:: ended[n] -> removed++
		:: else
		fi
	};
#ifndef COUNT_LATE
	indexed[me] = true;
#endif
#ifndef NO_HOLD
	d_step { assert(birth[n] == found); refs[n]-- };
#endif
	done++
}

proctype get()
{
	byte n, found, i;

	enter(PUTS);
	atomic { n = space; found = birth[n] };
	do
	:: i == PUTS -> break
	:: else ->
		d_step {
			if
			:: indexed[i] && number[i] == n ->
				assert(meant[i] == found)
			:: else
			fi;
			i++
		}
	od;
	leave(PUTS);
	done++
}

/* Under the lock, as is the freeing of eras. */
proctype clear()
{
	byte n, old, times, left;

	do
	:: times == 2 -> break
	:: else ->
		atomic { !lock -> lock = true };
		d_step {
			n = NONE;
			if
			:: birth[0] == 0 -> n = 0
			:: birth[0] != 0 && birth[1] == 0 -> n = 1
			:: else
			fi
		}
		if
		:: n == NONE -> lock = false; goto end /* no memory */
		:: else
		fi;
		d_step { births++; birth[n] = births; ended[n] = false };
		old = space;
		space = n;
#ifdef END_APART
		left = items[old];
		d_step { ended[old] = true; removed = removed + left };
#else
		d_step { removed = removed + items[old]; ended[old] = true };
#endif
		d_step { before[old] = inside; waiting[old] = true };
		lock = false;
		times++
	od;
end:	done++
}

/* Evicts, or takes what has ended: any entry, at any time. */
proctype evictor()
{
	byte i, n;

	do
	:: i == PUTS -> break
	:: i < PUTS && indexed[i] ->
		indexed[i] = false;
		n = number[i];
		d_step {
			assert(birth[n] == meant[i]);
			assert(items[n] > 0);
			items[n]--;
			if
			:: ended[n] -> skip
			:: else -> removed++
			fi
		};
#ifndef ENTRIES_FREE
		d_step { assert(birth[n] == meant[i]); refs[n]-- };
#endif
		i++
	:: i < PUTS -> i++ /* that one stays */
	od;
	done++
}

inline try(n)
{
#ifdef REFS_FIRST
	has = refs[n];
	if
	:: before[n] == 0 ->
#else
	if
#ifdef NO_EPOCH
	:: true ->
#else
	:: before[n] == 0 ->
#endif
		has = refs[n];
#endif
		if
		:: has == 0 ->
			d_step { birth[n] = 0; waiting[n] = false; items[n] = 0 }
		:: else
		fi
#ifndef NO_EPOCH
	:: else
#endif
	fi;
	lock = false
}

/* Whoever has the lock frees what it can. */
proctype freer()
{
	byte has;

end:	do
	:: atomic { !lock && waiting[0] -> lock = true }; try(0)
	od
}

init
{
	byte there, i;

	atomic {
		birth[0] = 1;
		run put(0);
		run put(1);
		run get();
		run clear();
		run evictor();
		run freer()
	};
	done == PUTS + 3;
	d_step {
		do
		:: i == PUTS -> break
		:: else ->
			if
			:: indexed[i] && !ended[number[i]] -> there++
			:: else
			fi;
			i++
		od
	};
	assert(there + removed == stored)
}
