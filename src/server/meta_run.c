/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * meta_run.c -- memcached's meta commands, done, and their replies
 *
 * A reply is a code of two letters, "VA" with the size of a value that follows,
 * and then what the flags of the request ask for, in their order.
 */
#include "session.h"

#include <errno.h>

#define KEY_ROOM ((VMCD_KEY_MAX + 2) / 3 * 4 + 4)

static bool
has(const struct vmcd_request *r, char letter)
{
	return r->meta.seen[(unsigned char)letter];
}

static void
send_key(struct vmcd_session *s, bool binary)
{
	char text[KEY_ROOM];

	if (!binary) {
		vmcd_out_bytes(&s->out, s->request.key.at, s->request.key.size);
		return;
	}
	vmcd_out_bytes(&s->out, text, vmcd_base64_encode(s->request.key, text));
	vmcd_out_bytes(&s->out, " b", 2);
}

static void
send_number(struct vmcd_session *s, int64_t number)
{
	if (number < 0) {
		vmcd_out_bytes(&s->out, "-", 1);
		number = -number;
	}
	vmcd_out_number(&s->out, (uint64_t)number);
}

/* What a flag of the request asks for of the item. */
static void
send_flag(struct vmcd_session *s, char letter, const struct vmcd_seen *seen)
{
	switch (letter) {
	case 'c':
		vmcd_out_number(&s->out, seen->version);
		break;
	case 'f':
		vmcd_out_number(&s->out, seen->client_flags);
		break;
	case 'h':
		vmcd_out_number(&s->out, (seen->marks & VMCD_FETCHED) != 0);
		break;
	case 'l':
		vmcd_out_number(&s->out, seen->idle);
		break;
	case 's':
		vmcd_out_number(&s->out, seen->size);
		break;
	case 't':
		send_number(s, vmcd_seconds(seen->ttl_ms));
		break;
	default:
		break;
	}
}

/*
 * The flags of the reply, those of `letters` that were asked for; O and k
 * always are. Where T and N stand among them decides what t tells, and whether
 * it is time (R) to make the item anew: that is the result.
 */
static bool
send_flags(struct vmcd_session *s, const char *letters, struct vmcd_seen *seen,
	uint64_t made_ttl_ms)
{
	const struct vmcd_meta *meta = &s->request.meta;
	bool due = false;

	for (unsigned i = 0; i < meta->flags; i++) {
		struct vmcd_span flag = meta->flag[i];
		char letter = *flag.at;

		if (seen && letter == 'T')
			seen->ttl_ms = vmcd_ttl(meta->exptime);
		if (seen && letter == 'N' && made_ttl_ms)
			seen->ttl_ms = made_ttl_ms;
		if (seen && letter == 'R')
			due = seen->ttl_ms != VMEMCACHE_FOREVER &&
			      vmcd_seconds(seen->ttl_ms) < meta->recache;
		if (letter != 'O' && letter != 'k' && !strchr(letters, letter))
			continue;
		vmcd_out_bytes(&s->out, " ", 1);
		if (letter == 'O') {
			vmcd_out_bytes(&s->out, flag.at, flag.size);
			continue;
		}
		vmcd_out_bytes(&s->out, &letter, 1);
		if (letter == 'k')
			send_key(s, seen ? seen->marks & VMCD_BINARY
					 : meta->binary);
		else
			send_flag(s, letter, seen);
	}
	return due;
}

