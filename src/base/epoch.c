/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoch.c -- epoch-based reclamation with the fence on the reclaiming side
 *
 * Each thread owns a record; a reader publishes in it the epoch at which it
 * entered. A writer unlinks objects, then takes a stamp s, which moves the
 * epoch on to s + 1. Then the writer or another thread issues a fence:
 * membarrier(2), a full memory barrier on every running thread. An object with
 * stamp s can be freed once that has happened and every record is either 0 or
 * above s.
 *
 * Why that is enough. Let R be a reader, W a writer calling vmc_epoch_safe()
 * for objects that were unlinked before their stamp s was taken, and F the
 * thread that fenced after it had read an epoch above s.
 *
 * - R's record is above s when W looks: R loaded vmc_epoch_now with acquire
 *   and saw W's fetch_add (release) or a later one, so R sees the unlinking:
 *   it cannot reach the objects.
 * - R's record is 0 when W looks, since R has left: W's acquire load pairs with
 *   R's release store in exit, so all of R's reads come before the free.
 * - R's record is 0 when W looks, since R's store is not visible yet: F read an
 *   epoch above s (acquire), so all that came before W's stamp comes before F's
 *   membarrier(2). That gives R a full barrier at some point of R's
 *   instructions. F then reports its fence (release), and W looks after it has
 *   read that report (acquire). If R's store came before the barrier, W would
 *   see it. So the store comes after the barrier, and so does every pointer
 *   that R follows: R sees the unlinking. Between the store and those reads R
 *   needs only a compiler barrier. R may store an old epoch: that only delays
 *   some frees.
 * - R's record is in 1..s: W leaves the objects alone, and looks again later.
 *   That needs no other fence: the four cases are then the same.
 *
 * If the kernel has no membarrier, R issues a fence after its store and F
 * before its report (both sequentially consistent), with the same conclusion.
 *
 * W looks at the records of slots up to the highest that is taken, and a thread
 * that takes a slot above says so before it first enters. If W does not see
 * that number, this is the third case: R's store comes after the barrier. Slots
 * above that W does not look at because their threads have left are the second
 * case: they left before the lower number was published (release, acquire).
 *
 * If membarrier is refused later, because a sandbox was set up, readers are
 * told to issue fences from then on. F must still make sure that the stores of
 * readers that had not read this are visible. So F runs on each processor in
 * turn, once, which takes every other thread off it. That is a full barrier at
 * some point B of a reader's instructions, after the flag was set. If R read
 * the flag before B, its store, which precedes that read, came before B as
 * well; otherwise R found the flag set.
 *
 * A reader that is preempted or stopped holds back memory, never a thread:
 * nothing here waits for a reader.
 *
 * The records are in blocks of 64, 128, 256, ... that never move; the first
 * block is static, so that most processes allocate nothing. Under the registry
 * lock a slot is taken, given back at thread exit (a pthread key's destructor)
 * and taken again; the new owner gets the slot's per-thread state, too. A
 * destructor of the program that runs after ours may use the cache once more;
 * the C library calls ours again, but a limited number of times. So a slot that
 * was taken that late is marked, and a thread that needs a slot asks the system
 * whether the owner has ended.
 *
 * After a fork only the calling thread exists in the child. Every other record
 * is reset; otherwise a reader at the time of the fork would hold back memory
 * for ever. No lock is held during the fork, because handlers of the program
 * run in between and may wait for a thread that is about to leave. So the child
 * may find the registry in the middle of a change. Each step of a change is a
 * single store that leaves the registry valid, except `taken` and the lock,
 * which the child makes anew.
 *
 * Nothing is freed when the process ends: other threads may still be running,
 * and the code stays where it is until then (stay.c).
 *
 * Rejected: hazard pointers (a fence and a store per pointer followed), a
 * record per cache and thread (registration on the path of each first call),
 * userspace-rcu (LGPL, and its registration does not survive dlclose).
 */
#include "epoch.h"

#include "lock.h"
#include "os.h"
#include "process.h"

#include <assert.h>
#include <pthread.h>

#define CHUNKS 20
#define FIRST_CHUNK 64u

_Atomic uint64_t vmc_epoch_now = 1;
_Atomic uint64_t vmc_epoch_fenced;
_Atomic bool vmc_epoch_readers_fence = true;
/* all readers know that they have to fence, or need not */
static _Atomic bool readers_told = true;
/* written under the registry lock */
_Atomic unsigned vmc_threads_alive;
_Thread_local struct vmc_thread *vmc_thread_cached;

static struct vmc_thread first_chunk[FIRST_CHUNK];
/* under the registry lock for writing; a chunk never moves once it is there */
static struct vmc_thread *_Atomic chunks[CHUNKS] = {first_chunk};
/* grows only; its release store publishes the chunk behind it */
static _Atomic unsigned slots;
/* one more than the highest slot that is taken; under the lock for writing */
static _Atomic unsigned taken_slots;
static unsigned free_from; /* no slot below is free; under the lock */

static struct vmc_lock registry = VMC_LOCK_INITIALIZER(VMC_RANK_THREADS);
static unsigned late_ones; /* under it: records that are */
static _Thread_local bool left;
static pthread_key_t exit_key;
static bool exit_key_made;

/* Chunk k holds FIRST_CHUNK << k slots, starting at this one. */
static unsigned
chunk_start(unsigned k)
{
	return (FIRST_CHUNK << k) - FIRST_CHUNK;
}

static unsigned
chunk_of(unsigned slot)
{
	return (unsigned)(31 - __builtin_clz(slot / FIRST_CHUNK + 1));
}

static struct vmc_thread *
record(unsigned slot)
{
	unsigned k = chunk_of(slot);

	return vmc_load_relaxed(&chunks[k]) + (slot - chunk_start(k));
}

unsigned
vmc_thread_slots(void)
{
	return vmc_load_acquire(&slots);
}

bool
vmc_thread_has(unsigned slot)
{
	return slot < vmc_thread_slots() &&
	       vmc_load_relaxed(&record(slot)->taken);
}

bool
vmc_thread_if_gone(unsigned slot, void (*then)(void *arg), void *arg)
{
	vmc_lock_acquire(&registry);
	bool gone = !vmc_thread_has(slot);
	if (gone)
		then(arg);
	vmc_lock_release(&registry);
	return gone;
}

/* Under the registry lock: nobody has the slot any more. */
static void
give_back(struct vmc_thread *t)
{
	unsigned count = vmc_load_relaxed(&taken_slots);

	vmc_store_relaxed(&t->taken, false);
	late_ones -= t->late;
	t->late = false;
	vmc_owner_add(&vmc_threads_alive, -1u);
	if (t->slot < free_from)
		free_from = t->slot;
	while (count > 0 && !vmc_load_relaxed(&record(count - 1)->taken))
		count--;
	/* release: who sees it sees that those above have left */
	vmc_store_release(&taken_slots, count);
}

void (*_Atomic vmc_thread_has_left)(unsigned slot);

/*
 * Where a thread ends by pthread_exit(3) or a cancellation, address sanitizer
 * still has marks on the stack of the functions that were left, and would take
 * what runs there now for a fault.
 */
static void
forget_left_frames(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	enum { BELOW = 64 << 10 };
	void __asan_unpoison_memory_region(void const volatile *, size_t);
	char *frame = __builtin_frame_address(0);

	__asan_unpoison_memory_region(frame - BELOW, BELOW);
#endif
#endif
}

static void
leave(void *arg)
{
	unsigned slot = ((struct vmc_thread *)arg)->slot;
	void (*then)(unsigned) = vmc_load_acquire(&vmc_thread_has_left);

	forget_left_frames();
	vmc_thread_cached = NULL;
	left = true;
	vmc_lock_acquire(&registry);
	give_back(arg);
	vmc_lock_release(&registry);
	if (then)
		then(slot);
}

static void
take(struct vmc_thread *t)
{
	vmc_store_relaxed(&t->taken, true);
	free_from = t->slot + 1;
	if (t->slot >= vmc_load_relaxed(&taken_slots))
		vmc_store_release(&taken_slots, t->slot + 1);
}

static void
give_back_late_ones(unsigned count)
{
	for (unsigned slot = 0; late_ones > 0 && slot < count; slot++) {
		struct vmc_thread *t = record(slot);
		if (t->late && vmc_os_thread_is_gone(t->thread))
			give_back(t);
	}
}

/* A slot that nobody has, under the registry lock. */
static struct vmc_thread *
free_record(void)
{
	unsigned count = vmc_load_relaxed(&slots);

	give_back_late_ones(count);
	for (unsigned slot = free_from; slot < count; slot++) {
		struct vmc_thread *t = record(slot);
		if (!vmc_load_relaxed(&t->taken))
			return t;
	}
	unsigned k = chunk_of(count);
	if (k >= CHUNKS)
		return NULL;
	if (!vmc_load_relaxed(&chunks[k])) {
		size_t size = sizeof(struct vmc_thread) * FIRST_CHUNK << k;
		struct vmc_thread *chunk = vmc_os_map_anonymous(size);
		if (!chunk)
			return NULL;
		vmc_store_relaxed(&chunks[k], chunk);
	}
	record(count)->slot = count;
	vmc_store_release(&slots, count + 1);
	return record(count);
}

static void start(void);

/* A cache may be made before our constructor has run. */
static void
start_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
}

