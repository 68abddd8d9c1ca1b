/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publish.c -- which caches are published, and the thread that does it
 *
 * A cache that is published has an object in shared memory (publication.h), and
 * is in the list below. One thread of the process adds a sample to the object
 * of each once a second: the only thread of the library that outlives a call.
 * It starts with the first publication and is joined when the last one ends. So
 * the figures of an idle cache are up to date as well, and operations do
 * nothing for them. This thread does not count as a user of a cache: it has no
 * per-thread state, and a thread that alone uses a cache stays its sole user.
 * Asking the system for huge pages takes milliseconds (base/os.h), so it is
 * done for at most one cache a second, in turn, and for each at most once in
 * ten seconds.
 *
 * All is under one lock, the first in the lock order, since sampling takes
 * others. So a call that publishes or deletes may wait for a sample. The lock
 * is not held while the thread is joined, as the thread takes it; a generation
 * number tells the thread to end.
 *
 * A reader knows by a lock on the file (fcntl(2)) whether the process exists:
 * the system releases it when the process ends in any way, and no child
 * inherits it (vmc_publication_is_gone()). exit(3) removes the objects of
 * caches that were not deleted; `vmemcache-top --clean` removes those that
 * other ends of a process leave.
 *
 * Forks. A child has copies of the list and of the lock, which the thread may
 * have held, but not the thread; and it has the objects mapped, which are its
 * parent's. So each publication has the mark of its process, and another
 * process only unmaps and closes it, without the lock. The list has an owner as
 * well; a child that publishes begins with an empty list. A child that has
 * inherited a cache (inherit.c) removes its parent's object when it publishes
 * the cache or ends the publication: the parent has ended, or the child would
 * not have inherited.
 *
 * Rejected: sampling within the next operation. An idle cache would show old
 * figures, and each operation would read a clock.
 */
#include "publish.h"

#include "cache.h"

#include "base/error.h"
#include "base/os.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
/* Samples of a cache until the system is asked again, at least. */
#define ASK_EVERY 10u
/* It calls no callback; most it needs to read what the kernel tells. */
#define STACK_SIZE ((size_t)256 << 10)
/* Objects of others with names that would be ours. */
#define TRIES 1000u

/* The rest is of the process of this mark. */
static _Atomic unsigned owner;
/*
 * Taken to become the owner. Nobody holds it at a fork but in a process that
 * publishes for the first time; the handler is for that.
 */
static struct vmc_latch renewing;

static struct vmc_lock lock;
static pthread_cond_t end_of_thread;
/* under it */
static struct vmemcache *first;
static unsigned number; /* of the next object */
static pthread_t thread;
static bool is_running;
static uintptr_t generation;

static void
become_owner(void)
{
	pthread_condattr_t attr;

	vmc_latch_acquire(&renewing, VMC_RANK_PUBLICATIONS);
	if (vmc_load_relaxed(&owner) != vmc_process_mark()) {
		vmc_lock_init(&lock, VMC_RANK_PUBLICATIONS);
		pthread_condattr_init(&attr);
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		pthread_cond_init(&end_of_thread, &attr);
		pthread_condattr_destroy(&attr);
		first = NULL;
		is_running = false;
		/* pairs with the acquire in enter() */
		vmc_store_release(&owner, vmc_process_mark());
	}
	vmc_latch_release(&renewing, VMC_RANK_PUBLICATIONS);
}

static void
enter(void)
{
	if (vmc_load_acquire(&owner) != vmc_process_mark())
		become_owner();
	vmc_lock_acquire(&lock);
}

static void
leave(void)
{
	vmc_lock_release(&lock);
}

static void
sample(struct vmemcache *cache, bool ask)
{
	struct vmc_publisher *p = &cache->publisher;
	struct vmc_sample s = {
		.time_ns = vmc_os_time_ns(), .clock_ns = vmc_os_clock_ns()};

	strcpy(s.name, cache->name);
	vmc_cache_own_statistics(cache, &s.statistics);
	if (ask && !vmc_is_space(cache)) {
		p->pool_huge_bytes = vmc_pool_huge_bytes(&cache->pool);
		p->metadata_huge_bytes = vmc_memkind_huge_bytes();
	}
	s.statistics.pool_huge_bytes = p->pool_huge_bytes;
	s.statistics.metadata_huge_bytes = p->metadata_huge_bytes;
	vmc_publication_write(p->object, &s);
}

/* --- the thread --- */

/* False: it is no longer wanted. Under the lock. */
static bool
wait_until(uint64_t clock_ns, uintptr_t mine)
{
	const struct timespec until = {.tv_sec = (time_t)(clock_ns / SECOND),
		.tv_nsec = (long)(clock_ns % SECOND)};

	while (mine == generation && vmc_os_clock_ns() < clock_ns)
		pthread_cond_timedwait(&end_of_thread, &lock.mutex, &until);
	return mine == generation;
}