/* A reply of a code and O and k, as the request has the key. */
static void
send_code(struct vmcd_session *s, const char *code)
{
	if (s->request.quiet &&
		(strcmp(code, "HD") == 0 || strcmp(code, "EN") == 0))
		return;
	vmcd_out_string(&s->out, code);
	send_flags(s, "", NULL, 0);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

void
vmcd_meta_how(const struct vmcd_request *r, struct vmcd_how *how)
{
	how->client_flags = r->client_flags;
	how->ttl_ms = vmcd_ttl(has(r, 'T') ? r->meta.exptime : 0);
	how->marks = r->meta.binary ? VMCD_BINARY : 0;
	if (r->meta.mode == 'R')
		how->mode = VMEMCACHE_REPLACE;
	if (r->meta.mode == 'E') { /* which pays no heed to C */
		how->mode = VMEMCACHE_ADD;
	} else if (has(r, 'C')) {
		how->mode = VMEMCACHE_IF_VERSION;
		how->version = vmcd_unique(r->number);
	}
}

void
vmcd_meta_stored(struct vmcd_session *s, int rc, uint64_t version)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_seen seen = {
		.version = version,
		.marks = r->meta.binary ? VMCD_BINARY : 0,
	};
	const char *code = "NS";

	vmcd_count(&s->counters->cmd_meta, 1);
	if (rc == -E2BIG || rc == -ENOSPC || rc == -ENOMEM) {
		vmcd_out_string(&s->out,
			rc == -E2BIG
				? "SERVER_ERROR object too large for cache\r\n"
				: "SERVER_ERROR out of memory storing "
				  "object\r\n");
		return;
	}
	if (rc == 0)
		code = "HD";
	else if (rc == -ESTALE)
		code = "EX";
	else if (rc == -ENOENT && has(r, 'C') && r->meta.mode != 'A' &&
		 r->meta.mode != 'P')
		code = "NF";
	if (rc == 0 && r->quiet)
		return;
	vmcd_out_string(&s->out, code);
	send_flags(s, "c", &seen, 0);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

/* N or T: the last one counts. */
static uint64_t
ttl_of_new(const struct vmcd_meta *meta)
{
	int64_t exptime = 0;

	for (unsigned i = 0; i < meta->flags; i++) {
		if (*meta->flag[i].at == 'N')
			exptime = meta->vivify;
		if (*meta->flag[i].at == 'T')
			exptime = meta->exptime;
	}
	return vmcd_ttl(exptime);
}

/* Give it the new time; *seen is what was before. */
static int
renew(struct vmcd_session *s, struct vmemcache_item *item,
	struct vmcd_seen *seen)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_spaces *spaces = &s->server->spaces;
	uint64_t ttl = vmcd_ttl(r->meta.exptime);
	struct vmcd_seen now;
	int rc;

	if (ttl == VMCD_GONE) {
		vmcd_remove(spaces, r->key, seen->version);
		return 0;
	}
	vmemcache_unpin(spaces->cache, item);
	rc = vmcd_touch(spaces, r->key, ttl);
	if (rc == 0)
		rc = vmcd_pin(spaces, r->key, true, item, &now);
	if (rc == 0) {
		seen->size = now.size;
		seen->version = now.version;
		seen->client_flags = now.client_flags;
	}
	return rc;
}

/*
 * Pin the item; on a miss, if N says so, first store an empty one that waits
 * for whoever is told so here.
 */
static int
find(struct vmcd_session *s, struct vmemcache_item *item,
	struct vmcd_seen *seen, bool *made)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_spaces *spaces = &s->server->spaces;
	char head[VMCD_HEAD] = {0};
	uint64_t ttl = ttl_of_new(&r->meta);
	struct vmcd_how how = {
		.mode = VMEMCACHE_ADD,
		.ttl_ms = ttl == VMCD_GONE ? 0 : ttl,
		.marks = VMCD_WON | (has(r, 'u') ? 0 : VMCD_FETCHED),
	};
	int rc;

	*made = false;
	do {
		rc = vmcd_pin(spaces, r->key, has(r, 'u') || *made, item, seen);
		if (rc != -ENOENT || !has(r, 'N') || *made)
			break;
		rc = vmcd_store(spaces, r->key, head + VMCD_HEAD, 0, &how,
			&seen->version);
		*made = rc == 0;
	} while (rc == 0 || rc == -EEXIST);
	if (*made && rc == 0 && ttl == VMCD_GONE)
		vmcd_remove(spaces, r->key, seen->version);
	return !*made && rc == 0 && has(r, 'T') ? renew(s, item, seen) : rc;
}

/* W: this client is to make it anew; Z: another one does; X: it is stale. */
static void
send_marks(struct vmcd_session *s, const struct vmemcache_item *item,
	const struct vmcd_seen *seen, bool due, bool made)
{
	bool stale = seen->marks & VMCD_STALE;
	bool won = made;

	if (!made && (due || stale))
		won = vmcd_mark(item, VMCD_WON);
	if (stale && won)
		vmcd_out_bytes(&s->out, " X", 2);
	if (won)
		vmcd_out_bytes(&s->out, " W", 2);
	else if (due || stale || (seen->marks & VMCD_WON))
		vmcd_out_bytes(&s->out, " Z", 2);
	if (stale && !won)
		vmcd_out_bytes(&s->out, " X", 2);
}

