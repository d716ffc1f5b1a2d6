/* The workload of the exec storm: runs a program again and again, each time in a process of its own that it waits for.
 *
 *   execs PROGRAM COUNT
 *
 * Prints one line of JSON: wall_ns, and cpu_ns (user and system, the children's included) of the loop.
 * Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o execs execs.c
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long spent(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

int main(int argc, char **argv)
{
	struct timespec before, after;
	long long cpu;
	long count;

	if (argc != 3)
		return 2;
	count = atol(argv[2]);
	cpu = spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN);
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (long done = 0; done < count; done++) {
		char *arguments[] = { argv[1], "--number", "of many", NULL };
		pid_t child;
		int status;

		if (posix_spawn(&child, argv[1], NULL, NULL, arguments, environ) != 0 ||
		    waitpid(child, &status, 0) != child || status != 0) {
			perror(argv[1]);
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	cpu = spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN) - cpu;
	printf("{\"wall_ns\": %lld, \"cpu_ns\": %lld}\n",
	       (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec, cpu);
	return 0;
}
