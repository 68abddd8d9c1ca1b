/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * meta.c -- lines of memcached's meta commands, and base64
 *
 * mg ms md ma take a key (ms a size as well) and then flags: a letter each,
 * with a token right behind it. All four know all flags, and ignore those that
 * are not for them. Errors are reported as by memcached 1.6.18, which is more
 * exact for mg and ms than for the other two.
 */
#include "request.h"

#define BAD_FORMAT "CLIENT_ERROR bad command line format"
#define BAD_TOKEN "CLIENT_ERROR bad token in command line format"
#define BAD_MODE "CLIENT_ERROR incorrect length for M token"
#define WORDS_MOST 19
#define OPAQUE_MAX 31

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool
vmcd_base64_decode(struct vmcd_span text, char *to, size_t room, size_t *size)
{
	size_t n = 0, padding = 0;

	if (text.size == 0 || text.size % 4)
		return false;
	while (padding < 2 && text.at[text.size - 1 - padding] == '=')
		padding++;
	if (text.size / 4 * 3 - padding > room)
		return false;
	for (size_t i = 0; i < text.size; i += 4) {
		uint32_t bits = 0;
		size_t digits = i + 4 == text.size ? 4 - padding : 4;

		for (size_t k = 0; k < 4; k++) {
			const char *digit = "A";
			if (k < digits)
				digit = text.at[i + k] == '\0'
						? NULL
						: strchr(base64_digits,
							  text.at[i + k]);
			if (!digit)
				return false;
			if (k < digits)
				bits |= (uint32_t)(digit - base64_digits)
					<< (18 - 6 * k);
		}
		for (size_t k = 0; k + 1 < digits; k++)
			to[n++] = (char)(bits >> (16 - 8 * k));
	}
	*size = n;
	return true;
}

size_t
vmcd_base64_encode(struct vmcd_span bytes, char *to)
{
	const unsigned char *from = (const unsigned char *)bytes.at;
	size_t n = 0;

	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t left = bytes.size - i;
		uint32_t bits = (uint32_t)from[i] << 16;

		if (left > 1)
			bits |= (uint32_t)from[i + 1] << 8;
		if (left > 2)
			bits |= from[i + 2];
		for (size_t k = 0; k < 4; k++)
			to[n++] = k > left
					  ? '='
					  : base64_digits[bits >> (18 - 6 * k) &
							  63];
	}
	return n;
}

static const char *
parse_key(struct vmcd_request *r)
{
	size_t size;

	if (!vmcd_base64_decode(r->key, r->meta.key, VMCD_KEY_MAX, &size))
		return "CLIENT_ERROR error decoding key";
	r->key = (struct vmcd_span){r->meta.key, size};
	r->meta.binary = true;
	return NULL;
}

static const char *
parse_number_flag(char letter, struct vmcd_span token, struct vmcd_request *r)
{
	struct vmcd_meta *meta = &r->meta;
	uint64_t number;

	switch (letter) {
	case 'N':
		return vmcd_signed(token, &meta->vivify) ? NULL : BAD_TOKEN;
	case 'R':
		return vmcd_signed(token, &meta->recache) ? NULL : BAD_TOKEN;
	case 'T':
		return vmcd_signed(token, &meta->exptime) ? NULL : BAD_TOKEN;
	case 'C':
		return vmcd_unsigned(token, &r->number) ? NULL : BAD_TOKEN;
	case 'D':
		return vmcd_unsigned(token, &meta->delta)
			       ? NULL
			       : "CLIENT_ERROR invalid numeric delta value";
	case 'J':
		return vmcd_unsigned(token, &meta->initial)
			       ? NULL
			       : "CLIENT_ERROR invalid numeric initial value";
	default: /* F */
		if (!vmcd_unsigned(token, &number) || number > UINT32_MAX)
			return BAD_FORMAT;
		r->client_flags = (uint32_t)number;
		return NULL;
	}
}

/* One flag. NULL, or the error to reply. */
static const char *
parse_flag(struct vmcd_span flag, struct vmcd_request *r)
{
	char letter = flag.at[0];
	struct vmcd_span token = {flag.at + 1, flag.size - 1};

	if (letter < 0 || r->meta.seen[(unsigned char)letter])
		return "CLIENT_ERROR duplicate flag";
	if (letter == '\0' || !strchr("bcfhklqstuvCDFIJLMNOPRT", letter))
		return "CLIENT_ERROR invalid flag";
	r->meta.seen[(unsigned char)letter] = true;
	if (strchr("CDFJNRT", letter))
		return parse_number_flag(letter, token, r);
	if (letter == 'b')
		return parse_key(r);
	if (letter == 'q')
		r->quiet = true;
	if (letter == 'M') {
		if (token.size != 1)
			return BAD_MODE;
		r->meta.mode = *token.at;
	}
	return NULL;
}

