/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * critnib.pml -- a node of the trie (critnib.c, critnib_find.h): a writer that
 * makes groups and tables anew, against a reader without a lock
 *
 * A table of one or two words, each of which leads to a group; a group is for
 * one word or for both, and holds up to three leaves, the third of which may be
 * in a bag chained to it. Leaf 2 is found by the second word, the others by the
 * first. Writers latch the stripe, so one process is all of them: it inserts,
 * removes, chains, makes a group anew, splits and joins groups, doubles and
 * halves the table, in any order, and any allocation of it may fail. Each
 * access to shared memory is a step. Stores and loads are not reordered: they
 * have release and acquire. The epoch is taken as promised (epoch.pml): what is
 * retired is free as soon as the reader, if it is in an epoch, has left it.
 *
 * Shown of all interleavings: a leaf that is there during all of a find is
 * found, without a second look; no group and no table that was freed is
 * followed.
 *
 * Broken variants, each of which must fail:
 *   WORD_FIRST     what leads to a group is stored before it is filled
 *   OLD_CLEARED    leaves are taken out of a group that was left behind
 *   IN_PLACE       the leaves of a half are taken out when only the other
 *                  half was copied
 *   GROUP_AT_ONCE  a group is freed when nothing leads to it any more
 *   TABLE_FIRST    what leads to a table is stored before it is filled
 *   TABLE_AT_ONCE  a table is freed when there is another
 *   LINK_FIRST     a link is stored before the leaf is behind it
 *   BELOW_CLEARED  what is behind a bag is emptied, as its leaves moved up
 */
#ifndef OPERATIONS
#define OPERATIONS 5
#endif
#define GROUPS 5 /* 1 to GROUPS; 0: none */
#define TABLES 3
#define LEAVES 3
#define SOUGHT 1

/* the word for a leaf, in a table of 1 << k */
#define AT(k, leaf) ((k) && (leaf) == 2)
#define WORD(t, i) word[2 * (t) + (i)]
#define IN(g, leaf) in[4 * (g) + (leaf)]

bool in[4 * (GROUPS + 1)];      /* leaves in the group's bag */
bool behind[4 * (GROUPS + 1)];  /* and in the one chained to it */
#define BEHIND(g, leaf) behind[4 * (g) + (leaf)]
bool linked[GROUPS + 1];
byte depth[GROUPS + 1]; /* 0: for both words of a table of two */
bool used[GROUPS + 1], retired[GROUPS + 1];
byte word[2 * TABLES];
bool table_used[TABLES], table_retired[TABLES];
byte root, k_of_root; /* one word: a table, and its k */

bool begun;
bool in_epoch;
bool there = true; /* the leaf that is sought */
bool gone;         /* it was not, at some time of the find */

active proctype reader()
{
	byte t, k, g;
	bool link;

	begun;
	atomic { in_epoch = true; gone = !there };
	atomic { t = root; k = k_of_root };
	atomic { assert(table_used[t]); g = WORD(t, AT(k, SOUGHT)) };
	if
	:: g != 0 ->
		atomic {
			assert(used[g]);
			if
			:: IN(g, SOUGHT) -> goto end
			:: else
			fi
		};
		atomic { assert(used[g]); link = linked[g] };
		if
		:: link ->
			atomic {
				assert(used[g]);
				if
				:: BEHIND(g, SOUGHT) -> goto end
				:: else
				fi
			}
		:: else
		fi
	:: else
	fi;
	assert(gone);
end:	atomic {
		in_epoch = false;
		g = 1;
		do
		:: g <= GROUPS ->
			used[g] = used[g] && !retired[g];
			retired[g] = false;
			g++
		:: else -> break
		od;
		t = 0;
		do
		:: t < TABLES ->
			table_used[t] = table_used[t] && !table_retired[t];
			table_retired[t] = false;
			t++
		:: else -> break
		od;
		g = 0; t = 0
	}
}

inline retire(g_)
{
#ifdef OLD_CLEARED
	IN(g_, SOUGHT) = false;
#endif
#ifdef GROUP_AT_ONCE
	used[g_] = false
#else
	atomic { retired[g_] = in_epoch; used[g_] = in_epoch }
#endif
}

/* Into fresh, empty; 0: there is no memory. */
inline allocate(d_)
{
	if
	:: atomic {
		fresh = 1;
		do
		:: fresh <= GROUPS && used[fresh] -> fresh++
		:: else -> break
		od;
		if
		:: fresh > GROUPS -> fresh = 0
		:: else ->
			used[fresh] = true;
			linked[fresh] = false;
			depth[fresh] = d_;
			leaf = 1;
			do
			:: leaf <= LEAVES ->
				IN(fresh, leaf) = false;
				BEHIND(fresh, leaf) = false;
				leaf++
			:: else -> break
			od;
			leaf = 0
		fi
	}
	:: fresh = 0
	fi
}

