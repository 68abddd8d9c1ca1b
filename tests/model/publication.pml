/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publication.pml -- publication.c: a reader has two whole samples, one after
 * the other, however often the writer comes in between
 *
 * A sample is two words, both of which hold its number. Words are written and
 * read one by one. The orders that the fences keep are taken for granted. A
 * reader that begins again is another reader.
 *
 * Broken variants, each of which must fail:
 *   SLOTS=3         one slot less
 *   LATEST_FIRST    the number of a sample is written before the sample
 *   NO_SECOND_LOOK  the reader does not look how far the writer is by then
 *   LOOK_LATE       it lets the writer be a sample further
 */
#ifndef SLOTS
#define SLOTS 4
#endif
#define SAMPLES 8

#ifdef LOOK_LATE
#define GOOD(n, m) ((m) < (n) + 3)
#else
#define GOOD(n, m) ((m) < (n) + 2)
#endif

byte latest;
byte first[SLOTS], second[SLOTS];

active proctype writer()
{
	byte n;

	do
	:: n < SAMPLES ->
		n++;
#ifdef LATEST_FIRST
		latest = n;
#endif
		first[n % SLOTS] = n;
		second[n % SLOTS] = n;
#ifndef LATEST_FIRST
		latest = n;
#endif
	:: else -> break
	od
}

active proctype reader()
{
	byte n, m;
	byte now[2], before[2];

	n = latest;
	if
	:: n < 2 -> goto done /* nothing before it */
	:: else
	fi;
	now[0] = first[n % SLOTS];
	before[0] = first[(n - 1) % SLOTS];
	before[1] = second[(n - 1) % SLOTS];
	now[1] = second[n % SLOTS];
	m = latest;
#ifdef NO_SECOND_LOOK
	m = n;
#endif
	if
	:: GOOD(n, m) ->
		assert(now[0] == n && now[1] == n);
		assert(before[0] == n - 1 && before[1] == n - 1)
	:: else
	fi;
done:
	skip
}
