/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * variables.c -- MEMKIND_MEM_TIERS and MEMKIND_MEM_THRESHOLDS
 *
 *     tiers:      tier ";" { tier ";" } "POLICY:" policy
 *     tier:       parameter { "," parameter } [ "," ]
 *     parameter:  "KIND:" kind | "RATIO:" number | "PATH:" directory |
 *                 "PMEM_SIZE_LIMIT:" size
 *     thresholds: threshold { ";" threshold }
 *     threshold:  bound { "," bound } [ "," ]
 *     bound:      "INIT_VAL:" size | "MIN_VAL:" size | "MAX_VAL:" size
 *     size:       digits [ "K" | "M" | "G" ]
 *
 * That is what memkind 1.14 takes, measured; of a ratio it takes the number
 * that it begins with, so 1.9 is 1. What it refuses is refused here, and what
 * made it crash as well (an empty value, a limit that is too small).
 *
 * The text is parsed in place, without a copy: the caller may be the program's
 * first malloc().
 */
#include "variables.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tiers_name[] = "MEMKIND_MEM_TIERS";
static const char thresholds_name[] = "MEMKIND_MEM_THRESHOLDS";

/* Where to complain. */
struct complaint {
	const char *variable;
	char *message;
	size_t size;
};

struct piece {
	const char *text;
	size_t length;
};

static __attribute__((format(printf, 2, 3))) bool
refuse(const struct complaint *to, const char *format, ...)
{
	va_list ap;
	int n = snprintf(to->message, to->size, "%s: ", to->variable);

	if (n < 0 || (size_t)n >= to->size)
		return false;
	va_start(ap, format);
	vsnprintf(to->message + n, to->size - (size_t)n, format, ap);
	va_end(ap);
	return false;
}

/* For the format "%.*s". */
#define SHOW(piece)                                                            \
	(int)((piece).length < 80 ? (piece).length : 80), (piece).text

/* What is before the next separator, which goes as well. */
static struct piece
cut(struct piece *rest, char separator)
{
	const char *end = memchr(rest->text, separator, rest->length);
	struct piece first = *rest;

	if (end)
		first.length = (size_t)(end - rest->text);
	rest->text += first.length + (end != NULL);
	rest->length -= first.length + (end != NULL);
	return first;
}

static bool
is(struct piece piece, const char *word)
{
	return piece.length == strlen(word) &&
	       memcmp(piece.text, word, piece.length) == 0;
}

/*
 * NAME:VALUE, up to the next comma. A value is not empty.
 */
static bool
cut_parameter(const struct complaint *to, struct piece *rest,
	struct piece *name, struct piece *value)
{
	*value = cut(rest, ',');
	struct piece whole = *value;

	*name = cut(value, ':');
	if (name->length == whole.length || value->length == 0)
		return refuse(to, "\"%.*s\" is not NAME:VALUE", SHOW(whole));
	return true;
}

static bool
read_size(const struct complaint *to, struct piece piece, size_t *size)
{
	static const char suffixes[] = "KMG";
	size_t i = 0, number = 0;

	for (; i < piece.length && piece.text[i] >= '0' && piece.text[i] <= '9';
		i++)
		if (__builtin_mul_overflow(number, (size_t)10, &number) ||
			__builtin_add_overflow(
				number, (size_t)(piece.text[i] - '0'), &number))
			return refuse(to, "%.*s is too large", SHOW(piece));
	const char *suffix =
		i + 1 == piece.length ? strchr(suffixes, piece.text[i]) : NULL;
	if (i == 0 || (i < piece.length && (!suffix || !*suffix)))
		return refuse(to,
			"%.*s is not a size: digits, and K, M or G if need be",
			SHOW(piece));
	if (suffix &&
		__builtin_mul_overflow(number,
			(size_t)1 << 10 * (suffix - suffixes + 1), &number))
		return refuse(to, "%.*s is too large", SHOW(piece));
	*size = number;
	return true;
}

static bool
read_ratio(const struct complaint *to, struct piece piece, unsigned *ratio)
{
	char text[32];
	unsigned long number;
	char *end = text;

	if (piece.length < sizeof(text) &&
		!memchr(piece.text, '-', piece.length)) {
		memcpy(text, piece.text, piece.length);
		text[piece.length] = '\0';
		errno = 0;
		number = strtoul(text, &end, 0);
		*ratio = (unsigned)number;
		if (end != text && !errno && number > 0 && number <= UINT_MAX)
			return true;
	}
	return refuse(to, "RATIO:%.*s is not a number from 1 to %u",
		SHOW(piece), UINT_MAX);
}

static bool
read_kind(const struct complaint *to, struct piece value,
	struct vmc_tier_wanted *tier)
{
	if (is(value, "DRAM"))
		tier->type = VMC_TIER_DRAM;
	else if (is(value, "KMEM_DAX"))
		tier->type = VMC_TIER_KMEM;
	else if (is(value, "FS_DAX"))
		tier->type = VMC_TIER_FILE;
	else
		return refuse(to,
			"KIND:%.*s is neither DRAM nor KMEM_DAX nor FS_DAX",
			SHOW(value));
	return true;
}

