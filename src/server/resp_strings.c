/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp_strings.c -- Redis' commands on values, and on their times
 */
#include "resp_run.h"

#include <errno.h>
#include <stdlib.h>

#define NOT_A_NUMBER "ERR value is not an integer or out of range"
#define SYNTAX "ERR syntax error"

static struct vmemcache_item *
slot(struct vmcd_session *s)
{
	return vmcd_out_slot(&s->out);
}

/* Pin the value of a key into the slot of the output. */
static int
pin(struct vmcd_session *s, struct vmcd_span key, bool quiet,
	struct vmcd_seen *seen)
{
	return vmcd_pin(&s->server->spaces, key, quiet, slot(s), seen);
}

static void
unpin(struct vmcd_session *s)
{
	vmemcache_unpin(s->server->spaces.cache, slot(s));
}

/* As it is in its request, whose bytes before it may be overwritten. */
static char *
value_of(const struct vmcd_words *words, size_t i)
{
	return (char *)(uintptr_t)vmcd_at(words, i).at;
}

static bool
fits(struct vmcd_session *s, struct vmcd_span value)
{
	if (value.size <= s->server->options->value_max)
		return true;
	vmcd_reply_failure(s, -E2BIG);
	return false;
}

static int
store(struct vmcd_session *s, struct vmcd_span key,
	const struct vmcd_words *words, size_t value,
	const struct vmcd_how *how)
{
	vmcd_count(&s->counters->cmd_set, 1);
	return vmcd_store(&s->server->spaces, key, value_of(words, value),
		vmcd_at(words, value).size, how, NULL);
}

static void
answer_key(struct vmcd_session *s, struct vmcd_span key,
	struct vmemcache_item *slot, const struct vmcd_seen *seen)
{
	(void)key;
	if (slot)
		vmcd_reply_value(s, slot, seen->size);
	else
		vmcd_reply_nothing(s);
}

