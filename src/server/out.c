/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * out.c -- what is to be sent on a connection: text in one buffer, values where
 * they are
 *
 * Parts refer to the text by offsets, as the buffer moves when it grows. An
 * item of a pinned value must not move, so slots for items are used in turn,
 * and are all free again once everything was sent; most rounds end so.
 */
#include "out.h"

#include "number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_KEPT (16u << 10) /* a larger buffer is not kept when empty */

void
vmcd_out_init(struct vmcd_out *out, VMEMcache *cache)
{
	out->cache = cache;
	out->text = NULL;
	out->text_used = out->text_size = 0;
	out->first = out->parts = out->items = out->pinned = out->bytes = 0;
	out->no_memory = false;
}

static void
unpin_parts(struct vmcd_out *out)
{
	for (size_t i = out->first; i < out->parts; i++) {
		if (out->part[i].pinned)
			vmemcache_unpin(
				out->cache, &out->item[out->part[i].item]);
	}
}

void
vmcd_out_close(struct vmcd_out *out)
{
	unpin_parts(out);
	free(out->text);
	vmcd_out_init(out, out->cache);
}

char *
vmcd_out_room(struct vmcd_out *out, size_t size)
{
	size_t wanted = out->text_used + size, grown = out->text_size;
	char *text;

	if (wanted <= out->text_size)
		return out->text + out->text_used;
	grown = grown ? grown : TEXT_KEPT;
	while (grown < wanted)
		grown *= 2;
	text = realloc(out->text, grown);
	if (!text) {
		out->no_memory = true;
		return NULL;
	}
	out->text = text;
	out->text_size = grown;
	return text + out->text_used;
}

void
vmcd_out_took(struct vmcd_out *out, size_t size)
{
	struct vmcd_out_part *last =
		out->parts > out->first ? &out->part[out->parts - 1] : NULL;

	if (last && !last->pinned)
		last->size += size;
	else
		out->part[out->parts++] = (struct vmcd_out_part){
			.from = out->text_used, .size = size};
	out->text_used += size;
	out->bytes += size;
}

void
vmcd_out_bytes(struct vmcd_out *out, const void *bytes, size_t size)
{
	char *to = size > 0 ? vmcd_out_room(out, size) : NULL;

	if (!to)
		return;
	memcpy(to, bytes, size);
	vmcd_out_took(out, size);
}

void
vmcd_out_string(struct vmcd_out *out, const char *string)
{
	vmcd_out_bytes(out, string, strlen(string));
}

void
vmcd_out_number(struct vmcd_out *out, uint64_t number)
{
	char *to = vmcd_out_room(out, VMCD_NUMBER_MAX);

	if (to)
		vmcd_out_took(out, vmcd_digits(to, number));
}

void
vmcd_out_format(struct vmcd_out *out, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	vmcd_out_string(out, line);
}

void
vmcd_copy_pinned(
	const struct vmemcache_item *item, size_t from, size_t size, char *to)
{
	for (int i = 0; size > 0; i++) {
		size_t piece = item->iov[i].iov_len, n;
		if (from >= piece) {
			from -= piece;
			continue;
		}
		n = piece - from < size ? piece - from : size;
		memcpy(to, (const char *)item->iov[i].iov_base + from, n);
		from = 0;
		to += n;
		size -= n;
	}
}

/* Bytes of the pool that stay in use while it is pinned. */
static size_t
held_by(const struct vmemcache_item *item)
{
	size_t held = 0;

	for (int i = 0; i < item->iov_count; i++)
		held += (item->iov[i].iov_len + VMEMCACHE_MIN_EXTENT - 1) /
			VMEMCACHE_MIN_EXTENT * VMEMCACHE_MIN_EXTENT;
	return held;
}

void
vmcd_out_pinned(struct vmcd_out *out, struct vmemcache_item *slot, size_t from,
	size_t size)
{
	size_t item = (size_t)(slot - out->item);

	if (size == 0) {
		vmemcache_unpin(out->cache, slot);
		return;
	}
	out->part[out->parts++] = (struct vmcd_out_part){
		.pinned = true, .from = from, .size = size, .item = item};
	out->items = item + 1;
	out->pinned += held_by(slot);
	out->bytes += size;
}

void
vmcd_out_copied(struct vmcd_out *out, struct vmemcache_item *slot, size_t from,
	size_t size)
{
	char *to = vmcd_out_room(out, size);

	if (to) {
		vmcd_copy_pinned(slot, from, size, to);
		vmcd_out_took(out, size);
	}
	vmemcache_unpin(out->cache, slot);
}

static int
value_pieces(const struct vmemcache_item *item, size_t from, size_t size,
	struct iovec *pieces, int most)
{
	int n = 0;

	for (int i = 0; size > 0 && n < most; i++) {
		size_t piece = item->iov[i].iov_len, take;
		if (from >= piece) {
			from -= piece;
			continue;
		}
		take = piece - from < size ? piece - from : size;
		pieces[n++] = (struct iovec){
			(char *)item->iov[i].iov_base + from, take};
		from = 0;
		size -= take;
	}
	return n;
}

int
vmcd_out_pieces(const struct vmcd_out *out, struct iovec *pieces, int most)
{
	int n = 0;

	for (size_t i = out->first; i < out->parts && n < most; i++) {
		const struct vmcd_out_part *part = &out->part[i];
		if (part->pinned)
			n += value_pieces(&out->item[part->item], part->from,
				part->size, pieces + n, most - n);
		else
			pieces[n++] = (struct iovec){
				out->text + part->from, part->size};
	}
	return n;
}

static void
all_sent(struct vmcd_out *out)
{
	out->first = out->parts = out->items = out->text_used = 0;
	if (out->text_size > TEXT_KEPT) {
		free(out->text);
		out->text = NULL;
		out->text_size = 0;
	}
}

void
vmcd_out_sent(struct vmcd_out *out, size_t size)
{
	out->bytes -= size;
	while (size > 0) {
		struct vmcd_out_part *part = &out->part[out->first];
		size_t n = part->size < size ? part->size : size;

		part->from += n;
		part->size -= n;
		size -= n;
		if (part->size > 0)
			return;
		if (part->pinned) {
			out->pinned -= held_by(&out->item[part->item]);
			vmemcache_unpin(out->cache, &out->item[part->item]);
		}
		out->first++;
	}
	if (out->bytes == 0)
		all_sent(out);
}

bool
vmcd_out_unpin(struct vmcd_out *out)
{
	size_t size = out->bytes, at = 0;
	char *text = malloc(size ? size : 1);

	if (!text)
		return false;
	for (size_t i = out->first; i < out->parts; i++) {
		const struct vmcd_out_part *part = &out->part[i];
		if (part->pinned)
			vmcd_copy_pinned(&out->item[part->item], part->from,
				part->size, text + at);
		else
			memcpy(text + at, out->text + part->from, part->size);
		at += part->size;
	}
	unpin_parts(out);
	free(out->text);
	out->text = text;
	out->text_used = out->text_size = size;
	out->part[0] = (struct vmcd_out_part){.size = size};
	out->first = out->items = out->pinned = 0;
	out->parts = size > 0;
	return true;
}
