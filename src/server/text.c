/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text.c -- lines of the classic text protocol
 *
 * A table says for each command how many words it may have and which function
 * reads them. Replies to wrong lines are memcached's, word for word: clients
 * look at them.
 */
#include "request.h"

#define BAD_FORMAT "CLIENT_ERROR bad command line format"
#define BAD_EXPTIME "CLIENT_ERROR invalid exptime argument"
#define WORDS_MAX 8

struct words {
	struct vmcd_span at[WORDS_MAX]; /* the name is the first */
	unsigned count;                 /* WORDS_MAX: or more */
};

struct vmcd_span
vmcd_word(struct vmcd_span *text)
{
	const char *end = text->at + text->size;
	struct vmcd_span word;

	while (text->size > 0 && *text->at == ' ') {
		text->at++;
		text->size--;
	}
	word.at = text->at;
	while (text->size > 0 && *text->at != ' ') {
		text->at++;
		text->size--;
	}
	word.size = (size_t)(text->at - word.at);
	text->size = (size_t)(end - text->at);
	return word;
}

static void
wrong(struct vmcd_request *r, const char *reply)
{
	r->command = VMCD_NOTHING;
	r->error = reply;
}

static bool
key_fits(struct vmcd_request *r, struct vmcd_span key)
{
	r->key = key;
	if (key.size <= VMCD_KEY_MAX)
		return true;
	wrong(r, BAD_FORMAT);
	return false;
}

static void
parse_keys(const struct words *words, struct vmcd_request *r)
{
	struct vmcd_span rest = r->rest, key;

	(void)words;
	while ((key = vmcd_word(&rest)).size > 0) {
		if (!key_fits(r, key))
			return;
	}
}

/* With its time before the keys. Without a key it is a miss. */
static void
parse_touching_keys(const struct words *words, struct vmcd_request *r)
{
	vmcd_word(&r->rest);
	if (!vmcd_signed(words->at[1], &r->exptime))
		wrong(r, BAD_EXPTIME);
	else
		parse_keys(words, r);
}

static void
parse_storing(const struct words *words, struct vmcd_request *r)
{
	uint64_t flags, size;
	bool cas = r->command == VMCD_CAS;

	r->quiet = vmcd_span_is(words->at[words->count - 1], "noreply");
	if (!key_fits(r, words->at[1]))
		return;
	if (!vmcd_unsigned(words->at[2], &flags) || flags > UINT32_MAX ||
		!vmcd_signed(words->at[3], &r->exptime) ||
		!vmcd_unsigned(words->at[4], &size) || size > INT32_MAX - 2 ||
		(cas && !vmcd_unsigned(words->at[5], &r->number))) {
		wrong(r, BAD_FORMAT);
		return;
	}
	r->client_flags = (uint32_t)flags;
	r->value_size = size;
	r->has_value = true;
}

/* A zero may follow the key, as it did in old versions. */
static void
parse_delete(const struct words *words, struct vmcd_request *r)
{
	bool zero = words->count > 2 && vmcd_span_is(words->at[2], "0");

	r->quiet = words->count > 2 &&
		   vmcd_span_is(words->at[words->count - 1], "noreply");
	if (words->count > 2 &&
		!(words->count == 3 ? zero || r->quiet : zero && r->quiet))
		wrong(r, BAD_FORMAT ".  Usage: delete <key> [noreply]");
	else
		key_fits(r, words->at[1]);
}

static void
parse_arithmetic(const struct words *words, struct vmcd_request *r)
{
	r->quiet = vmcd_span_is(words->at[words->count - 1], "noreply");
	if (key_fits(r, words->at[1]) &&
		!vmcd_unsigned(words->at[2], &r->number))
		wrong(r, "CLIENT_ERROR invalid numeric delta argument");
}

static void
parse_touch(const struct words *words, struct vmcd_request *r)
{
	r->quiet = vmcd_span_is(words->at[words->count - 1], "noreply");
	if (key_fits(r, words->at[1]) &&
		!vmcd_signed(words->at[2], &r->exptime))
		wrong(r, BAD_EXPTIME);
}

