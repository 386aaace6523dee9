// The Go runtime's settings for a process that lives for a few milliseconds and then becomes something else: one processor, no garbage
// collection, no time zone, whatever the caller has in mind for Go programs of his own. The runtime takes them from the environment that lies behind its
// arguments, before anything of Go runs; so a launch goes into Go from here, with a copy of both that has a few variables
// more. The payload's environment is the one that the C library knows.
#define _GNU_SOURCE
#include "enter.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern int main(int argc, char **argv); // Go's, which reads the environment and the auxiliary vector from behind argv

struct auxiliary {
	unsigned long type, value; // type 0: the last
};

static size_t count_strings(char **list) {
	size_t n = 0;
	while (list[n] != NULL)
		n++;
	return n;
}

// coracle_start_brief goes on into Go with the settings.
void coracle_start_brief(int argc, char **argv) {
	static char *const settings[] = {"GOMAXPROCS=1", "GOGC=off", "TZ="}; // the first of a name counts
	enum { SETTINGS = sizeof settings / sizeof *settings };
	size_t vars = count_strings(environ), aux = 0;
	struct auxiliary *from = (struct auxiliary *)(environ + vars + 1);
	while (from[aux].type != 0)
		aux++;
	size_t words = (size_t)argc + 1 + SETTINGS + vars + 1;
	char **block = malloc(words * sizeof *block + (aux + 1) * sizeof *from);
	if (block == NULL)
		return;
	memcpy(block, argv, (size_t)argc * sizeof *block);
	char **env = block + argc;
	*env++ = NULL;
	memcpy(env, settings, sizeof settings);
	memcpy(env + SETTINGS, environ, (vars + 1) * sizeof *env);
	memcpy(block + words, from, (aux + 1) * sizeof *from);
	coracle_hide_files();
	exit(main(argc, block));
}
