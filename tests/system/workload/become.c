// Takes on other ids, and says which it had and has.
//
//   become calls UID GID   as root: one call after the other; the last, to become root again, fails
//   become run FILE        runs FILE as `FILE show`
//
// Each line is the name of a call, the ids before and those after: Uid and Gid as proc(5) has them, each real,
// effective, saved, filesystem.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

static void print_ids(void)
{
	unsigned id[4];
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");

	if (!status)
		exit(1);
	while (fgets(line, sizeof line, status))
		if (sscanf(line + 4, "%u %u %u %u", &id[0], &id[1], &id[2], &id[3]) == 4
		    && (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4)))
			printf(" %u %u %u %u", id[0], id[1], id[2], id[3]);
	fclose(status);
}

#define TRY(call, arguments) do { \
	printf(#call); \
	print_ids(); \
	result = call arguments; \
	print_ids(); \
	putchar('\n'); \
} while (0)

int main(int argc, char **argv)
{
	const uid_t none = -1;
	int result;

	if (argc == 2 && !strcmp(argv[1], "show")) {
		print_ids();
		putchar('\n');
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "run")) {
		printf("execve");
		print_ids();
		fflush(stdout);
		execl(argv[2], argv[2], "show", NULL);
		return 1;
	}
	if (argc != 4 || strcmp(argv[1], "calls"))
		return 2;
	uid_t user = atoi(argv[2]);
	gid_t group = atoi(argv[3]);
	TRY(setresgid, (none, group, none));
	TRY(setregid, (group, none));
	TRY(setgid, (0));
	TRY(setfsgid, (group));
	TRY(setfsuid, (user));
	TRY(setfsuid, (user));
	TRY(setresuid, (none, user, none));
	TRY(setresuid, (none, 0, none));
	TRY(setreuid, (none, user));
	TRY(setreuid, (user, 0));
	TRY(setgid, (group));
	TRY(setuid, (user));
	TRY(setuid, (0));
	return result == -1 ? 0 : 1;
}
