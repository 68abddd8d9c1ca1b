/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linear.pml -- a stripe of linear hashing (linear.c, linear_find.h): writers that
 * split, join, chain and start over, against a reader without a lock
 *
 * Bags of two words, one to two of them in a stripe and more chained to those,
 * each in a chunk of its own; four leaves. Writers latch the stripe, so one
 * process is all of them: it inserts, removes, splits and joins in any order,
 * and any allocation of it may fail. Each access to shared memory is a step; the
 * first look at a bag's words takes them in either order. Stores and loads are
 * not reordered otherwise: they have release and acquire. The epoch is taken as
 * promised (epoch.pml): what is retired is free as soon as the reader, if it is
 * in an epoch, has left it.
 *
 * Shown of all interleavings: a leaf that is there during all of a find is
 * found; no bag and no table that was freed is followed; no table is read
 * beyond its end.
 *
 * Broken variants, each of which must fail:
 *   NO_RECHECK      a miss does not look at the size again
 *   NO_VERSION      the size has no version
 *   NO_SECOND_LOOK  the size is not read again after the table
 *   SIZE_FIRST      the size changes before the leaves are where it leads to
 *   SIZE_LAST       it changes after they were cleared where it led to
 *   TABLE_LAST      the larger table is stored after the size that needs it
 *   LINK_FIRST      a link is stored before what it leads to is filled
 *   BAG_AT_ONCE     a bag is freed when it is unchained, or its chunk unused
 *   TABLE_AT_ONCE   a table is freed when there is a larger one
 */
#ifndef OPERATIONS
#define OPERATIONS 5
#endif
#define GETS 1
#define BAGS 6   /* 1 to BAGS; 0: none */
#define TABLES 3 /* 0: the first, which is always there */
#define LEAVES 4
#define SOUGHT 1
#define LINK 16 /* + bag */

/* By the hash: leaf 2 stays in bag 0, the others go to bag 1 of two. */
#define NUMBER(bags, leaf) ((bags) == 2 && (leaf) != 2)
#define WORD(b, i) word[2 * (b) + (i)]
#define BAG(t, number) bag[2 * (t) + (number)]

byte word[2 * BAGS + 2];
bool used[BAGS + 1];
byte bag[2 * TABLES];
bool table_used[TABLES];
byte size = 1, version, table;

bool in_epoch;
bool retired[BAGS + 1], table_retired[TABLES];
bool there = true; /* the leaf that is sought */
bool gone;         /* it was not, at some time of the find */

#define FOLLOW(b) assert(used[b])
#ifdef NO_VERSION
#define CHANGED (size != n)
#else
#define CHANGED (size != n || version != v)
#endif

active proctype reader()
{
	byte gets, n, v, t, b, w;
	bool found[2];

	table_used[0]; /* the writer has begun */
	do
	:: gets < GETS ->
		gets++;
		atomic { in_epoch = true; gone = !there };
again:		atomic { n = size; v = version };
		t = table;
#ifndef NO_SECOND_LOOK
		if
		:: CHANGED -> goto again
		:: else
		fi;
#endif
		atomic {
			assert(table_used[t]);
			assert(t != 0 || NUMBER(n, SOUGHT) == 0);
			b = BAG(t, NUMBER(n, SOUGHT))
		};
		do
		:: b == 0 -> break
		:: else ->
			if
			:: atomic { FOLLOW(b);
				found[0] = WORD(b, 0) == SOUGHT };
				FOLLOW(b);
				found[1] = WORD(b, 1) == SOUGHT
			:: atomic { FOLLOW(b);
				found[1] = WORD(b, 1) == SOUGHT };
				FOLLOW(b);
				found[0] = WORD(b, 0) == SOUGHT
			fi;
			if
			:: found[0] ->
				atomic { FOLLOW(b); w = WORD(b, 0) };
				if
				:: w == SOUGHT -> goto end
				:: else
				fi
			:: else
			fi;
			if
			:: found[1] ->
				atomic { FOLLOW(b); w = WORD(b, 1) };
				if
				:: w == SOUGHT -> goto end
				:: else
				fi
			:: else
			fi;
			atomic {
				FOLLOW(b);
				w = WORD(b, 1);
				found[0] = false; found[1] = false;
				if
				:: w >= LINK -> b = w - LINK
				:: else -> b = 0
				fi;
				w = 0
			}
		od;
#ifndef NO_RECHECK
		if
		:: CHANGED -> goto again
		:: else
		fi;
#endif
		assert(gone);
end:		atomic {
			in_epoch = false;
			b = 1;
			do
			:: b <= BAGS ->
				used[b] = used[b] && !retired[b];
				retired[b] = false;
				b++
			:: else -> break
			od;
			t = 1;
			do
			:: t < TABLES ->
				table_used[t] = table_used[t] &&
					!table_retired[t];
				table_retired[t] = false;
				t++
			:: else -> break
			od;
			b = 0; t = 0; n = 0; v = 0; w = 0;
			found[0] = false; found[1] = false
		}
	:: else -> break
	od
}

