/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c -- what `stats` replies, for the clients of memcached, and INFO, for
 * those of Redis
 *
 * Names are memcached's where it counts the same. All items are of one class
 * and one slab, which is what tools expect that list them.
 */
#include "session.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of keys that `stats cachedump` lists; memcached has such a limit, too. */
#define DUMP_BYTES (1u << 20)

/* What is told of a space. */
struct told {
	const char *name;
	uint64_t number;
};

void
vmcd_counters_sum(const struct vmcd_server *server, struct vmcd_counters *sum)
{
	*sum = (struct vmcd_counters){0};
	for (unsigned i = 0; i < server->options->threads; i++) {
#define VMCD_COUNTER(name)                                                     \
	sum->name += atomic_load_explicit(                                     \
		&server->counters[i].name, memory_order_relaxed);
		VMCD_COUNTERS(VMCD_COUNTER)
#undef VMCD_COUNTER
	}
}

static void
number(struct vmcd_session *s, const char *name, uint64_t n)
{
	vmcd_out_format(
		&s->out, "STAT %s %llu\r\n", name, (unsigned long long)n);
}

static void
text(struct vmcd_session *s, const char *name, const char *value)
{
	vmcd_out_format(&s->out, "STAT %s %s\r\n", name, value);
}

static void
process(struct vmcd_session *s)
{
	const struct vmcd_server *server = s->server;
	time_t now = time(NULL);
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	number(s, "pid", (uint64_t)getpid());
	number(s, "uptime", (uint64_t)(now - server->started));
	number(s, "time", (uint64_t)now);
	text(s, "version", VMCD_LIKE_MEMCACHED "-vmemcached-" VMCD_RELEASE);
	text(s, "libevent", event_get_version());
	number(s, "pointer_size", 8 * sizeof(void *));
	vmcd_out_format(&s->out, "STAT rusage_user %lld.%06ld\r\n",
		(long long)usage.ru_utime.tv_sec, usage.ru_utime.tv_usec);
	vmcd_out_format(&s->out, "STAT rusage_system %lld.%06ld\r\n",
		(long long)usage.ru_stime.tv_sec, usage.ru_stime.tv_usec);
	number(s, "max_connections", server->options->connections);
	number(s, "curr_connections", server->connections);
	number(s, "total_connections", server->connections_ever);
	number(s, "rejected_connections", server->connections_rejected);
	number(s, "threads", server->options->threads);
}

static void
cache(struct vmcd_session *s)
{
	struct vmemcache_statistics statistics = {
		.struct_size = sizeof(statistics)};
	uint64_t stores = 0;

	if (vmemcache_statistics(s->server->spaces.cache, &statistics) < 0)
		return;
	for (int mode = 0; mode < VMEMCACHE_MODES; mode++)
		stores += statistics.stores[mode][VMEMCACHE_OUTCOME_INSERTED] +
			  statistics.stores[mode][VMEMCACHE_OUTCOME_REPLACED];
	number(s, "limit_maxbytes", s->server->options->memory);
	number(s, "bytes", statistics.block_bytes);
	number(s, "bytes_metadata", statistics.metadata_bytes);
	number(s, "curr_items", statistics.items);
	number(s, "total_items", stores);
	number(s, "evictions", statistics.removals[VMEMCACHE_REASON_CAPACITY]);
	number(s, "reclaimed", statistics.removals[VMEMCACHE_REASON_EXPIRED]);
}

static void
general(struct vmcd_session *s)
{
	struct vmcd_counters sum;

	process(s);
	vmcd_counters_sum(s->server, &sum);
#define VMCD_COUNTER(name) number(s, #name, sum.name);
	VMCD_COUNTERS(VMCD_COUNTER)
#undef VMCD_COUNTER
	number(s, "bytes_stalled", s->server->stalled);
	cache(s);
}

