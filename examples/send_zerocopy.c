/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * send_zerocopy.c DIRECTORY -- MSG_ZEROCOPY, and until when the pin is held
 *
 * With MSG_ZEROCOPY the kernel sends from the pool itself, after sendmsg() has
 * returned. So the item stays pinned until two things are known:
 *
 *   - the kernel is done with all of its sends: it numbers them, and the error
 *     queue of the socket tells which numbers are done;
 *   - the receiver has the value, as its answer says. On the loopback interface
 *     the receiver's end still refers to the pages when the queue tells that it
 *     is done. A protocol with answers needs nothing else for that.
 *
 * The sender meanwhile replaces the value again and again, as a cache does. A
 * pin that is given back too early would let other bytes into the blocks.
 */
#include <libvmemcache.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VALUES 64u
#define SIZE ((size_t)200000)

#ifndef SO_EE_CODE_ZEROCOPY_COPIED
#define SO_EE_CODE_ZEROCOPY_COPIED 1
#endif

struct sender {
	VMEMcache *cache;
	int fd;
	uint32_t sends; /* with MSG_ZEROCOPY, so far */
	uint32_t done;  /* of them, as the error queue tells */
};

/* Two ends of a TCP connection on the loopback interface. */
static int
connect_pair(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&address, length) != 0 ||
		listen(listener, 1) != 0 ||
		getsockname(listener, (void *)&address, &length) != 0 ||
		connect(fds[0], (void *)&address, length) != 0)
		return -1;
	fds[1] = accept(listener, NULL, NULL);
	close(listener);
	return fds[1] < 0 ? -1 : 0;
}

/* Wait for the error queue, and see which sends are done. */
static int
read_error_queue(struct sender *s)
{
	struct pollfd poll_fd = {.fd = s->fd}; /* for POLLERR, always told */
	char control[128];
	struct msghdr message = {
		.msg_control = control, .msg_controllen = sizeof(control)};

	if (poll(&poll_fd, 1, -1) < 0)
		return errno == EINTR ? 0 : -1;
	if (recvmsg(s->fd, &message, MSG_ERRQUEUE) < 0)
		return errno == EAGAIN ? 0 : -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL;
		c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err told;
		memcpy(&told, CMSG_DATA(c), sizeof(told));
		if (told.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
			continue;
		/* numbers ee_info to ee_data; on TCP they come in order */
		s->done = told.ee_data + 1;
	}
	return 0;
}

/* All bytes of the item; each call that took some counts as a send. */
static int
send_item(struct sender *s, const struct vmemcache_item *item)
{
	for (int i = 0; i < item->iov_count; i++) {
		char *from = item->iov[i].iov_base;
		size_t left = item->iov[i].iov_len;
		while (left > 0) {
			ssize_t n = send(
				s->fd, from, left, MSG_ZEROCOPY | MSG_NOSIGNAL);
			if (n < 0 && errno == ENOBUFS) {
				/* too many pages are locked: wait for some */
				if (read_error_queue(s) != 0)
					return -1;
				continue;
			}
			if (n < 0)
				return -1;
			s->sends++;
			from += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

static int
replace(VMEMcache *cache, unsigned version)
{
	static char value[SIZE];
	struct vmemcache_store how = {.struct_size = sizeof(how)};

	memset(value, (int)version, sizeof(value));
	return vmemcache_store(
		cache, "key", 3, value, sizeof(value), &how, NULL);
}

static void *
send_all(void *arg)
{
	struct sender *s = arg;

	for (unsigned version = 0; version < VALUES; version++) {
		struct vmemcache_item item;
		char answer;
		if (replace(s->cache, version) != 0 ||
			vmemcache_pin(s->cache, "key", 3, 0, &item) != 0)
			break;
		int rc = send_item(s, &item);
		/* the pinned blocks are not these of the new value */
		if (rc == 0)
			rc = replace(s->cache, 255);
		while (rc == 0 && s->done != s->sends)
			rc = read_error_queue(s);
		if (rc == 0 && recv(s->fd, &answer, 1, 0) != 1)
			rc = -1;
		vmemcache_unpin(s->cache, &item);
		if (rc != 0)
			break;
	}
	shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

int
main(int argc, char *argv[])
{
	static char value[SIZE], expected[SIZE];
	unsigned right = 0, wrong = 0;
	VMEMcache *cache = vmemcache_new();
	pthread_t thread;
	int fds[2];

	if (argc != 2 || cache == NULL) {
		fprintf(stderr, "usage: send_zerocopy DIRECTORY\n");
		return 2;
	}
	if (vmemcache_set_size(cache, (size_t)4 << 20) != 0 ||
		vmemcache_add(cache, argv[1]) != 0) {
		fprintf(stderr, "%s\n", vmemcache_errormsg());
		return 1;
	}
	if (connect_pair(fds) != 0 ||
		setsockopt(fds[0], SOL_SOCKET, SO_ZEROCOPY, &(int){1},
			sizeof(int)) != 0) {
		printf("no MSG_ZEROCOPY here: %s\n", strerror(errno));
		return 77;
	}
	struct sender sender = {.cache = cache, .fd = fds[0]};
	if (pthread_create(&thread, NULL, send_all, &sender) != 0)
		return 1;
	while (recv(fds[1], value, SIZE, MSG_WAITALL) == (ssize_t)SIZE) {
		memset(expected, (int)(right + wrong), SIZE);
		if (memcmp(value, expected, SIZE) == 0)
			right++;
		else
			wrong++;
		if (send(fds[1], "", 1, MSG_NOSIGNAL) != 1)
			break;
	}
	pthread_join(thread, NULL);
	printf("%u values arrived as they were pinned, %u others\n", right,
		wrong);
	close(fds[0]);
	close(fds[1]);
	vmemcache_delete(cache);
	return right != VALUES;
}
