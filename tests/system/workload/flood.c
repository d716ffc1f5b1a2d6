// Does known things that a rule on this program's path makes into events, each with its own number.
//
//   flood open COUNT PREFIX    opens PREFIX00000 ..., which do not exist
//   flood run COUNT            runs itself COUNT times, one after the other, with numbered and awkward arguments
//   flood ready COUNT PREFIX   as open, but writes a line first and waits for one on standard input

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_all(long count, const char *prefix)
{
	char path[4096];

	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s%05ld", prefix, i);
		if (openat(AT_FDCWD, path, O_RDONLY) >= 0)
			return 1;
	}
	return 0;
}

static int run_all(long count, char *self)
{
	char number[24];

	for (long i = 0; i < count; i++) {
		snprintf(number, sizeof number, "%05ld", i);
		pid_t child = fork();
		if (child < 0)
			return 1;
		if (child == 0) {
			execl(self, self, "leaf", number, "two words", "", "\"quoted\"", "line\nend", "\303\251", NULL);
			_exit(1);
		}
		int status;
		if (waitpid(child, &status, 0) != child || status != 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "leaf") == 0)
		return 0;
	if (argc == 4 && strcmp(argv[1], "open") == 0)
		return open_all(atol(argv[2]), argv[3]);
	if (argc == 4 && strcmp(argv[1], "ready") == 0) {
		puts("ready");
		fflush(stdout);
		return getchar() == EOF ? 1 : open_all(atol(argv[2]), argv[3]);
	}
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run_all(atol(argv[2]), argv[0]);
	fputs("usage: flood open|ready COUNT PREFIX | run COUNT\n", stderr);
	return 2;
}
