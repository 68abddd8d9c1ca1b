/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp_server.c -- what Redis' clients ask of the server itself
 */
#include "resp_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIKE_REDIS "7.0.15"
#define NOT_A_NUMBER "ERR value is not an integer or out of range"

enum vmcd_step
vmcd_resp_ping(struct vmcd_session *s, const struct vmcd_words *words)
{
	if (words->count == 1)
		vmcd_reply_status(s, "PONG");
	else
		vmcd_reply_string(s, vmcd_at(words, 1));
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_echo(struct vmcd_session *s, const struct vmcd_words *words)
{
	vmcd_reply_string(s, vmcd_at(words, 1));
	return VMCD_ON;
}

static void
statistics_of(struct vmcd_session *s, struct vmemcache_statistics *statistics)
{
	*statistics = (struct vmemcache_statistics){
		.struct_size = sizeof(*statistics)};
	vmemcache_statistics(s->server->spaces.cache, statistics);
}

enum vmcd_step
vmcd_resp_dbsize(struct vmcd_session *s, const struct vmcd_words *words)
{
	unsigned long long items = 0;

	(void)words;
	vmemcache_get_stat(s->server->spaces.cache, VMEMCACHE_STAT_ENTRIES,
		&items, sizeof(items));
	vmcd_reply_number(s, (int64_t)items);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_flush(struct vmcd_session *s, const struct vmcd_words *words)
{
	(void)words;
	vmcd_count(&s->counters->cmd_flush, 1);
	vmcd_flush(s->server, 0);
	vmcd_reply_status(s, "OK");
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_flushprefix(struct vmcd_session *s, const struct vmcd_words *words)
{
	unsigned number;
	const struct vmcd_space *space = vmcd_space_named(
		&s->server->spaces, vmcd_at(words, 1), &number);

	vmcd_count(&s->counters->cmd_flush, 1);
	if (space && vmemcache_clear(space->cache) < 0)
		vmcd_reply_failure(s, -ENOMEM);
	else
		vmcd_reply_number(s, space != NULL);
	return VMCD_ON;
}

static void
info_of_spaces(struct vmcd_session *s)
{
	size_t size;
	char *text = vmcd_spaces_text(
		&s->server->spaces, (struct vmcd_span){0}, true, &size);

	if (text)
		vmcd_reply_string(s, (struct vmcd_span){text, size});
	else
		vmcd_reply_failure(s, -ENOMEM);
	free(text);
}

enum vmcd_step
vmcd_resp_info(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmemcache_statistics statistics;
	struct vmcd_counters sum;
	char text[2048];

	if (words->count == 2 && vmcd_is_word(vmcd_at(words, 1), "SPACES")) {
		info_of_spaces(s);
		return VMCD_ON;
	}
	statistics_of(s, &statistics);
	vmcd_counters_sum(s->server, &sum);
	snprintf(text, sizeof(text),
		"# Server\r\nredis_version:" LIKE_REDIS
		"\r\nvmemcached_version:" VMCD_RELEASE
		"\r\nredis_mode:standalone\r\nprocess_id:%lld\r\n"
		"tcp_port:%u\r\nuptime_in_seconds:%lld\r\n\r\n"
		"# Clients\r\nconnected_clients:%llu\r\nmaxclients:%u\r\n\r\n"
		"# Memory\r\nused_memory:%llu\r\nmaxmemory:%zu\r\n\r\n"
		"# Stats\r\ntotal_connections_received:%llu\r\n"
		"rejected_connections:%llu\r\nkeyspace_hits:%llu\r\n"
		"keyspace_misses:%llu\r\nevicted_keys:%llu\r\n"
		"expired_keys:%llu\r\n\r\n"
		"# Replication\r\nrole:master\r\n\r\n"
		"# Keyspace\r\ndb0:keys=%llu,expires=0,avg_ttl=0\r\n",
		(long long)getpid(), s->server->options->port,
		(long long)(time(NULL) - s->server->started),
		(unsigned long long)s->server->connections,
		s->server->options->connections,
		(unsigned long long)(statistics.block_bytes +
				     statistics.metadata_bytes),
		s->server->options->memory,
		(unsigned long long)s->server->connections_ever,
		(unsigned long long)s->server->connections_rejected,
		(unsigned long long)sum.get_hits,
		(unsigned long long)sum.get_misses,
		(unsigned long long)
			statistics.removals[VMEMCACHE_REASON_CAPACITY],
		(unsigned long long)
			statistics.removals[VMEMCACHE_REASON_EXPIRED],
		(unsigned long long)statistics.items);
	vmcd_reply_text(s, text);
	return VMCD_ON;
}

/* Clients go without: they ask only to help whoever types. */
enum vmcd_step
vmcd_resp_command_command(
	struct vmcd_session *s, const struct vmcd_words *words)
{
	if (words->count == 2 && vmcd_is_word(vmcd_at(words, 1), "COUNT"))
		vmcd_reply_number(s, 0);
	else
		vmcd_reply_array(s, 0);
	return VMCD_ON;
}

static void
set_name(struct vmcd_session *s, struct vmcd_span name)
{
	char *copy = NULL;

	for (size_t i = 0; i < name.size; i++) {
		if (name.at[i] <= ' ' || name.at[i] > '~' || name.size > 256) {
			vmcd_reply_error(s, "ERR Client names cannot contain "
					    "spaces, newlines or special "
					    "characters.");
			return;
		}
	}
	if (name.size > 0)
		copy = strndup(name.at, name.size);
	free(s->resp.name);
	s->resp.name = copy;
	vmcd_reply_status(s, "OK");
}

enum vmcd_step
vmcd_resp_client(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_span what = vmcd_at(words, 1);

	if (words->count == 3 && vmcd_is_word(what, "SETNAME"))
		set_name(s, vmcd_at(words, 2));
	else if (words->count == 2 && vmcd_is_word(what, "GETNAME")) {
		if (s->resp.name)
			vmcd_reply_text(s, s->resp.name);
		else
			vmcd_reply_nothing(s);
	} else if (words->count == 4 && vmcd_is_word(what, "SETINFO"))
		vmcd_reply_status(s, "OK");
	else if (words->count == 2 && vmcd_is_word(what, "ID"))
		vmcd_reply_number(s, (int64_t)s->id);
	else
		vmcd_reply_error(s, "ERR unknown subcommand or wrong number of "
				    "arguments for 'client'");
	return VMCD_ON;
}

/* What redis-benchmark asks for, and how much memory there is. */
enum vmcd_step
vmcd_resp_config(struct vmcd_session *s, const struct vmcd_words *words)
{
	char memory[VMCD_NUMBER_MAX + 1];
	const char *value = NULL;
	struct vmcd_span name;

	if (words->count != 3 || !vmcd_is_word(vmcd_at(words, 1), "GET")) {
		vmcd_reply_error(s, "ERR unknown subcommand or wrong number of "
				    "arguments for 'config'");
		return VMCD_ON;
	}
	name = vmcd_at(words, 2);
	if (vmcd_is_word(name, "SAVE"))
		value = "";
	if (vmcd_is_word(name, "APPENDONLY"))
		value = "no";
	if (vmcd_is_word(name, "MAXMEMORY")) {
		memory[vmcd_digits(memory, s->server->options->memory)] = '\0';
		value = memory;
	}
	vmcd_reply_array(s, value ? 2 : 0);
	if (value) {
		vmcd_reply_string(s, name);
		vmcd_reply_text(s, value);
	}
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_hello(struct vmcd_session *s, const struct vmcd_words *words)
{
	int64_t version = 2;

	if (words->count > 1 &&
		(!vmcd_signed(vmcd_at(words, 1), &version) || version != 2)) {
		vmcd_reply_error(s, "NOPROTO unsupported protocol version");
		return VMCD_ON;
	}
	if (words->count > 2) {
		vmcd_reply_error(s, "ERR syntax error in HELLO");
		return VMCD_ON;
	}
	vmcd_reply_array(s, 14);
	vmcd_reply_text(s, "server");
	vmcd_reply_text(s, "redis");
	vmcd_reply_text(s, "version");
	vmcd_reply_text(s, LIKE_REDIS);
	vmcd_reply_text(s, "proto");
	vmcd_reply_number(s, 2);
	vmcd_reply_text(s, "id");
	vmcd_reply_number(s, (int64_t)s->id);
	vmcd_reply_text(s, "mode");
	vmcd_reply_text(s, "standalone");
	vmcd_reply_text(s, "role");
	vmcd_reply_text(s, "master");
	vmcd_reply_text(s, "modules");
	vmcd_reply_array(s, 0);
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_select(struct vmcd_session *s, const struct vmcd_words *words)
{
	int64_t index;

	if (!vmcd_signed(vmcd_at(words, 1), &index))
		vmcd_reply_error(s, NOT_A_NUMBER);
	else if (index != 0)
		vmcd_reply_error(s, "ERR DB index is out of range");
	else
		vmcd_reply_status(s, "OK");
	return VMCD_ON;
}

enum vmcd_step
vmcd_resp_reset(struct vmcd_session *s, const struct vmcd_words *words)
{
	(void)words;
	vmcd_resp_discard(&s->resp);
	free(s->resp.name);
	s->resp.name = NULL;
	vmcd_reply_status(s, "RESET");
	return VMCD_ON;
}
