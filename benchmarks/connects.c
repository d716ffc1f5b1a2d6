/* Many short connections to one place, as fast as they go, and which end each had.
 *
 *   connects ADDRESS PORT COUNT WIDTH
 *
 * WIDTH 1: connects, waits for it, closes at once. More: so many at a time without waiting, each until the other side
 * has let go, on descriptors that come again, as a load generator does it. Prints the own port of each connection, a
 * line each, in the order of the calls. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o connects connects.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in to = { .sin_family = AF_INET };
static unsigned short *ports;
static long begun;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int connected(int flags)
{
	struct sockaddr_in own = { 0 };
	socklen_t length = sizeof(own);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS))
		fail("connect");
	if (getsockname(fd, (struct sockaddr *)&own, &length) < 0)
		fail("getsockname");
	ports[begun++] = ntohs(own.sin_port);
	return fd;
}

static void at_once(long count, long width)
{
	struct epoll_event ready[64], wanted = { .events = EPOLLIN | EPOLLRDHUP };
	int all = epoll_create1(EPOLL_CLOEXEC);
	long open = 0;

	if (all < 0)
		fail("epoll");
	for (;;) {
		int found;

		for (; open < width && begun < count; open++) {
			wanted.data.fd = connected(SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (epoll_ctl(all, EPOLL_CTL_ADD, wanted.data.fd, &wanted) < 0)
				fail("epoll");
		}
		if (!open)
			return;
		found = epoll_wait(all, ready, 64, -1);
		for (int at = 0; at < found; at++, open--)
			close(ready[at].data.fd);
	}
}

int main(int argc, char **argv)
{
	long count, width;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	count = atol(argv[3]);
	width = atol(argv[4]);
	if (count < 1 || width < 1 || !(ports = calloc(count, sizeof(*ports))))
		return 2;
	if (width == 1)
		while (begun < count)
			close(connected(SOCK_CLOEXEC));
	else
		at_once(count, width);
	for (long at = 0; at < count; at++)
		printf("%hu\n", ports[at]);
	return 0;
}
