/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copies.c LIBRARY -- the library loaded and unloaded a hundred times, and two
 * copies of it in one process
 *
 * A program may get it from two plug-ins, each with its own copy. They share
 * nothing but the system: threads, keys of thread-local storage, fork
 * handlers and signals of one must not disturb the other. dlmopen(3) is no way
 * to have a second one: the keys of thread-local storage of the two C libraries
 * share their places, whoever uses them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <libvmemcache.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOADS = 100, COPIES = 2, KEYS = 3000 };

struct library {
	void *handle;
	VMEMcache *(*new_cache)(void);
	int (*add)(VMEMcache *, const char *);
	int (*put)(VMEMcache *, const void *, size_t, const void *, size_t);
	ssize_t (*get)(VMEMcache *, const void *, size_t, void *, size_t,
		size_t, size_t *);
	void (*delete_cache)(VMEMcache *);
	VMEMcache *cache;
};

static void
require(int condition, const char *what)
{
	if (condition)
		return;
	const char *reason = dlerror();
	fprintf(stderr, "%s: %s\n", what, reason ? reason : strerror(errno));
	exit(1);
}

/* POSIX lets a function's address pass through a void *; ISO C does not. */
static void
look_up(void *handle, const char *name, void *function)
{
	void *address = dlsym(handle, name);

	require(address != NULL, name);
	memcpy(function, &address, sizeof(address));
}

static struct library
library_of(void *handle)
{
	struct library l = {.handle = handle};

	require(handle != NULL, "dlopen");
	look_up(handle, "vmemcache_new", &l.new_cache);
	look_up(handle, "vmemcache_add", &l.add);
	look_up(handle, "vmemcache_put", &l.put);
	look_up(handle, "vmemcache_get", &l.get);
	look_up(handle, "vmemcache_delete", &l.delete_cache);
	return l;
}

static void
open_cache(struct library *l)
{
	l->cache = l->new_cache();
	require(l->cache != NULL, "vmemcache_new");
	require(l->add(l->cache, "/dev/shm") == 0, "vmemcache_add");
}

/* Gets answer with what this library put, or not at all. */
static void *
use(void *arg)
{
	struct library *l = arg;
	uintptr_t value, got;

	for (int key = 0; key < KEYS; key++) {
		value = (uintptr_t)l->handle + (uintptr_t)key;
		require(l->put(l->cache, &key, sizeof(key), &value,
				sizeof(value)) == 0 ||
				errno == EEXIST,
			"vmemcache_put");
		ssize_t n = l->get(l->cache, &key, sizeof(key), &got,
			sizeof(got), 0, NULL);
		require(n == sizeof(got) && got == value, "vmemcache_get");
	}
	return NULL;
}

static long
pages(void)
{
	long size = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	require(f && fscanf(f, "%ld", &size) == 1, "/proc/self/statm");
	fclose(f);
	return size;
}

static void
load_often(const char *path)
{
	long before = 0;

	for (int i = 0; i < LOADS; i++) {
		struct library l =
			library_of(dlopen(path, RTLD_NOW | RTLD_LOCAL));
		pthread_t thread;
		open_cache(&l);
		require(pthread_create(&thread, NULL, use, &l) == 0, "thread");
		pthread_join(thread, NULL);
		l.delete_cache(l.cache);
		require(dlclose(l.handle) == 0, "dlclose");
		if (i == LOADS / 10)
			before = pages();
	}
	require(pages() < before + (4 << 20) / 4096, "memory has grown");
}

/* A file of another inode is another library for the loader. */
static void
copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "rbe"), *out = fopen(to, "wbe");
	size_t n;

	require(in && out, "copying the library");
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		require(fwrite(bytes, 1, n, out) == n, "copying the library");
	fclose(in);
	require(fclose(out) == 0, "copying the library");
}

/* In a child: every cache is the parent's, and each library's delete works. */
static void
fork_and_delete(struct library *libraries)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int bad = 0;
		for (int i = 0; i < COPIES; i++) {
			struct library *l = &libraries[i];
			bad += l->put(l->cache, "key", 3, "", 1) == 0;
			l->delete_cache(l->cache);
			open_cache(l);
			use(l);
			l->delete_cache(l->cache);
		}
		_exit(bad);
	}
	require(waitpid(child, &status, 0) == child, "waitpid");
	require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child");
}

static void
use_together(const char *path)
{
	char copy[] = "/tmp/vmc-test-XXXXXX";
	struct library libraries[COPIES];
	pthread_t threads[2 * COPIES];

	int fd = mkstemp(copy);
	require(fd >= 0, "mkstemp");
	close(fd);
	copy_file(path, copy);
	libraries[0] = library_of(dlopen(path, RTLD_NOW | RTLD_GLOBAL));
	libraries[1] = library_of(dlopen(copy, RTLD_NOW | RTLD_GLOBAL));
	unlink(copy);
	require(libraries[0].put != libraries[1].put, "one library for two");
	for (int i = 0; i < COPIES; i++)
		open_cache(&libraries[i]);
	for (int i = 0; i < 2 * COPIES; i++)
		require(pthread_create(&threads[i], NULL, use,
				&libraries[i % COPIES]) == 0,
			"thread");
	for (int i = 0; i < 2 * COPIES; i++)
		pthread_join(threads[i], NULL);
	fork_and_delete(libraries);
	for (int i = 0; i < COPIES; i++) {
		use(&libraries[i]);
		libraries[i].delete_cache(libraries[i].cache);
		dlclose(libraries[i].handle);
	}
}

int
main(int argc, char *argv[])
{
	require(argc == 2, "usage: copies LIBRARY");
	load_often(argv[1]);
	use_together(argv[1]);
	return 0;
}
