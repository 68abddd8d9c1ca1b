/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soonest.pml -- when the next timer of all wheels is due (expire.c), kept in one word
 * beside what each wheel says
 *
 * Two threads make a wheel's next earlier, each its own wheel, which takes its latch;
 * two look for what is over, at a time at which none of the first is: they raise the
 * word. Each access to shared memory is a step. Orders that a processor may give
 * these are not of the model: the fences in expire.c are for that.
 *
 * Shown of all interleavings: when a thread has made its wheel's next earlier, the word
 * is not later than that from then on.
 *
 * Broken variants, each of which must fail:
 *   STORE      who looks writes the least that it found, whatever the word is by then
 *   TWO        two threads look at the same time, each with the same LOOKING
 *   NO_MARK    who looks leaves the word as it is while it looks
 *   NOT_LOOKING  who makes a next earlier takes LOOKING for a time that is early enough
 */
#define LOOK 0
#define LOOKING 1
#define NOW 2
#define NEVER 9

byte next[2] = NEVER;
byte soonest = LOOK;
bool looking;
bool told[2]; /* its call has returned */

#ifdef NOT_LOOKING
#define IS_LOOKING(w) false
#else
#define IS_LOOKING(w) (w == LOOKING)
#endif

proctype makes_earlier(byte i; byte when)
{
	byte seen;

	next[i] = when;
	seen = soonest;
	if
	:: seen > when || IS_LOOKING(seen) -> soonest = LOOK
	:: else
	fi;
	told[i] = true
}

proctype looks()
{
	byte least, before, rounds;
	bool alone;

	do
	:: rounds == 2 -> break
	:: rounds < 2 ->
		rounds++;
		least = NEVER;
		before = soonest;
		if
		:: before > NOW -> skip /* nothing is over */
		:: else ->
#ifdef TWO
			alone = true;
#else
			atomic { alone = !looking; looking = true };
#endif
			if
			:: alone ->
#ifndef NO_MARK
				soonest = LOOKING;
				before = LOOKING;
#endif
				if :: next[0] < least -> least = next[0] :: else fi;
				if :: next[1] < least -> least = next[1] :: else fi;
				if
				:: least > NOW ->
#ifdef STORE
					soonest = least
#else
					d_step {
						if
						:: soonest == before ->
							soonest = least
						:: else
						fi
					}
#endif
				:: else
				fi;
				looking = false
			:: else
			fi
		fi
	od
}

/* From when a call has returned on, whatever the others are at. */
active proctype watches()
{
	do
	:: d_step {
		told[0] -> assert(soonest <= next[0])
	   }
	:: d_step {
		told[1] -> assert(soonest <= next[1])
	   }
	:: timeout -> break
	od
}

init
{
	atomic {
		run makes_earlier(0, 5);
		run makes_earlier(1, 7);
		run looks();
		run looks()
	}
}
