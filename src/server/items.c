/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.c -- items of the server over the public calls of the library
 *
 * The head of a value is written in place, through a pin, while others read it:
 * byte by byte and atomically, as a value may begin at any address. Only the
 * server uses it, and it is never sent. The first thread that sets the mark WON
 * has won. The four bytes of the time of the last read may be read half old,
 * half new; then only the reported time of that read is wrong.
 *
 * Changing a value (append, incr, md with I) is to read it, to make the new one
 * and to store that if the version is still the same, until it is.
 *
 * Rejected: the changing fields in a table outside the cache: a second lookup
 * for each read, and entries that were evicted would have to be removed there,
 * too.
 */
#include "items.h"

#include "out.h"
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t
now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec;
}

uint64_t
vmcd_ttl(int64_t exptime)
{
	struct timespec now;

	if (exptime == 0)
		return VMEMCACHE_FOREVER;
	if (exptime < 0)
		return VMCD_GONE;
	if (exptime <= VMCD_MONTH)
		return (uint64_t)exptime * 1000;
	clock_gettime(CLOCK_REALTIME, &now);
	if (exptime <= now.tv_sec)
		return VMCD_GONE;
	if (exptime - now.tv_sec > INT64_MAX / 1000)
		return VMEMCACHE_FOREVER;
	return (uint64_t)(exptime - now.tv_sec) * 1000;
}

int64_t
vmcd_seconds(uint64_t ttl_ms)
{
	if (ttl_ms == VMEMCACHE_FOREVER)
		return -1;
	if (ttl_ms == VMCD_GONE)
		return 0;
	return (int64_t)(ttl_ms / 1000 + (ttl_ms % 1000 > 0));
}

/* The head of a value is within its first piece, which is of a block. */
static unsigned char *
head_of(const struct vmemcache_item *item)
{
	return item->iov[0].iov_base;
}

static void
write_second(unsigned char *head, uint32_t second)
{
	for (unsigned i = 0; i < 4; i++)
		__atomic_store_n(head + 1 + i, (unsigned char)(second >> 8 * i),
			__ATOMIC_RELAXED);
}

static uint32_t
read_second(const unsigned char *head)
{
	uint32_t second = 0;

	for (unsigned i = 0; i < 4; i++)
		second |= (uint32_t)__atomic_load_n(
				  head + 1 + i, __ATOMIC_RELAXED)
			  << 8 * i;
	return second;
}

static void
make_head(unsigned char *head, unsigned marks)
{
	head[0] = (unsigned char)marks;
	write_second(head, now_seconds());
}

bool
vmcd_mark(const struct vmemcache_item *item, unsigned mark)
{
	return !(__atomic_fetch_or(
			 head_of(item), (unsigned char)mark, __ATOMIC_RELAXED) &
		 mark);
}

static int
result(int rc)
{
	return rc < 0 ? -errno : 0;
}

static void
see(const struct vmemcache_item *item, bool quiet, struct vmcd_seen *seen)
{
	unsigned char *head = head_of(item);
	uint32_t now = now_seconds(), second = read_second(head);

	*seen = (struct vmcd_seen){
		.size = item->info.value_size - VMCD_HEAD,
		.marks = __atomic_load_n(head, __ATOMIC_RELAXED),
		.idle = now > second ? now - second : 0,
		.version = item->info.version,
		.ttl_ms = item->info.ttl_ms,
		.client_flags = item->info.tag,
	};
	if (quiet)
		return;
	if (!(seen->marks & VMCD_FETCHED)) /* the usual item stays unwritten */
		vmcd_mark(item, VMCD_FETCHED);
	if (second != now)
		write_second(head, now);
}

int
vmcd_pin(struct vmcd_spaces *spaces, struct vmcd_span key, bool quiet,
	struct vmemcache_item *item, struct vmcd_seen *seen)
{
	if (vmemcache_pin(vmcd_space_of(spaces, key), key.at, key.size,
		    quiet ? VMEMCACHE_PEEK : 0, item) < 0)
		return -errno;
	see(item, quiet, seen);
	return 0;
}

