/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * variables.h -- an environment, and files, from a fuzz target's input
 *
 * The input is a row of sections, "name\ncontent\0", found by their names. The
 * linker's --wrap=secure_getenv makes them the environment.
 */
#ifndef VMC_TESTS_FUZZ_VARIABLES_H
#define VMC_TESTS_FUZZ_VARIABLES_H

#include "fuzz.h"

#define SECTIONS_MOST 64

static char *sections[SECTIONS_MOST];
static size_t section_count;

static void
sections_read(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};

	while (fuzz_more(&in) && section_count < SECTIONS_MOST)
		sections[section_count++] = fuzz_text(&in, '\0');
}

static void
sections_free(void)
{
	while (section_count > 0)
		free(sections[--section_count]);
}

/* What is in the section of that name; NULL: there is none. */
static char *
section(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < section_count; i++) {
		if (strncmp(sections[i], name, length) == 0 &&
			sections[i][length] == '\n')
			return sections[i] + length + 1;
	}
	return NULL;
}

char *__wrap_secure_getenv(const char *name);

char *
__wrap_secure_getenv(const char *name)
{
	return section(name);
}

#endif
