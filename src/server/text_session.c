/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text_session.c -- memcached's text protocol, from line to line: where a
 * command ends, where its value is, and who is to do it
 */
#include "session.h"

#include <errno.h>

static size_t
available(const struct vmcd_session *s)
{
	return s->to - s->from;
}

/*
 * Does the buffer begin with a line? Only a get may have one that is longer
 * than the usual buffer; what else has no end there is no client.
 */
static enum vmcd_step
find_line(struct vmcd_session *s)
{
	const char *start = s->in + s->from;
	const char *end =
		memchr(start + s->scanned, '\n', available(s) - s->scanned);
	struct vmcd_span text = {start, available(s)}, name;

	if (end) {
		s->line_end = (size_t)(end - start) + 1;
		s->line = s->line_end - 1;
		if (s->line > 0 && start[s->line - 1] == '\r')
			s->line--;
		s->scanned = 0;
		s->wanted = 0;
		return VMCD_ON;
	}
	s->scanned = available(s);
	if (s->scanned < VMCD_IN)
		return VMCD_NEEDS_INPUT;
	name = vmcd_word(&text);
	if ((!vmcd_span_is(name, "get") && !vmcd_span_is(name, "gets")) ||
		s->scanned >= VMCD_LINE_MAX)
		return VMCD_CLOSE;
	s->wanted = 2 * s->scanned;
	return VMCD_NEEDS_INPUT;
}

static void
parse_line(struct vmcd_session *s)
{
	vmcd_parse((struct vmcd_span){s->in + s->from, s->line}, &s->request);
}

static bool
is_meta(const struct vmcd_request *r)
{
	return r->command == VMCD_META_SET;
}

bool
vmcd_is_concat(const struct vmcd_request *r, bool *before)
{
	*before = r->command == VMCD_PREPEND ||
		  (is_meta(r) && r->meta.mode == 'P');
	return *before || r->command == VMCD_APPEND ||
	       (is_meta(r) && r->meta.mode == 'A');
}

static void
stored(struct vmcd_session *s, int rc, uint64_t version)
{
	vmcd_count(&s->counters->cmd_set, 1);
	if (rc == -E2BIG)
		vmcd_count(&s->counters->store_too_large, 1);
	if (rc == -ENOSPC || rc == -ENOMEM)
		vmcd_count(&s->counters->store_no_memory, 1);
	if (is_meta(&s->request))
		vmcd_meta_stored(s, rc, version);
	else
		vmcd_text_stored(s, rc);
}

static void
make_how(struct vmcd_session *s)
{
	s->how = (struct vmcd_how){0};
	if (is_meta(&s->request))
		vmcd_meta_how(&s->request, &s->how);
	else
		vmcd_text_how(&s->request, &s->how);
}

/*
 * ms with C and I: the client's number is older than the item's, so what it
 * brings is stored, but marked as stale, and lasts as long as the item would.
 */
static bool
store_as_stale(struct vmcd_session *s, int rc)
{
	const struct vmcd_request *r = &s->request;
	struct vmemcache_item item;
	struct vmcd_seen seen;

	if (rc != -ESTALE || !is_meta(r) || !r->meta.seen['I'] ||
		vmcd_pin(&s->server->spaces, r->key, true, &item, &seen) < 0)
		return false;
	vmemcache_unpin(s->server->spaces.cache, &item);
	s->how.version = seen.version;
	s->how.keep_ttl = true;
	s->how.ttl_ms = 0;
	s->how.marks |= VMCD_STALE | (seen.marks & VMCD_WON);
	return r->number && r->number < seen.version;
}

/* The value is in the buffer. */
static int
store_value(struct vmcd_session *s, char *value, uint64_t *version)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_spaces *spaces = &s->server->spaces;
	bool before;
	int rc;

	if (vmcd_is_concat(r, &before))
		return vmcd_concat(spaces, r->key,
			(struct vmcd_span){value, r->value_size}, before,
			r->number, s->server->options->value_max, NULL,
			version);
	do
		rc = vmcd_store(
			spaces, r->key, value, r->value_size, &s->how, version);
	while (store_as_stale(s, rc));
	return rc;
}

static enum vmcd_step
bad_chunk(struct vmcd_session *s)
{
	if (is_meta(&s->request) || !s->request.quiet)
		vmcd_out_string(&s->out, "CLIENT_ERROR bad data chunk\r\n");
	return VMCD_ON;
}

static enum vmcd_step
skip_value(struct vmcd_session *s)
{
	s->from += s->line_end;
	s->skip = s->request.value_size + 2;
	s->state = VMCD_IN_SKIP;
	return VMCD_ON;
}

/*
 * A set removes what it was to replace even where it fails; as in memcached,
 * readers must not go on finding what the writer knows to be old.
 */
