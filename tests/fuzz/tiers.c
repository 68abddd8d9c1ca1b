/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tiers.c -- fuzz target: MEMKIND_MEM_TIERS, and after an end of line
 * MEMKIND_MEM_THRESHOLDS
 */
#include "fuzz.h"

#include "memtier/variables.h"

#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmc_tiers tiers;
	char message[100] = "", *text = malloc(size + 1), *thresholds;

	memcpy(text, data, size);
	text[size] = '\0';
	thresholds = strchr(text, '\n');
	if (thresholds)
		*thresholds++ = '\0';
	if (vmc_tiers_parse(
		    &tiers, text, thresholds, message, sizeof(message))) {
		fuzz_expect(tiers.count > 0 && tiers.count <= VMC_TIERS_MOST);
		fuzz_expect(tiers.thresholds < tiers.count);
		fuzz_expect(message[0] == '\0');
		for (unsigned i = 0; i < tiers.count; i++)
			fuzz_expect(tiers.tiers[i].ratio > 0);
	} else {
		fuzz_expect(strncmp(message, "MEMKIND_MEM_T", 13) == 0);
	}
	free(text);
	return 0;
}
