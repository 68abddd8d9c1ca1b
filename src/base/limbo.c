/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limbo.c -- retired objects in chunks
 *
 * The list of objects is outside the objects, since a reader may still be
 * reading any byte of them. A chunk holds so many entries that the cost of a
 * fence (a membarrier: microseconds if other threads run) is shared by
 * thousands of objects. The first chunk of a limbo is small, and each further
 * one is twice as large, up to that number: so thousands of threads that retire
 * a few objects each take little memory. A chunk is also full when its objects
 * have enough bytes, so the memory that waits is bounded: two sealed chunks
 * (with a stamp), the open one (being filled), and the one being freed.
 *
 * Retiring an object must not fail, since unlinking cannot be undone. If a
 * chunk cannot be allocated, the call waits for the readers itself. Readers
 * never wait for anything, so this ends; it happens only if the process is out
 * of memory. If the system refuses the fence as well (a sandbox was set up
 * later), the object is leaked.
 */
#include "limbo.h"

#include "atomic.h"
#include "epoch.h"

#include <sched.h>

#define CHUNK_OBJECTS 2046u
#define FIRST_OBJECTS 126u

/* Objects to be added until a look that was in vain is worth another. */
#define LOOK_AGAIN 64u

struct vmc_limbo_chunk {
	struct vmc_limbo_chunk *next;
	uint64_t stamp;
	unsigned count;
	unsigned room;
	size_t bytes; /* of the objects */
	struct object {
		void *ptr;
		size_t size;
	} object[];
};

static size_t
chunk_size(unsigned room)
{
	return sizeof(struct vmc_limbo_chunk) + room * sizeof(struct object);
}

/*
 * The object that is freed next, some time before: allocators give out first
 * what was freed last, and whoever gets it writes to it at once. A small one
 * is in two lines at most.
 */
static void
fetch(const struct object *next)
{
	vmc_prefetch_write(next->ptr);
	vmc_prefetch_write((const char *)next->ptr + next->size - 1);
}

static void
seal(struct vmc_limbo *limbo)
{
	struct vmc_limbo_chunk *chunk = limbo->open;

	chunk->stamp = vmc_epoch_stamp();
	chunk->next = NULL;
	if (limbo->newest)
		limbo->newest->next = chunk;
	else
		limbo->oldest = chunk;
	limbo->newest = chunk;
	limbo->open = NULL;
	limbo->look = limbo->added;
}

/* A new chunk, twice as large as the last one. False: no memory. */
static bool
open_chunk(struct vmc_limbo *limbo, const struct vmc_memory *memory)
{
	unsigned most = limbo->most ? limbo->most : CHUNK_OBJECTS;
	unsigned room = limbo->room ? 2 * limbo->room + 2 : FIRST_OBJECTS;

	if (room > most)
		room = most;
	struct vmc_limbo_chunk *chunk = vmc_alloc(memory, chunk_size(room));
	if (!chunk)
		return false;
	chunk->count = 0;
	chunk->room = room;
	chunk->bytes = 0;
	limbo->room = room;
	limbo->open = chunk;
	return true;
}

/* False: the system refuses to tell when they are gone. */
static bool
wait_for_readers(void)
{
	uint64_t stamp = vmc_epoch_stamp();

	if (!vmc_epoch_fence())
		return false;
	while (vmc_epoch_safe() <= stamp)
		sched_yield();
	return true;
}

/* To the open chunk, which has room. */
static void
add(struct vmc_limbo *limbo, void *ptr, size_t size)
{
	struct vmc_limbo_chunk *chunk = limbo->open;

	chunk->object[chunk->count] = (struct object){ptr, size};
	chunk->bytes += size;
	limbo->added++;
	if (++chunk->count == chunk->room || chunk->bytes >= VMC_LIMBO_BYTES)
		seal(limbo);
}

bool
vmc_limbo_add(struct vmc_limbo *limbo, const struct vmc_memory *memory,
	void *ptr, size_t size)
{
	if (!limbo->open && !open_chunk(limbo, memory))
		/* lost, rather than waited for in vain */
		return !wait_for_readers();
	add(limbo, ptr, size);
	return true;
}