struct vmc_thread *
vmc_thread_register(void)
{
	start_once();
	vmc_process_notice();
	if (!exit_key_made)
		return NULL;
	vmc_lock_acquire(&registry);
	struct vmc_thread *t = free_record();
	if (t && pthread_setspecific(exit_key, t) == 0) {
		take(t);
		t->uses++;
		t->late = left;
		late_ones += left;
		if (left)
			t->thread = vmc_os_thread();
		vmc_owner_add(&vmc_threads_alive, 1);
	} else {
		t = NULL;
	}
	vmc_lock_release(&registry);
	vmc_thread_cached = t;
	return t;
}

uint64_t
vmc_epoch_stamp(void)
{
	return vmc_fetch_add_acq_rel(&vmc_epoch_now, 1);
}

/* Readers fence; all of them, if the system can be brought to see to it. */
static bool
fence_with_readers(void)
{
	vmc_fence_seq_cst();
	if (vmc_load_acquire(&readers_told))
		return true;
	if (!vmc_os_visit_processors())
		return false;
	vmc_store_release(&readers_told, true);
	return true;
}

bool
vmc_epoch_fence(void)
{
	uint64_t now = vmc_load_acquire(&vmc_epoch_now);
	uint64_t fenced = vmc_load_relaxed(&vmc_epoch_fenced);

	if (!vmc_load_acquire(&vmc_epoch_readers_fence) &&
		!vmc_os_membarrier()) { /* a sandbox made later */
		vmc_store_release(&readers_told, false);
		vmc_store_release(&vmc_epoch_readers_fence, true);
	}
	if (vmc_load_acquire(&vmc_epoch_readers_fence) && !fence_with_readers())
		return false;
	while (fenced < now &&
		!vmc_cas_acq_rel(&vmc_epoch_fenced, &fenced, now))
		;
	return true;
}