/* Leaves of a group into fresh: those of word i of two, or all (i: 2). */
inline copy(from_, i_)
{
	leaf = 1;
	do
	:: leaf <= LEAVES ->
		atomic {
			if
			:: (i_ == 2 || AT(1, leaf) == i_) &&
				(IN(from_, leaf) || BEHIND(from_, leaf)) ->
				IN(fresh, leaf) = true
			:: else
			fi;
			leaf++
		}
	:: else -> break
	od;
	leaf = 0
}

/* Into the words that it is for, of word i on. */
inline store(g_, i_)
{
	WORD(root, i_) = g_;
	if
	:: k_of_root == 1 && depth[g_] == 0 -> WORD(root, 1 - i_) = g_
	:: else
	fi
}

inline make_anew(i_)
{
	old = WORD(root, i_);
	allocate(depth[old]);
	if
	:: fresh != 0 ->
#ifdef WORD_FIRST
		store(fresh, i_);
		copy(old, 2);
#else
		copy(old, 2);
		store(fresh, i_);
#endif
#ifdef BELOW_CLEARED
		BEHIND(old, SOUGHT) = false;
#endif
		retire(old)
	:: else
	fi
}

inline split()
{
	old = WORD(root, 0);
	allocate(1);
	half = fresh;
	if
	:: half != 0 ->
		copy(old, 0);
#ifdef IN_PLACE
		atomic { IN(old, 1) = false; IN(old, 3) = false };
#endif
		allocate(1);
		if
		:: fresh != 0 ->
			copy(old, 1);
			WORD(root, 0) = half;
			WORD(root, 1) = fresh;
			retire(old)
		:: else ->
#ifdef IN_PLACE
			WORD(root, 0) = half;
			depth[old] = 1
#else
			used[half] = false
#endif
		fi
	:: else
	fi
}

inline join()
{
	atomic { old = WORD(root, 0); half = WORD(root, 1) };
	allocate(0);
	if
	:: fresh != 0 ->
		copy(old, 0);
		copy(half, 1);
		store(fresh, 0);
		retire(old);
		retire(half)
	:: else
	fi
}

/* Twice the words, or half of them. */
inline set_table(k_)
{
	atomic {
		other = 0;
		do
		:: other < TABLES && table_used[other] -> other++
		:: else -> break
		od
	};
	if
	:: other < TABLES ->
		last = root;
		table_used[other] = true;
#ifdef TABLE_FIRST
		WORD(other, 0) = 0;
		atomic { root = other; k_of_root = k_ };
#endif
		WORD(other, 0) = WORD(last, 0);
		WORD(other, 1) = WORD(last, 0);
#ifndef TABLE_FIRST
		atomic { root = other; k_of_root = k_ };
#endif
#ifdef TABLE_AT_ONCE
		table_used[last] = false
#else
		atomic {
			table_retired[last] = in_epoch;
			table_used[last] = in_epoch
		}
#endif
	:: else /* no memory */
	fi
}

/* Leaf 1 gives its place to a link, and is behind it. */
inline chain()
{
	old = WORD(root, AT(k_of_root, 1));
	if
	:: IN(old, 1) && !linked[old] ->
#ifdef LINK_FIRST
		atomic { linked[old] = true; IN(old, 1) = false };
		BEHIND(old, 1) = true
#else
		BEHIND(old, 1) = true;
		atomic { linked[old] = true; IN(old, 1) = false }
#endif
	:: else
	fi
}

inline insert(leaf_)
{
	old = WORD(root, AT(k_of_root, leaf_));
	IN(old, leaf_) = true;
	there = there || leaf_ == SOUGHT
}

inline remove(leaf_)
{
	old = WORD(root, AT(k_of_root, leaf_));
	atomic {
		there = there && leaf_ != SOUGHT;
		gone = gone || leaf_ == SOUGHT
	};
	atomic { IN(old, leaf_) = false; BEHIND(old, leaf_) = false }
}

#define HOLDS(leaf_) (IN(WORD(root, AT(k_of_root, leaf_)), leaf_) || \
	BEHIND(WORD(root, AT(k_of_root, leaf_)), leaf_))

active proctype writer()
{
	byte operations, fresh, leaf, old, half, other, last;

	atomic {
		used[1] = true;
		IN(1, 1) = true;
		IN(1, 2) = true;
		WORD(0, 0) = 1;
		table_used[0] = true;
		begun = true
	};
	do
	:: operations < OPERATIONS ->
		operations++;
		if
		:: make_anew(0)
		:: k_of_root == 1 -> make_anew(1)
		:: k_of_root == 0 -> set_table(1)
		:: k_of_root == 1 && depth[WORD(root, 0)] == 0 -> set_table(0)
		:: k_of_root == 1 && depth[WORD(root, 0)] == 0 -> split()
		:: k_of_root == 1 && depth[WORD(root, 0)] == 1 -> join()
		:: chain()
		:: !HOLDS(1) -> insert(1)
		:: !HOLDS(3) -> insert(3)
		:: HOLDS(1) -> remove(1)
		:: HOLDS(2) -> remove(2)
		fi;
		atomic { fresh = 0; leaf = 0; old = 0; half = 0; other = 0;
			last = 0 }
	:: else -> break
	od
}