/* mg. found: what was looked up already, in a slot; NULL: nothing was. */
static void
run_get(struct vmcd_session *s, struct vmemcache_item *found)
{
	const struct vmcd_request *r = &s->request;
	struct vmemcache_item *item = found ? found : vmcd_out_slot(&s->out);
	struct vmcd_seen seen;
	bool made = false, due;
	int rc = !found                 ? find(s, item, &seen, &made)
		 : item->iov_count >= 0 ? 0
					: -ENOENT;
	bool hit = rc == 0 && !made;

	if (found && hit)
		vmcd_read(item, &seen);

	vmcd_count_get(s->counters, hit);
	if (has(r, 'T')) {
		vmcd_count(&s->counters->cmd_touch, 1);
		vmcd_count(hit ? &s->counters->touch_hits
			       : &s->counters->touch_misses,
			1);
	}
	if (rc < 0) {
		send_code(s, "EN");
		return;
	}
	if (has(r, 'v')) {
		vmcd_out_bytes(&s->out, "VA ", 3);
		vmcd_out_number(&s->out, seen.size);
	} else {
		vmcd_out_bytes(&s->out, "HD", 2);
	}
	if (made) { /* as it is before N, and before it is read */
		seen.ttl_ms = VMEMCACHE_FOREVER;
		seen.marks &= ~(unsigned)VMCD_FETCHED;
	}
	due = send_flags(
		s, "cfhlst", &seen, made ? vmcd_ttl(r->meta.vivify) : 0);
	send_marks(s, item, &seen, due, made);
	vmcd_out_bytes(&s->out, "\r\n", 2);
	if (!has(r, 'v')) {
		vmemcache_unpin(s->server->spaces.cache, item);
		return;
	}
	vmcd_send_value(s, item, seen.size);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

/* Commands of the input that are looked up together. */
struct gets {
	struct vmcd_span key[VMCD_BATCH];
	size_t line[VMCD_BATCH]; /* length without and with its end */
	size_t line_end[VMCD_BATCH];
	size_t count;
};

/* Is that line an mg whose lookup is a plain one? */
static bool
is_plain_get(struct vmcd_span line, struct vmcd_span *key)
{
	struct vmcd_span flag;

	if (!vmcd_span_is(vmcd_word(&line), "mg"))
		return false;
	*key = vmcd_word(&line);
	if (key->size == 0 || key->size > VMCD_KEY_MAX)
		return false;
	while ((flag = vmcd_word(&line)).size > 0)
		if (!strchr("ORcfhklqstv", *flag.at))
			return false;
	return true;
}

/* The lines from the current one on, while all are plain gets. */
static void
gather_gets(const struct vmcd_session *s, struct gets *gets)
{
	const char *at = s->in + s->from, *end = s->in + s->to;
	size_t most = vmcd_batch_size(s);

	for (gets->count = 0; gets->count < most; gets->count++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t size = stop ? (size_t)(stop - at) : 0, i = gets->count;
		if (!stop)
			return;
		gets->line_end[i] = size + 1;
		if (size > 0 && at[size - 1] == '\r')
			size--;
		gets->line[i] = size;
		if (!is_plain_get((struct vmcd_span){at, size}, &gets->key[i]))
			return;
		at = stop + 1;
	}
}

enum vmcd_step
vmcd_meta_gets(struct vmcd_session *s)
{
	struct vmemcache_item *slots = vmcd_out_slot(&s->out);
	struct gets gets;
	size_t i = 0;

	gather_gets(s, &gets);
	if (gets.count < 2) {
		vmcd_count(&s->counters->cmd_meta, 1);
		run_get(s, NULL);
		s->from += s->line_end;
		return VMCD_ON;
	}
	vmcd_pin_many(&s->server->spaces, gets.key, gets.count, slots);
	do {
		vmcd_count(&s->counters->cmd_meta, 1);
		run_get(s, &slots[i]);
		s->from += gets.line_end[i];
		if (++i == gets.count || vmcd_out_is_full(&s->out))
			break;
		vmcd_parse((struct vmcd_span){s->in + s->from, gets.line[i]},
			&s->request);
	} while (!s->request.error);
	for (size_t j = i; j < gets.count; j++)
		vmemcache_unpin(s->server->spaces.cache, &slots[j]);
	return VMCD_ON;
}

static void
run_delete(struct vmcd_session *s)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_spaces *spaces = &s->server->spaces;
	uint64_t version = has(r, 'C') ? vmcd_unique(r->number) : 0;
	uint64_t ttl = has(r, 'T') ? vmcd_ttl(r->meta.exptime) : 0;
	int rc = has(r, 'I') ? vmcd_invalidate(spaces, r->key, version, ttl)
			     : vmcd_remove(spaces, r->key, version);

	vmcd_count(rc == 0 ? &s->counters->delete_hits
			   : &s->counters->delete_misses,
		1);
	switch (rc) {
	case 0:
		send_code(s, "HD");
		break;
	case -ENOENT:
		send_code(s, "NF");
		break;
	case -ESTALE:
		send_code(s, "EX");
		break;
	default:
		vmcd_out_string(&s->out,
			"SERVER_ERROR out of memory storing object\r\n");
	}
}

