/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * screen.c -- vmemcache-top in a terminal: what stands there at different
 * sizes, which cache is selected, and that q ends it
 *
 * The terminal is a pseudo terminal whose other side this program is. Of what
 * arrives it keeps the text and drops what moves the cursor: words that are
 * written in one go stay whole. Each size makes the program draw all anew.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *tool, *publisher;

/* --- what publishes --- */

static pid_t publishing;
static char one[32], other[32], pattern[32];

static int
start_publisher(void **state)
{
	int in[2], out[2];
	char ready[16];

	(void)state;
	snprintf(one, sizeof(one), "one-%d", getpid());
	snprintf(other, sizeof(other), "other-%d", getpid());
	snprintf(pattern, sizeof(pattern), "*-%d", getpid());
	if (pipe(in) != 0 || pipe(out) != 0)
		return -1;
	publishing = fork();
	if (publishing == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execl(publisher, publisher, one, other, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	return read(out[0], ready, sizeof(ready)) > 0 ? 0 : -1;
}

static int
end_publisher(void **state)
{
	(void)state;
	kill(publishing, SIGTERM); /* not even an exit: it is gone */
	waitpid(publishing, NULL, 0);
	return 0;
}

/* --- the terminal --- */

static int master = -1;
static pid_t shown;
static char text[1 << 20];
static size_t length;

static void
open_terminal(unsigned short columns, unsigned short lines)
{
	struct winsize size = {.ws_row = lines, .ws_col = columns};

	length = 0;
	text[0] = '\0';
	shown = forkpty(&master, NULL, NULL, &size);
	if (shown == 0) {
		setenv("TERM", "vt100", 1);
		unsetenv("LINES");
		unsetenv("COLUMNS");
		execl(tool, tool, "--interval", "0.1", pattern, (char *)NULL);
		_exit(127);
	}
	assert_true(shown > 0);
}

/* Text alone: a space for each sequence that begins with ESC, each control. */
static void
take(const char *bytes, size_t size)
{
	static int in_sequence;

	for (size_t i = 0; i < size && length < sizeof(text) - 1; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (in_sequence) {
			/* ESC [ ... letter, or ESC ( letter, or ESC letter */
			in_sequence =
				in_sequence == 1 && (c == '[' || c == '(') ? 2
				: in_sequence == 2 && (c < '@' || c > '~') ? 2
									   : 0;
			continue;
		}
		in_sequence = c == 27;
		text[length++] = c < ' ' ? ' ' : (char)c;
	}
	text[length] = '\0';
}

/* False: nothing comes any more, as nobody has the other side. */
static bool
read_terminal(void)
{
	char bytes[4096];
	struct pollfd p = {.fd = master, .events = POLLIN};

	if (poll(&p, 1, 60000) != 1)
		fail_msg("nothing for a minute; so far: %s", text);
	ssize_t n = read(master, bytes, sizeof(bytes));
	if (n > 0)
		take(bytes, (size_t)n);
	return n > 0;
}

/* Until that has been written. */
static void
expect(const char *what)
{
	while (!strstr(text, what))
		if (!read_terminal())
			fail_msg("no \"%s\" in: %s", what, text);
}

/*
 * Until that stands in a picture of this size, or one column more: what changes
 * within a picture is sent in part only. It is drawn anew at each other size.
 */
static void
expect_drawn(const char *what, unsigned short columns, unsigned short lines)
{
	struct winsize size;

	for (int tries = 0; tries < 600; tries++) {
		struct pollfd p = {.fd = master, .events = POLLIN};
		length = 0;
		text[0] = '\0';
		assert_int_equal(ioctl(master, TIOCGWINSZ, &size), 0);
		size.ws_row = lines;
		size.ws_col =
			(unsigned short)(columns + (size.ws_col == columns));
		assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
		expect("STATE");
		while (!strstr(text, what) && poll(&p, 1, 50) == 1)
			if (!read_terminal())
				break;
		if (strstr(text, what))
			return;
	}
	fail_msg("no \"%s\" in: %s", what, text);
}

static int
close_terminal(const char *key)
{
	int status;

	assert_int_equal(write(master, key, strlen(key)), strlen(key));
	while (read_terminal())
		;
	assert_int_equal(waitpid(shown, &status, 0), shown);
	close(master);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_80x24(void **state)
{
	(void)state;
	open_terminal(80, 24);
	expect("q: quit");
	expect("METADATA");
	expect(one);
	expect(other);
	expect("running");
	/* more of the one that is selected */
	expect(", process ");
	expect("REMOVED");
	expect("for room");
	expect("key exists");
	expect("no memory");
	assert_int_equal(close_terminal("q"), 0);
}

static void
test_narrow(void **state)
{
	(void)state;
	open_terminal(50, 24);
	expect("by a call");
	expect("cleared");
	assert_null(strstr(text, "METADATA"));
	assert_null(strstr(text, "STORES"));
	expect("HIT%");
	assert_int_equal(close_terminal("Q"), 0);
}

/* Too low for more than the table, and for all of that. */
static void
test_low(void **state)
{
	(void)state;
	open_terminal(80, 3);
	expect(one);
	assert_null(strstr(text, other));
	assert_null(strstr(text, "REMOVED"));
	assert_int_equal(write(master, "j", 1), 1);
	expect_drawn(other, 80, 3); /* the table moves */
	assert_int_equal(close_terminal("q"), 0);
}

static void
test_tiny(void **state)
{
	static const unsigned short sizes[][2] = {
		{1, 1}, {2, 5}, {11, 2}, {19, 24}, {300, 1}};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		open_terminal(sizes[i][0], sizes[i][1]);
		while (length == 0)
			assert_true(read_terminal());
		assert_int_equal(close_terminal("jjkq"), 0);
	}
}

static void
test_resized(void **state)
{
	char title[64];

	(void)state;
	open_terminal(80, 24);
	expect("no memory");
	expect_drawn("HIT%", 50, 20);
	expect_drawn("METADATA", 131, 40);
	snprintf(title, sizeof(title), "%s, process", one);
	expect_drawn(title, 100, 30);
	/* the keys of the arrows, as a terminal sends them */
	assert_int_equal(write(master, "\033OB", 3), 3);
	snprintf(title, sizeof(title), "%s, process", other);
	expect_drawn(title, 100, 30);
	assert_int_equal(write(master, "\033OA", 3), 3);
	snprintf(title, sizeof(title), "%s, process", one);
	expect_drawn(title, 100, 30);
	assert_int_equal(close_terminal("q"), 0);
}

static void
test_gone(void **state)
{
	(void)state;
	open_terminal(80, 24);
	expect("no memory");
	(void)end_publisher(NULL);
	expect("--clean removes");
	expect_drawn("gone", 80, 24);
	assert_int_equal(close_terminal("q"), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_80x24), cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_low), cmocka_unit_test(test_tiny),
		cmocka_unit_test(test_resized),
		cmocka_unit_test(test_gone), /* the last */
	};

	if (argc != 3)
		return 2;
	tool = argv[1];
	publisher = argv[2];
	alarm(240); /* the clock on the screen goes on when nothing else does */
	int failed =
		cmocka_run_group_tests(tests, start_publisher, end_publisher);
	char command[4096];
	snprintf(command, sizeof(command), "'%s' --clean '%s' >/dev/null", tool,
		pattern);
	return system(command) != 0 || failed;
}