static void
settings(struct vmcd_session *s)
{
	const struct vmcd_options *options = s->server->options;

	number(s, "maxbytes", options->memory);
	number(s, "maxconns", options->connections);
	number(s, "tcpport", options->port);
	number(s, "udpport", 0);
	text(s, "inter", options->address);
	number(s, "verbosity", options->verbose);
	text(s, "evictions",
		options->policy == VMEMCACHE_REPLACEMENT_NONE ? "off" : "on");
	text(s, "domain_socket", options->socket ? options->socket : "NULL");
	number(s, "num_threads", options->threads);
	text(s, "cas_enabled", "yes");
	text(s, "auth_enabled_sasl", "no");
	text(s, "binding_protocol", "ascii");
	text(s, "flush_enabled", "yes");
	text(s, "dump_enabled", "yes");
	number(s, "item_size_max", options->value_max);
}

static void
items(struct vmcd_session *s)
{
	struct vmemcache_statistics statistics = {
		.struct_size = sizeof(statistics)};

	if (vmemcache_statistics(s->server->spaces.cache, &statistics) < 0 ||
		statistics.items == 0)
		return;
	number(s, "items:1:number", statistics.items);
	number(s, "items:1:evicted",
		statistics.removals[VMEMCACHE_REASON_CAPACITY]);
}

static void
slabs(struct vmcd_session *s)
{
	struct vmemcache_statistics statistics = {
		.struct_size = sizeof(statistics)};

	if (vmemcache_statistics(s->server->spaces.cache, &statistics) < 0)
		return;
	if (statistics.items > 0) {
		number(s, "1:chunk_size", VMEMCACHE_MIN_EXTENT);
		number(s, "1:used_chunks",
			statistics.block_bytes / VMEMCACHE_MIN_EXTENT);
	}
	number(s, "active_slabs", statistics.items > 0);
	number(s, "total_malloced", statistics.pool_bytes);
}

/* Bytes that would end a word, or a name, are as in URLs. */
static void
print_prefix(FILE *to, const struct vmcd_space *space)
{
	for (size_t i = 0; i < space->size; i++) {
		unsigned char c = (unsigned char)space->prefix[i];
		if (c <= ' ' || c > '~' || c == '%' || c == ':')
			fprintf(to, "%%%02X", c);
		else
			fputc(c, to);
	}
}

static void
print_space(FILE *to, const struct vmcd_space *space, bool for_info)
{
	struct vmemcache_statistics statistics = {
		.struct_size = sizeof(statistics)};
	uint64_t stores = 0;

	if (vmemcache_statistics(space->cache, &statistics) < 0)
		return;
	for (int mode = 0; mode < VMEMCACHE_MODES; mode++)
		stores += statistics.stores[mode][VMEMCACHE_OUTCOME_INSERTED] +
			  statistics.stores[mode][VMEMCACHE_OUTCOME_REPLACED];
	const struct told told[] = {
		{"curr_items", statistics.items},
		{"bytes", statistics.block_bytes},
		{"limit_maxbytes", statistics.pool_bytes},
		{"get_hits", statistics.hits},
		{"get_misses", statistics.misses},
		{"total_items", stores},
		{"evictions", statistics.removals[VMEMCACHE_REASON_CAPACITY]},
		{"reclaimed", statistics.removals[VMEMCACHE_REASON_EXPIRED]},
		{NULL, 0},
	};
	for (const struct told *t = told; t->name; t++) {
		if (!for_info)
			fputs("STAT ", to);
		if (!for_info || t == told)
			print_prefix(to, space);
		if (for_info)
			fprintf(to, "%c%s=%llu", t == told ? ':' : ',', t->name,
				(unsigned long long)t->number);
		else
			fprintf(to, ":%s %llu\r\n", t->name,
				(unsigned long long)t->number);
	}
	if (for_info)
		fputs("\r\n", to);
}