static bool
read_path(const struct complaint *to, struct piece value,
	struct vmc_tier_wanted *tier)
{
	if (value.length >= sizeof(tier->path))
		return refuse(to, "PATH:%.*s is too long", SHOW(value));
	memcpy(tier->path, value.text, value.length);
	tier->path[value.length] = '\0';
	return true;
}

static bool
read_tier(const struct complaint *to, struct piece rest,
	struct vmc_tier_wanted *tier)
{
	static const char *const names[] = {
		"KIND", "RATIO", "PATH", "PMEM_SIZE_LIMIT"};
	enum { KIND, RATIO, PATH, LIMIT, NAMES };
	bool seen[NAMES] = {false};
	const struct piece whole = rest;

	*tier = (struct vmc_tier_wanted){.limit = 0};
	do {
		struct piece name, value;
		unsigned i = 0;
		bool fine;
		if (!cut_parameter(to, &rest, &name, &value))
			return false;
		while (i < NAMES && !is(name, names[i]))
			i++;
		if (i == NAMES)
			return refuse(to, "%.*s is no parameter of a tier",
				SHOW(name));
		if (seen[i])
			return refuse(to, "%s is given twice in \"%.*s\"",
				names[i], SHOW(whole));
		seen[i] = true;
		fine = i == KIND    ? read_kind(to, value, tier)
		       : i == RATIO ? read_ratio(to, value, &tier->ratio)
		       : i == PATH  ? read_path(to, value, tier)
				    : read_size(to, value, &tier->limit);
		if (!fine)
			return false;
	} while (rest.length > 0);
	if (!seen[KIND] || !seen[RATIO])
		return refuse(to, "no %s in \"%.*s\"",
			names[seen[KIND] ? RATIO : KIND], SHOW(whole));
	if (tier->type == VMC_TIER_FILE && !seen[PATH])
		return refuse(to, "no PATH in \"%.*s\"", SHOW(whole));
	if (tier->type != VMC_TIER_FILE && (seen[PATH] || seen[LIMIT]))
		return refuse(to, "%s is for KIND:FS_DAX alone",
			names[seen[PATH] ? PATH : LIMIT]);
	return true;
}

static bool
read_policy(
	const struct complaint *to, struct piece text, memtier_policy_t *policy)
{
	struct piece value = text, name = cut(&value, ':');

	if (!is(name, "POLICY") || name.length == text.length)
		return refuse(to, "it does not end with POLICY:...");
	if (is(value, "STATIC_RATIO"))
		*policy = MEMTIER_POLICY_STATIC_RATIO;
	else if (is(value, "DYNAMIC_THRESHOLD"))
		*policy = MEMTIER_POLICY_DYNAMIC_THRESHOLD;
	else
		return refuse(to,
			"POLICY:%.*s is neither STATIC_RATIO nor "
			"DYNAMIC_THRESHOLD",
			SHOW(value));
	return true;
}

static bool
read_tiers(
	const struct complaint *to, const char *text, struct vmc_tiers *tiers)
{
	struct piece rest = {text, strlen(text)};
	const char *last = strrchr(text, ';');
	bool seen[VMC_TIER_FILE] = {false};

	tiers->count = 0;
	if (!last)
		return refuse(to,
			"\"%.*s\" is not a list of tiers and a policy, with "
			"semicolons between them",
			SHOW(rest));
	while (rest.text <= last) {
		struct vmc_tier_wanted *tier = &tiers->tiers[tiers->count];
		if (tiers->count == VMC_TIERS_MOST)
			return refuse(to, "more than %u tiers", VMC_TIERS_MOST);
		if (!read_tier(to, cut(&rest, ';'), tier))
			return false;
		if (tier->type != VMC_TIER_FILE && seen[tier->type])
			return refuse(to,
				"only KIND:FS_DAX may be there more than once");
		if (tier->type != VMC_TIER_FILE)
			seen[tier->type] = true;
		tiers->count++;
	}
	if (!read_policy(to, rest, &tiers->policy))
		return false;
	if (tiers->policy == MEMTIER_POLICY_DYNAMIC_THRESHOLD &&
		tiers->count < 2)
		return refuse(to, "DYNAMIC_THRESHOLD takes two tiers at least");
	return true;
}

static bool
read_threshold(const struct complaint *to, struct piece rest,
	struct vmc_threshold_wanted *threshold)
{
	*threshold = (struct vmc_threshold_wanted){.val = 0};
	do {
		struct piece name, value;
		size_t *size;
		bool *seen;
		if (!cut_parameter(to, &rest, &name, &value))
			return false;
		if (is(name, "INIT_VAL")) {
			size = &threshold->val;
			seen = &threshold->has_val;
		} else if (is(name, "MIN_VAL")) {
			size = &threshold->min;
			seen = &threshold->has_min;
		} else if (is(name, "MAX_VAL")) {
			size = &threshold->max;
			seen = &threshold->has_max;
		} else {
			return refuse(to,
				"%.*s is neither INIT_VAL nor MIN_VAL nor "
				"MAX_VAL",
				SHOW(name));
		}
		if (*seen)
			return refuse(to, "%.*s is given twice", SHOW(name));
		*seen = true;
		if (!read_size(to, value, size))
			return false;
	} while (rest.length > 0);
	return true;
}

