/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c -- what the command line says, by argp
 */
#include "options.h"

#include <argp.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

/* Options that have no letter. */
enum { BY_PREFIX = 256, SPACE_QUOTA, SPACE };

/* The groups give the order of --help: in a group it is that of letters. */
static const struct argp_option described[] = {
	{"memory-limit", 'm', "MIB", 0,
		"Memory for values, in MiB or with k, m or g (64)", 1},
	{"directory", 'd', "PATH", 0,
		"Directory or dax device for the memory (/dev/shm)", 2},
	{"max-item-size", 'I', "SIZE", 0,
		"The largest value, in bytes or with k or m (1m)", 3},
	{"policy", 'P', "POLICY", 0,
		"What goes when the memory is full: lru, adaptive, sieve, "
		"s3fifo; or none: then storing fails (lru)",
		4},
	{"listen", 'l', "ADDRESS", 0,
		"Address or host name to listen at (127.0.0.1)", 5},
	{"port", 'p', "PORT", 0, "TCP port; 0: any that is free (11211)", 6},
	{"unix-socket", 's', "PATH", 0,
		"Listen at a Unix socket in place of TCP", 7},
	{"unix-mask", 'a', "MODE", 0, "The Unix socket's mode, octal (700)", 8},
	{"conn-limit", 'c', "N", 0, "Connections at a time (1024)", 9},
	{"threads", 't', "N", 0, "Threads that serve connections (4)", 10},
	{"space-by-prefix", BY_PREFIX, "CHARACTER", 0,
		"What comes before it in a key names a space of its own", 11},
	{"space-quota", SPACE_QUOTA, "MIB", 0,
		"What a space has at most, if --space does not name it; 0: "
		"no limit (0)",
		12},
	{"space", SPACE, "PREFIX,QUOTA,RESERVED", 0,
		"What this one has at most, and what is kept for it; 0: none; "
		"may be given often",
		13},
	{"verbose", 'v', NULL, 0, "Say what is done, on standard error", 14},
	{0},
};

bool
vmcd_size_parse(const char *text, size_t unit, size_t least, size_t *size)
{
	size_t length = strlen(text);
	char last = length ? text[length - 1] : '\0';
	uint64_t number = 0;

	switch (last) {
	case 'k':
	case 'K':
		unit = 1 << 10;
		length--;
		break;
	case 'm':
	case 'M':
		unit = MIB;
		length--;
		break;
	case 'g':
	case 'G':
		unit = 1 << 30;
		length--;
		break;
	default:
		break;
	}
	if (!vmcd_unsigned((struct vmcd_span){text, length}, &number) ||
		__builtin_mul_overflow(number, unit, &number) ||
		number < least || number > SIZE_MAX / 2)
		return false;
	*size = number;
	return true;
}

static unsigned
parse_number(struct argp_state *state, const char *option, const char *text,
	unsigned least, unsigned most)
{
	uint64_t number = 0;

	if (!vmcd_unsigned((struct vmcd_span){text, strlen(text)}, &number) ||
		number < least || number > most)
		argp_error(state, "%s %s: not a number from %u to %u", option,
			text, least, most);
	return (unsigned)number;
}

static enum vmemcache_repl_p
parse_policy(struct argp_state *state, const char *text)
{
	static const struct {
		const char *name;
		enum vmemcache_repl_p policy;
	} policies[] = {
		{"lru", VMEMCACHE_REPLACEMENT_LRU},
		{"adaptive", VMEMCACHE_REPLACEMENT_ADAPTIVE},
		{"sieve", VMEMCACHE_REPLACEMENT_SIEVE},
		{"s3fifo", VMEMCACHE_REPLACEMENT_S3FIFO},
		{"none", VMEMCACHE_REPLACEMENT_NONE},
	};

	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		if (strcmp(text, policies[i].name) == 0)
			return policies[i].policy;
	}
	argp_error(state, "-P %s: no such policy", text);
	return VMEMCACHE_REPLACEMENT_LRU;
}

static unsigned
parse_mode(struct argp_state *state, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (*end || end == text || mode > 0777)
		argp_error(state, "-a %s: not a mode, octal, up to 777", text);
	return (unsigned)mode;
}

static char
parse_separator(struct argp_state *state, const char *text)
{
	if (text[0] <= ' ' || text[0] > '~' || text[1])
		argp_error(state,
			"--space-by-prefix=%s: not one printable character",
			text);
	return *text;
}

/* 0: no limit, or nothing. */
static size_t
parse_space_size(struct argp_state *state, const char *option,
	struct vmcd_span space, const char *text)
{
	size_t size = 0;

