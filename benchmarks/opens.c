/* The workload of the live benchmark: opens a file for reading again and again, each of which the rules make an event.
 *
 *   opens FILE COUNT
 *
 * Prints one line of JSON: wall_ns and cpu_ns (user and system) of the loop. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o opens opens.c
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	long long wall, cpu;
	long count;

	if (argc != 3)
		return 2;
	count = atol(argv[2]);
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (long done = 0; done < count; done++) {
		int fd = open(argv[1], O_RDONLY);

		if (fd < 0) {
			perror(argv[1]);
			return 1;
		}
		close(fd);
	}
	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"wall_ns\": %lld, \"cpu_ns\": %lld}\n", wall, cpu);
	return 0;
}
