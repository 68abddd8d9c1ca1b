/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distribution.c -- parsing and drawing
 *
 * A distribution is immutable once parsed, so any number of threads draw from
 * one, each with its own generator state.
 *
 * Zipf follows W. Hoermann and G. Derflinger, "Rejection-inversion to
 * generate variates from monotone discrete distributions" (ACM TOMACS 6/3,
 * 1996): invert the integral of x^-skew, which encloses the probabilities,
 * round, and reject the little that lies outside. It needs no table and the
 * same time for a thousand keys as for a billion. The usual alternative, an
 * approximation by inversion of a truncated zeta sum, is wrong for skews near
 * and above 1; a table of cumulated weights takes 8 bytes a key and its
 * lookups would disturb the very CPU caches that are being measured.
 */
#include "distribution.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "random.h"

static uint64_t
draw_fixed(const struct bench_distribution *d, uint64_t *state)
{
	(void)state;
	return d->low;
}

static uint64_t
draw_uniform(const struct bench_distribution *d, uint64_t *state)
{
	return d->low + bench_random_below(state, d->high - d->low + 1);
}

static uint64_t
draw_log_uniform(const struct bench_distribution *d, uint64_t *state)
{
	double x = exp(d->log_low +
		       bench_random_unit(state) * (d->log_high - d->log_low));
	uint64_t n = (uint64_t)x;

	return n < d->low ? d->low : n > d->high ? d->high : n;
}

static uint64_t
draw_listed(const struct bench_distribution *d, uint64_t *state)
{
	return d->listed[bench_random_below(state, d->n_listed)];
}

/*
 * The integral of t^-skew from 1 to x. Written with expm1 it has no gap at
 * skew 1, where it is log x.
 */
static double
zipf_area(const struct bench_distribution *d, double x)
{
	double e = 1 - d->skew;
	double l = log(x);

	return fabs(e * l) < 1e-12 ? l : expm1(e * l) / e;
}

static double
zipf_area_inverse(const struct bench_distribution *d, double area)
{
	double e = 1 - d->skew;

	/* Rounding may leave the range of the logarithm by a hair. */
	if (fabs(e * area) < 1e-12)
		return exp(area);
	return exp(log1p(fmax(e * area, -1 + 0x1p-53)) / e);
}

static uint64_t
draw_zipf(const struct bench_distribution *d, uint64_t *state)
{
	double n = (double)(d->high - d->low + 1);

	for (;;) {
		double u = d->area_high + bench_random_unit(state) *
						  (d->area_low - d->area_high);
		double x = zipf_area_inverse(d, u);
		double k = fmin(fmax(floor(x + 0.5), 1), n);

		if (k - x <= d->accept ||
			u >= zipf_area(d, k + 0.5) - pow(k, -d->skew))
			return d->low + (uint64_t)k - 1;
	}
}

static void
prepare_zipf(struct bench_distribution *d)
{
	double n = (double)(d->high - d->low + 1);

	d->area_low = zipf_area(d, 1.5) - 1;
	d->area_high = zipf_area(d, n + 0.5);
	d->accept =
		2 - zipf_area_inverse(d, zipf_area(d, 2.5) - pow(2, -d->skew));
	d->draw = draw_zipf;
}

static const char *
read_listed(struct bench_distribution *d, const char *path)
{
	const char *wrong = NULL;
	char *line = NULL;
	size_t capacity = 0;
	size_t room = 0;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return strerror(errno);
	while (wrong == NULL && getline(&line, &room, file) >= 0) {
		uint64_t size;

		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '\0')
			continue;
		wrong = bench_parse_number(line, 1024, &size);
		if (wrong != NULL)
			break;
		if (d->n_listed == capacity) {
			capacity = capacity ? 2 * capacity : 1024;
			d->listed = bench_realloc(
				d->listed, capacity * sizeof(*d->listed));
		}
		d->listed[d->n_listed++] = size;
		d->high = size > d->high ? size : d->high;
		d->low = size < d->low ? size : d->low;
	}
	if (wrong == NULL && ferror(file))
		wrong = strerror(errno);
	if (wrong == NULL && d->n_listed == 0)
		wrong = "the file holds no numbers";
	free(line);
	fclose(file);
	d->draw = draw_listed;
	return wrong;
}

