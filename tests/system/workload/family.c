/* Processes whose line of descent is known: each says who it is, and opens a file that is not there, which is audited.
 *
 *   family tree PREFIX        one of each kind, below a process with these arguments
 *   family here PREFIX TAG    one
 *   family again PREFIX       one for each line on standard input
 *   family heirs PREFIX       for each three lines on standard input: a child, its end, and the parent itself
 *   family bomb COUNT TEXT    COUNT processes, of which some hundred live at once, each running `family leaf TEXT`
 *   family leaf TEXT          nothing
 *
 * Prints TAG, pid, parent's pid, session and start in clock ticks (proc_pid_stat(5)) of each, a line each.
 * Exit: 0 done, 1 failed, 2 usage.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *program;
static char *prefix;

static void need(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(1);
}

static void here(const char *tag)
{
	char path[4096], text[1024];
	int parent, session;
	unsigned long long ticks;
	int stat = open("/proc/self/stat", O_RDONLY);
	ssize_t length = read(stat, text, sizeof text - 1);

	need(length > 0, "stat");
	close(stat);
	text[length] = 0;
	need(sscanf(strrchr(text, ')') + 2,
		    "%*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		    &parent, &session, &ticks) == 3, "fields");
	snprintf(path, sizeof path, "%s%s", prefix, tag);
	need(open(path, O_RDONLY) < 0, path);
	length = snprintf(text, sizeof text, "%s %d %d %d %llu\n", tag, getpid(), parent, session, ticks);
	need(write(1, text, length) == length, "write");
}

/* Starts a child that does `act` and is waited for. */
static void child(void (*act)(void))
{
	int status;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0) {
		act();
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

static void plain(void)
{
	here("child");
}

static void member(void)
{
	here("member");
}

static void leader(void)
{
	need(setsid() > 0, "setsid");
	here("leader");
	child(member);
}

/* In a child of a child that has ended, once somebody has taken it up. */
static void left(const char *tag)
{
	int end[2], parent = getpid();
	char nothing;

	need(pipe(end) == 0, "pipe");
	pid_t middle = fork();
	need(middle >= 0, "fork");
	if (middle == 0) {
		parent = getpid();
		if (tag[0] == 'd')
			need(setsid() > 0, "setsid");
		pid_t last = fork();
		need(last >= 0, "fork");
		if (last > 0)
			_exit(0);
		while (getppid() == parent)
			usleep(1000);
		here(tag);
		_exit(0);
	}
	close(end[1]);
	need(waitpid(middle, NULL, 0) == middle, "middle");
	need(read(end[0], &nothing, 1) == 0, "end"); /* when the last process that has the pipe is gone */
	close(end[0]);
}

static void run(const char *tag)
{
	execl(program, program, "here", prefix, tag, "an argument of two words", NULL);
	need(0, program);
}

static void other(void)
{
	here("before");
	run("program");
}

static void *in_a_thread(void *tag)
{
	run(tag);
	return NULL;
}

static void thread(void)
{
	pthread_t thread;

	here("single");
	need(pthread_create(&thread, NULL, in_a_thread, "thread") == 0, "thread");
	pthread_join(thread, NULL);
}

static void bomb(long count, char *text)
{
	for (long done = 0, alive = 0; done < count || alive > 0;) {
		if (done < count && alive < 200) {
			pid_t pid = fork();
			need(pid >= 0, "fork");
			if (pid == 0) {
				execl(program, program, "leaf", text, NULL);
				_exit(1);
			}
			done++;
			alive++;
			continue;
		}
		need(wait(NULL) > 0, "wait");
		alive--;
	}
}

static void heirs(void)
{
	char line[16], tag[32];

	for (int number = 0; fgets(line, sizeof line, stdin); number++) {
		pid_t pid = fork();
		need(pid >= 0, "fork");
		if (pid == 0) {
			snprintf(tag, sizeof tag, "heir%d", number);
			here(tag);
			pause();
		}
		need(fgets(line, sizeof line, stdin) != NULL, "line");
		need(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
		need(write(1, "\n", 1) == 1, "write");
		need(fgets(line, sizeof line, stdin) != NULL, "line");
		snprintf(tag, sizeof tag, "between%d", number);
		here(tag);
	}
}

int main(int argc, char **argv)
{
	char line[16], tag[32];

	program = argv[0];
	if (argc < 3)
		return 2;
	prefix = argv[2];
	if (strcmp(argv[1], "here") == 0 && argc > 3) {
		here(argv[3]);
	} else if (strcmp(argv[1], "again") == 0) {
		for (int number = 0; fgets(line, sizeof line, stdin); number++) {
			snprintf(tag, sizeof tag, "again%d", number);
			here(tag);
		}
	} else if (strcmp(argv[1], "heirs") == 0) {
		heirs();
	} else if (strcmp(argv[1], "bomb") == 0 && argc > 3) {
		bomb(atol(argv[2]), argv[3]);
	} else if (strcmp(argv[1], "tree") == 0) {
		here("root");
		child(plain);
		child(leader);
		left("daemon");
		left("orphan");
		child(other);
		child(thread);
	} else if (strcmp(argv[1], "leaf") != 0) {
		return 2;
	}
	return 0;
}
