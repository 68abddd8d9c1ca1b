/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sample.c -- spatial sampling: SHARDS (Waldspurger, Park, Garthwaite, Ahmad:
 * Efficient MRC Construction with SHARDS, FAST 2015)
 *
 * An object is in the sample if the hash of its id is below a threshold, so
 * either all of its requests are or none. A cache of rate times the blocks that
 * serves the sample misses about as large a part as the whole cache does of the
 * whole trace; that holds for other policies than LRU, too (Waldspurger,
 * Saemundsson, Ahmad, Park: Cache Modeling and Optimization using Miniature
 * Simulations, ATC 2017).
 *
 * With a fixed rate the threshold stays; with a fixed size it is halved, and
 * what is above it dropped, whenever there are too many objects. So the sample
 * is that of the last threshold, and its memory is bounded by its objects, not
 * by those of the trace.
 *
 * How many objects there are is told by a second such sample, large and with
 * another hash: the rate is the part of them that was chosen, not the one that
 * was asked for. Of 2000 objects a tenth is 200 give or take 13, and misses go
 * with the objects. (SHARDS takes as many hits more or less as there are
 * requests too few or too many, which is right if hits are of few objects.)
 */
#include "sample.h"

#include <string.h>

#include "progress.h"
#include "random.h"

enum { COUNTED = 250000 }; /* objects: few more than .2 % off */

/* Objects by open addressing; the hash of an id is one to one. */
struct objects {
	struct object {
		uint64_t hash;
		uint64_t blocks; /* 0: nothing is here */
	} * table;
	uint64_t room; /* a power of two */
	uint64_t count;
	uint64_t threshold; /* of their hashes */
};

static const char *
parse_size(const char *text, struct bench_size *size)
{
	char *end;

	size->text = text;
	size->percent = strtod(text, &end);
	if (end != text && strcmp(end, "%") == 0)
		return size->percent > 0 && size->percent <= 100
			       ? NULL
			       : "has a percentage that is not from 0 to 100";
	size->percent = 0;
	return bench_parse_number(text, 1024, &size->bytes);
}

const char *
bench_parse_cache_sizes(const char *text, void *into)
{
	struct bench_sizes *list = into;
	char *rest = strdup(text); /* whose parts are kept as names */
	const char *wrong = NULL;

	list->n = 0;
	while (rest != NULL && wrong == NULL)
		wrong = list->n == BENCH_LIST_MAX
				? "has more than 16 sizes"
				: parse_size(strsep(&rest, ","),
					  &list->at[list->n++]);
	return wrong;
}

static struct object *
find(const struct objects *o, uint64_t hash)
{
	uint64_t i = hash;

	while (o->table[i & (o->room - 1)].blocks > 0 &&
		o->table[i & (o->room - 1)].hash != hash)
		i++;
	return &o->table[i & (o->room - 1)];
}

/* Into a table of that room, without those above the threshold. */
static void
rebuild(struct objects *o, uint64_t room)
{
	struct objects new = {.room = room, .threshold = o->threshold};

	new.table = bench_zeroed(room, sizeof(*new.table));
	for (uint64_t i = 0; i < o->room; i++) {
		const struct object *old = &o->table[i];

		if (old->blocks == 0 || old->hash > o->threshold)
			continue;
		*find(&new, old->hash) = *old;
		new.count++;
	}
	free(o->table);
	*o = new;
}

/* Of the requests those up to the threshold, in their order. */
static void
thin_out(struct bench_sample *s, uint64_t threshold)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < s->n; i++)
		if (bench_mix(s->requests[i].id + 1) <= threshold)
			s->requests[kept++] = s->requests[i];
	s->n = kept;
}

/* With the halvings that leave at most that many, unless that is 0. */
static void
note_object(struct objects *o, uint64_t hash, uint64_t blocks, uint64_t most)
{
	if (hash > o->threshold)
		return;
	if (2 * o->count >= o->room)
		rebuild(o, o->room ? 2 * o->room : 1024);
	struct object *object = find(o, hash);
	o->count += object->blocks == 0;
	object->hash = hash;
	if (blocks > object->blocks)
		object->blocks = blocks;
	while (most > 0 && o->count > most) {
		o->threshold /= 2;
		rebuild(o, o->room);
	}
}

static double
blocks_of(const struct objects *o)
{
	double sum = 0;

	for (uint64_t i = 0; i < o->room; i++)
		sum += (double)o->table[i].blocks;
	return sum;
}

static void
append(struct bench_sample *s, uint64_t *room, uint64_t id, uint64_t blocks)
{
	if (s->n == *room) {
		*room = *room ? 2 * *room : 1024;
		s->requests = bench_realloc(
			s->requests, *room * sizeof(*s->requests));
	}
	s->requests[s->n++] = (struct bench_sampled){id, blocks};
}

struct bench_sample
bench_sample_take(
	struct bench_trace *trace, double rate, uint64_t most, bool requests)
{
	const struct bench_trace_summary *summary = bench_trace_summary(trace);
	struct bench_sample s = {
		.unit = summary->largest > 1 ? bench.extent : 1};
	struct objects sampled = {
		.threshold =
			rate >= 1 ? UINT64_MAX : (uint64_t)(rate * 0x1p64)};
	struct objects counted = {.threshold = UINT64_MAX};
	struct bench_trace_request r;
	uint64_t room = 0;

	bench_trace_rewind(trace);
	for (uint64_t seen = 0; bench_trace_next(trace, &r); seen++) {
		uint64_t hash = bench_mix(r.id + 1);
		uint64_t blocks = r.size / s.unit + (r.size % s.unit != 0);
		uint64_t before = sampled.threshold;
		/* one of no bytes is an object, too, for the tables */
		uint64_t place = blocks ? blocks : 1;

		if (seen % (1 << 20) == 0)
			bench_progress((double)seen / (double)summary->requests,
				"sampling");
		note_object(&counted, bench_mix(hash + 1), place, COUNTED);
		note_object(&sampled, hash, place, most);
		if (requests && hash <= sampled.threshold)
			append(&s, &room, r.id, blocks);
		if (requests && sampled.threshold < before)
			thin_out(&s, sampled.threshold);
	}
	double part = (double)counted.threshold / 0x1p64;
	s.blocks = blocks_of(&counted) / part;
	s.objects = sampled.count;
	s.rate = sampled.threshold == UINT64_MAX
			 ? 1
			 : (double)sampled.count * part / (double)counted.count;
	free(sampled.table);
	free(counted.table);
	return s;
}

void
bench_sample_free(struct bench_sample *s)
{
	free(s->requests);
}

double
bench_blocks_of(const struct bench_sample *s, const struct bench_size *size)
{
	return size->percent > 0 ? s->blocks * size->percent / 100
				 : (double)size->bytes / (double)s->unit;
}
