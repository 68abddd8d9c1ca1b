/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c -- fuzz target: what clients of vmemcached send, in pieces
 *
 * Two sessions on one small cache are given the bytes in turn, as a connection
 * would: the first byte of each piece says whose it is and how long. What they
 * reply is taken in pieces as well. A session never asks for more room than its
 * bound, and once all is taken no item stays pinned. Keys have spaces.
 */
#include "fuzz.h"
#include "session.h"

#include "fixture.h"

#define VALUE_MAX 100000
#define SESSIONS 2
#define SPACES 64

/* The program's own, which has events for that. */
void
vmcd_flush(struct vmcd_server *server, int64_t seconds)
{
	(void)seconds;
	fuzz_expect(vmcd_spaces_clear(&server->spaces) == 0);
}

static struct vmcd_options options = {
	.memory = VMEMCACHE_MIN_POOL,
	.value_max = VALUE_MAX,
	.address = "none",
	.threads = 1,
	.connections = SESSIONS,
	.separator = ':',
	.space_quota = VMEMCACHE_MIN_POOL / 2,
};
static struct vmcd_counters counters;
static struct vmcd_server server = {.options = &options, .counters = &counters};

/* Take some of the output, every byte of which is read. */
static void
take(struct vmcd_session *s, size_t most)
{
	struct iovec pieces[4];
	int n = vmcd_out_pieces(&s->out, pieces, 4);

	for (int i = 0; i < n && most > 0; i++) {
		size_t size =
			pieces[i].iov_len < most ? pieces[i].iov_len : most;
		for (size_t k = 0; k < size; k++)
			(void)((const volatile char *)pieces[i].iov_base)[k];
		vmcd_out_sent(&s->out, size);
		most -= size;
		if (size < pieces[i].iov_len)
			return;
	}
}

/* As many steps as it makes; false: it is to be closed. */
static bool
go_on(struct vmcd_session *s, size_t most)
{
	for (;;) {
		switch (vmcd_session_step(s)) {
		case VMCD_ON:
			break;
		case VMCD_NEEDS_ROOM:
			take(s, most);
			break;
		case VMCD_NEEDS_INPUT:
			return true;
		case VMCD_CLOSE:
			return false;
		}
		fuzz_expect(s->from <= s->to && s->to <= s->in_size);
	}
}

static bool
give(struct vmcd_session *s, const uint8_t *bytes, size_t size, size_t most)
{
	while (size > 0) {
		struct iovec room[VMCD_ROOM];
		int pieces = vmcd_session_room(s, room);
		size_t n = size < room->iov_len ? size : room->iov_len;

		fuzz_expect(pieces > 0 && room->iov_len > 0);
		fuzz_expect(s->in_size <=
			    2 * (VALUE_MAX + VMCD_LINE_MAX) + VMCD_IN);
		memcpy(room->iov_base, bytes, n);
		vmcd_session_received(s, n);
		bytes += n;
		size -= n;
		if (!go_on(s, most))
			return false;
	}
	return true;
}

static unsigned long long
statistic(enum vmemcache_statistic which)
{
	unsigned long long value;

	fuzz_expect(vmemcache_get_stat(server.spaces.cache, which, &value,
			    sizeof(value)) == 0);
	return value;
}

static void
pinned_nothing(void)
{
	fuzz_expect(server.reserved == 0);
	fuzz_expect(vmcd_spaces_clear(&server.spaces) == 0);
	fuzz_expect(statistic(VMEMCACHE_STAT_ENTRIES) == 0);
	fuzz_expect(statistic(VMEMCACHE_STAT_POOL_SIZE_USED) == 0);
}

static void
delete_cache(void)
{
	vmemcache_delete(server.spaces.cache);
	vmcd_spaces_end(&server.spaces);
}

/* For many inputs, which leave it empty, until it has many spaces. */
static void
make_cache(void)
{
	VMEMcache *cache = vmemcache_new();
	const struct vmcd_named *wrong;
	static bool once;

	fuzz_expect(cache && vmemcache_add(cache, FIXTURE_DIR) == 0);
	fuzz_expect(vmcd_spaces_begin(
			    &server.spaces, cache, &options, &wrong) == 0);
	fuzz_expect(once || atexit(delete_cache) == 0);
	once = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	struct vmcd_session *sessions[SESSIONS];

	if (vmcd_space_at(&server.spaces, SPACES))
		delete_cache();
	if (!server.spaces.cache)
		make_cache();
	for (unsigned i = 0; i < SESSIONS; i++) {
		sessions[i] = vmcd_session_new(&server, &counters);
		fuzz_expect(sessions[i] != NULL);
		vmcd_session_begin(sessions[i], i, VMCD_UNDECIDED);
	}
	while (fuzz_more(&in)) {
		unsigned how = fuzz_byte(&in);
		struct vmcd_session *s = sessions[how & 1];
		size_t left = (size_t)(in.end - in.at);
		size_t n = how >> 1 == 127 ? left : how >> 1;

		if (n > left)
			n = left;
		if (!give(s, in.at, n, 1 + how % 7 * 1000)) {
			vmcd_session_end(s);
			vmcd_session_begin(s, 0, VMCD_UNDECIDED);
		}
		in.at += n;
		if (how & 2)
			take(s, SIZE_MAX);
	}
	for (unsigned i = 0; i < SESSIONS; i++)
		vmcd_session_delete(sessions[i]);
	pinned_nothing();
	return 0;
}