inline retire(b_)
{
#ifdef BAG_AT_ONCE
	used[b_] = false
#else
	atomic {
		retired[b_] = in_epoch;
		used[b_] = in_epoch
	}
#endif
}

inline retire_table(t_)
{
#ifdef TABLE_AT_ONCE
	table_used[t_] = false
#else
	atomic {
		table_retired[t_] = in_epoch;
		table_used[t_] = in_epoch
	}
#endif
}

/* Into fresh, cleared; 0: there is no memory. */
inline allocate()
{
	if
	:: atomic {
		fresh = 1;
		do
		:: fresh <= BAGS && used[fresh] -> fresh++
		:: else -> break
		od;
		if
		:: fresh > BAGS -> fresh = 0
		:: else ->
			used[fresh] = true;
			WORD(fresh, 0) = 0; WORD(fresh, 1) = 0
		fi
	}
	:: fresh = 0
	fi
}

/* Where the leaf (0: a free word) is in the chain: at, i; at 0: nowhere. */
inline seek(first, leaf_)
{
	atomic {
		at = first; i = 0; last = first;
		do
		:: at == 0 -> break
		:: at != 0 && WORD(at, i) == leaf_ -> break
		:: at != 0 && WORD(at, i) != leaf_ && i == 0 -> i = 1
		:: at != 0 && WORD(at, i) != leaf_ && i == 1 ->
			last = at;
			at = (WORD(at, 1) >= LINK -> WORD(at, 1) - LINK : 0);
			i = 0
		od
	}
}

/* A copy of the leaf into the chain; fresh 0: no memory for that. */
inline put_into(first, leaf_)
{
	seek(first, 0);
	fresh = 1;
	if
	:: at == 0 ->
		allocate();
		if
		:: fresh != 0 ->
#ifdef LINK_FIRST
			atomic {
				i = WORD(last, 1);
				WORD(last, 1) = LINK + fresh
			};
			WORD(fresh, 0) = i;
#else
			atomic {
				WORD(fresh, 0) = WORD(last, 1);
				WORD(last, 1) = LINK + fresh
			};
#endif
			WORD(fresh, 1) = leaf_
		:: else
		fi
	:: else -> WORD(at, i) = leaf_
	fi;
	atomic { at = 0; last = 0; i = 0 }
}

/* Take the bags that are empty out of the chain. */
inline unchain(first)
{
	last = first;
	do
	:: atomic { WORD(last, 1) >= LINK -> at = WORD(last, 1) - LINK };
		if
		:: WORD(at, 0) == 0 && (WORD(at, 1) == 0 ||
			WORD(at, 1) >= LINK) ->
			WORD(last, 1) = WORD(at, 1);
			retire(at)
		:: else -> last = at
		fi
	:: else -> break
	od;
	atomic { last = 0; at = 0 }
}

/* Clear the words of the leaves that belong to the last bag of two. */
inline take_back(first)
{
	leaf = 1;
	do
	:: leaf <= LEAVES ->
		if
		:: NUMBER(2, leaf) == 1 ->
			seek(first, leaf);
			if
			:: at != 0 -> WORD(at, i) = 0
			:: else
			fi
		:: else
		fi;
		leaf++
	:: else -> break
	od;
	unchain(first);
	leaf = 0
}

inline set_size(n)
{
	atomic { size = n; version++ }
}

/* Of those that belong to the last bag, into `to`; fresh 0: no memory. */
inline copy_leaves()
{
	fresh = 1;
	leaf = 1;
	do
	:: leaf <= LEAVES && fresh != 0 ->
		if
		:: NUMBER(2, leaf) == 1 ->
			seek(from, leaf);
			if
			:: at != 0 -> put_into(to, leaf)
			:: else
			fi
		:: else
		fi;
		leaf++
	:: else -> break
	od;
	leaf = 0
}

