/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text_run.c -- the classic text commands, done, and their replies
 */
#include "session.h"

#include <errno.h>

#define TOO_LARGE "SERVER_ERROR object too large for cache"
#define NO_ROOM "SERVER_ERROR out of memory storing object"

static void
reply(struct vmcd_session *s, const char *line)
{
	if (s->request.quiet)
		return;
	vmcd_out_string(&s->out, line);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

void
vmcd_text_how(const struct vmcd_request *r, struct vmcd_how *how)
{
	how->client_flags = r->client_flags;
	how->ttl_ms = vmcd_ttl(r->exptime);
	if (r->command == VMCD_ADD)
		how->mode = VMEMCACHE_ADD;
	if (r->command == VMCD_REPLACE)
		how->mode = VMEMCACHE_REPLACE;
	if (r->command == VMCD_CAS) {
		how->mode = VMEMCACHE_IF_VERSION;
		how->version = vmcd_unique(r->number);
	}
}

static const char *
outcome(const struct vmcd_request *r, int rc)
{
	switch (rc) {
	case 0:
		return "STORED";
	case -ENOENT:
		return r->command == VMCD_CAS ? "NOT_FOUND" : "NOT_STORED";
	case -ESTALE:
		return "EXISTS";
	case -EEXIST:
		return "NOT_STORED";
	case -E2BIG:
		return TOO_LARGE;
	default:
		return NO_ROOM;
	}
}

void
vmcd_text_stored(struct vmcd_session *s, int rc)
{
	if (s->request.command == VMCD_CAS) {
		vmcd_count(rc == 0         ? &s->counters->cas_hits
			   : rc == -ENOENT ? &s->counters->cas_misses
					   : &s->counters->cas_badval,
			1);
	}
	reply(s, outcome(&s->request, rc));
}

/* "VALUE key flags size[ cas]" and what follows. */
static void
send_item(struct vmcd_session *s, struct vmcd_span key,
	struct vmemcache_item *slot, const struct vmcd_seen *seen)
{
	enum vmcd_command command = s->request.command;
	static const char word[] = "VALUE ";
	char *line = vmcd_out_room(
		&s->out, sizeof(word) + key.size + 3 * VMCD_NUMBER_MAX + 8);
	char *at = line;

	if (!line) {
		vmemcache_unpin(s->server->spaces.cache, slot);
		return;
	}
	memcpy(at, word, sizeof(word) - 1);
	at += sizeof(word) - 1;
	memcpy(at, key.at, key.size);
	at += key.size;
	*at++ = ' ';
	at += vmcd_digits(at, seen->client_flags);
	*at++ = ' ';
	at += vmcd_digits(at, seen->size);
	if (command == VMCD_GETS || command == VMCD_GATS) {
		*at++ = ' ';
		at += vmcd_digits(at, seen->version);
	}
	*at++ = '\r';
	*at++ = '\n';
	vmcd_out_took(&s->out, (size_t)(at - line));
	vmcd_send_value(s, slot, seen->size);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

/* gat, gats */
static void
touch_key(struct vmcd_session *s, struct vmcd_span key)
{
	struct vmcd_spaces *spaces = &s->server->spaces;
	struct vmemcache_item *slot = vmcd_out_slot(&s->out);
	uint64_t ttl = vmcd_ttl(s->request.exptime);
	struct vmcd_seen seen;
	int rc = ttl == VMCD_GONE ? 0 : vmcd_touch(spaces, key, ttl);

	if (rc == 0)
		rc = vmcd_pin(spaces, key, false, slot, &seen);
	vmcd_count(&s->counters->cmd_touch, 1);
	vmcd_count(
		rc == 0 ? &s->counters->touch_hits : &s->counters->touch_misses,
		1);
	vmcd_count_get(s->counters, rc == 0);
	if (rc < 0)
		return;
	send_item(s, key, slot, &seen);
	if (ttl == VMCD_GONE)
		vmcd_remove(spaces, key, seen.version);
}

static void
answer_key(struct vmcd_session *s, struct vmcd_span key,
	struct vmemcache_item *slot, const struct vmcd_seen *seen)
{
	if (slot)
		send_item(s, key, slot, seen);
}

/* The request is parsed; its line stays in the buffer until all is answered. */
enum vmcd_step
vmcd_text_keys(struct vmcd_session *s)
{
	bool touching = s->request.command == VMCD_GAT ||
			s->request.command == VMCD_GATS;
	const char *line = s->in + s->from;
	struct vmcd_span keys[VMCD_BATCH];

	while (!vmcd_out_is_full(&s->out)) {
		struct vmcd_span rest = {line + s->cursor, s->line - s->cursor};
		size_t most = touching ? 1 : vmcd_batch_size(s), count = 0;

		while (count < most) {
			keys[count] = vmcd_word(&rest);
			if (keys[count].size == 0)
				break;
			count++;
		}
		if (count == 0) {
			vmcd_out_bytes(&s->out, "END\r\n", 5);
			s->state = VMCD_IN_LINE;
			return VMCD_ON;
		}
		if (touching)
			touch_key(s, *keys);
		else
			count = vmcd_answer_keys(s, keys, count, answer_key);
		s->cursor = (size_t)(keys[count - 1].at + keys[count - 1].size -
				     line);
	}
	return VMCD_NEEDS_ROOM;
}

static enum vmcd_step
run_get(struct vmcd_session *s)
{
	s->state = VMCD_IN_KEYS;
	s->cursor = (size_t)(s->request.rest.at - (s->in + s->from));
	return vmcd_text_keys(s);
}

static void
run_delete(struct vmcd_session *s)
{
	int rc = vmcd_remove(&s->server->spaces, s->request.key, 0);

	vmcd_count(rc == 0 ? &s->counters->delete_hits
			   : &s->counters->delete_misses,
		1);
	reply(s, rc == 0 ? "DELETED" : "NOT_FOUND");
}

static void
run_touch(struct vmcd_session *s)
{
	struct vmcd_spaces *spaces = &s->server->spaces;
	struct vmemcache_item *item = vmcd_out_slot(&s->out);
	struct vmcd_seen seen;
	int rc = vmcd_touch(
		spaces, s->request.key, vmcd_ttl(s->request.exptime));

	if (rc == 0 &&
		vmcd_pin(spaces, s->request.key, false, item, &seen) == 0)
		vmemcache_unpin(
			spaces->cache, item); /* that was to mark it as read */
	vmcd_count(&s->counters->cmd_touch, 1);
	vmcd_count(
		rc == 0 ? &s->counters->touch_hits : &s->counters->touch_misses,
		1);
	reply(s, rc == 0 ? "TOUCHED" : "NOT_FOUND");
}

static void
run_arithmetic(struct vmcd_session *s)
{
	struct vmcd_counters *counters = s->counters;
	bool subtract = s->request.command == VMCD_DECR;
	char digits[VMCD_NUMBER_MAX + 1];
	struct vmcd_seen seen;
	uint64_t number;
	int rc = vmcd_arithmetic(&s->server->spaces, s->request.key, subtract,
		s->request.number, 0, &number, &seen);

	if (rc == -ENOENT)
		vmcd_count(subtract ? &counters->decr_misses
				    : &counters->incr_misses,
			1);
	if (rc == 0)
		vmcd_count(
			subtract ? &counters->decr_hits : &counters->incr_hits,
			1);
	switch (rc) {
	case 0:
		digits[vmcd_digits(digits, number)] = '\0';
		reply(s, digits);
		break;
	case -ENOENT:
		reply(s, "NOT_FOUND");
		break;
	case -EDOM:
		reply(s, "CLIENT_ERROR cannot increment or decrement "
			 "non-numeric value");
		break;
	default:
		reply(s, "SERVER_ERROR out of memory in incr");
	}
}

/* Unknown where keys have no spaces. */
static void
run_flush_prefix(struct vmcd_session *s)
{
	unsigned number;
	const struct vmcd_space *space =
		vmcd_space_named(&s->server->spaces, s->request.key, &number);

	if (!s->server->spaces.separator) {
		vmcd_out_string(&s->out, "ERROR\r\n");
		return;
	}
	vmcd_count(&s->counters->cmd_flush, 1);
	if (!space)
		reply(s, "NOT_FOUND");
	else if (vmemcache_clear(space->cache) < 0)
		reply(s, "SERVER_ERROR out of memory");
	else
		reply(s, "OK");
}

static void
run_stats(struct vmcd_session *s)
{
	if (!vmcd_stats_reply(s, s->request.rest))
		reply(s, "ERROR");
}

enum vmcd_step
vmcd_text_run(struct vmcd_session *s)
{
	switch (s->request.command) {
	case VMCD_GET:
	case VMCD_GETS:
	case VMCD_GAT:
	case VMCD_GATS:
		return run_get(s);
	case VMCD_DELETE:
		run_delete(s);
		break;
	case VMCD_TOUCH:
		run_touch(s);
		break;
	case VMCD_INCR:
	case VMCD_DECR:
		run_arithmetic(s);
		break;
	case VMCD_FLUSH_ALL:
		vmcd_count(&s->counters->cmd_flush, 1);
		vmcd_flush(s->server, s->request.exptime);
		reply(s, "OK");
		break;
	case VMCD_FLUSH_PREFIX:
		run_flush_prefix(s);
		break;
	case VMCD_VERBOSITY:
		reply(s, "OK");
		break;
	case VMCD_VERSION:
		reply(s, "VERSION " VMCD_LIKE_MEMCACHED
			 "-vmemcached-" VMCD_RELEASE);
		break;
	case VMCD_STATS:
		run_stats(s);
		break;
	case VMCD_QUIT:
		return VMCD_CLOSE;
	default:
		vmcd_meta_run(s);
	}
	return VMCD_ON;
}
