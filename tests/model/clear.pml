/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clear.pml -- all leaves of a stripe move to another index (linear_move.c,
 * clear.c), beside an insertion, a find and a removal
 *
 * The stripe has two bags in a table of two pointers, and one bag, which is not
 * there yet, in its first table after the move. Leaf 1 is there before, leaf 2 is
 * inserted: the place was looked for before the latch is taken. Each access to
 * shared memory is a step; stores and loads are not reordered: they have release
 * and acquire.
 *
 * Shown of all interleavings: a leaf that is there during all of a find is found;
 * who looks for leaf 1 in the one index and then in the other finds it; no table
 * is read beyond its end.
 *
 * Broken variants, each of which must fail:
 *   SIZE_ONCE    the size does not change once more after the table
 *   TABLE_FIRST  the small table is stored before the size that it is for
 *   ONE_LATCH    the leaves leave the one index before the other is latched
 *   BIT_LATE     it is told after the move that something was cleared
 */
byte size = 2, version, table = 1;
byte first = 0;   /* the bag of table 0: 3, or none */
bool word[4];     /* leaf 2, by bag: 1 and 2 are those of table 1 */
bool in = true;   /* leaf 1, in bag 1 */
bool elsewhere;   /* the bags of table 1 are the other index's */
bool some;        /* something may be in the other index */
bool latch, latch_there;
bool there, gone; /* leaf 2 is in the index; was not, during the find */

#define NUMBER(n, l) ((n) == 2 && (l) == 2)
#define TAKE(x) atomic { !x -> x = true }

inline lead(l)
{
	atomic {
		assert(t != 0 || NUMBER(n, l) == 0);
		b = (t == 0 -> first : 1 + NUMBER(n, l))
	}
}

inline set_size(n_)
{
	atomic { size = n_; version++ }
}

inline look(l)
{
	do
	:: true ->
		atomic { n = size; v = version };
		t = table;
		if
		:: version == v -> break
		:: else
		fi
	od;
	lead(l)
}

active proctype clear()
{
#ifndef BIT_LATE
	some = true;
#endif
	TAKE(latch);
#ifndef ONE_LATCH
	TAKE(latch_there);
	elsewhere = true;
#endif
	first = 0;
#ifdef TABLE_FIRST
	table = 0;
	atomic { set_size(1); there = false; gone = true };
#else
	atomic { set_size(1); there = false; gone = true };
	table = 0;
#endif
#ifndef SIZE_ONCE
	set_size(1);
#endif
#ifdef ONE_LATCH
	latch = false;
	TAKE(latch_there);
	elsewhere = true;
	latch_there = false;
#else
	latch_there = false;
	latch = false;
#endif
	some = true
}

active proctype insert()
{
	byte n, v, t, b;

	look(2);
	TAKE(latch);
	if
	:: b == 0 || version != v ->
		atomic { n = size; t = table };
		lead(2)
	:: else
	fi;
	if
	:: b == 0 -> first = 3; b = 3
	:: else
	fi;
	atomic { word[b] = true; there = true };
	latch = false
}

active proctype find()
{
	byte n, v, t, b;

	atomic { gone = !there };
	do
	:: true ->
		look(2);
		if
		:: b != 0 && word[b] -> break
		:: else
		fi;
		if
		:: version == v -> assert(gone); break
		:: else
		fi
	od
}

active proctype remove()
{
	byte n, t, b;

	TAKE(latch);
	atomic { n = size; t = table };
	lead(1);
	if
	:: b == 1 -> in = false
	:: else
	fi;
	latch = false;
	if
	:: in ->
		assert(some);
		TAKE(latch_there);
		assert(elsewhere);
		in = false;
		latch_there = false
	:: else
	fi
}