uint64_t
vmc_epoch_safe(void)
{
	uint64_t safe = vmc_load_acquire(&vmc_epoch_fenced);
	unsigned count = vmc_load_acquire(&taken_slots);

	for (unsigned slot = 0; slot < count; slot++) {
		uint64_t active = vmc_load_acquire(&record(slot)->active);
		if (active && active < safe)
			safe = active;
	}
	return safe;
}

void
vmc_epoch_after_fork(bool by_survivor)
{
	struct vmc_thread *self = vmc_thread_cached;
	unsigned count = vmc_thread_slots();
	unsigned alive = 0, highest = 0;

	vmc_lock_init(&registry, VMC_RANK_THREADS);
	late_ones = 0;
	for (unsigned slot = 0; slot < count; slot++) {
		struct vmc_thread *t = record(slot);
		bool taken = vmc_load_relaxed(&t->taken) &&
			     (!by_survivor || t == self);
		t->late = false;
		vmc_store_relaxed(&t->taken, taken);
		alive += taken;
		if (taken)
			highest = slot + 1;
		if (t != self)
			vmc_store_relaxed(&t->active, 0);
	}
	free_from = 0;
	vmc_store_relaxed(&taken_slots, highest);
	vmc_store_relaxed(&vmc_threads_alive, alive);
	vmc_store_relaxed(
		&vmc_epoch_readers_fence, !vmc_os_membarrier_register());
	vmc_store_relaxed(&readers_told, true);
}

static void
start(void)
{
	exit_key_made = pthread_key_create(&exit_key, leave) == 0;
	vmc_store_relaxed(
		&vmc_epoch_readers_fence, !vmc_os_membarrier_register());
}

__attribute__((constructor)) static void
start_at_load(void)
{
	start_once();
}
