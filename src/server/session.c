/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c -- a client's bytes in, the server's bytes out
 *
 * The first byte decides for the protocol. The session waits until a whole
 * command, with its value, is in the input buffer, which grows as needed, and
 * then runs it at once. So it keeps no state of a command that has come in
 * part: its line is parsed again.
 *
 * A large value of a text command is received into memory that is reserved in
 * the cache, while its line stays at the start of the buffer; the bytes behind
 * the value are received after the line.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>

struct vmcd_session *
vmcd_session_new(struct vmcd_server *server, struct vmcd_counters *counters)
{
	struct vmcd_session *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct vmcd_session){
		.server = server,
		.counters = counters,
		.in = malloc(VMCD_IN),
		.in_size = VMCD_IN,
	};
	vmcd_out_init(&s->out, server->spaces.cache);
	if (!s->in) {
		free(s);
		return NULL;
	}
	return s;
}

void
vmcd_session_delete(struct vmcd_session *s)
{
	if (!s)
		return;
	vmcd_session_end(s);
	free(s->in);
	free(s);
}

void
vmcd_session_begin(
	struct vmcd_session *s, uint64_t id, enum vmcd_protocol protocol)
{
	s->id = id;
	s->protocol = protocol;
	s->state = VMCD_IN_LINE;
	s->from = s->to = s->scanned = s->wanted = 0;
}

bool
vmcd_session_is_idle(const struct vmcd_session *s)
{
	return s->state == VMCD_IN_LINE && s->from == s->to &&
	       s->out.bytes == 0 && !s->resp.multi && !s->resp.executing &&
	       !s->resp.name;
}

void
vmcd_session_leave_value(struct vmcd_session *s)
{
	atomic_fetch_sub_explicit(
		&s->server->reserved, s->value_size, memory_order_relaxed);
	s->state = VMCD_IN_LINE;
}

void
vmcd_session_end(struct vmcd_session *s)
{
	if (s->state == VMCD_IN_VALUE) {
		vmcd_session_leave_value(s);
		vmemcache_abort(s->server->spaces.cache, &s->value);
	}
	s->state = VMCD_IN_LINE;
	s->from = s->to = 0;
	vmcd_out_close(&s->out);
	vmcd_resp_close(&s->resp);
}

/* Pieces of the reserved value from `received` on. */
static int
room_in_value(const struct vmcd_session *s, struct iovec *room, int most)
{
	size_t from = s->received + VMCD_HEAD;
	int n = 0;

	for (int i = 0; i < s->value.iov_count && n < most; i++) {
		size_t piece = s->value.iov[i].iov_len;
		if (from >= piece) {
			from -= piece;
			continue;
		}
		room[n++] = (struct iovec){
			(char *)s->value.iov[i].iov_base + from, piece - from};
		from = 0;
	}
	return n;
}

/*
 * A buffer for as many bytes as somebody wanted, and for some more than there
 * are. One that has grown becomes small again when that much is not needed.
 */
static bool
make_room(struct vmcd_session *s)
{
	size_t size = s->wanted > VMCD_IN ? s->wanted : VMCD_IN;
	size_t used = s->to - s->from;
	char *in;

	if (used >= size)
		size = used + VMCD_IN;
	if (s->to < s->in_size && s->in_size - s->from >= size &&
		s->in_size <= 2 * size)
		return true;
	memmove(s->in, s->in + s->from, used);
	s->from = 0;
	s->to = used;
	if (size == s->in_size)
		return true;
	in = realloc(s->in, size);
	if (!in)
		return false;
	s->in = in;
	s->in_size = size;
	return true;
}

int
vmcd_session_room(struct vmcd_session *s, struct iovec room[VMCD_ROOM])
{
	int n = 0;

	if (!make_room(s))
		return 0;
	if (s->state == VMCD_IN_VALUE)
		n = room_in_value(s, room, VMCD_ROOM - 1);
	if (n < VMCD_ROOM - 1)
		room[n++] = (struct iovec){s->in + s->to, s->in_size - s->to};
	return n;
}

void
vmcd_session_received(struct vmcd_session *s, size_t size)
{
	if (s->state == VMCD_IN_VALUE) {
		size_t left = s->value_size - s->received;
		size_t n = size < left ? size : left;
		s->received += n;
		size -= n;
	}
	s->to += size;
}

void
vmcd_send_value(
	struct vmcd_session *s, struct vmemcache_item *slot, size_t size)
{
	s->last_sent = size;
	if (size <= VMCD_COPIED)
		vmcd_out_copied(&s->out, slot, VMCD_HEAD, size);
	else
		vmcd_out_pinned(&s->out, slot, VMCD_HEAD, size);
}

size_t
vmcd_batch_size(const struct vmcd_session *s)
{
	size_t left = VMCD_OUT_BYTES - s->out.bytes;
	size_t most = VMCD_OUT_ITEMS - s->out.items;

	if (most > VMCD_BATCH)
		most = VMCD_BATCH;
	if (s->last_sent * most <= left)
		return most;
	return left < s->last_sent ? 1 : left / s->last_sent;
}

size_t
vmcd_answer_keys(struct vmcd_session *s, const struct vmcd_span *keys,
	size_t count, vmcd_answer *answer)
{
	struct vmemcache_item *slots = vmcd_out_slot(&s->out);
	struct vmcd_seen seen;
	size_t i;

	vmcd_pin_many(&s->server->spaces, keys, count, slots);
	for (i = 0; i < count && !vmcd_out_is_full(&s->out); i++) {
		bool hit = slots[i].iov_count >= 0;
		vmcd_count_get(s->counters, hit);
		if (hit)
			vmcd_read(&slots[i], &seen);
		answer(s, keys[i], hit ? &slots[i] : NULL, &seen);
	}
	for (size_t j = i; j < count; j++)
		vmemcache_unpin(s->server->spaces.cache, &slots[j]);
	return i;
}

static enum vmcd_step
skip(struct vmcd_session *s)
{
	size_t there = s->to - s->from;
	size_t n = there < s->skip ? there : s->skip;

	s->from += n;
	s->skip -= n;
	if (s->skip > 0)
		return VMCD_NEEDS_INPUT;
	s->state = VMCD_IN_LINE;
	return VMCD_ON;
}

enum vmcd_step
vmcd_session_step(struct vmcd_session *s)
{
	if (s->out.no_memory)
		return VMCD_CLOSE;
	if (vmcd_out_is_full(&s->out))
		return VMCD_NEEDS_ROOM;
	if (s->state == VMCD_IN_SKIP)
		return skip(s);
	if (s->from == s->to && s->state != VMCD_IN_VALUE && !s->resp.executing)
		return VMCD_NEEDS_INPUT;
	if (s->protocol == VMCD_UNDECIDED) {
		if ((unsigned char)s->in[s->from] == 0x80)
			return VMCD_CLOSE; /* memcached's binary protocol */
		s->protocol = s->in[s->from] == '*' ? VMCD_RESP : VMCD_TEXT;
	}
	return s->protocol == VMCD_RESP ? vmcd_resp_step(s) : vmcd_text_step(s);
}