void
vmcd_pin_many(struct vmcd_spaces *spaces, const struct vmcd_span *keys,
	size_t count, struct vmemcache_item *items)
{
	struct vmemcache_key wanted[VMCD_BATCH];

	for (size_t i = 0; i < count; i++) {
		wanted[i] = (struct vmemcache_key){keys[i].at, keys[i].size};
		items[i].iov_count = -1;
	}
	for (size_t from = 0, to; from < count; from = to) {
		VMEMcache *space = vmcd_space_of(spaces, keys[from]);
		for (to = from + 1; to < count; to++) {
			if (vmcd_space_of(spaces, keys[to]) != space)
				break;
		}
		vmemcache_pin_many(
			space, &wanted[from], to - from, 0, &items[from]);
	}
}

void
vmcd_read(const struct vmemcache_item *item, struct vmcd_seen *seen)
{
	see(item, false, seen);
}

static struct vmemcache_store
store_of(const struct vmcd_how *how)
{
	bool lasts = how->ttl_ms == 0 || how->ttl_ms == VMCD_GONE;

	return (struct vmemcache_store){
		.struct_size = sizeof(struct vmemcache_store),
		.mode = how->mode,
		.flags = how->keep_ttl ? VMEMCACHE_KEEP_TTL : 0,
		.if_version = how->version,
		.ttl_ms = lasts ? VMEMCACHE_FOREVER : how->ttl_ms,
		.tag = how->client_flags,
	};
}

/* What is stored with its time over goes at once, unless it was replaced. */
static void
remove_if_gone(struct vmcd_spaces *spaces, struct vmcd_span key,
	const struct vmcd_how *how, uint64_t version)
{
	if (how->ttl_ms == VMCD_GONE)
		vmcd_remove(spaces, key, version);
}

int
vmcd_store(struct vmcd_spaces *spaces, struct vmcd_span key, char *value,
	size_t size, const struct vmcd_how *how, uint64_t *version)
{
	struct vmemcache_store store = store_of(how);
	char copy[VMCD_KEY_MAX], saved[VMCD_HEAD];
	VMEMcache *space = vmcd_space_for(spaces, key);
	uint64_t made = 0;
	int rc;

	if (!space)
		return -ENOMEM;
	memcpy(saved, value - VMCD_HEAD, VMCD_HEAD);
	if (key.at + key.size > value - VMCD_HEAD && key.at < value) {
		memcpy(copy, key.at, key.size);
		key.at = copy;
	}
	make_head((unsigned char *)value - VMCD_HEAD, how->marks);
	rc = result(vmemcache_store(space, key.at, key.size, value - VMCD_HEAD,
		size + VMCD_HEAD, &store, &made));
	memcpy(value - VMCD_HEAD, saved, VMCD_HEAD);
	if (rc == 0)
		remove_if_gone(spaces, key, how, made);
	if (rc == 0 && version)
		*version = made;
	return rc;
}

int
vmcd_reserve(struct vmcd_spaces *spaces, struct vmcd_span key, size_t size,
	const struct vmcd_how *how, struct vmemcache_item *item)
{
	struct vmemcache_store store = store_of(how);
	VMEMcache *space = vmcd_space_for(spaces, key);
	int rc;

	if (!space)
		return -ENOMEM;
	rc = result(vmemcache_reserve(
		space, key.at, key.size, size + VMCD_HEAD, &store, item));

	if (rc == 0)
		make_head(head_of(item), how->marks);
	return rc;
}

int
vmcd_publish(struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmemcache_item *item, size_t size, const struct vmcd_how *how,
	uint64_t *version)
{
	uint64_t made = 0;
	int rc = result(vmemcache_commit(
		vmcd_space_of(spaces, key), item, size + VMCD_HEAD, &made));

	if (rc == 0)
		remove_if_gone(spaces, key, how, made);
	if (rc == 0 && version)
		*version = made;
	return rc;
}

/* EAGAIN: somebody else is just removing it, or has stored another value. */
int
vmcd_remove(struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t version)
{
	VMEMcache *space = vmcd_space_of(spaces, key);
	int rc;

	do
		rc = result(vmemcache_remove(space, key.at, key.size, version));
	while (rc == -EAGAIN);
	return rc;
}

