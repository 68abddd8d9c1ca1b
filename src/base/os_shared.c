/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_shared.c -- the interface to the operating system: files that other
 * processes find by their names
 *
 * Small files in /dev/shm, where shm_open(3) has its objects. That call is not
 * used, since it does nothing more and hides the path. The space of the files
 * is reserved, so that a full file system is an error here, not SIGBUS at a
 * later store.
 *
 * The process that made such a file holds a record lock on it. The system
 * releases it when the process ends, and a child does not inherit it. Programs
 * must know two consequences: the lock is also released if the process opens
 * the same file again and closes it, and it is one lock for all threads. Locks
 * of the open file description do not have these properties, but children share
 * them: the file of a process that has ended would be held by its child.
 */
#include "os.h"

#include "cancel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct flock whole_file = {
	.l_type = F_WRLCK, .l_whence = SEEK_SET};

size_t
vmc_os_shared_size(size_t size)
{
	size_t mask = vmc_os_page_size() - 1;

	return (size + mask) & ~mask;
}

int
vmc_os_create_shared(const char *path, size_t size, int *fd, void **addr)
{
	size_t whole = vmc_os_shared_size(size);
	bool sync;
	int rc = 0;

	*fd = open(
		path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0)
		return -errno;
	if (fcntl(*fd, F_SETLK, &whole_file) != 0)
		rc = -errno;
	if (rc == 0)
		rc = vmc_os_set_length(*fd, 0, whole);
	if (rc == 0)
		rc = vmc_os_reserve(*fd, 0, whole);
	if (rc == 0)
		rc = vmc_os_map_file(*fd, whole, 1, addr, &sync);
	if (rc) {
		vmc_os_remove(path);
		close(*fd);
	}
	return rc;
}

void
vmc_os_remove(const char *path)
{
	(void)unlink(path);
}

bool
vmc_os_is_held(int fd)
{
	struct flock l = whole_file;

	/* who cannot tell must not say that its process has gone */
	return fcntl(fd, F_GETLK, &l) != 0 || l.l_type != F_UNLCK;
}
