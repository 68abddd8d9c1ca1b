/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp_run.h -- what the commands of Redis have in common: their words, and the
 * forms of a reply
 */
#ifndef VMCD_RESP_RUN_H
#define VMCD_RESP_RUN_H

#include "session.h"

/* A request that is whole. */
struct vmcd_words {
	const char *base;
	const struct vmcd_resp_string *string;
	size_t count;
};

static inline struct vmcd_span
vmcd_at(const struct vmcd_words *words, size_t i)
{
	return (struct vmcd_span){
		words->base + words->string[i].from, words->string[i].size};
}

/* Is it that word, in capitals or not? */
bool vmcd_is_word(struct vmcd_span span, const char *capitals);

void vmcd_reply_status(struct vmcd_session *s, const char *status);
void vmcd_reply_error(struct vmcd_session *s, const char *error);
void vmcd_reply_number(struct vmcd_session *s, int64_t number);
void vmcd_reply_nothing(struct vmcd_session *s);
void vmcd_reply_string(struct vmcd_session *s, struct vmcd_span string);
void vmcd_reply_text(struct vmcd_session *s, const char *text);
void vmcd_reply_array(struct vmcd_session *s, size_t count);
/* Of the item that is pinned in a slot of the output. */
void vmcd_reply_value(
	struct vmcd_session *s, struct vmemcache_item *slot, size_t size);
/* Of -ENOSPC and the like. */
void vmcd_reply_failure(struct vmcd_session *s, int rc);

/* VMCD_NEEDS_ROOM: to be called again, with resp.cursor as it left it. */
typedef enum vmcd_step vmcd_resp_command(
	struct vmcd_session *s, const struct vmcd_words *words);

/* resp_strings.c: values and their times */
vmcd_resp_command vmcd_resp_append, vmcd_resp_del, vmcd_resp_exists,
	vmcd_resp_expire, vmcd_resp_get, vmcd_resp_getdel, vmcd_resp_getex,
	vmcd_resp_getrange, vmcd_resp_getset, vmcd_resp_incr, vmcd_resp_mget,
	vmcd_resp_mset, vmcd_resp_persist, vmcd_resp_set, vmcd_resp_setex,
	vmcd_resp_setnx, vmcd_resp_strlen, vmcd_resp_ttl;
/* resp_server.c, resp_scan.c: what is asked of the server itself */
vmcd_resp_command vmcd_resp_client, vmcd_resp_command_command, vmcd_resp_config,
	vmcd_resp_dbsize, vmcd_resp_echo, vmcd_resp_flush,
	vmcd_resp_flushprefix, vmcd_resp_hello, vmcd_resp_info, vmcd_resp_ping,
	vmcd_resp_reset, vmcd_resp_scan, vmcd_resp_select;

#endif
