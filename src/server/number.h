/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * number.h -- decimal numbers of the protocols
 *
 * What memcached takes for a number: blanks may come before it, and a sign.
 * What follows it does not count, if it begins with a blank. A number that does
 * not fit its type is none.
 */
#ifndef VMCD_NUMBER_H
#define VMCD_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes in a buffer of the caller; they need not end in a zero byte. */
struct vmcd_span {
	const char *at;
	size_t size;
};

static inline bool
vmcd_span_is(struct vmcd_span span, const char *word)
{
	return span.size == strlen(word) &&
	       memcmp(span.at, word, span.size) == 0;
}

static inline bool
vmcd_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
vmcd_magnitude(struct vmcd_span text, bool *negative, uint64_t *number)
{
	const char *at = text.at, *end = at + text.size;
	uint64_t n = 0;

	while (at < end && vmcd_is_blank(*at))
		at++;
	*negative = at < end && *at == '-';
	if (at < end && (*at == '-' || *at == '+'))
		at++;
	if (at == end || vmcd_is_blank(*at))
		return false;
	for (; at < end && !vmcd_is_blank(*at); at++) {
		if (*at < '0' || *at > '9' ||
			__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	}
	*number = n;
	return true;
}

/* Into *number, which is left as it is where the result is false. */
static inline bool
vmcd_unsigned(struct vmcd_span text, uint64_t *number)
{
	bool negative;
	uint64_t n;

	if (!vmcd_magnitude(text, &negative, &n) || (negative && n))
		return false;
	*number = n;
	return true;
}

static inline bool
vmcd_signed(struct vmcd_span text, int64_t *number)
{
	bool negative;
	uint64_t n;

	if (!vmcd_magnitude(text, &negative, &n) ||
		n > (uint64_t)INT64_MAX + negative)
		return false;
	*number = (int64_t)(negative ? -n : n);
	return true;
}

/* At most that many characters has a 64-bit number, with its sign. */
#define VMCD_NUMBER_MAX 20

/* Write the digits to `to`; how many. */
static inline size_t
vmcd_digits(char to[VMCD_NUMBER_MAX], uint64_t number)
{
	char reversed[VMCD_NUMBER_MAX];
	size_t n = 0;

	do
		reversed[n++] = (char)('0' + number % 10);
	while (number /= 10);
	for (size_t i = 0; i < n; i++)
		to[i] = reversed[n - 1 - i];
	return n;
}

#endif
