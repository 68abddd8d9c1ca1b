/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp_run.c -- Redis' protocol, from request to request: which command it is,
 * MULTI and EXEC, and the forms of a reply
 *
 * MULTI keeps the bytes of the requests that follow; EXEC runs them one after
 * the other, as if they came now. Commands of other connections may run between
 * two of them.
 */
#include "resp_run.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

bool
vmcd_is_word(struct vmcd_span span, const char *capitals)
{
	return span.size == strlen(capitals) &&
	       strncasecmp(span.at, capitals, span.size) == 0;
}

void
vmcd_reply_status(struct vmcd_session *s, const char *status)
{
	vmcd_out_bytes(&s->out, "+", 1);
	vmcd_out_string(&s->out, status);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

void
vmcd_reply_error(struct vmcd_session *s, const char *error)
{
	vmcd_out_bytes(&s->out, "-", 1);
	vmcd_out_string(&s->out, error);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

static void
reply_head(struct vmcd_session *s, char type, int64_t number)
{
	char head[VMCD_NUMBER_MAX + 4], *at = head;

	*at++ = type;
	if (number < 0)
		*at++ = '-';
	at += vmcd_digits(
		at, number < 0 ? -(uint64_t)number : (uint64_t)number);
	*at++ = '\r';
	*at++ = '\n';
	vmcd_out_bytes(&s->out, head, (size_t)(at - head));
}

void
vmcd_reply_number(struct vmcd_session *s, int64_t number)
{
	reply_head(s, ':', number);
}

void
vmcd_reply_nothing(struct vmcd_session *s)
{
	reply_head(s, '$', -1);
}

void
vmcd_reply_array(struct vmcd_session *s, size_t count)
{
	reply_head(s, '*', (int64_t)count);
}

void
vmcd_reply_string(struct vmcd_session *s, struct vmcd_span string)
{
	reply_head(s, '$', (int64_t)string.size);
	vmcd_out_bytes(&s->out, string.at, string.size);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

void
vmcd_reply_text(struct vmcd_session *s, const char *text)
{
	vmcd_reply_string(s, (struct vmcd_span){text, strlen(text)});
}

void
vmcd_reply_value(
	struct vmcd_session *s, struct vmemcache_item *slot, size_t size)
{
	reply_head(s, '$', (int64_t)size);
	vmcd_send_value(s, slot, size);
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

void
vmcd_reply_failure(struct vmcd_session *s, int rc)
{
	vmcd_reply_error(
		s, rc == -E2BIG ? "ERR string exceeds maximum allowed size"
				: "OOM command not allowed when used memory > "
				  "'maxmemory'.");
}

static const struct command {
	const char *name;
	int words; /* with its name; negative: or more */
	vmcd_resp_command *run;
} commands[] = {
	{"get", 2, vmcd_resp_get},
	{"set", -3, vmcd_resp_set},
	{"mget", -2, vmcd_resp_mget},
	{"mset", -3, vmcd_resp_mset},
	{"del", -2, vmcd_resp_del},
	{"unlink", -2, vmcd_resp_del},
	{"exists", -2, vmcd_resp_exists},
	{"incr", 2, vmcd_resp_incr},
	{"decr", 2, vmcd_resp_incr},
	{"incrby", 3, vmcd_resp_incr},
	{"decrby", 3, vmcd_resp_incr},
	{"expire", 3, vmcd_resp_expire},
	{"pexpire", 3, vmcd_resp_expire},
	{"ttl", 2, vmcd_resp_ttl},
	{"pttl", 2, vmcd_resp_ttl},
	{"persist", 2, vmcd_resp_persist},
	{"getset", 3, vmcd_resp_getset},
	{"getdel", 2, vmcd_resp_getdel},
	{"getex", -2, vmcd_resp_getex},
	{"setnx", 3, vmcd_resp_setnx},
	{"setex", 4, vmcd_resp_setex},
	{"psetex", 4, vmcd_resp_setex},
	{"append", 3, vmcd_resp_append},
	{"strlen", 2, vmcd_resp_strlen},
	{"getrange", 4, vmcd_resp_getrange},
	{"ping", -1, vmcd_resp_ping},
	{"echo", 2, vmcd_resp_echo},
	{"dbsize", 1, vmcd_resp_dbsize},
	{"flushdb", -1, vmcd_resp_flush},
	{"flushall", -1, vmcd_resp_flush},
	{"flushprefix", 2, vmcd_resp_flushprefix},
	{"scan", -2, vmcd_resp_scan},
	{"info", -1, vmcd_resp_info},
	{"command", -1, vmcd_resp_command_command},
	{"client", -2, vmcd_resp_client},
	{"config", -2, vmcd_resp_config},
	{"hello", -1, vmcd_resp_hello},
	{"select", 2, vmcd_resp_select},
	{"reset", 1, vmcd_resp_reset},
};

static const struct command *
find_command(struct vmcd_span name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (vmcd_is_word(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

/* No control characters of the client's in a line of the reply. */
static void
out_printable(struct vmcd_session *s, struct vmcd_span span)
{
	for (size_t i = 0; i < span.size && i < 128; i++) {
		char c = span.at[i];
		vmcd_out_bytes(&s->out, c < ' ' || c > '~' ? " " : &c, 1);
	}
}

static void
reply_unknown(struct vmcd_session *s, const struct vmcd_words *words)
{
	vmcd_out_string(&s->out, "-ERR unknown command '");
	out_printable(s, vmcd_at(words, 0));
	vmcd_out_string(&s->out, "', with args beginning with: ");
	for (size_t i = 1; i < words->count && i < 4; i++) {
		vmcd_out_string(&s->out, "'");
		out_printable(s, vmcd_at(words, i));
		vmcd_out_string(&s->out, "' ");
	}
	vmcd_out_bytes(&s->out, "\r\n", 2);
}

/* NULL: it has replied what is wrong. */
static const struct command *
check_command(struct vmcd_session *s, const struct vmcd_words *words)
{
	const struct command *command = find_command(vmcd_at(words, 0));
	size_t needed;

	if (!command) {
		reply_unknown(s, words);
		return NULL;
	}
	needed = (size_t)abs(command->words);
	if (command->words > 0 ? words->count != needed
			       : words->count < needed) {
		vmcd_out_format(&s->out,
			"-ERR wrong number of arguments for '%s' command\r\n",
			command->name);
		return NULL;
	}
	return command;
}

static enum vmcd_step
run_command(struct vmcd_session *s, const struct vmcd_words *words)
{
	const struct command *command = check_command(s, words);

	return command ? command->run(s, words) : VMCD_ON;
}

/* Keep a request for EXEC, if it could be one. */
static void
queue_request(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_resp *resp = &s->resp;
	char *queue;

	if (!check_command(s, words)) {
		resp->failed = true;
		return;
	}
	queue = resp->queue_size + resp->at > VMCD_RESP_QUEUE
			? NULL
			: realloc(resp->queue, resp->queue_size + resp->at);
	if (!queue) {
		resp->failed = true;
		vmcd_reply_error(s, "ERR too much for a transaction");
		return;
	}
	memcpy(queue + resp->queue_size, words->base, resp->at);
	resp->queue = queue;
	resp->queue_size += resp->at;
	resp->queued++;
	vmcd_reply_status(s, "QUEUED");
}

static void
begin_exec(struct vmcd_session *s)
{
	struct vmcd_resp *resp = &s->resp;

	if (resp->failed) {
		vmcd_resp_discard(resp);
		vmcd_reply_error(s, "EXECABORT Transaction discarded because "
				    "of previous errors.");
		return;
	}
	vmcd_reply_array(s, resp->queued);
	resp->multi = false;
	resp->executing = true;
}

/* MULTI and what ends it; false: it is another command. */
static bool
run_multi(struct vmcd_session *s, const struct vmcd_words *words)
{
	struct vmcd_resp *resp = &s->resp;
	struct vmcd_span name = vmcd_at(words, 0);

	if (words->count == 1 && vmcd_is_word(name, "MULTI")) {
		if (resp->multi) {
			vmcd_reply_error(
				s, "ERR MULTI calls can not be nested");
			return true;
		}
		resp->multi = true;
		vmcd_reply_status(s, "OK");
	} else if (words->count == 1 && vmcd_is_word(name, "EXEC")) {
		if (resp->multi)
			begin_exec(s);
		else
			vmcd_reply_error(s, "ERR EXEC without MULTI");
	} else if (words->count == 1 && vmcd_is_word(name, "DISCARD")) {
		if (resp->multi)
			vmcd_reply_status(s, "OK");
		else
			vmcd_reply_error(s, "ERR DISCARD without MULTI");
		vmcd_resp_discard(resp);
	} else if (resp->multi && !vmcd_is_word(name, "RESET")) {
		queue_request(s, words);
	} else {
		return false;
	}
	return true;
}

/* The next of what was queued, which is well formed. */
static enum vmcd_step
execute(struct vmcd_session *s)
{
	struct vmcd_resp *resp = &s->resp;
	const char *base = resp->queue + resp->queue_at, *error;
	struct vmcd_words words;
	enum vmcd_step step;
	size_t wanted;

	if (resp->queue_at == resp->queue_size) {
		vmcd_resp_discard(resp);
		vmcd_resp_next(resp);
		return VMCD_ON;
	}
	if (vmcd_resp_parse(resp, base, resp->queue_size - resp->queue_at,
		    VMCD_RESP_QUEUE, &wanted, &error) != VMCD_RESP_WHOLE)
		return VMCD_CLOSE; /* no memory */
	words = (struct vmcd_words){base, resp->string, resp->count};
	step = run_command(s, &words);
	if (step == VMCD_ON) {
		resp->queue_at += resp->at;
		vmcd_resp_next(resp);
	}
	return step;
}

static enum vmcd_step
run_request(struct vmcd_session *s)
{
	struct vmcd_resp *resp = &s->resp;
	struct vmcd_words words = {s->in + s->from, resp->string, resp->count};
	enum vmcd_step step = VMCD_ON;

	if (resp->count > 0 && words.count == 1 &&
		vmcd_is_word(vmcd_at(&words, 0), "QUIT")) {
		vmcd_reply_status(s, "OK");
		return VMCD_CLOSE;
	}
	if (resp->count > 0 && !run_multi(s, &words))
		step = run_command(s, &words);
	if (step == VMCD_ON) {
		s->from += resp->at;
		vmcd_resp_next(resp);
	}
	return step;
}

enum vmcd_step
vmcd_resp_step(struct vmcd_session *s)
{
	const char *error;

	if (s->resp.executing)
		return execute(s);
	switch (vmcd_resp_parse(&s->resp, s->in + s->from, s->to - s->from,
		s->server->options->value_max + VMCD_LINE_MAX, &s->wanted,
		&error)) {
	case VMCD_RESP_WHOLE:
		s->wanted = 0;
		return run_request(s);
	case VMCD_RESP_MORE:
		return VMCD_NEEDS_INPUT;
	case VMCD_RESP_WRONG:
		vmcd_out_format(&s->out, "-ERR %s\r\n", error);
		return VMCD_CLOSE;
	default:
		return VMCD_CLOSE;
	}
}
