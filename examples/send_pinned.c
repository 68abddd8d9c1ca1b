/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * send_pinned.c DIRECTORY -- send values from where they are, without a copy of
 * one's own
 *
 * A pinned value stays as it is, whatever becomes of its key. sendmsg() takes
 * its pieces in order, and has copied what it reports when it returns; so the
 * pin is given back after the last byte. The other end makes a value in place:
 * it reserves the room in a second cache, receives into it, and commits.
 */
#include <libvmemcache.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VALUES 50u
#define SIZE(key) (1000u + (key)*677u)

struct message {
	unsigned key;
	unsigned size;
};

static VMEMcache *
open_cache(const char *directory)
{
	VMEMcache *cache = vmemcache_new();

	if (cache == NULL || vmemcache_add(cache, directory) != 0) {
		fprintf(stderr, "%s: %s\n", directory, vmemcache_errormsg());
		exit(1);
	}
	return cache;
}

/*
 * All of the pieces through the socket, by sendmsg or recvmsg. They are moved
 * in runs of 16, of a copy: the item's own list is not the program's to write.
 */
static int
transfer(int fd, const struct vmemcache_item *item,
	ssize_t (*call)(int, struct msghdr *))
{
	struct iovec some[16];
	size_t skip = 0; /* of the first piece */

	for (int at = 0; at < item->iov_count;) {
		int n = item->iov_count - at < 16 ? item->iov_count - at : 16;
		memcpy(some, item->iov + at, (size_t)n * sizeof(some[0]));
		some[0].iov_base = (char *)some[0].iov_base + skip;
		some[0].iov_len -= skip;
		ssize_t moved = call(fd, &(struct msghdr){.msg_iov = some,
						 .msg_iovlen = (size_t)n});
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return -1;
		skip += (size_t)moved;
		while (at < item->iov_count && skip >= item->iov[at].iov_len)
			skip -= item->iov[at++].iov_len;
	}
	return 0;
}

static ssize_t
send_some(int fd, struct msghdr *message)
{
	return sendmsg(fd, message, MSG_NOSIGNAL);
}

static ssize_t
receive_some(int fd, struct msghdr *message)
{
	return recvmsg(fd, message, 0);
}

struct sender {
	VMEMcache *cache;
	int fd;
};

static void *
send_all(void *arg)
{
	struct sender *sender = arg;

	for (unsigned key = 0; key < VALUES; key++) {
		struct vmemcache_item item;
		if (vmemcache_pin(sender->cache, &key, sizeof(key), 0, &item))
			break;
		struct message head = {key, (unsigned)item.info.value_size};
		int rc = send(sender->fd, &head, sizeof(head), MSG_NOSIGNAL) ==
					 (ssize_t)sizeof(head)
				 ? transfer(sender->fd, &item, send_some)
				 : -1;
		/* the bytes are in the socket */
		vmemcache_unpin(sender->cache, &item);
		if (rc)
			break;
	}
	close(sender->fd);
	return NULL;
}

/* Straight into the blocks of the cache. */
static int
receive(int fd, VMEMcache *cache, const struct message *head)
{
	struct vmemcache_item item;

	if (vmemcache_reserve(cache, &head->key, sizeof(head->key), head->size,
		    NULL, &item))
		return -1;
	if (transfer(fd, &item, receive_some)) {
		vmemcache_abort(cache, &item);
		return -1;
	}
	return vmemcache_commit(cache, &item, head->size, NULL);
}

int
main(int argc, char *argv[])
{
	static char value[SIZE(VALUES)], expected[SIZE(VALUES)];
	unsigned received = 0, right = 0;
	struct message head;
	pthread_t thread;
	int fds[2];

	if (argc != 2) {
		fprintf(stderr, "usage: send_pinned DIRECTORY\n");
		return 2;
	}
	VMEMcache *from = open_cache(argv[1]), *to = open_cache(argv[1]);
	for (unsigned key = 0; key < VALUES; key++) {
		memset(value, (int)key, SIZE(key));
		if (vmemcache_put(from, &key, sizeof(key), value, SIZE(key)))
			return 1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return 1;
	struct sender sender = {from, fds[0]};
	if (pthread_create(&thread, NULL, send_all, &sender) != 0)
		return 1;
	while (recv(fds[1], &head, sizeof(head), MSG_WAITALL) ==
			(ssize_t)sizeof(head) &&
		receive(fds[1], to, &head) == 0)
		received++;
	pthread_join(thread, NULL);
	for (unsigned key = 0; key < VALUES; key++) {
		memset(expected, (int)key, SIZE(key));
		right += vmemcache_get(to, &key, sizeof(key), value,
				 sizeof(value), 0, NULL) == SIZE(key) &&
			 memcmp(value, expected, SIZE(key)) == 0;
	}
	printf("%u values received, %u as they were sent\n", received, right);
	close(fds[1]);
	vmemcache_delete(from);
	vmemcache_delete(to);
	return right != VALUES;
}
