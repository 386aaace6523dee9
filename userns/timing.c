// Moments of a launch, for --timing. A process notes them as it goes and hands them on with its execve; an image server
// sends its own along with the mounts.
#define _GNU_SOURCE
#include "enter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MARKS = 128, WHAT = 80 };

// What happened, and when it was over.
struct mark {
	int64_t at; // CLOCK_MONOTONIC, ns
	int server; // it was the image server's
	char what[WHAT];
};

static struct mark marks[MARKS];
static int count;

// Set where somebody wants to know: then steps are noted one by one.
int coracle_timing;

static const char variable[] = "CORACLE_MARKS=";

static int64_t now(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ended;

// coracle_end_marks: nothing is noted from now on. A server calls it before it has several threads that might.
void coracle_end_marks(void) { ended = 1; }

static void add(int64_t at, int server, const char *what, size_t len) {
	if (count == MARKS || ended)
		return;
	int i = count++;
	for (; i > 0 && marks[i - 1].at > at; i--)
		marks[i] = marks[i - 1];
	marks[i].at = at;
	marks[i].server = server;
	snprintf(marks[i].what, WHAT, "%.*s", (int)(len < WHAT ? len : WHAT), what);
}

// coracle_mark notes that what, and on what, is over.
void coracle_mark(const char *what, const char *on) {
	char text[WHAT];
	int n = snprintf(text, sizeof text, "%s%s%s", what, *on ? " " : "", on);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == ';')
			*c = '?'; // a path may hold what separates marks, or does things to a terminal
	add(now(CLOCK_MONOTONIC), 0, text, n < 0 ? 0 : (size_t)n);
}

// coracle_mark_part is coracle_mark for text of the program's own.
void coracle_mark_part(const char *what, size_t len) { add(now(CLOCK_MONOTONIC), 0, what, len); }

// coracle_marks writes the marks as "NS WHAT;NS WHAT", as many as there is room for.
void coracle_marks(char *to, size_t size) {
	size_t at = 0;
	*to = 0;
	for (int i = 0; i < count; i++) {
		int n = snprintf(to + at, size - at, "%s%lld %s", i > 0 ? ";" : "", (long long)marks[i].at, marks[i].what);
		if (n < 0 || (size_t)n >= size - at) {
			to[at] = 0;
			return;
		}
		at += (size_t)n;
	}
}

// coracle_take_marks adds marks of another process, or of this one before its execve.
void coracle_take_marks(const char *from, int server) {
	while (*from) {
		char *what;
		long long at = strtoll(from, &what, 10);
		size_t len = strcspn(what, ";");
		if (*what == ' ')
			add(at, server, what + 1, len - 1);
		from = what + len + (what[len] == ';');
	}
}

// coracle_begin_marks notes that the process has been executed, and goes on with what it had noted before.
void coracle_begin_marks(void) {
	for (char **e = environ; *e != NULL; e++)
		if (strncmp(*e, variable, sizeof variable - 1) == 0) {
			coracle_timing = 1;
			coracle_take_marks(*e + sizeof variable - 1, 0);
			coracle_mark("execve of this program", "");
			return;
		}
	// The kernel tells a start time in hundredths of a second only: the processor time since the fork comes closer.
	int64_t begin = now(CLOCK_MONOTONIC) - now(CLOCK_PROCESS_CPUTIME_ID);
	add(begin, 0, "", 0);
	coracle_mark("fork and execve by the caller (processor time)", "");
}

// coracle_show_marks writes a line for each mark to standard error: when, how long, what.
void coracle_show_marks(void) {
	static char text[MARKS * (WHAT + 64)];
	size_t at = 0;
	int64_t last[2] = {0, 0}, begin = count > 0 ? marks[0].at : 0;
	for (int i = 0; i < count && at < sizeof text - 1; i++) {
		struct mark *m = &marks[i];
		int64_t before = last[m->server] ? last[m->server] : m->at;
		last[m->server] = m->at;
		if (*m->what == 0)
			continue; // where a process begins
		int n = snprintf(text + at, sizeof text - at, "coracle: timing: %8.3f ms  %+7.3f  %s%s\n", (double)(m->at - begin) / 1e6,
		                 (double)(m->at - before) / 1e6, m->server ? "image server: " : "", m->what);
		at += n < 0 ? 0 : (size_t)n;
	}
	if (at > sizeof text)
		at = sizeof text;
	if (write(2, text, at) < 0)
		return; // nobody listens
}
