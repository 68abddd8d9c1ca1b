/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publication.c -- the object in shared memory: writing and reading samples
 *
 * One writer adds samples to a ring of four slots, and readers in other
 * processes copy the two latest of them without a lock:
 *
 *	writer, sample n + 1                 reader
 *	W1  fence (release)                  R1  n = latest
 *	W2  slot (n + 1) % 4 = sample        R2  fence (acquire)
 *	W3  latest = n + 1 (release)         R3  copy slots n % 4, (n - 1) % 4
 *	                                     R4  fence (acquire)
 *	                                     R5  m = latest; good if m < n + 2
 *
 * The copy contains both samples: R1 and R2 pair with W3 of sample n, which
 * comes after the words of n and of n - 1. It contains no word of a later one.
 * The first sample that overwrites the slots being copied is n + 3, in the slot
 * of n - 1. If R3 reads a word of it, then by the fences W1 of n + 3 (after W3
 * of n + 2) and R4, R5 reads at least n + 2, and the reader begins again.
 *
 * Rejected: one slot and a counter that is odd while it is written (a seqlock).
 * A writer that is killed then leaves half a sample for ever, and readers wait
 * for a writer that is stopped. Here two whole samples exist at any moment, and
 * a reader begins again only if two samples are added during one copy, which
 * takes at least a second.
 *
 * Readers use pread(2), so the kernel copies. They do not map the file: if
 * another process shortened it, an access would raise SIGBUS. They trust
 * nothing: the name is checked as vmemcache_set_name() checks it.
 */
#include "publication.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TRIES 100
/* A sample is due every second. */
#define LATE_NS UINT64_C(5000000000)

void
vmc_publication_write(
	struct vmc_publication *publication, const struct vmc_sample *sample)
{
	uint64_t words[VMC_SAMPLE_WORDS];
	uint64_t next = vmc_load_relaxed(&publication->latest) + 1;
	_Atomic uint64_t *slot =
		publication->slots[next % VMC_PUBLICATION_SLOTS];

	memcpy(words, sample, sizeof(words));
	vmc_fence_release(); /* W1, pairs with R4 */
	for (size_t i = 0; i < VMC_SAMPLE_WORDS; i++)
		vmc_store_relaxed(&slot[i], words[i]);
	/* W3, pairs with R2 */
	vmc_store_release(&publication->latest, next);
}

static int
read_at(int fd, void *to, size_t size, size_t offset)
{
	ssize_t n;

	do
		n = pread(fd, to, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EINVAL;
}

/* Something that was there at one time: the name is a string of the size. */
static bool
take_sample(const struct vmc_publication *copy, uint64_t number,
	struct vmc_sample *sample)
{
	const void *slot = copy->slots[number % VMC_PUBLICATION_SLOTS];

	memcpy(sample, slot, sizeof(*sample));
	size_t length = strnlen(sample->name, sizeof(sample->name));
	for (size_t i = 0; i < length; i++)
		if (sample->name[i] < ' ' || sample->name[i] > '~')
			return false;
	return length > 0 && length < sizeof(sample->name);
}

static int
check_header(const struct vmc_publication *copy)
{
	if (vmc_load_relaxed(&copy->magic) != VMC_PUBLICATION_MAGIC)
		return -EINVAL;
	if (copy->version != VMC_PUBLICATION_VERSION ||
		copy->statistics_size != sizeof(struct vmemcache_statistics))
		return -ENOTSUP;
	return 0;
}

bool
vmc_publication_is_late(const struct vmc_published *published)
{
	uint64_t now = vmc_os_clock_ns();

	return now > published->now.clock_ns &&
	       now - published->now.clock_ns > LATE_NS;
}

bool
vmc_publication_is_gone(int fd, const struct vmc_published *published)
{
	return !vmc_os_is_held(fd) &&
	       (vmc_os_process_is_gone(published->pid) ||
		       vmc_publication_is_late(published));
}

int
vmc_publication_read(int fd, struct vmc_published *published)
{
	const size_t at = offsetof(struct vmc_publication, latest);
	struct vmc_publication copy;
	uint64_t before, after;

	for (unsigned i = 0; i < TRIES; i++) {
		int rc = read_at(fd, &copy, at, 0);
		if (rc == 0)
			rc = check_header(&copy);
		if (rc == 0)
			rc = read_at(fd, &before, sizeof(before), at);
		vmc_fence_acquire(); /* R2 */
		if (rc == 0)
			rc = read_at(fd, &copy, sizeof(copy), 0);
		vmc_fence_acquire(); /* R4 */
		if (rc == 0)
			rc = read_at(fd, &after, sizeof(after), at);
		if (rc)
			return rc;
		if (after - before >= 2)
			continue;
		published->pid = copy.pid;
		if (before == 0 || copy.pid <= 0 ||
			!take_sample(&copy, before, &published->now) ||
			!take_sample(&copy, before - (before > 1),
				&published->before))
			return -EINVAL;
		return 0;
	}
	return -EAGAIN;
}