/* Take out the chunks that are safe. */
static struct vmc_limbo_chunk *
take_out(struct vmc_limbo *limbo)
{
	struct vmc_limbo_chunk *ripe = limbo->oldest;
	struct vmc_limbo_chunk *last = NULL;
	uint64_t safe = vmc_epoch_safe();

	while (limbo->oldest && limbo->oldest->stamp < safe) {
		last = limbo->oldest;
		limbo->oldest = last->next;
	}
	if (!last)
		return NULL;
	last->next = NULL;
	if (!limbo->oldest)
		limbo->newest = NULL;
	return ripe;
}

struct vmc_limbo_chunk *
vmc_limbo_ripe(struct vmc_limbo *limbo)
{
	limbo->look = limbo->added + LOOK_AGAIN;
	if (!limbo->oldest)
		return NULL;
	if (!vmc_epoch_is_fenced(limbo->oldest->stamp) &&
		!(vmc_limbo_is_behind(limbo) && vmc_epoch_fence()))
		return NULL;
	return take_out(limbo);
}

struct vmc_limbo_chunk *
vmc_limbo_ripe_at_once(struct vmc_limbo *limbo)
{
	if (limbo->open)
		seal(limbo);
	return limbo->oldest && vmc_epoch_fence() ? take_out(limbo) : NULL;
}

static struct vmc_limbo_chunk *
last_of(struct vmc_limbo_chunk *chunks)
{
	while (chunks->next)
		chunks = chunks->next;
	return chunks;
}

uint64_t
vmc_limbo_last_stamp(const struct vmc_limbo_chunk *chunks)
{
	uint64_t stamp = 0;

	for (; chunks; chunks = chunks->next)
		if (chunks->stamp > stamp)
			stamp = chunks->stamp;
	return stamp;
}

void
vmc_limbo_join(struct vmc_limbo_chunk **to, struct vmc_limbo_chunk *chunks)
{
	if (*to)
		last_of(*to)->next = chunks;
	else
		*to = chunks;
}

/* Objects of another limbo's open chunk are added, if there is memory for it.
 */
static void
adopt_open(struct vmc_limbo *limbo, struct vmc_limbo *from,
	const struct vmc_memory *memory)
{
	struct vmc_limbo_chunk *chunk = from->open;

	while (chunk->count > 0) {
		const struct object *last = &chunk->object[chunk->count - 1];
		if (!limbo->open && !open_chunk(limbo, memory))
			return;
		add(limbo, last->ptr, last->size);
		chunk->count--;
	}
	vmc_free(memory, chunk, chunk_size(chunk->room));
	from->open = NULL;
}

/*
 * Sealed chunks go behind what this limbo has: where that makes a lower stamp
 * follow a higher one, it waits for the higher one to be safe.
 */
void
vmc_limbo_adopt(struct vmc_limbo *limbo, struct vmc_limbo *from,
	const struct vmc_memory *memory)
{
	if (from->open)
		adopt_open(limbo, from, memory);
	if (from->open)
		seal(from);
	if (from->oldest) {
		if (limbo->newest)
			limbo->newest->next = from->oldest;
		else
			limbo->oldest = from->oldest;
		limbo->newest = from->newest;
	}
	*from = (struct vmc_limbo){.most = from->most};
}

struct vmc_limbo_chunk *
vmc_limbo_free_some(struct vmc_limbo_chunk *chunk,
	const struct vmc_memory *memory, unsigned count)
{
	while (chunk && count > 0) {
		struct vmc_limbo_chunk *next = chunk->next;

		for (; count > 0 && chunk->count > 0; count--) {
			chunk->count--;
			vmc_free(memory, chunk->object[chunk->count].ptr,
				chunk->object[chunk->count].size);
		}
		if (chunk->count > 0) {
			fetch(&chunk->object[chunk->count - 1]);
			break;
		}
		vmc_free(memory, chunk, chunk_size(chunk->room));
		chunk = next;
	}
	return chunk;
}

void
vmc_limbo_free(struct vmc_limbo_chunk *chunks, const struct vmc_memory *memory)
{
	while (chunks)
		chunks = vmc_limbo_free_some(chunks, memory, CHUNK_OBJECTS);
}

void
vmc_limbo_flush(struct vmc_limbo *limbo, const struct vmc_memory *memory)
{
	if (limbo->open)
		seal(limbo);
	vmc_limbo_free(limbo->oldest, memory);
	*limbo = (struct vmc_limbo){.most = limbo->most};
}