/*
 * A new value for the item that is pinned, made of `size` bytes behind
 * VMCD_HEAD ones of `value`, which are then its head. It keeps what the item
 * has, but for its marks.
 */
static int
replace(struct vmcd_spaces *spaces, struct vmcd_span key,
	const struct vmcd_seen *seen, unsigned marks, uint64_t ttl_ms,
	char *value, size_t size, uint64_t *version)
{
	struct vmcd_how how = {
		.mode = VMEMCACHE_IF_VERSION,
		.version = seen->version,
		.ttl_ms = ttl_ms,
		.keep_ttl = ttl_ms == 0,
		.client_flags = seen->client_flags,
		.marks = marks,
	};

	return vmcd_store(spaces, key, value + VMCD_HEAD, size, &how, version);
}

/* Pin it, if its version is that one, or version is 0. */
static int
pin_version(struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t version,
	struct vmemcache_item *item, struct vmcd_seen *seen)
{
	int rc = vmcd_pin(spaces, key, true, item, seen);

	if (rc == 0 && version && seen->version != version) {
		vmemcache_unpin(spaces->cache, item);
		return -ESTALE;
	}
	return rc;
}

static int
concat_once(struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmcd_span bytes, bool before, uint64_t version, size_t most,
	size_t *length, uint64_t *new_version)
{
	struct vmemcache_item item;
	struct vmcd_seen seen;
	int rc = pin_version(spaces, key, version, &item, &seen);
	size_t size;
	char *value;

	if (rc < 0)
		return rc;
	size = seen.size + bytes.size;
	value = size > most ? NULL : malloc(VMCD_HEAD + size);
	if (value) {
		char *to = value + VMCD_HEAD;
		vmcd_copy_pinned(&item, VMCD_HEAD, seen.size,
			to + (before ? bytes.size : 0));
		if (bytes.size)
			memcpy(to + (before ? 0 : seen.size), bytes.at,
				bytes.size);
	}
	vmemcache_unpin(spaces->cache, &item);
	if (!value)
		return size > most ? -E2BIG : -ENOMEM;
	rc = replace(spaces, key, &seen, 0, 0, value, size, new_version);
	free(value);
	if (rc == 0 && length)
		*length = size;
	return rc;
}

int
vmcd_concat(struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmcd_span bytes, bool before, uint64_t version, size_t most,
	size_t *length, uint64_t *new_version)
{
	int rc;

	do
		rc = concat_once(spaces, key, bytes, before, version, most,
			length, new_version);
	while (rc == -ESTALE && version == 0);
	return rc;
}

/*
 * The new number takes the place of the old one with blanks behind it, if it is
 * no longer; then marks stay, too.
 */
static int
arithmetic_once(struct vmcd_spaces *spaces, struct vmcd_span key, bool subtract,
	uint64_t delta, uint64_t version, uint64_t *number,
	struct vmcd_seen *seen)
{
	struct vmemcache_item item;
	char value[VMCD_HEAD + VMCD_NUMBER_TEXT], *text = value + VMCD_HEAD;
	size_t size, digits;
	uint64_t n = 0;
	bool is_number;
	int rc = pin_version(spaces, key, version, &item, seen);

	if (rc < 0)
		return rc;
	is_number = seen->size > 0 && seen->size <= VMCD_NUMBER_TEXT;
	if (is_number)
		vmcd_copy_pinned(&item, VMCD_HEAD, seen->size, text);
	vmemcache_unpin(spaces->cache, &item);
	size = is_number ? seen->size : 0;
	if (!vmcd_unsigned((struct vmcd_span){text, size}, &n))
		return -EDOM;
	n = !subtract ? n + delta : n > delta ? n - delta : 0;
	digits = vmcd_digits(text, n);
	if (digits < seen->size)
		memset(text + digits, ' ', seen->size - digits);
	size = digits > seen->size ? digits : seen->size;
	rc = replace(spaces, key, seen, digits > seen->size ? 0 : seen->marks,
		0, value, size, &seen->version);
	*number = n;
	return rc;
}

