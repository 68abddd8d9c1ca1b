/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uring.c DIRECTORY -- io_uring into and out of a cache, with its pool
 * registered once
 *
 * The kernel looks the pages of a registered region up once, and not for every
 * read and write. Reads go into reservations, which are committed when the
 * completion has come. Writes go out of pinned items, which are unpinned when
 * the completion has come: until then the kernel may read the bytes. (A send
 * without a copy, io_uring_prep_send_zc_fixed(), is done with them when its
 * second completion has come, IORING_CQE_F_NOTIF, and on the loopback interface
 * when the receiver says so: send_zerocopy.c.)
 *
 * Where the system forbids io_uring, the program says so and ends with 77. If
 * it forbids the registration alone, as RLIMIT_MEMLOCK is low or the file
 * system cannot, the same requests are made without. Even a refused
 * registration gives a sparse file its blocks: all of the pool takes memory, or
 * room on the file system, from then on. And registered pages stay in memory
 * until the ring goes, even if the file is made shorter or removed.
 */
#include <libvmemcache.h>

#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUES 16u
#define SIZE 100000u

static struct io_uring ring;
static int registered;

/* A request for each piece; how many. */
static int
submit(const struct vmemcache_item *item, int fd, off_t offset, int writes)
{
	for (int i = 0; i < item->iov_count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		void *piece = item->iov[i].iov_base;
		unsigned size = (unsigned)item->iov[i].iov_len;
		__u64 at = (__u64)offset;
		while (sqe == NULL) { /* the queue is full */
			io_uring_submit(&ring);
			sqe = io_uring_get_sqe(&ring);
		}
		if (writes && registered)
			io_uring_prep_write_fixed(sqe, fd, piece, size, at, 0);
		else if (writes)
			io_uring_prep_write(sqe, fd, piece, size, at);
		else if (registered)
			io_uring_prep_read_fixed(sqe, fd, piece, size, at, 0);
		else
			io_uring_prep_read(sqe, fd, piece, size, at);
		io_uring_sqe_set_data64(sqe, size);
		offset += size;
	}
	return item->iov_count;
}

/* That many completions; 0 if each has moved all of its bytes. */
static int
complete(int count)
{
	int failed = 0;

	io_uring_submit(&ring);
	for (; count > 0; count--) {
		struct io_uring_cqe *cqe;
		if (io_uring_wait_cqe(&ring, &cqe) != 0)
			return -1;
		/* a program of its own would go on after a short one */
		if (cqe->res < 0 ||
			(__u64)cqe->res != io_uring_cqe_get_data64(cqe))
			failed = -1;
		io_uring_cqe_seen(&ring, cqe);
	}
	return failed;
}

/* All values at once to the file. */
static int
write_all(VMEMcache *cache, int fd)
{
	struct vmemcache_item items[VALUES];
	struct vmemcache_key keys[VALUES];
	unsigned numbers[VALUES];
	int requests = 0;

	for (unsigned i = 0; i < VALUES; i++) {
		numbers[i] = i;
		keys[i] = (struct vmemcache_key){&numbers[i], sizeof(i)};
	}
	if (vmemcache_pin_many(cache, keys, VALUES, 0, items) != VALUES)
		return -1;
	for (unsigned i = 0; i < VALUES; i++)
		requests += submit(&items[i], fd, (off_t)i * SIZE, 1);
	int rc = complete(requests);
	for (unsigned i = 0; i < VALUES; i++)
		vmemcache_unpin(cache, &items[i]);
	return rc;
}

/* And back, under other keys. */
static int
read_all(VMEMcache *cache, int fd)
{
	struct vmemcache_item items[VALUES];
	int requests = 0, rc = 0;

	for (unsigned i = 0; i < VALUES; i++) {
		unsigned key = VALUES + i;
		if (vmemcache_reserve(cache, &key, sizeof(key), SIZE, NULL,
			    &items[i]) != 0)
			return -1;
		requests += submit(&items[i], fd, (off_t)i * SIZE, 0);
	}
	if (complete(requests) != 0)
		rc = -1;
	for (unsigned i = 0; i < VALUES; i++) {
		if (rc == 0)
			rc = vmemcache_commit(cache, &items[i], SIZE, NULL);
		else
			vmemcache_abort(cache, &items[i]);
	}
	return rc;
}

int
main(int argc, char *argv[])
{
	static char value[SIZE], expected[SIZE];
	VMEMcache *cache = vmemcache_new();
	struct iovec region;
	unsigned right = 0;

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: uring DIRECTORY\n");
		return 2;
	}
	if (vmemcache_set_size(cache, (size_t)8 << 20) != 0 ||
		vmemcache_add(cache, argv[1]) != 0 ||
		vmemcache_region(
			cache, &region.iov_base, &region.iov_len, NULL) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	int rc = io_uring_queue_init(64, &ring, 0);
	if (rc != 0) {
		printf("no io_uring here: %s\n", strerror(-rc));
		vmemcache_delete(cache);
		return 77;
	}
	registered = io_uring_register_buffers(&ring, &region, 1) == 0;
	for (unsigned key = 0; key < VALUES; key++) {
		memset(value, (int)key + 1, SIZE);
		if (vmemcache_put(cache, &key, sizeof(key), value, SIZE) != 0)
			return 1;
	}
	FILE *file = tmpfile();
	if (file == NULL || write_all(cache, fileno(file)) != 0 ||
		read_all(cache, fileno(file)) != 0)
		return 1;
	fclose(file);
	for (unsigned i = 0; i < VALUES; i++) {
		unsigned key = VALUES + i;
		memset(expected, (int)i + 1, SIZE);
		right += vmemcache_get(cache, &key, sizeof(key), value, SIZE, 0,
				 NULL) == SIZE &&
			 memcmp(value, expected, SIZE) == 0;
	}
	printf("%u values written and read %s\n", right,
		registered ? "in the registered pool" : "without registration");
	io_uring_queue_exit(&ring);
	vmemcache_delete(cache);
	return right != VALUES;
}
