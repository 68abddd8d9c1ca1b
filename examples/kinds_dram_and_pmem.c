/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_dram_and_pmem.c DIRECTORY -- one data structure in two memories
 *
 * Nodes that are walked stay in DRAM, the large texts that they point to are
 * in the PMEM kind. Pointers go from one to the other as between any objects.
 */
#include <memkind.h>

#include <stdio.h>
#include <string.h>

struct node {
	struct node *next;
	char *text;
};

int
main(int argc, char *argv[])
{
	static const char *const texts[] = {"one", "two", "three"};
	struct node *list = NULL;
	memkind_t pmem;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &pmem) != 0) {
		fprintf(stderr, "usage: kinds_dram_and_pmem DIRECTORY\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct node *node =
			memkind_malloc(MEMKIND_DEFAULT, sizeof(*node));
		char *text = memkind_malloc(pmem, 4096);
		if (node == NULL || text == NULL)
			return 1;
		strcpy(text, texts[i]);
		*node = (struct node){list, text};
		list = node;
	}
	while (list != NULL) {
		struct node *next = list->next;
		printf("%s\n", list->text);
		memkind_free(pmem, list->text);
		memkind_free(MEMKIND_DEFAULT, list);
		list = next;
	}
	memkind_destroy_kind(pmem);
	return 0;
}