	if (!vmcd_size_parse(text, MIB, 0, &size))
		argp_error(state, "%s%.*s: %s is not a size", option,
			(int)space.size, space.at, text);
	return size;
}

/* The name may have commas. */
static void
parse_space(struct argp_state *state, char *text, struct vmcd_options *options)
{
	char *reserved = strrchr(text, ','), *quota;
	struct vmcd_named *named;

	if (options->spaces == VMCD_NAMED_MAX) {
		argp_error(state, "--space=%s: the limit is %u of them", text,
			VMCD_NAMED_MAX);
		return;
	}
	if (reserved)
		*reserved = '\0';
	quota = reserved ? strrchr(text, ',') : NULL;
	if (!quota || quota == text) {
		if (reserved)
			*reserved = ',';
		argp_error(
			state, "--space=%s: not PREFIX,QUOTA,RESERVED", text);
		return;
	}
	named = &options->space[options->spaces++];
	named->name = (struct vmcd_span){text, (size_t)(quota - text)};
	named->quota =
		parse_space_size(state, "--space=", named->name, quota + 1);
	named->reserved =
		parse_space_size(state, "--space=", named->name, reserved + 1);
	if (named->quota && named->reserved > named->quota)
		argp_error(state,
			"--space=%.*s: more is reserved than its "
			"quota",
			(int)named->name.size, named->name.at);
}

/* Is what they say of spaces of use? */
static void
check_spaces(struct argp_state *state, const struct vmcd_options *options)
{
	if (!options->separator && (options->space_quota || options->spaces))
		argp_error(state,
			"--space and --space-quota need --space-by-prefix");
	for (unsigned i = 0; i < options->spaces; i++) {
		struct vmcd_span name = options->space[i].name;
		if (memchr(name.at, options->separator, name.size))
			argp_error(state,
				"--space=%.*s: the separator is in it",
				(int)name.size, name.at);
		for (unsigned j = 0; j < i; j++) {
			struct vmcd_span other = options->space[j].name;
			if (other.size == name.size &&
				memcmp(other.at, name.at, name.size) == 0)
				argp_error(state, "--space=%.*s: named twice",
					(int)name.size, name.at);
		}
	}
}

static error_t
parse_option(int key, char *text, struct argp_state *state)
{
	struct vmcd_options *options = state->input;

	switch (key) {
	case 'm':
		if (!vmcd_size_parse(
			    text, MIB, VMEMCACHE_MIN_POOL, &options->memory))
			argp_error(
				state, "-m %s: not a size from 1 MiB on", text);
		break;
	case 'I':
		if (!vmcd_size_parse(text, 1, 1024, &options->value_max) ||
			options->value_max > INT32_MAX / 2)
			argp_error(state, "-I %s: not a size from 1k to 1023m",
				text);
		break;
	case 'p':
		options->port = (uint16_t)parse_number(
			state, "-p", text, 0, UINT16_MAX);
		break;
	case 'l':
		options->address = text;
		break;
	case 's':
		options->socket = text;
		break;
	case 'a':
		options->mode = parse_mode(state, text);
		break;
	case 't':
		options->threads =
			parse_number(state, "-t", text, 1, VMCD_THREADS_MAX);
		break;
	case 'c':
		options->connections =
			parse_number(state, "-c", text, 1, 1000000);
		break;
	case 'd':
		options->directory = text;
		break;
	case 'P':
		options->policy = parse_policy(state, text);
		break;
	case BY_PREFIX:
		options->separator = parse_separator(state, text);
		break;
	case SPACE_QUOTA:
		options->space_quota = parse_space_size(state, "--space-quota",
			(struct vmcd_span){"", 0}, text);
		break;
	case SPACE:
		parse_space(state, text, options);
		break;
	case 'v':
		options->verbose++;
		break;
	case ARGP_KEY_END:
		check_spaces(state, options);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void
vmcd_options_parse(int argc, char **argv, struct vmcd_options *options)
{
	static const struct argp parser = {described, parse_option, NULL,
		"A cache behind a socket, for the clients of memcached and "
		"Redis.",
		NULL, NULL, NULL};

	*options = (struct vmcd_options){
		.memory = 64 * MIB,
		.value_max = MIB,
		.address = "127.0.0.1",
		.directory = "/dev/shm",
		.port = 11211,
		.mode = 0700,
		.threads = 4,
		.connections = 1024,
		.policy = VMEMCACHE_REPLACEMENT_LRU,
	};
	argp_program_version = "vmemcached " VMCD_RELEASE;
	argp_parse(&parser, argc, argv, 0, NULL, options);
}