static void
parse_flush_all(const struct words *words, struct vmcd_request *r)
{
	r->quiet = vmcd_span_is(words->at[words->count - 1], "noreply");
	if (words->count - r->quiet > 1 &&
		!vmcd_signed(words->at[1], &r->exptime))
		wrong(r, BAD_EXPTIME);
}

static void
parse_flush_prefix(const struct words *words, struct vmcd_request *r)
{
	r->key = words->at[1];
	r->quiet = words->count > 2 && vmcd_span_is(words->at[2], "noreply");
}

static void
parse_verbosity(const struct words *words, struct vmcd_request *r)
{
	uint64_t level;

	r->quiet = vmcd_span_is(words->at[words->count - 1], "noreply");
	if (!vmcd_unsigned(words->at[1], &level))
		wrong(r, BAD_FORMAT);
}

static void
parse_nothing(const struct words *words, struct vmcd_request *r)
{
	(void)words;
	(void)r;
}

static void
parse_shutdown(const struct words *words, struct vmcd_request *r)
{
	(void)words;
	wrong(r, "ERROR: shutdown not enabled");
}

static const struct {
	const char *name;
	enum vmcd_command command;
	unsigned least, most; /* words, with the name */
	void (*parse)(const struct words *, struct vmcd_request *);
} commands[] = {
	{"get", VMCD_GET, 2, WORDS_MAX, parse_keys},
	{"set", VMCD_SET, 5, 6, parse_storing},
	{"gets", VMCD_GETS, 2, WORDS_MAX, parse_keys},
	{"add", VMCD_ADD, 5, 6, parse_storing},
	{"replace", VMCD_REPLACE, 5, 6, parse_storing},
	{"append", VMCD_APPEND, 5, 6, parse_storing},
	{"prepend", VMCD_PREPEND, 5, 6, parse_storing},
	{"cas", VMCD_CAS, 6, 7, parse_storing},
	{"delete", VMCD_DELETE, 2, 4, parse_delete},
	{"incr", VMCD_INCR, 3, 4, parse_arithmetic},
	{"decr", VMCD_DECR, 3, 4, parse_arithmetic},
	{"touch", VMCD_TOUCH, 3, 4, parse_touch},
	{"gat", VMCD_GAT, 2, WORDS_MAX, parse_touching_keys},
	{"gats", VMCD_GATS, 2, WORDS_MAX, parse_touching_keys},
	{"flush_all", VMCD_FLUSH_ALL, 1, 3, parse_flush_all},
	{"flush_prefix", VMCD_FLUSH_PREFIX, 2, 3, parse_flush_prefix},
	{"verbosity", VMCD_VERBOSITY, 2, 3, parse_verbosity},
	{"version", VMCD_VERSION, 1, WORDS_MAX, parse_nothing},
	{"stats", VMCD_STATS, 1, WORDS_MAX, parse_nothing},
	{"quit", VMCD_QUIT, 1, WORDS_MAX, parse_nothing},
	{"shutdown", VMCD_NOTHING, 1, WORDS_MAX, parse_shutdown},
};

void
vmcd_parse(struct vmcd_span line, struct vmcd_request *r)
{
	struct vmcd_span rest = line, name = vmcd_word(&rest), more = rest;
	struct words words = {.at = {name}, .count = 1};

	*r = (struct vmcd_request){.rest = rest};
	if (name.size == 2 && name.at[0] == 'm') {
		vmcd_parse_meta(name, rest, r);
		return;
	}
	while (words.count < WORDS_MAX) {
		struct vmcd_span word = vmcd_word(&more);
		if (word.size == 0)
			break;
		words.at[words.count++] = word;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!vmcd_span_is(name, commands[i].name))
			continue;
		if (words.count < commands[i].least ||
			words.count > commands[i].most)
			break;
		r->command = commands[i].command;
		commands[i].parse(&words, r);
		return;
	}
	wrong(r, "ERROR");
}
