/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp.c -- requests of Redis' protocol, taken apart: pure functions over a
 * buffer
 */
#include "resp.h"

#include <stdlib.h>

/* The longest line of a length, with its end. */
#define LENGTH_MAX 32

/* A line of a type and a number. */
static enum vmcd_resp_result
parse_length(struct vmcd_resp *resp, const char *bytes, size_t size, char type,
	uint64_t most, uint64_t *number, const char **error)
{
	const char *line = bytes + resp->at, *end;
	size_t there = size - resp->at;
	struct vmcd_span digits;

	if (there > 0 && *line != type) {
		*error = type == '$' ? "Protocol error: expected '$'"
				     : "Protocol error: expected '*'";
		return VMCD_RESP_WRONG;
	}
	end = there ? memchr(line, '\n', there) : NULL;
	if (!end && there < LENGTH_MAX)
		return VMCD_RESP_MORE;
	*error = type == '$' ? "Protocol error: invalid bulk length"
			     : "Protocol error: invalid multibulk length";
	if (!end || end - line < 3 || end[-1] != '\r')
		return VMCD_RESP_WRONG;
	digits = (struct vmcd_span){line + 1, (size_t)(end - line) - 2};
	if (*digits.at < '0' || *digits.at > '9' ||
		!vmcd_unsigned(digits, number) || *number > most)
		return VMCD_RESP_WRONG;
	resp->at += (size_t)(end - line) + 1;
	return VMCD_RESP_WHOLE;
}

static bool
make_room(struct vmcd_resp *resp)
{
	size_t room = resp->room ? 2 * resp->room : 16;
	void *string;

	if (resp->complete < resp->room)
		return true;
	string = realloc(resp->string, room * sizeof(*resp->string));
	if (!string)
		return false;
	resp->string = string;
	resp->room = room;
	return true;
}

static enum vmcd_resp_result
parse_string(struct vmcd_resp *resp, const char *bytes, size_t size,
	size_t most, size_t *wanted, const char **error)
{
	size_t start = resp->at, from;
	uint64_t length;
	enum vmcd_resp_result result =
		parse_length(resp, bytes, size, '$', most, &length, error);

	if (result != VMCD_RESP_WHOLE)
		return result;
	from = resp->at;
	if (from + length + 2 > most) {
		*error = "Protocol error: too large a request";
		return VMCD_RESP_WRONG;
	}
	if (from + length + 2 > size) {
		resp->at = start; /* its length is read again */
		*wanted = from + length + 2;
		return VMCD_RESP_MORE;
	}
	if (!make_room(resp))
		return VMCD_RESP_NO_MEMORY;
	resp->string[resp->complete++] =
		(struct vmcd_resp_string){from, length};
	resp->at = from + length + 2; /* Redis does not look at these, either */
	return VMCD_RESP_WHOLE;
}

enum vmcd_resp_result
vmcd_resp_parse(struct vmcd_resp *resp, const char *bytes, size_t size,
	size_t most, size_t *wanted, const char **error)
{
	enum vmcd_resp_result result = VMCD_RESP_WHOLE;
	uint64_t count;

	*wanted = 0;
	if (resp->at == 0) {
		result = parse_length(resp, bytes, size, '*', VMCD_RESP_STRINGS,
			&count, error);
		if (result != VMCD_RESP_WHOLE)
			return result;
		resp->count = count;
	}
	while (resp->complete < resp->count && result == VMCD_RESP_WHOLE)
		result = parse_string(resp, bytes, size, most, wanted, error);
	return result;
}

void
vmcd_resp_next(struct vmcd_resp *resp)
{
	resp->at = resp->count = resp->complete = resp->cursor = 0;
	if (resp->room > 1024) { /* it was a long one */
		free(resp->string);
		resp->string = NULL;
		resp->room = 0;
	}
}

void
vmcd_resp_discard(struct vmcd_resp *resp)
{
	free(resp->queue);
	resp->queue = NULL;
	resp->queued = resp->queue_size = resp->queue_at = 0;
	resp->multi = resp->failed = resp->executing = false;
}

void
vmcd_resp_close(struct vmcd_resp *resp)
{
	vmcd_resp_discard(resp);
	free(resp->string);
	free(resp->name);
	*resp = (struct vmcd_resp){0};
}

/* One character against a set, pattern[*at] behind its "[". */
static bool
in_set(struct vmcd_span pattern, size_t *at, char c)
{
	size_t i = *at;
	bool negated = i < pattern.size && pattern.at[i] == '^';
	bool found = false;

	for (i += negated; i < pattern.size && pattern.at[i] != ']'; i++) {
		if (pattern.at[i] == '\\' && i + 1 < pattern.size)
			found |= pattern.at[++i] == c;
		else if (i + 2 < pattern.size && pattern.at[i + 1] == '-') {
			char low = pattern.at[i], high = pattern.at[i + 2];
			found |= (low <= c && c <= high) ||
				 (high <= c && c <= low);
			i += 2;
		} else
			found |= pattern.at[i] == c;
	}
	*at = i + 1;
	return found != negated;
}

/* What stands at *at, other than a star, against a character. */
static bool
match_one(struct vmcd_span pattern, size_t *at, char c)
{
	char first = pattern.at[(*at)++];

	if (first == '?')
		return true;
	if (first == '[')
		return in_set(pattern, at, c);
	if (first == '\\' && *at < pattern.size)
		first = pattern.at[(*at)++];
	return first == c;
}

/* After a mismatch the last star takes one more: no more than that is tried. */
bool
vmcd_glob(struct vmcd_span pattern, struct vmcd_span text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, taken = 0;

	while (t < text.size) {
		if (p < pattern.size && pattern.at[p] == '*') {
			star = ++p;
			taken = t;
		} else if (p < pattern.size &&
			   match_one(pattern, &p, text.at[t])) {
			t++;
		} else if (star != SIZE_MAX) {
			p = star;
			t = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.size && pattern.at[p] == '*')
		p++;
	return p >= pattern.size;
}