/* A table of two pointers, and a bag for the second; fresh 0: no memory. */
inline make_bag()
{
	fresh = 1;
	larger = table;
	if
	:: table == 0 ->
		atomic {
			larger = (!table_used[1] -> 1 : 2);
			if
			:: table_used[larger] -> larger = 0; fresh = 0
			:: else ->
				table_used[larger] = true;
				BAG(larger, 0) = BAG(0, 0);
				BAG(larger, 1) = 0
			fi
		};
#ifndef TABLE_LAST
		if
		:: larger != 0 -> table = larger
		:: else
		fi
#endif
	:: else
	fi;
	if
	:: fresh != 0 && BAG(larger, 1) == 0 ->
		allocate();
		BAG(larger, 1) = fresh
	:: else
	fi
}

inline split()
{
	make_bag();
	if
	:: fresh != 0 ->
		atomic { from = BAG(larger, 0); to = BAG(larger, 1) };
#ifdef SIZE_FIRST
		set_size(2);
#endif
		copy_leaves();
		if
		:: fresh != 0 ->
#ifdef SIZE_LAST
			take_back(from);
			set_size(2);
#else
#ifndef SIZE_FIRST
			set_size(2);
#endif
			take_back(from);
#endif
#ifdef TABLE_LAST
			table = larger
#endif
		:: else -> take_back(to)
		fi
	:: else
	fi
}

inline join()
{
	atomic { from = BAG(table, 1); to = BAG(table, 0) };
	copy_leaves();
	if
	:: fresh != 0 ->
#ifdef SIZE_LAST
		take_back(from);
		set_size(1);
#else
		set_size(1);
		take_back(from);
#endif
		BAG(table, 1) = 0;
		retire(from)
	:: else -> take_back(to)
	fi
}

inline insert(leaf_)
{
	fresh = 1;
	if
	:: BAG(table, 0) == 0 -> allocate(); BAG(table, 0) = fresh
	:: else
	fi;
	if
	:: fresh != 0 -> put_into(BAG(table, NUMBER(size, leaf_)), leaf_)
	:: else
	fi;
	if
	:: fresh != 0 && leaf_ == SOUGHT -> there = true
	:: else
	fi
}

inline start_over()
{
	set_size(1);
	from = BAG(table, 0);
	BAG(table, 0) = 0;
	retire(from);
	if
	:: table != 0 && BAG(table, 1) != 0 ->
		from = BAG(table, 1);
		BAG(table, 1) = 0;
		retire(from)
	:: else
	fi;
	if
	:: table != 0 ->
		larger = table;
		BAG(0, 0) = 0;
		table = 0;
		retire_table(larger)
	:: else
	fi
}

inline remove(leaf_)
{
	atomic {
		there = there && leaf_ != SOUGHT;
		gone = gone || leaf_ == SOUGHT
	};
	from = BAG(table, NUMBER(size, leaf_));
	seek(from, leaf_);
	WORD(at, i) = 0;
	unchain(from);
	inside = inside & ~(1 << leaf_);
	if
	:: inside == 0 -> start_over()
	:: else
	fi
}

active proctype writer()
{
	byte operations, fresh, at, i, last, from, to, leaf, larger;
	byte inside = 6; /* bit by leaf */

	atomic {
		table_used[0] = true;
		used[1] = true;
		BAG(0, 0) = 1;
		WORD(1, 0) = 2;
		WORD(1, 1) = 1
	};
	do
	:: operations < OPERATIONS ->
		operations++;
		if
		:: size == 1 && inside != 0 -> split()
		:: size == 2 -> join()
		:: !(inside & 2) ->
			insert(1);
			inside = (fresh != 0 -> inside | 2 : inside)
		:: !(inside & 8) ->
			insert(3);
			inside = (fresh != 0 -> inside | 8 : inside)
		:: !(inside & 16) ->
			insert(4);
			inside = (fresh != 0 -> inside | 16 : inside)
		:: inside & 2 -> remove(1)
		:: inside & 4 -> remove(2)
		:: inside & 8 -> remove(3)
		:: inside & 16 -> remove(4)
		fi;
		atomic { fresh = 0; at = 0; i = 0; last = 0; from = 0; to = 0;
			leaf = 0; larger = 0 }
	:: else -> break
	od
}