int
vmcd_arithmetic(struct vmcd_spaces *spaces, struct vmcd_span key, bool subtract,
	uint64_t delta, uint64_t version, uint64_t *number,
	struct vmcd_seen *seen)
{
	int rc;

	do
		rc = arithmetic_once(
			spaces, key, subtract, delta, version, number, seen);
	while (rc == -ESTALE && version == 0);
	return rc;
}

static int
add_once(struct vmcd_spaces *spaces, struct vmcd_span key, int64_t delta,
	int64_t *number)
{
	struct vmemcache_item item;
	struct vmcd_seen seen = {0};
	char value[VMCD_HEAD + VMCD_NUMBER_MAX + 1], *text = value + VMCD_HEAD;
	int rc = vmcd_pin(spaces, key, true, &item, &seen);
	struct vmcd_how how = {.mode = VMEMCACHE_ADD};
	int64_t n = 0;

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0) {
		bool fits = seen.size > 0 && seen.size <= VMCD_NUMBER_MAX;
		if (fits)
			vmcd_copy_pinned(&item, VMCD_HEAD, seen.size, text);
		vmemcache_unpin(spaces->cache, &item);
		if (!fits || vmcd_is_blank(*text) ||
			vmcd_is_blank(text[seen.size - 1]) ||
			!vmcd_signed((struct vmcd_span){text, seen.size}, &n))
			return -EDOM;
		how = (struct vmcd_how){.mode = VMEMCACHE_IF_VERSION,
			.version = seen.version,
			.keep_ttl = true,
			.client_flags = seen.client_flags};
	}
	if (__builtin_add_overflow(n, delta, &n))
		return -EOVERFLOW;
	*text = '-';
	seen.size = (size_t)(n < 0);
	seen.size += vmcd_digits(
		text + seen.size, n < 0 ? -(uint64_t)n : (uint64_t)n);
	*number = n;
	return vmcd_store(spaces, key, text, seen.size, &how, NULL);
}

int
vmcd_add_signed(struct vmcd_spaces *spaces, struct vmcd_span key, int64_t delta,
	int64_t *number)
{
	int rc;

	do
		rc = add_once(spaces, key, delta, number);
	while (rc == -ESTALE || rc == -EEXIST || rc == -ENOENT);
	return rc;
}

/* Store the same value once more, with other marks, or another time. */
static int
rewrite_once(struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t version,
	uint64_t ttl_ms, bool stale)
{
	struct vmemcache_item item;
	struct vmcd_seen seen;
	int rc = pin_version(spaces, key, version, &item, &seen);
	char *value;

	if (rc < 0)
		return rc;
	value = malloc(VMCD_HEAD + seen.size);
	if (value)
		vmcd_copy_pinned(
			&item, VMCD_HEAD, seen.size, value + VMCD_HEAD);
	vmemcache_unpin(spaces->cache, &item);
	if (!value)
		return -ENOMEM;
	if (stale)
		seen.marks = (seen.marks | VMCD_STALE) & ~(unsigned)VMCD_WON;
	rc = replace(
		spaces, key, &seen, seen.marks, ttl_ms, value, seen.size, NULL);
	free(value);
	return rc;
}

static int
rewrite(struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t version,
	uint64_t ttl_ms, bool stale)
{
	int rc;

	do
		rc = rewrite_once(spaces, key, version, ttl_ms, stale);
	while (rc == -ESTALE && version == 0);
	return rc;
}

int
vmcd_invalidate(struct vmcd_spaces *spaces, struct vmcd_span key,
	uint64_t version, uint64_t ttl_ms)
{
	return rewrite(spaces, key, version, ttl_ms, true);
}

/* The library cannot give a time to an item that is pinned and had none. */
int
vmcd_touch(struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t ttl_ms)
{
	int rc;

	if (ttl_ms == VMCD_GONE)
		return vmcd_remove(spaces, key, 0);
	rc = result(vmemcache_touch(
		vmcd_space_of(spaces, key), key.at, key.size, ttl_ms));
	return rc == -EAGAIN ? rewrite(spaces, key, 0, ttl_ms, false) : rc;
}