/* "LOW:HIGH" into d. */
static const char *
parse_range(struct bench_distribution *d, const char *text, unsigned kilo)
{
	char low[32];
	const char *colon = strchr(text, ':');
	const char *wrong;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(low))
		return "a range is written LOW:HIGH";
	memcpy(low, text, (size_t)(colon - text));
	low[colon - text] = '\0';
	wrong = bench_parse_number(low, kilo, &d->low);
	if (wrong == NULL)
		wrong = bench_parse_number(colon + 1, kilo, &d->high);
	if (wrong == NULL && d->low > d->high)
		wrong = "the range ends before it starts";
	if (wrong == NULL && d->high >= UINT64_C(1) << 52)
		wrong = "the range reaches beyond 2^52";
	return wrong;
}

static const char *
parse_zipf(struct bench_distribution *d, const char *text, unsigned kilo)
{
	char *end;

	d->skew = strtod(text, &end);
	if (end == text || *end != ':' || !(d->skew > 0 && d->skew <= 10))
		return "zipf is written zipf:SKEW:LOW:HIGH, "
		       "with a skew above 0 and up to 10";
	const char *wrong = parse_range(d, end + 1, kilo);
	if (wrong == NULL)
		prepare_zipf(d);
	return wrong;
}

const char *
bench_distribution_parse(
	struct bench_distribution *d, const char *text, unsigned kilo)
{
	const char *colon = strchr(text, ':');
	size_t name = colon ? (size_t)(colon - text) : 0;
	const char *rest = colon ? colon + 1 : text;
	const char *wrong;

	*d = (struct bench_distribution){.low = UINT64_MAX, .spec = text};
	if (colon == NULL || (name == 5 && memcmp(text, "fixed", name) == 0)) {
		wrong = bench_parse_number(rest, kilo, &d->low);
		d->high = d->low;
		d->draw = draw_fixed;
	} else if (name == 7 && memcmp(text, "uniform", name) == 0) {
		wrong = parse_range(d, rest, kilo);
		d->draw = draw_uniform;
	} else if (name == 11 && memcmp(text, "log-uniform", name) == 0) {
		wrong = parse_range(d, rest, kilo);
		if (wrong == NULL && d->low == 0)
			wrong = "a logarithmic range starts above 0";
		d->log_low = log((double)d->low);
		d->log_high = log((double)d->high + 1);
		d->draw = draw_log_uniform;
	} else if (name == 4 && memcmp(text, "zipf", name) == 0) {
		wrong = parse_zipf(d, rest, kilo);
	} else if (name == 4 && memcmp(text, "file", name) == 0) {
		wrong = read_listed(d, rest);
	} else {
		wrong = "not one of N, fixed:N, uniform:LOW:HIGH, "
			"log-uniform:LOW:HIGH, zipf:SKEW:LOW:HIGH, file:PATH";
	}
	if (wrong != NULL)
		bench_distribution_free(d);
	return wrong;
}

const char *
bench_parse_distribution(const char *text, void *into)
{
	return bench_distribution_parse(into, text, 1000);
}

const char *
bench_parse_value_sizes(const char *text, void *into)
{
	struct bench_distribution *d = into;
	const char *wrong = bench_distribution_parse(d, text, 1024);

	if (wrong == NULL && (d->high > 16 << 20 || d->low == 0)) {
		bench_distribution_free(d);
		wrong = "sizes are 1 byte to 16 MiB here";
	}
	return wrong;
}

struct bench_distribution
bench_distribution_fixed(uint64_t n)
{
	return (struct bench_distribution){
		.draw = draw_fixed, .low = n, .high = n};
}

void
bench_distribution_free(struct bench_distribution *d)
{
	free(d->listed);
	d->listed = NULL;
}
