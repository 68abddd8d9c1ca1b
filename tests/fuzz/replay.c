/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c -- a fuzz target without a fuzzer: the files named, or all in the
 * directories named, one by one
 *
 * What was found once is looked for again by every compiler and in every
 * configuration. The file under way is said beforehand, for it may not return.
 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>

static int
replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *data = NULL;
	long size = -1;

	if (file && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0)
		data = malloc((size_t)size);
	if (!file || size < 0 || (size > 0 && !data) ||
		fseek(file, 0, SEEK_SET) != 0 ||
		fread(data, 1, (size_t)size, file) != (size_t)size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 1;
}

static int
replay(const char *path)
{
	char name[PATH_MAX];
	struct dirent *entry;
	int files = 0;
	DIR *dir = opendir(path);

	if (!dir)
		return replay_file(path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		files += replay_file(name);
	}
	closedir(dir);
	return files;
}

int
main(int argc, char **argv)
{
	int files = 0;

	for (int i = 1; i < argc; i++)
		files += replay(argv[i]);
	printf("%d files\n", files);
	return files > 0 ? 0 : 1;
}
