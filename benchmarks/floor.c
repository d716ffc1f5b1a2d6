/* The floor: a program that receives audit packets and throws them away. No reader of the kernel's audit can cost less
 * than what the kernel charges for handing the packets over, so this is what tsauditd is measured against.
 *
 *   floor          takes the audit pid, as a daemon does, and gives it back at the end
 *   floor -m       reads the multicast group instead
 *   floor -f FD    reads a datagram socket that it was given open
 *   floor -b       drains with recvmmsg, 128 packets a call, instead of one recv a packet
 *   floor -r BYTES the socket's receive buffer (SO_RCVBUFFORCE); the system's default without it
 *   floor -n COUNT with -b: so many packets a call at most, 1 to 1024, in place of 128
 *   floor -p MICROS with -b: waits so long after the first packet has come, and then drains what is there
 *
 * Prints "ready" when it reads. On SIGTERM or SIGINT, or when the socket ends, it reads what is left and prints one
 * line of JSON: packets, bytes, receives (system calls), overruns, cpu_ns (of /proc/self/schedstat).
 * Needs CAP_AUDIT_CONTROL, with -m CAP_AUDIT_READ. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o floor floor.c
 */
#define _GNU_SOURCE
#include <poll.h>

#include "receiver.h"

enum { MOST_SLOTS = 1024 };

static int slots_used = 128, pause_micros;

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
	static char slots[MOST_SLOTS][PACKET_BYTES + 64];
	static struct iovec vectors[MOST_SLOTS];
	static struct mmsghdr headers[MOST_SLOTS];
	int count;

	if (pause_micros && !(flags & MSG_DONTWAIT)) {
		struct pollfd waiting = { .fd = fd, .events = POLLIN };

		if (poll(&waiting, 1, 1000) <= 0)
			return 0;
		usleep(pause_micros);
		flags |= MSG_DONTWAIT;
	}
	for (int slot = 0; slot < slots_used; slot++) {
		vectors[slot].iov_base = slots[slot];
		vectors[slot].iov_len = PACKET_BYTES;
		headers[slot].msg_hdr.msg_iov = &vectors[slot];
		headers[slot].msg_hdr.msg_iovlen = 1;
	}
	count = recvmmsg(fd, headers, slots_used, flags | MSG_WAITFORONE, NULL);
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

int main(int argc, char **argv)
{
	int (*receive)(int, int) = receive_one;
	int option, multicast = 0, given = -1, buffer = 0, fd;
	struct sigaction action = { .sa_handler = stop }; /* without SA_RESTART: recv must return */
	struct timeval second = { .tv_sec = 1 }; /* for a signal that comes just before recv */

	while ((option = getopt(argc, argv, "mf:br:n:p:")) != -1) {
		switch (option) {
		case 'm': multicast = 1; break;
		case 'f': given = atoi(optarg); break;
		case 'b': receive = receive_many; break;
		case 'r': buffer = atoi(optarg); break;
		case 'n': slots_used = atoi(optarg); break;
		case 'p': pause_micros = atoi(optarg); break;
		default: return 2;
		}
	}
	if (slots_used < 1 || slots_used > MOST_SLOTS)
		return 2;
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
	print_counted();
	return 0;
}