static bool
read_thresholds(
	const struct complaint *to, const char *text, struct vmc_tiers *tiers)
{
	struct piece rest = {text, strlen(text)};
	bool more = true;

	if (tiers->policy != MEMTIER_POLICY_DYNAMIC_THRESHOLD)
		return refuse(to, "it is for POLICY:DYNAMIC_THRESHOLD alone");
	while (more) {
		if (tiers->thresholds + 1 == tiers->count)
			return refuse(to,
				"more thresholds than between %u tiers",
				tiers->count);
		struct piece one = cut(&rest, ';');
		more = one.text + one.length != rest.text;
		if (!read_threshold(
			    to, one, &tiers->between[tiers->thresholds++]))
			return false;
	}
	return true;
}

bool
vmc_tiers_parse(struct vmc_tiers *tiers, const char *text,
	const char *thresholds, char *message, size_t size)
{
	const struct complaint to = {tiers_name, message, size},
			       then = {thresholds_name, message, size};

	tiers->thresholds = 0;
	if (!text)
		return refuse(&to, "it is not set");
	return read_tiers(&to, text, tiers) &&
	       (!thresholds || read_thresholds(&then, thresholds, tiers));
}

static bool
make_kind(const struct complaint *to, const struct vmc_tier_wanted *tier,
	memkind_t *kind)
{
	char text[MEMKIND_ERROR_MESSAGE_SIZE];
	int err = 0;

	switch (tier->type) {
	case VMC_TIER_DRAM:
		*kind = MEMKIND_DEFAULT;
		return true;
	case VMC_TIER_KMEM:
		*kind = MEMKIND_DAX_KMEM;
		err = memkind_check_available(*kind);
		if (!err)
			return true;
		memkind_error_message(err, text, sizeof(text));
		return refuse(to, "KIND:KMEM_DAX: %s", text);
	default:
		if (tier->limit && tier->limit < (size_t)MEMKIND_PMEM_MIN_SIZE)
			return refuse(to,
				"PMEM_SIZE_LIMIT of %zu bytes is less than 16M",
				tier->limit);
		errno = 0;
		err = memkind_create_pmem(tier->path, tier->limit, kind);
		if (!err)
			return true;
		memkind_error_message(err, text, sizeof(text));
		return refuse(to, "KIND:FS_DAX in %.80s: %s%s%s", tier->path,
			text, errno ? ": " : "",
			errno ? strerrordesc_np(errno) : "");
	}
}

static bool
set_thresholds(struct memtier_builder *builder, const struct vmc_tiers *tiers)
{
	char name[80];

	for (unsigned i = 0; i < tiers->thresholds; i++) {
		const struct vmc_threshold_wanted *at = &tiers->between[i];
		const struct {
			const char *name;
			bool set;
			const size_t *value;
		} bounds[] = {{"val", at->has_val, &at->val},
			{"min", at->has_min, &at->min},
			{"max", at->has_max, &at->max}};
		for (unsigned j = 0; j < 3; j++) {
			snprintf(name, sizeof(name),
				"policy.dynamic_threshold.thresholds[%u].%s", i,
				bounds[j].name);
			if (bounds[j].set && memtier_ctl_set(builder, name,
						     bounds[j].value) != 0)
				return false;
		}
	}
	return true;
}

bool
vmc_tiers_make(const struct vmc_tiers *tiers, memkind_t *kinds,
	struct memtier_memory **memory, char *message, size_t size)
{
	const struct complaint to = {tiers_name, message, size},
			       then = {thresholds_name, message, size};
	struct memtier_builder *builder = memtier_builder_new(tiers->policy);
	unsigned made = 0;
	bool fine = builder != NULL;

	*memory = NULL;
	if (!fine)
		refuse(&to, "no memory");
	while (fine && made < tiers->count) {
		fine = make_kind(&to, &tiers->tiers[made], &kinds[made]);
		if (fine)
			fine = memtier_builder_add_tier(builder, kinds[made],
				       tiers->tiers[made].ratio) == 0;
		made += fine;
	}
	if (fine) {
		if (set_thresholds(builder, tiers))
			*memory = memtier_builder_construct_memtier_memory(
				builder);
		if (!*memory)
			fine = refuse(tiers->thresholds ? &then : &to,
				tiers->thresholds
					? "a threshold is not from MIN_VAL to "
					  "MAX_VAL, or goes below the one "
					  "before"
					: "no memory");
	}
	while (!fine && made-- > 0)
		if (tiers->tiers[made].type == VMC_TIER_FILE)
			memkind_destroy_kind(kinds[made]);
	memtier_builder_delete(builder);
	return fine;
}