enum vmcd_step
vmcd_resp_get(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_span key = vmcd_at(words, 1);

	vmcd_answer_keys(s, &key, 1, answer_key);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_mget(struct vmcd_session *s, const struct vmcd_words *words)
{
	size_t *cursor = &s->resp.cursor;
	struct vmcd_span keys[VMCD_BATCH];

	if (*cursor == 0) {
		vmcd_reply_array(s, words->count - 1);
		*cursor = 1;
	}
	while (*cursor < words->count) {
		size_t count = words->count - *cursor, most;
		if (vmcd_out_is_full(&s->out))
			return VMCD_NEEDS_ROOM;
		most = vmcd_batch_size(s);
		if (count > most)
			count = most;
		for (size_t i = 0; i < count; i++)
			keys[i] = vmcd_at(words, *cursor + i);
		*cursor += vmcd_answer_keys(s, keys, count, answer_key);
	}
	return VMCD_ON;
}

/* What SET and GETEX are told of the time; ttl_ms 0: nothing. */
struct times {
	uint64_t ttl_ms;
	bool wrong, invalid; /* no number; a number that is no time */
};

static bool
parse_time(const struct vmcd_words *words, size_t *i, struct times *times)
{
	static const struct {
		const char *name;
		int64_t unit;
		bool absolute;
	} forms[] = {{"EX", 1000, false}, {"PX", 1, false},
		{"EXAT", 1000, true}, {"PXAT", 1, true}};
	struct timespec now;
	int64_t n;

	for (size_t k = 0; k < sizeof(forms) / sizeof(*forms); k++) {
		if (!vmcd_is_word(vmcd_at(words, *i), forms[k].name) ||
			*i + 1 >= words->count || times->ttl_ms)
			continue;
		times->ttl_ms = VMCD_GONE;
		if (!vmcd_signed(vmcd_at(words, ++*i), &n)) {
			times->wrong = true;
			return true;
		}
		if (n <= 0 || __builtin_mul_overflow(n, forms[k].unit, &n)) {
			times->invalid = true;
			return true;
		}
		clock_gettime(CLOCK_REALTIME, &now);
		if (forms[k].absolute)
			n -= now.tv_sec * 1000 + now.tv_nsec / 1000000;
		if (n > 0)
			times->ttl_ms = (uint64_t)n;
		return true;
	}
	return false;
}

struct set {
	struct vmcd_how how;
	struct times times;
	bool not_there, there, get;
};

static bool
parse_set(const struct vmcd_words *words, struct set *set)
{
	*set = (struct set){0};
	for (size_t i = 3; i < words->count; i++) {
		struct vmcd_span word = vmcd_at(words, i);

		if (vmcd_is_word(word, "NX") && !set->there)
			set->not_there = true;
		else if (vmcd_is_word(word, "XX") && !set->not_there)
			set->there = true;
		else if (vmcd_is_word(word, "GET"))
			set->get = true;
		else if (vmcd_is_word(word, "KEEPTTL") && !set->times.ttl_ms)
			set->how.keep_ttl = true;
		else if (set->how.keep_ttl ||
			 !parse_time(words, &i, &set->times))
			return false;
	}
	if (set->there)
		set->how.mode = VMEMCACHE_REPLACE;
	if (set->not_there)
		set->how.mode = VMEMCACHE_ADD;
	set->how.ttl_ms = set->times.ttl_ms;
	return true;
}

/* Store, and reply what was there, in one step: if it is still that. */
static void
exchange(struct vmcd_session *s, const struct vmcd_words *words,
	const struct set *set)
{
	struct vmcd_span key = vmcd_at(words, 1);
	struct vmcd_seen seen;
	struct vmcd_how how;
	int rc, found;

	do {
		found = pin(s, key, false, &seen);
		how = set->how;
		how.mode = found == 0 ? VMEMCACHE_IF_VERSION : VMEMCACHE_ADD;
		how.version = seen.version;
		rc = found == 0   ? set->not_there ? -EEXIST : 0
		     : set->there ? -ENOENT
				  : 0;
		if (rc == 0) {
			rc = store(s, key, words, 2, &how);
			rc = rc == -ESTALE || rc == -ENOENT || rc == -EEXIST
				     ? -EAGAIN
				     : rc;
		}
		if (found == 0 && rc == -EAGAIN)
			unpin(s);
	} while (rc == -EAGAIN);
	if (rc == -ENOSPC || rc == -ENOMEM) {
		if (found == 0)
			unpin(s);
		vmcd_reply_failure(s, rc);
	} else if (found == 0) {
		vmcd_reply_value(s, slot(s), seen.size);
	} else {
		vmcd_reply_nothing(s);
	}
}

enum vmcd_step
vmcd_resp_set(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct set set;
	int rc;

	if (!parse_set(words, &set)) {
		vmcd_reply_error(s, SYNTAX);
	} else if (set.times.wrong) {
		vmcd_reply_error(s, NOT_A_NUMBER);
	} else if (set.times.invalid) {
		vmcd_reply_error(s, "ERR invalid expire time in 'set' command");
	} else if (!fits(s, vmcd_at(words, 2))) {
		;
	} else if (set.get) {
		exchange(s, words, &set);
	} else {
		rc = store(s, vmcd_at(words, 1), words, 2, &set.how);
		if (rc == 0)
			vmcd_reply_status(s, "OK");
		else if (rc == -EEXIST || rc == -ENOENT)
			vmcd_reply_nothing(s);
		else
			vmcd_reply_failure(s, rc);
	}
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_getset(struct vmcd_session *s, const struct vmcd_words *words)
{
	if (fits(s, vmcd_at(words, 2)))
		exchange(s, words, &(struct set){.get = true});
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_setnx(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_how how = {.mode = VMEMCACHE_ADD};
	int rc;

	if (!fits(s, vmcd_at(words, 2)))
		return VMCD_ON;
	rc = store(s, vmcd_at(words, 1), words, 2, &how);
	if (rc == 0 || rc == -EEXIST)
		vmcd_reply_number(s, rc == 0);
	else
		vmcd_reply_failure(s, rc);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_setex(struct vmcd_session *s, const struct vmcd_words *words)
{
	bool seconds = vmcd_is_word(vmcd_at(words, 0), "SETEX");
	struct vmcd_how how = {0};
	int64_t n;
	int rc;

	if (!vmcd_signed(vmcd_at(words, 2), &n)) {
		vmcd_reply_error(s, NOT_A_NUMBER);
		return VMCD_ON;
	}
	if (n <= 0 || __builtin_mul_overflow(n, seconds ? 1000 : 1, &n)) {
		vmcd_reply_error(s, seconds ? "ERR invalid expire time in "
					      "'setex' command"
					    : "ERR invalid expire time in "
					      "'psetex' command");
		return VMCD_ON;
	}
	how.ttl_ms = (uint64_t)n;
	if (!fits(s, vmcd_at(words, 3)))
		return VMCD_ON;
	rc = store(s, vmcd_at(words, 1), words, 3, &how);
	if (rc == 0)
		vmcd_reply_status(s, "OK");
	else
		vmcd_reply_failure(s, rc);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_mset(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_how how = {0};
	int rc = 0;

	if (words->count % 2 == 0) {
		vmcd_reply_error(
			s, "ERR wrong number of arguments for 'mset' command");
		return VMCD_ON;
	}
	for (size_t i = 2; i < words->count; i += 2) {
		if (!fits(s, vmcd_at(words, i)))
			return VMCD_ON;
	}
	for (size_t i = 1; i < words->count && rc == 0; i += 2)
		rc = store(s, vmcd_at(words, i), words, i + 1, &how);
	if (rc == 0)
		vmcd_reply_status(s, "OK");
	else
		vmcd_reply_failure(s, rc);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_getdel(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_span key = vmcd_at(words, 1);
	struct vmcd_seen seen;

	for (;;) {
		if (pin(s, key, false, &seen) < 0) {
			vmcd_reply_nothing(s);
			return VMCD_ON;
		}
		if (vmcd_remove(&s->server->spaces, key, seen.version) == 0)
			break;
		unpin(s);
	}
	vmcd_reply_value(s, slot(s), seen.size);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_getex(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_span key = vmcd_at(words, 1);
	struct times times = {0};

	for (size_t i = 2; i < words->count; i++) {
		if (vmcd_is_word(vmcd_at(words, i), "PERSIST") &&
			!times.ttl_ms) {
			times.ttl_ms = VMEMCACHE_FOREVER;
		} else if (!parse_time(words, &i, &times)) {
			vmcd_reply_error(s, SYNTAX);
			return VMCD_ON;
		}
	}
	if (times.wrong || times.invalid) {
		vmcd_reply_error(s, times.wrong ? NOT_A_NUMBER
						: "ERR invalid expire time in "
						  "'getex' command");
		return VMCD_ON;
	}
	vmcd_answer_keys(s, &key, 1, answer_key);
	if (times.ttl_ms)
		vmcd_touch(&s->server->spaces, key, times.ttl_ms);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_del(struct vmcd_session *s, const struct vmcd_words *words)
{
	int64_t n = 0;

	for (size_t i = 1; i < words->count; i++) {
		int rc = vmcd_remove(&s->server->spaces, vmcd_at(words, i), 0);
		vmcd_count(rc == 0 ? &s->counters->delete_hits
				   : &s->counters->delete_misses,
			1);
		n += rc == 0;
	}
	vmcd_reply_number(s, n);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_exists(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_seen seen;
	int64_t n = 0;

	for (size_t i = 1; i < words->count; i++) {
		if (pin(s, vmcd_at(words, i), true, &seen) == 0) {
			unpin(s);
			n++;
		}
	}
	vmcd_reply_number(s, n);
	return VMCD_ON;
}

/* -2: there is no such key; -1: it does not expire. */
enum vmcd_step
vmcd_resp_ttl(struct vmcd_session *s, const struct vmcd_words *words)
{
	bool seconds = vmcd_is_word(vmcd_at(words, 0), "TTL");
	struct vmcd_seen seen;
	int64_t left = -2;

	if (pin(s, vmcd_at(words, 1), true, &seen) == 0) {
		unpin(s);
		left = seen.ttl_ms == VMEMCACHE_FOREVER ? -1
		       : seconds ? (int64_t)((seen.ttl_ms + 500) / 1000)
				 : (int64_t)seen.ttl_ms;
	}
	vmcd_reply_number(s, left);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_expire(struct vmcd_session *s, const struct vmcd_words *words)
{
	bool seconds = vmcd_is_word(vmcd_at(words, 0), "EXPIRE");
	int64_t n;

	if (!vmcd_signed(vmcd_at(words, 2), &n)) {
		vmcd_reply_error(s, NOT_A_NUMBER);
	} else if (__builtin_mul_overflow(n, seconds ? 1000 : 1, &n)) {
		vmcd_reply_error(s, seconds ? "ERR invalid expire time in "
					      "'expire' command"
					    : "ERR invalid expire time in "
					      "'pexpire' command");
	} else {
		vmcd_reply_number(
			s, vmcd_touch(&s->server->spaces, vmcd_at(words, 1),
				   n > 0 ? (uint64_t)n : VMCD_GONE) == 0);
	}
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_persist(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_seen seen;
	int rc = pin(s, vmcd_at(words, 1), true, &seen);

	if (rc == 0)
		unpin(s);
	vmcd_reply_number(
		s, rc == 0 && seen.ttl_ms != VMEMCACHE_FOREVER &&
			   vmcd_touch(&s->server->spaces, vmcd_at(words, 1),
				   VMEMCACHE_FOREVER) == 0);
	return VMCD_ON;
}

/* INCR, DECR, and by how much. */
enum vmcd_step
vmcd_resp_incr(struct vmcd_session *s, const struct vmcd_words *words)
{
	bool subtract = (vmcd_at(words, 0).at[0] | 0x20) == 'd';
	int64_t delta = 1, number;

	if (words->count == 3 && !vmcd_signed(vmcd_at(words, 2), &delta)) {
		vmcd_reply_error(s, NOT_A_NUMBER);
		return VMCD_ON;
	}
	switch (vmcd_add_signed(&s->server->spaces, vmcd_at(words, 1),
		subtract ? -delta : delta, &number)) {
	case 0:
		vmcd_reply_number(s, number);
		break;
	case -EDOM:
		vmcd_reply_error(s, NOT_A_NUMBER);
		break;
	case -EOVERFLOW:
		vmcd_reply_error(
			s, "ERR increment or decrement would overflow");
		break;
	default:
		vmcd_reply_failure(s, -ENOSPC);
	}
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_append(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_span key = vmcd_at(words, 1), value = vmcd_at(words, 2);
	size_t length = value.size;
	int rc;

	if (!fits(s, value))
		return VMCD_ON;
	do {
		rc = vmcd_concat(&s->server->spaces, key, value, false, 0,
			s->server->options->value_max, &length, NULL);
		if (rc == -ENOENT) {
			struct vmcd_how how = {.mode = VMEMCACHE_ADD};
			length = value.size;
			rc = store(s, key, words, 2, &how);
		}
	} while (rc == -EEXIST);
	if (rc == 0)
		vmcd_reply_number(s, (int64_t)length);
	else
		vmcd_reply_failure(s, rc);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_strlen(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_seen seen = {0};

	if (pin(s, vmcd_at(words, 1), true, &seen) == 0)
		unpin(s);
	vmcd_reply_number(s, (int64_t)seen.size);
	return VMCD_ON;
}

/* Both ends count from the end, if negative, and are within the range. */
enum vmcd_step
vmcd_resp_getrange(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_seen seen;
	int64_t first, last, size;

	if (!vmcd_signed(vmcd_at(words, 2), &first) ||
		!vmcd_signed(vmcd_at(words, 3), &last)) {
		vmcd_reply_error(s, NOT_A_NUMBER);
		return VMCD_ON;
	}
	if (pin(s, vmcd_at(words, 1), false, &seen) < 0) {
		vmcd_reply_text(s, "");
		return VMCD_ON;
	}
	size = (int64_t)seen.size;
	if (first < 0)
		first = first + size > 0 ? first + size : 0;
	if (last < 0)
		last += size;
	if (last >= size)
		last = size - 1;
	if (first > last) {
		unpin(s);
		vmcd_reply_text(s, "");
		return VMCD_ON;
	}
	size = last - first + 1;
	vmcd_out_format(&s->out, "$%lld\r\n", (long long)size);
	if (size <= VMCD_COPIED)
		vmcd_out_copied(&s->out, slot(s), VMCD_HEAD + (size_t)first,
			(size_t)size);
	else
		vmcd_out_pinned(&s->out, slot(s), VMCD_HEAD + (size_t)first,
			(size_t)size);
	vmcd_out_bytes(&s->out, "\r\n", 2);
	return VMCD_ON;
}