static enum vmcd_step
refuse_value(struct vmcd_session *s, int rc)
{
	const struct vmcd_request *r = &s->request;

	if (r->command == VMCD_SET || (is_meta(r) && !r->meta.mode) ||
		(is_meta(r) && r->meta.mode == 'S'))
		vmcd_remove(&s->server->spaces, r->key, 0);
	stored(s, rc, 0);
	return skip_value(s);
}

/* What there is of a large value goes into the cache, and so will the rest. */
static enum vmcd_step
begin_value(struct vmcd_session *s)
{
	const struct vmcd_request *r = &s->request;
	size_t there = available(s) - s->line_end, moved = 0;
	struct iovec room[VMCD_ROOM];
	int rc = vmcd_reserve(
		&s->server->spaces, r->key, r->value_size, &s->how, &s->value);

	if (rc < 0)
		return refuse_value(s, rc);
	atomic_fetch_add_explicit(
		&s->server->reserved, r->value_size, memory_order_relaxed);
	s->state = VMCD_IN_VALUE;
	s->value_size = r->value_size;
	s->received = 0;
	s->wanted = s->line_end + VMCD_IN;
	while (moved < there && s->received < s->value_size) {
		size_t n = there - moved;
		if (vmcd_session_room(s, room) == 0)
			return VMCD_CLOSE;
		if (n > room[0].iov_len)
			n = room[0].iov_len;
		memcpy(room[0].iov_base, s->in + s->from + s->line_end + moved,
			n);
		s->received += n;
		moved += n;
	}
	memmove(s->in + s->from + s->line_end,
		s->in + s->from + s->line_end + moved, there - moved);
	s->to -= moved;
	return VMCD_NEEDS_INPUT;
}

/*
 * Is the value to be received into the cache? Not where most of the memory that
 * there is for it waits for slow writers already: nobody could store,
 * otherwise.
 */
static bool
is_reserved_for(struct vmcd_session *s, size_t total)
{
	bool before;

	return total > VMCD_IN && !vmcd_is_concat(&s->request, &before) &&
	       s->server->reserved + s->request.value_size <=
		       s->server->options->memory / 4;
}

/* A command with a value. */
static enum vmcd_step
take_value(struct vmcd_session *s)
{
	const struct vmcd_request *r = &s->request;
	size_t total = s->line_end + r->value_size + 2;
	uint64_t version = 0;
	const char *after;
	char *value;
	int rc;

	if (r->value_size > s->server->options->value_max)
		return refuse_value(s, -E2BIG);
	make_how(s);
	if (available(s) < total) {
		if (is_reserved_for(s, total))
			return begin_value(s);
		s->wanted = total;
		return VMCD_NEEDS_INPUT;
	}
	value = s->in + s->from + s->line_end;
	after = value + r->value_size;
	s->from += total;
	if (after[0] != '\r' || after[1] != '\n')
		return bad_chunk(s);
	rc = store_value(s, value, &version);
	if (rc == -E2BIG || rc == -ENOSPC || rc == -ENOMEM) {
		s->from -= total;
		return refuse_value(s, rc);
	}
	stored(s, rc, version);
	return VMCD_ON;
}

/* In state IN_VALUE: the line, and then the two bytes behind the value. */
static enum vmcd_step
end_value(struct vmcd_session *s)
{
	const char *after = s->in + s->from + s->line_end;
	uint64_t version = 0;
	int rc;

	if (s->received < s->value_size || available(s) < s->line_end + 2)
		return VMCD_NEEDS_INPUT;
	parse_line(s);
	vmcd_session_leave_value(s);
	s->wanted = 0;
	s->from += s->line_end + 2;
	if (after[0] != '\r' || after[1] != '\n') {
		vmemcache_abort(s->server->spaces.cache, &s->value);
		return bad_chunk(s);
	}
	rc = vmcd_publish(&s->server->spaces, s->request.key, &s->value,
		s->value_size, &s->how, &version);
	stored(s, rc, version);
	return VMCD_ON;
}

/* The line is done, unless there are keys of it left. */
static enum vmcd_step
end_line(struct vmcd_session *s, enum vmcd_step step)
{
	if (s->state != VMCD_IN_KEYS)
		s->from += s->line_end;
	return step;
}

enum vmcd_step
vmcd_text_step(struct vmcd_session *s)
{
	struct vmcd_request *r = &s->request;
	enum vmcd_step step;

	if (s->state == VMCD_IN_KEYS)
		return end_line(s, vmcd_text_keys(s));
	if (s->state == VMCD_IN_VALUE)
		return end_value(s);
	step = find_line(s);
	if (step != VMCD_ON)
		return step;
	parse_line(s);
	if (r->error) {
		if (!r->quiet) {
			vmcd_out_string(&s->out, r->error);
			vmcd_out_string(&s->out, "\r\n");
		}
		if (r->has_value)
			return skip_value(s);
		s->from += s->line_end;
		return VMCD_ON;
	}
	if (r->has_value)
		return take_value(s);
	if (r->command == VMCD_META_GET)
		return vmcd_meta_gets(s);
	return end_line(s, vmcd_text_run(s));
}
