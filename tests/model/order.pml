/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.pml -- the trie of keys in order (order/order.c): a search without a lock
 * beside threads that set, remove and copy nodes
 *
 * Three keys. S is there all the time; A and B agree in what tells them from S, and
 * differ behind that: with all three the trie is root -> P {Q {A, B}, S}. One thread
 * each sets A and B, and may remove it again: P and Q come and go. Another one puts a
 * copy of the upper node in its place, as a node that grows or shrinks does. A reader
 * looks for S. Each access to shared memory is a step; latches are only tried; memory
 * is freed when everybody has left the epoch that he was in when it was retired.
 *
 * Shown of all interleavings: the reader finds S; nobody reads a node that is freed;
 * when all is over each key is there if it was set and not removed.
 *
 * Broken variants, each of which must fail:
 *   FREED_EARLY   a node is freed at once
 *   TWO_STEPS     a split takes the leaf out, and puts the new node in after that
 *   NO_GONE       a node that was replaced does not say so: who has come to it before
 *                 changes it
 *   NO_RECHECK    a word is changed that is not what it was before the latch
 *   ONE_LATCH     a node is copied, or goes, with the one above it latched alone
 */
#define A 1
#define B 2
#define S 3
#define NODE 10
#define NODES 8
#define COPIER 3
#define READER 0

byte word[16]; /* two of each node, by the key's symbol there */
byte place[NODES]; /* 0: the root, whose symbol is always 0; 1: P; 2: Q */
bool gone[NODES], latch[NODES], freed[NODES];
byte nodes = 1;
bool inside[4];
bool in[4];
byte done;

#define SYMBOL(k, n) (place[n] == 0 -> 0 : \
	(place[n] == 1 -> (k == S -> 1 : 0) : (k == B -> 1 : 0)))
#define AT(k, n) (2 * (n) + SYMBOL(k, n))

inline read(k, n, w)
{
	d_step { assert(!freed[n]); w = word[AT(k, n)] }
}

inline descend(k)
{
	above = 0;
	n = 0;
	read(k, n, w);
	do
	:: w >= NODE -> above = n; n = w - NODE; read(k, n, w)
	:: else -> break
	od
}

inline try_latch(n, got)
{
	atomic { got = !latch[n]; latch[n] = true }
}

inline leave()
{
	inside[self] = false
}

inline retire(n)
{
#ifndef FREED_EARLY
	(!inside[0]); (!inside[1]); (!inside[2]); (!inside[3]);
#endif
	freed[n] = true
}

/* n and above, latched. ok: above still leads to n. */
inline latch_both(k)
{
	try_latch(above, ok);
	if
	:: ok ->
		if
#ifdef NO_GONE
		:: word[AT(k, above)] != NODE + n ->
#else
		:: gone[above] || word[AT(k, above)] != NODE + n ->
#endif
			latch[above] = false; ok = false
		:: else ->
#ifndef ONE_LATCH
			try_latch(n, ok);
			if
			:: !ok -> latch[above] = false
			:: else
			fi
#else
			skip
#endif
		fi
	:: else
	fi
}

inline unlatch_both()
{
#ifndef ONE_LATCH
	latch[n] = false;
#endif
	latch[above] = false
}

inline set(k)
{
	do
	:: inside[self] = true;
		descend(k);
		ok = false;
		if
		:: w == 0 -> skip
		:: else -> try_latch(n, ok)
		fi;
		if
		:: !ok -> leave()
#ifndef NO_RECHECK
#ifdef NO_GONE
		:: ok && word[AT(k, n)] != w ->
#else
		:: ok && (gone[n] || word[AT(k, n)] != w) ->
#endif
			latch[n] = false; leave()
		:: else ->
#else
		:: else ->
#endif
			/* a new node, which nobody knows yet */
			d_step {
				m = nodes; nodes++;
				place[m] = (w == S -> 1 : 2);
				word[AT(w, m)] = w;
				word[AT(k, m)] = k
			};
#ifdef TWO_STEPS
			word[AT(k, n)] = 0;
#endif
			word[AT(k, n)] = NODE + m;
			latch[n] = false;
			leave();
			break
		fi
	od
}

inline remove(k)
{
	do
	:: inside[self] = true;
		descend(k);
		latch_both(k);
		if
		:: !ok -> leave()
#ifndef NO_RECHECK
		:: ok && word[AT(k, n)] != w -> unlatch_both(); leave()
#endif
		:: else ->
			other = word[2 * n + 1 - SYMBOL(k, n)];
			word[AT(k, above)] = other;
			gone[n] = true;
			unlatch_both();
			leave();
			retire(n);
			break
		fi
	od
}

proctype writer(byte self)
{
	byte above, n, w, m, other;
	bool ok;

	set(self);
	in[self] = true;
	if
	:: true
	:: true -> remove(self); in[self] = false
	fi;
	done++
}

proctype copier(byte self)
{
	byte above, n, w, m;
	bool ok;

	inside[self] = true;
	read(S, 0, w);
	above = 0;
	n = w - NODE;
	ok = false;
	if
	:: w >= NODE -> latch_both(S)
	:: else
	fi;
	if
	:: ok ->
		d_step { m = nodes; nodes++; place[m] = place[n] };
		word[2 * m] = word[2 * n];
		word[2 * m + 1] = word[2 * n + 1];
		word[0] = NODE + m;
		gone[n] = true;
		unlatch_both();
		leave();
		retire(n)
	:: else -> leave()
	fi;
	done++
}

proctype reader(byte self)
{
	byte above, n, w;

	inside[self] = true;
	descend(S);
	assert(w == S);
	leave();
	done++
}

init
{
	byte above, n, w;

	atomic {
		word[0] = S;
		run writer(A);
		run writer(B);
		run copier(COPIER);
		run reader(READER)
	};
	done == 4;
	d_step { descend(A) };
	assert((w == A) == in[A]);
	d_step { descend(B) };
	assert((w == B) == in[B]);
	d_step { descend(S) };
	assert(w == S)
}
