/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz.h -- what every fuzz target uses: its input, read piece by piece
 *
 * A target is one function, LLVMFuzzerTestOneInput(). With libFuzzer (preset
 * "fuzz") that calls it with what it invents; everywhere else replay.c calls it
 * with the files of the corpus. A target keeps nothing from one input to the
 * next and draws no random numbers, so a file is all it takes to have a failure
 * again.
 */
#ifndef VMC_TESTS_FUZZ_H
#define VMC_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also where NDEBUG is defined. */
#define fuzz_expect(truth)                                                     \
	((truth) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #truth))

static inline _Noreturn void
fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	abort();
}

struct fuzz_input {
	const uint8_t *at;
	const uint8_t *end;
};

static inline bool
fuzz_more(const struct fuzz_input *in)
{
	return in->at < in->end;
}

/* Zero behind the end. */
static inline unsigned
fuzz_byte(struct fuzz_input *in)
{
	return fuzz_more(in) ? *in->at++ : 0;
}

/* The number in the next n bytes. */
static inline uint64_t
fuzz_number(struct fuzz_input *in, unsigned n)
{
	uint64_t number = 0;

	while (n-- > 0)
		number = number << 8 | fuzz_byte(in);
	return number;
}

/* A number below bound, from as few bytes as that takes. */
static inline uint64_t
fuzz_below(struct fuzz_input *in, uint64_t bound)
{
	unsigned bytes = 1;

	while (bytes < 8 && (bound - 1) >> 8 * bytes)
		bytes++;
	return fuzz_number(in, bytes) % bound;
}

/* One of the elements of an array. */
#define fuzz_choose(in, array)                                                 \
	((array)[fuzz_below(in, sizeof(array) / sizeof(*(array)))])

/*
 * The input up to the next byte `end`, or to its end, as a string of its own,
 * to be freed. It is as large as the string, so that an overrun is seen.
 */
static inline char *
fuzz_text(struct fuzz_input *in, int end)
{
	size_t left = (size_t)(in->end - in->at);
	const uint8_t *stop = left ? memchr(in->at, end, left) : NULL;
	size_t size = stop ? (size_t)(stop - in->at) : left;
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, in->at, size);
	text[size] = '\0';
	in->at += size + (stop != NULL);
	return text;
}

#endif