static void *
sample_on(void *arg)
{
	uint64_t due = vmc_os_clock_ns() + SECOND;
	unsigned turn = 0;

	enter();
	while (wait_until(due, (uintptr_t)arg)) {
		unsigned caches = 0;
		for (struct vmemcache *c = first; c; c = c->publisher.next)
			sample(c, ++caches == turn);
		turn = turn < caches || turn < ASK_EVERY ? turn + 1 : 1;
		/* not those that it missed while the process was stopped */
		uint64_t now = vmc_os_clock_ns();
		due = due + SECOND > now ? due + SECOND : now + SECOND;
	}
	leave();
	return NULL;
}

static int
start_thread(void)
{
	void *mine = (void *)++generation;
	pthread_attr_t attr;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	int err = pthread_create(&thread, &attr, sample_on, mine);
	if (err ==
		EINVAL) /* too little for the program's thread-local memory */
		err = pthread_create(&thread, NULL, sample_on, mine);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	is_running = err == 0;
	return err ? vmc_fail(err, "!no thread to publish statistics") : 0;
}

/* True: *ended is to be joined, without the lock. */
static bool
stop_thread(pthread_t *ended)
{
	bool was_running = is_running;

	generation++;
	pthread_cond_signal(&end_of_thread);
	*ended = thread;
	is_running = false;
	return was_running;
}

/* --- objects --- */

static int
make_object(struct vmc_publisher *p)
{
	void *at;
	int rc = -EEXIST;

	/* others may have had our number, here or in other containers */
	for (unsigned i = 0; i < TRIES && rc == -EEXIST; i++) {
		snprintf(p->path, sizeof(p->path), VMC_PUBLICATION_PATH,
			vmc_os_process(), number++);
		rc = vmc_os_create_shared(
			p->path, sizeof(*p->object), &p->fd, &at);
	}
	if (rc)
		return vmc_fail_file(-rc, "publish", p->path);
	p->object = at;
	vmc_os_file_id(p->fd, p->file);
	p->mark = vmc_process_mark();
	p->object->version = VMC_PUBLICATION_VERSION;
	p->object->statistics_size = sizeof(struct vmemcache_statistics);
	p->object->pid = vmc_os_process();
	return 0;
}

/* is_removed: for everyone, else for this process. */
static void
end_object(struct vmc_publisher *p, bool is_removed)
{
	if (is_removed) /* before the lock of the file goes */
		vmc_os_remove(p->path);
	vmc_os_unmap(p->object, vmc_os_shared_size(sizeof(*p->object)));
	if (vmc_os_may_be_file(p->fd, p->file))
		vmc_os_close(p->fd);
	p->object = NULL;
}

static int
begin(struct vmemcache *cache, const char *name)
{
	struct vmc_publisher *p = &cache->publisher;

	if (p->object) /* of a parent that has ended */
		end_object(p, true);
	int rc = make_object(p);
	if (rc)
		return rc;
	rc = is_running ? 0 : start_thread();
	if (rc) {
		end_object(p, true);
		return rc;
	}
	strcpy(cache->name, name);
	sample(cache, true);
	/* readers take it for one from now on */
	vmc_store_release(&p->object->magic, VMC_PUBLICATION_MAGIC);
	p->next = first;
	first = cache;
	return 0;
}

static bool
is_published(const struct vmemcache *cache)
{
	return cache->publisher.object &&
	       cache->publisher.mark == vmc_process_mark();
}

int
vmc_publish(struct vmemcache *cache, const char *name)
{
	int rc = 0;

	enter();
	if (is_published(cache)) {
		strcpy(cache->name, name);
		sample(cache, false);
	} else {
		rc = begin(cache, name);
	}
	leave();
	return rc;
}

void
vmc_rename(struct vmemcache *cache, const char *name)
{
	if (is_published(cache))
		(void)vmc_publish(cache, name);
	else
		strcpy(cache->name, name);
}

void
vmc_withdraw(struct vmemcache *cache)
{
	struct vmc_publisher *p = &cache->publisher;
	struct vmemcache **at = &first;
	bool is_last = false;
	pthread_t ended;

	if (vmc_cache_is_foreign(cache)) {
		if (p->object)
			end_object(p, false);
		return;
	}
	enter();
	if (is_published(cache)) {
		while (*at != cache)
			at = &(*at)->publisher.next;
		*at = p->next;
		if (!first)
			is_last = stop_thread(&ended);
	}
	if (p->object)
		end_object(p, true);
	leave();
	if (is_last)
		pthread_join(ended, NULL);
}

static void
after_fork_in_child(void)
{
	renewing = (struct vmc_latch){0};
}

__attribute__((constructor)) static void
start(void)
{
	pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* The caches stay as they are: others may delete them yet. */
__attribute__((destructor)) static void
end(void)
{
	pthread_t ended;

	if (vmc_load_acquire(&owner) != vmc_process_mark())
		return;
	enter();
	for (struct vmemcache *c = first; c; c = c->publisher.next)
		vmc_os_remove(c->publisher.path);
	bool was_running = stop_thread(&ended);
	leave();
	if (was_running)
		pthread_join(ended, NULL);
}
