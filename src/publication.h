/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publication.h -- statistics in shared memory, for other processes to read
 *
 * The object is a file of /dev/shm, made by vmemcache_publish() and read by
 * vmemcache-top. What both need to know of it stands here and in publication.c,
 * which the program is compiled with; publish.c has what the library alone
 * does.
 */
#ifndef VMC_PUBLICATION_H
#define VMC_PUBLICATION_H

#include "libvmemcache.h"

#include "base/atomic.h"

#include <stddef.h>

#define VMC_PUBLICATION_DIR "/dev/shm"
/* Number of the process, and of the object within it. */
#define VMC_PUBLICATION_FILE "vmemcache.%d.%u"
#define VMC_PUBLICATION_PATH VMC_PUBLICATION_DIR "/" VMC_PUBLICATION_FILE
#define VMC_PUBLICATION_PATH_MAX 64

#define VMC_PUBLICATION_MAGIC UINT64_C(0x7075626c69736864)
/* Increment it when the object changes, except for the statistics' size. */
#define VMC_PUBLICATION_VERSION 1u

/* What a cache was like at a moment. */
struct vmc_sample {
	uint64_t time_ns;  /* CLOCK_REALTIME */
	uint64_t clock_ns; /* CLOCK_MONOTONIC, for rates */
	char name[VMEMCACHE_NAME_MAX + 1];
	struct vmemcache_statistics statistics;
};

#define VMC_SAMPLE_WORDS (sizeof(struct vmc_sample) / sizeof(uint64_t))
_Static_assert(sizeof(struct vmc_sample) % sizeof(uint64_t) == 0,
	"a sample is copied in words");

/* Sample number n is in slot n % VMC_PUBLICATION_SLOTS. */
#define VMC_PUBLICATION_SLOTS 4u

struct vmc_publication {
	/* immutable once magic is there */
	_Atomic uint64_t magic;
	uint32_t version;
	uint32_t statistics_size;
	int32_t pid;
	/* by the one writer */
	_Atomic uint64_t latest; /* number of the latest sample, from 1 on */
	_Atomic uint64_t slots[VMC_PUBLICATION_SLOTS][VMC_SAMPLE_WORDS];
};

/* Add a sample. One thread at a time; readers may be at it. */
void vmc_publication_write(
	struct vmc_publication *publication, const struct vmc_sample *sample);

/* The two latest samples, and whose they are. */
struct vmc_published {
	int pid;
	struct vmc_sample now, before; /* the same, if there is only one */
};

/*
 * Has the process that published it, what was read of fd, ended? It has not
 * while it holds the file. One that holds it no longer may still be there: a
 * program that opens the file by its name and closes it loses the lock. So a
 * process that is there to this one, and samples, is there.
 */
bool vmc_publication_is_gone(int fd, const struct vmc_published *published);
/* Is a sample overdue, as of a process that is stopped? */
bool vmc_publication_is_late(const struct vmc_published *published);

/*
 * Read the object open at fd, whatever becomes of it meanwhile. -EINVAL: it is
 * none, or not complete. -ENOTSUP: one of another version of the library.
 * -EAGAIN: its writer was faster again and again. Else what pread(2) says.
 */
int vmc_publication_read(int fd, struct vmc_published *published);

#endif
