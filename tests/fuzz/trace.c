/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.c -- fuzz target: traces, text or records
 *
 * What the summary promises is what then comes, twice. A file that is refused
 * leaves a sentence.
 */
#include "fuzz.h"
#include "trace.h"

#include <sys/mman.h>
#include <unistd.h>

static void
read_all(struct bench_trace *t)
{
	const struct bench_trace_summary *summary = bench_trace_summary(t);
	struct bench_trace_request r;
	uint64_t requests = 0, bytes = 0;
	uint32_t largest = 0;

	while (bench_trace_next(t, &r)) {
		requests++;
		bytes += r.size;
		largest = r.size > largest ? r.size : largest;
	}
	fuzz_expect(requests == summary->requests && requests > 0);
	fuzz_expect(bytes == summary->bytes);
	fuzz_expect(largest == summary->largest);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[32];
	char error[64] = "";
	struct bench_trace *t;

	if (fd < 0) {
		fd = memfd_create("trace", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	fuzz_expect(ftruncate(fd, 0) == 0);
	fuzz_expect(pwrite(fd, data, size, 0) == (ssize_t)size);
	t = bench_trace_open(path, error, sizeof(error));
	if (!t) {
		fuzz_expect(strncmp(error, path, strlen(path)) == 0);
		fuzz_expect(strlen(error) > strlen(path));
		return 0;
	}
	read_all(t);
	bench_trace_rewind(t);
	read_all(t);
	bench_trace_close(t);
	return 0;
}