/* The words after the key, of which ms has one more. */
static const char *
parse_flags(struct vmcd_span rest, struct vmcd_request *r)
{
	bool told = r->command == VMCD_META_GET || r->command == VMCD_META_SET;
	const char *error = NULL;
	struct vmcd_span flag;

	while (!error && (flag = vmcd_word(&rest)).size > 0) {
		r->meta.flag[r->meta.flags++] = flag;
		error = parse_flag(flag, r);
	}
	if (error)
		return told ? error : "CLIENT_ERROR invalid or duplicate flag";
	for (unsigned i = 0; i < r->meta.flags; i++) {
		if (r->meta.flag[i].at[0] == 'O' &&
			r->meta.flag[i].size > OPAQUE_MAX + 1)
			return "CLIENT_ERROR opaque token too long";
	}
	return NULL;
}

static const char *
check_mode(const struct vmcd_request *r)
{
	bool set = r->command == VMCD_META_SET;

	if (!r->meta.seen['M'] || r->command == VMCD_META_GET ||
		r->command == VMCD_META_DELETE ||
		strchr(set ? "EAPRS" : "ID+-", r->meta.mode))
		return NULL;
	return set ? "CLIENT_ERROR invalid mode for ms M token"
		   : "CLIENT_ERROR invalid mode for ma M token";
}

/* The size of the value, which ms has after its key. NULL, or the error. */
static const char *
parse_size(struct vmcd_span word, struct vmcd_request *r)
{
	uint64_t size;

	if (word.size == 0 || !vmcd_unsigned(word, &size) ||
		size > INT32_MAX - 2)
		return BAD_FORMAT;
	r->value_size = size;
	r->has_value = true;
	return NULL;
}

static const char *
parse_debug(struct vmcd_span rest, struct vmcd_request *r)
{
	if (r->key.size == 0 || r->key.size > VMCD_KEY_MAX)
		return BAD_FORMAT;
	return vmcd_span_is(vmcd_word(&rest), "b") && parse_key(r) ? BAD_FORMAT
								   : NULL;
}

static unsigned
count_words(struct vmcd_span text)
{
	unsigned n = 0;

	while (n <= WORDS_MOST && vmcd_word(&text).size > 0)
		n++;
	return n;
}

static const char *
parse_command(struct vmcd_span rest, struct vmcd_request *r)
{
	unsigned words = 1 + count_words(rest);
	const char *error;

	r->meta.delta = 1;
	r->key = vmcd_word(&rest);
	if (r->command == VMCD_META_NOOP)
		return NULL;
	if (r->command == VMCD_META_DEBUG)
		return parse_debug(rest, r);
	if (r->key.size == 0)
		return "ERROR";
	if (r->key.size > VMCD_KEY_MAX)
		return BAD_FORMAT;
	if (words > WORDS_MOST)
		return r->command == VMCD_META_GET
			       ? "CLIENT_ERROR options flags are too long"
			       : "CLIENT_ERROR options flags too long";
	error = r->command == VMCD_META_SET ? parse_size(vmcd_word(&rest), r)
					    : NULL;
	if (!error)
		error = parse_flags(rest, r);
	return error ? error : check_mode(r);
}

void
vmcd_parse_meta(
	struct vmcd_span name, struct vmcd_span rest, struct vmcd_request *r)
{
	static const struct {
		char letter;
		enum vmcd_command command;
	} commands[] = {
		{'g', VMCD_META_GET},
		{'s', VMCD_META_SET},
		{'d', VMCD_META_DELETE},
		{'a', VMCD_META_ARITHMETIC},
		{'e', VMCD_META_DEBUG},
		{'n', VMCD_META_NOOP},
	};

	r->error = "ERROR";
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (commands[i].letter != name.at[1])
			continue;
		r->command = commands[i].command;
		r->error = parse_command(rest, r);
	}
	if (r->error) {
		r->command = VMCD_NOTHING;
		r->quiet = false;
	}
}