/* The number of a new item. */
static int
store_initial(struct vmcd_session *s, uint64_t *number, struct vmcd_seen *seen)
{
	const struct vmcd_request *r = &s->request;
	char value[VMCD_HEAD + VMCD_NUMBER_MAX];
	struct vmcd_how how = {
		.mode = VMEMCACHE_ADD,
		.ttl_ms = ttl_of_new(&r->meta),
		.marks = r->meta.binary ? VMCD_BINARY : 0,
	};

	*number = r->meta.initial;
	*seen = (struct vmcd_seen){
		.ttl_ms = VMEMCACHE_FOREVER, .marks = how.marks};
	return vmcd_store(&s->server->spaces, r->key, value + VMCD_HEAD,
		vmcd_digits(value + VMCD_HEAD, *number), &how, &seen->version);
}

static int
compute(struct vmcd_session *s, bool subtract, uint64_t *number,
	struct vmcd_seen *seen, bool *made)
{
	const struct vmcd_request *r = &s->request;
	int rc;

	do {
		*made = false;
		rc = vmcd_arithmetic(&s->server->spaces, r->key, subtract,
			r->meta.delta, has(r, 'C') ? r->number : 0, number,
			seen);
		if (rc == -ENOENT && has(r, 'N')) {
			rc = store_initial(s, number, seen);
			*made = rc == 0;
		}
	} while (rc == -EEXIST);
	if (rc == 0 && !*made && has(r, 'T'))
		vmcd_touch(
			&s->server->spaces, r->key, vmcd_ttl(r->meta.exptime));
	return rc;
}

static void
run_arithmetic(struct vmcd_session *s)
{
	const struct vmcd_request *r = &s->request;
	struct vmcd_counters *counters = s->counters;
	bool subtract = r->meta.mode == 'D' || r->meta.mode == '-';
	char digits[VMCD_NUMBER_MAX];
	struct vmcd_seen seen;
	uint64_t number;
	bool made;
	int rc = compute(s, subtract, &number, &seen, &made);
	size_t size;

	if (rc == 0 && !made)
		vmcd_count(
			subtract ? &counters->decr_hits : &counters->incr_hits,
			1);
	else if (made || rc == -ENOENT)
		vmcd_count(subtract ? &counters->decr_misses
				    : &counters->incr_misses,
			1);
	if (rc == -ENOENT || rc == -ESTALE) {
		send_code(s, rc == -ENOENT ? "NF" : "EX");
		return;
	}
	if (rc < 0) {
		vmcd_out_string(&s->out,
			rc == -EDOM
				? "CLIENT_ERROR cannot increment or decrement "
				  "non-numeric value\r\n"
				: "SERVER_ERROR out of memory in incr\r\n");
		return;
	}
	if (r->quiet && !made)
		return;
	size = vmcd_digits(digits, number);
	if (has(r, 'v'))
		vmcd_out_format(&s->out, "VA %zu", size);
	else
		vmcd_out_bytes(&s->out, "HD", 2);
	send_flags(s, "ct", &seen, made ? vmcd_ttl(r->meta.vivify) : 0);
	vmcd_out_bytes(&s->out, "\r\n", 2);
	if (has(r, 'v')) {
		vmcd_out_bytes(&s->out, digits, size);
		vmcd_out_bytes(&s->out, "\r\n", 2);
	}
}

/* exp has the wrong sign, as in 1.6.18. */
static void
run_debug(struct vmcd_session *s)
{
	const struct vmcd_request *r = &s->request;
	struct vmemcache_item *item = vmcd_out_slot(&s->out);
	struct vmcd_seen seen;
	int64_t left;

	if (vmcd_pin(&s->server->spaces, r->key, true, item, &seen) < 0) {
		vmcd_out_string(&s->out, "EN\r\n");
		return;
	}
	vmemcache_unpin(s->server->spaces.cache, item);
	left = vmcd_seconds(seen.ttl_ms);
	vmcd_out_bytes(&s->out, "ME ", 3);
	if (seen.marks & VMCD_BINARY) {
		char text[KEY_ROOM];
		vmcd_out_bytes(&s->out, text, vmcd_base64_encode(r->key, text));
	} else {
		vmcd_out_bytes(&s->out, r->key.at, r->key.size);
	}
	vmcd_out_format(&s->out,
		" exp=%lld la=%u cas=%llu fetch=%s cls=1 size=%zu\r\n",
		(long long)(left < 0 ? -1 : -left), seen.idle,
		(unsigned long long)seen.version,
		seen.marks & VMCD_FETCHED ? "yes" : "no",
		seen.size + VMCD_HEAD + r->key.size);
}

void
vmcd_meta_run(struct vmcd_session *s)
{
	vmcd_count(&s->counters->cmd_meta, 1);
	switch (s->request.command) {
	case VMCD_META_DELETE:
		run_delete(s);
		break;
	case VMCD_META_ARITHMETIC:
		run_arithmetic(s);
		break;
	case VMCD_META_DEBUG:
		run_debug(s);
		break;
	default:
		vmcd_out_string(&s->out, "MN\r\n");
	}
}
