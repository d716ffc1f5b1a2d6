/* The storms of the showdown: one system call again and again, each of which the rules make an event.
 *
 *   storms open FILE COUNT             opens the file for reading
 *   storms exec PROGRAM COUNT          runs the program in a process of its own, its number as its argument
 *   storms connect PORT COUNT          connects to 127.1.HIGH.LOW, where HIGH * 250 + LOW is the number; a child answers
 *   storms probe PREFIX COUNT MICROS   makes PREFIX followed by six digits, one each MICROS; prints when, ns of
 *                                      CLOCK_MONOTONIC just before the call, a line each
 *
 * The first three print one line of JSON: wall_ns and cpu_ns (user and system, children included) of the loop, and
 * p50_ns, p99_ns, most_ns of one round of it. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o storms storms.c
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static pid_t answering;

static void fail(const char *what)
{
	perror(what);
	if (answering)
		kill(answering, SIGKILL);
	exit(1);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long spent(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static void open_one(const char *path, long number)
{
	int fd = open(path, O_RDONLY);

	(void)number;
	if (fd < 0)
		fail(path);
	close(fd);
}

static void exec_one(const char *program, long number)
{
	char digits[24];
	char *arguments[] = { (char *)program, digits, NULL };
	pid_t child;
	int status;

	snprintf(digits, sizeof(digits), "%ld", number);
	if (posix_spawn(&child, program, NULL, NULL, arguments, environ) != 0 ||
	    waitpid(child, &status, 0) != child || status != 0)
		fail(program);
}

static void connect_one(const char *port, long number)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	char nothing;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	peer.sin_addr.s_addr = htonl(0x7f010000 + (number / 250 % 250 << 8) + number % 250 + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		fail("connect");
	if (read(fd, &nothing, 1) != 0) /* the other side has let go */
		fail("read");
	close(fd);
}

/* A child that takes each connection and lets go of it. */
static void answer(const char *port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(fd, 4096) < 0)
		fail("listen");
	answering = fork();
	if (answering < 0)
		fail("fork");
	if (answering == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int taken = accept(fd, NULL, NULL);

			if (taken >= 0)
				close(taken);
		}
	}
	close(fd);
}

static void probe(const char *prefix, long count, long micros)
{
	char path[4096];

	for (long number = 0; number < count; number++) {
		int fd;

		snprintf(path, sizeof(path), "%s%06ld", prefix, number);
		printf("%lld\n", now());
		fflush(stdout);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			fail(path);
		close(fd);
		usleep(micros);
	}
}

static int ascending(const void *one, const void *other)
{
	long long first = *(const long long *)one, second = *(const long long *)other;

	return (first > second) - (first < second);
}

int main(int argc, char **argv)
{
	void (*once)(const char *, long);
	long long wall, cpu, *took;
	long count;

	if (argc == 5 && strcmp(argv[1], "probe") == 0) {
		probe(argv[2], atol(argv[3]), atol(argv[4]));
		return 0;
	}
	if (argc != 4 || (count = atol(argv[3])) < 1)
		return 2;
	if (strcmp(argv[1], "open") == 0)
		once = open_one;
	else if (strcmp(argv[1], "exec") == 0)
		once = exec_one;
	else if (strcmp(argv[1], "connect") == 0)
		once = connect_one;
	else
		return 2;
	took = malloc(count * sizeof(*took));
	if (!took)
		fail("memory");
	if (once == connect_one)
		answer(argv[2]);
	cpu = spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN);
	wall = now();
	for (long done = 0; done < count; done++) {
		long long began = now();

		once(argv[2], done);
		took[done] = now() - began;
	}
	wall = now() - wall;
	if (answering) {
		kill(answering, SIGKILL);
		waitpid(answering, NULL, 0);
	}
	cpu = spent(RUSAGE_SELF) + spent(RUSAGE_CHILDREN) - cpu;
	qsort(took, count, sizeof(*took), ascending);
	printf("{\"wall_ns\": %lld, \"cpu_ns\": %lld, \"p50_ns\": %lld, \"p99_ns\": %lld, \"most_ns\": %lld}\n", wall,
	       cpu, took[count / 2], took[count * 99 / 100], took[count - 1]);
	return 0;
}