char *
vmcd_spaces_text(const struct vmcd_spaces *spaces, struct vmcd_span prefix,
	bool for_info, size_t *size)
{
	const struct vmcd_space *space = NULL;
	unsigned number = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, size);

	if (!to)
		return NULL;
	if (for_info)
		fputs("# Spaces\r\n", to);
	if (prefix.size > 0)
		space = vmcd_space_named(spaces, prefix, &number);
	else
		space = vmcd_space_at(spaces, 0);
	while (space && ftell(to) < (long)DUMP_BYTES) {
		print_space(to, space, for_info);
		number++;
		space = prefix.size ? NULL : vmcd_space_at(spaces, number);
	}
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* stats spaces [PREFIX] */
static void
spaces(struct vmcd_session *s, struct vmcd_span arguments)
{
	size_t size;
	char *text = vmcd_spaces_text(
		&s->server->spaces, vmcd_word(&arguments), false, &size);

	if (text)
		vmcd_out_bytes(&s->out, text, size);
	free(text);
}

struct dump {
	struct vmcd_session *session;
	uint64_t left; /* items */
};

static enum vmemcache_step
dump_item(VMEMcache *vmemcache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	struct dump *dump = arg;
	struct vmcd_out *out = &dump->session->out;
	int64_t left = vmcd_seconds(item->info.ttl_ms);

	(void)vmemcache;
	if (item->info.value_size < VMCD_HEAD || key_size > VMCD_KEY_MAX ||
		memchr(key, ' ', key_size) || memchr(key, '\n', key_size))
		return VMEMCACHE_WALK_ON; /* no client could read that line */
	vmcd_out_bytes(out, "ITEM ", 5);
	vmcd_out_bytes(out, key, key_size);
	vmcd_out_format(out, " [%zu b; %lld s]\r\n",
		item->info.value_size - VMCD_HEAD,
		(long long)(left < 0 ? 0 : time(NULL) + left));
	dump->left--;
	return dump->left > 0 && out->text_used < DUMP_BYTES
		       ? VMEMCACHE_WALK_ON
		       : VMEMCACHE_WALK_STOP;
}

/* stats cachedump CLASS LIMIT */
static bool
cachedump(struct vmcd_session *s, struct vmcd_span arguments)
{
	struct dump dump = {.session = s};
	const struct vmcd_space *space;
	uint64_t cursor = 0, class;

	if (!vmcd_unsigned(vmcd_word(&arguments), &class) ||
		!vmcd_unsigned(vmcd_word(&arguments), &dump.left))
		return false;
	if (dump.left == 0)
		dump.left = UINT64_MAX;
	if (class != 1)
		return true;
	vmemcache_walk(
		s->server->spaces.cache, &cursor, SIZE_MAX, dump_item, &dump);
	for (unsigned i = 0; dump.left > 0 && s->out.text_used < DUMP_BYTES &&
			     (space = vmcd_space_at(&s->server->spaces, i));
		i++) {
		cursor = 0;
		vmemcache_walk(
			space->cache, &cursor, SIZE_MAX, dump_item, &dump);
	}
	return true;
}

bool
vmcd_stats_reply(struct vmcd_session *s, struct vmcd_span which)
{
	struct vmcd_span word = vmcd_word(&which);

	if (vmcd_span_is(word, "reset")) {
		vmcd_out_string(&s->out, "RESET\r\n");
		return true;
	}
	if (word.size == 0)
		general(s);
	else if (vmcd_span_is(word, "settings"))
		settings(s);
	else if (vmcd_span_is(word, "items"))
		items(s);
	else if (vmcd_span_is(word, "slabs"))
		slabs(s);
	else if (vmcd_span_is(word, "spaces") && s->server->spaces.separator)
		spaces(s, which);
	else if (vmcd_span_is(word, "cachedump")) {
		if (!cachedump(s, which))
			vmcd_out_string(
				&s->out, "CLIENT_ERROR bad command line");
	} else if (!vmcd_span_is(word, "sizes") && !vmcd_span_is(word, "conns"))
		return false;
	vmcd_out_string(&s->out, "END\r\n");
	return true;
}
