/* The floor: a program that receives audit packets and throws them away. No reader of the kernel's audit can cost less
 * than what the kernel charges for handing the packets over, so this is what tsauditd is measured against.
 *
 *   floor          takes the audit pid, as a daemon does, and gives it back at the end
 *   floor -m       reads the multicast group instead
 *   floor -f FD    reads a datagram socket that it was given open
 *   floor -b       drains with recvmmsg, 128 packets a call, instead of one recv a packet
 *   floor -r BYTES the socket's receive buffer (SO_RCVBUFFORCE); the system's default without it
 *
 * Prints "ready" when it reads. On SIGTERM or SIGINT, or when the socket ends, it reads what is left and prints one
 * line of JSON: packets, bytes, receives (system calls), overruns, cpu_ns (of /proc/self/schedstat).
 * Needs CAP_AUDIT_CONTROL, with -m CAP_AUDIT_READ. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o floor floor.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 128, PACKET_BYTES = 20480 };

static volatile sig_atomic_t stopping;

static unsigned long long packets, bytes, receives, overruns;

static void stop(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Sets the audit pid (include/uapi/linux/audit.h: AUDIT_SET with AUDIT_STATUS_PID) and waits for the
 * acknowledgement; audit packets that come before it count. */
static void set_audit_pid(int fd, uint32_t pid)
{
	struct {
		struct nlmsghdr header;
		struct audit_status status;
	} request;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	static char reply[PACKET_BYTES];

	memset(&request, 0, sizeof(request));
	request.header.nlmsg_len = sizeof(request);
	request.header.nlmsg_type = AUDIT_SET;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request.status.mask = AUDIT_STATUS_PID;
	request.status.pid = pid;
	if (sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		fail("cannot ask for the audit pid");
	for (;;) {
		ssize_t length = recv(fd, reply, sizeof(reply), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)reply;

		if (length < 0) {
			if (errno == EINTR)
				continue;
			fail("no answer about the audit pid");
		}
		if (header->nlmsg_type == NLMSG_ERROR) {
			errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
			if (errno)
				fail("the kernel refused the audit pid");
			return;
		}
		packets++;
		bytes += length;
	}
}

static int open_audit(int multicast, int buffer)
{
	struct sockaddr_nl here = { .nl_family = AF_NETLINK };
	int group = AUDIT_NLGRP_READLOG;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (fd < 0)
		fail("cannot open an audit socket");
	if (buffer && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		fail("cannot size the receive buffer");
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0)
		fail("cannot bind the audit socket");
	if (multicast && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		fail("cannot join the audit multicast group");
	return fd;
}

/* One packet. 0: none was there (flags has MSG_DONTWAIT) or a signal came. -1: the socket has ended. */
static int receive_one(int fd, int flags)
{
	static char packet[PACKET_BYTES];
	ssize_t length = recv(fd, packet, sizeof(packet), flags);

	receives++;
	if (length > 0) {
		packets++;
		bytes += length;
		return 1;
	}
	if (length < 0 && errno == ENOBUFS) {
		overruns++;
		return 1;
	}
	return length < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : -1;
}

/* As many packets as are there, at least one. */
static int receive_many(int fd, int flags)
{
	static char slots[SLOTS][PACKET_BYTES + 64];
	static struct iovec vectors[SLOTS];
	static struct mmsghdr headers[SLOTS];
	int count;

	for (int slot = 0; slot < SLOTS; slot++) {
		vectors[slot].iov_base = slots[slot];
		vectors[slot].iov_len = PACKET_BYTES;
		headers[slot].msg_hdr.msg_iov = &vectors[slot];
		headers[slot].msg_hdr.msg_iovlen = 1;
	}
	count = recvmmsg(fd, headers, SLOTS, flags | MSG_WAITFORONE, NULL);
	receives++;
	if (count < 0) {
		if (errno == ENOBUFS) {
			overruns++;
			return 1;
		}
		return errno == EINTR || errno == EAGAIN ? 0 : -1;
	}
	for (int slot = 0; slot < count; slot++) {
		if (!headers[slot].msg_len)
			return -1;
		packets++;
		bytes += headers[slot].msg_len;
	}
	return count;
}

static unsigned long long cpu_ns(void)
{
	unsigned long long ns = 0;
	FILE *file = fopen("/proc/self/schedstat", "r");

	if (!file || fscanf(file, "%llu", &ns) != 1)
		fail("cannot read /proc/self/schedstat");
	fclose(file);
	return ns;
}

int main(int argc, char **argv)
{
	int (*receive)(int, int) = receive_one;
	int option, multicast = 0, given = -1, buffer = 0, fd;
	struct sigaction action = { .sa_handler = stop }; /* without SA_RESTART: recv must return */
	struct timeval second = { .tv_sec = 1 }; /* for a signal that comes just before recv */

	while ((option = getopt(argc, argv, "mf:br:")) != -1) {
		switch (option) {
		case 'm': multicast = 1; break;
		case 'f': given = atoi(optarg); break;
		case 'b': receive = receive_many; break;
		case 'r': buffer = atoi(optarg); break;
		default: return 2;
		}
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	fd = given >= 0 ? given : open_audit(multicast, buffer);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) < 0)
		fail("cannot set the socket's timeout");
	if (given < 0 && !multicast)
		set_audit_pid(fd, getpid());
	puts("ready");
	fflush(stdout);
	while (!stopping && receive(fd, 0) >= 0)
		;
	if (given < 0 && !multicast)
		set_audit_pid(fd, 0);
	while (receive(fd, MSG_DONTWAIT) > 0)
		;
	printf("{\"packets\": %llu, \"bytes\": %llu, \"receives\": %llu, \"overruns\": %llu, \"cpu_ns\": %llu}\n",
	       packets, bytes, receives, overruns, cpu_ns());
	return 0;
}
