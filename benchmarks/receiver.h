/* What the programs that receive audit packets and throw them away share: the socket, the audit pid, what is counted. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
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

enum { PACKET_BYTES = 20480 };

static volatile sig_atomic_t stopping;

static unsigned long long packets, bytes, receives, overruns;

static void stop(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
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

static unsigned long long cpu_ns(void)
{
	unsigned long long ns = 0;
	FILE *file = fopen("/proc/self/schedstat", "r");

	if (!file || fscanf(file, "%llu", &ns) != 1)
		fail("cannot read /proc/self/schedstat");
	fclose(file);
	return ns;
}

static void print_counted(void)
{
	printf("{\"packets\": %llu, \"bytes\": %llu, \"receives\": %llu, \"overruns\": %llu, \"cpu_ns\": %llu}\n",
	       packets, bytes, receives, overruns, cpu_ns());
}
