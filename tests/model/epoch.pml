/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoch.pml -- base/epoch.c and base/limbo.c: nothing is freed while a reader
 * may hold it, and all of it is freed in the end
 *
 * Readers' stores go through a store buffer, as on x86-64: a reader's enter is
 * a plain store, which other processors see only later; membarrier(2) empties
 * all buffers. Writers' steps are locked instructions or come before one.
 *
 * Objects 1 to OBJECTS are published one after the other in one place; each
 * replaces the one before, which is retired. CHUNK of them share a stamp, as
 * in the limbo.
 *
 * Broken variants, each of which must fail:
 *   NO_MEMBARRIER   the buffers are not emptied before the records are read
 *   STAMP_FIRST     the stamp is taken before the last object is unlinked
 *   NOT_BELOW       freed with a stamp equal to the oldest reader's epoch
 *   NEVER_AGAIN     a reader does not clear its record when it leaves
 */
#define READERS 2
#define TIMES 2 /* that a reader enters */
#define CHUNK 2
#define CHUNKS 2
#define OBJECTS 4 /* CHUNK * CHUNKS */

#ifdef NOT_BELOW
#define RIPE(chunk) (stamp[chunk] <= safe)
#else
#define RIPE(chunk) (stamp[chunk] < safe)
#endif

byte now = 1;
byte record[READERS];
chan buffer[READERS] = [2] of { byte };
byte place = 1;
bool freed[OBJECTS + 2];
byte stamp[CHUNKS];
bool sealed[CHUNKS];
byte done;

/* What the processor does with its store buffer, whenever it likes. */
active [READERS] proctype processor()
{
	byte value;
end:
	do
	:: atomic { buffer[_pid]?value -> record[_pid] = value }
	od
}

proctype reader(byte r)
{
	byte epoch, object, times;

	do
	:: times < TIMES ->
		times++;
		epoch = now;
		buffer[r]!epoch;
		object = place;
		assert(!freed[object]);
		assert(!freed[object]); /* and a while later */
		object = 0;
#ifndef NEVER_AGAIN
		buffer[r]!0
#endif
	:: else -> break
	od;
	done++
}

inline membarrier()
{
	skip;
#ifndef NO_MEMBARRIER
	atomic {
		r = 0;
		do
		:: r < READERS && nempty(buffer[r]) -> buffer[r]?record[r]
		:: r < READERS && empty(buffer[r]) -> r++
		:: r == READERS -> break
		od
	}
#endif
}

/* vmc_limbo_ripe() and what is done with it */
inline reclaim()
{
	safe = now;
	membarrier();
	r = 0;
	do
	:: r < READERS ->
		epoch = record[r];
		if
		:: epoch != 0 && epoch < safe -> safe = epoch
		:: else
		fi;
		r++
	:: else -> break
	od;
	epoch = 0;
	d_step {
		r = 0;
		do
		:: r < CHUNKS && sealed[r] && RIPE(r) ->
			assert(!freed[r * CHUNK + 1]);
			freed[r * CHUNK + 1] = true;
			freed[r * CHUNK + 2] = true;
			sealed[r] = false;
			r++
		:: r < CHUNKS && !(sealed[r] && RIPE(r)) -> r++
		:: r == CHUNKS -> break
		od;
		r = 0
	}
}

proctype writer()
{
	byte r, chunk, safe, epoch;

	do
	:: chunk < CHUNKS ->
		place = place + 1;
#ifdef STAMP_FIRST
		atomic { stamp[chunk] = now; now++ };
		place = place + 1;
#else
		place = place + 1;
		atomic { stamp[chunk] = now; now++ };
#endif
		sealed[chunk] = true;
		chunk++;
		reclaim()
	:: else -> break
	od;
	/* no reader is left: all that was retired goes */
	done == READERS && empty(buffer[0]) && empty(buffer[1]);
	reclaim();
	chunk = 1;
	do
	:: chunk <= OBJECTS -> assert(freed[chunk]); chunk++
	:: else -> break
	od
}

init {
	atomic {
		run reader(0);
		run reader(1);
		run writer()
	}
}
