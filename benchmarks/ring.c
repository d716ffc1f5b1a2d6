/* The floor by way of io_uring: receives audit packets with one multishot request and throws them away. Not what
 * tsauditd does; benchmarks/floors.py holds it against the other ways.
 *
 *   ring                takes the audit pid, as a daemon does, and gives it back at the end
 *   ring -r BYTES       the socket's receive buffer (SO_RCVBUFFORCE); the system's default without it
 *   ring -n COUNT       once a packet is there, waits for so many, two milliseconds at most
 *
 * Prints what floor.c prints; receives are calls of io_uring_enter(2). Linux 6.1 or newer (IORING_SETUP_DEFER_TASKRUN).
 * Needs CAP_AUDIT_CONTROL. Exit: 0 done, 1 failed, 2 usage.
 *
 * cc -O2 -Wall -Wextra -o ring ring.c
 */
#include "receiver.h"

#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { BUFFERS = 2048, COMPLETIONS = 4096, BUFFER_BYTES = 10240 };

/* The rings, shared with the kernel (io_uring(7)). */
static struct {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array;
	struct io_uring_sqe *sqes;
	_Atomic unsigned *cq_head, *cq_tail;
	unsigned *cq_mask;
	struct io_uring_cqe *cqes;
	struct io_uring_buf_ring *buffers;
	char *memory;
	unsigned to_submit;
} ring;

static void *shared(size_t size, off_t offset)
{
	int flags = offset < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, offset < 0 ? -1 : ring.fd,
			offset < 0 ? 0 : offset);

	if (at == MAP_FAILED)
		fail("cannot map a ring");
	return at;
}

/* The kernel may fill this buffer (again). */
static void give(unsigned short number)
{
	unsigned short tail = ring.buffers->tail;
	struct io_uring_buf *slot = &ring.buffers->bufs[tail & (BUFFERS - 1)];

	slot->addr = (uintptr_t)(ring.memory + (size_t)number * BUFFER_BYTES);
	slot->len = BUFFER_BYTES;
	slot->bid = number;
	__atomic_store_n(&ring.buffers->tail, (unsigned short)(tail + 1), __ATOMIC_RELEASE);
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = COMPLETIONS,
	};
	struct io_uring_buf_reg offered = { .ring_entries = BUFFERS };
	char *sq, *cq;

	ring.fd = syscall(SYS_io_uring_setup, 8, &params);
	if (ring.fd < 0)
		fail("cannot set up io_uring");
	sq = shared(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = shared(params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring.sqes = shared(params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.sq_tail = (unsigned *)(sq + params.sq_off.tail);
	ring.sq_mask = (unsigned *)(sq + params.sq_off.ring_mask);
	ring.sq_array = (unsigned *)(sq + params.sq_off.array);
	ring.cq_head = (_Atomic unsigned *)(cq + params.cq_off.head);
	ring.cq_tail = (_Atomic unsigned *)(cq + params.cq_off.tail);
	ring.cq_mask = (unsigned *)(cq + params.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	ring.buffers = shared(BUFFERS * sizeof(struct io_uring_buf), -1);
	ring.memory = shared((size_t)BUFFERS * BUFFER_BYTES, -1);
	offered.ring_addr = (uintptr_t)ring.buffers;
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &offered, 1) < 0)
		fail("cannot offer buffers");
	for (int number = 0; number < BUFFERS; number++)
		give(number);
}

static void ask(int fd)
{
	unsigned tail = *ring.sq_tail, slot = tail & *ring.sq_mask;
	struct io_uring_sqe *request = &ring.sqes[slot];

	memset(request, 0, sizeof(*request));
	request->opcode = IORING_OP_RECV;
	request->ioprio = IORING_RECV_MULTISHOT;
	request->flags = IOSQE_BUFFER_SELECT;
	request->fd = fd;
	ring.sq_array[slot] = slot;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	ring.to_submit++;
}

/* Until `least` completions are there, or the time is up. What is to be submitted is submitted first. */
static void wait_for(unsigned least, struct __kernel_timespec patience)
{
	struct io_uring_getevents_arg extra = { .ts = (uintptr_t)&patience };
	int submitted = syscall(SYS_io_uring_enter, ring.fd, ring.to_submit, least,
				IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &extra, sizeof(extra));

	receives++;
	if (submitted < 0 && errno != ETIME && errno != EINTR)
		fail("cannot wait for packets");
	ring.to_submit = 0;
}

/* Waits for packets, a second at most, and counts them. */
static void receive(int fd, unsigned least)
{
	unsigned head = *ring.cq_head;

	wait_for(1, (struct __kernel_timespec){ .tv_sec = 1 });
	if (least > 1 && *ring.cq_tail != head)
		wait_for(least, (struct __kernel_timespec){ .tv_nsec = 2000000 });
	for (; head != *ring.cq_tail; head++) {
		struct io_uring_cqe *done = &ring.cqes[head & *ring.cq_mask];

		if (done->res > 0) {
			packets++;
			bytes += done->res;
			give(done->flags >> IORING_CQE_BUFFER_SHIFT);
		} else if (done->res != -ENOBUFS && done->res != -EAGAIN && done->res != -EINTR) {
			errno = -done->res;
			fail("cannot receive");
		} else {
			overruns++;
		}
		if (!(done->flags & IORING_CQE_F_MORE)) /* the request has ended: all buffers were full, say */
			ask(fd);
	}
	*ring.cq_head = head;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = stop };
	static char packet[PACKET_BYTES];
	int option, buffer = 0, least = 1, fd;
	ssize_t length;

	while ((option = getopt(argc, argv, "r:n:")) != -1) {
		switch (option) {
		case 'r': buffer = atoi(optarg); break;
		case 'n': least = atoi(optarg); break;
		default: return 2;
		}
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	fd = open_audit(0, buffer);
	open_ring();
	set_audit_pid(fd, getpid());
	ask(fd);
	puts("ready");
	fflush(stdout);
	while (!stopping)
		receive(fd, least);
	close(ring.fd); /* ends the request */
	set_audit_pid(fd, 0);
	while ((length = recv(fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		packets++;
		bytes += length;
	}
	print_counted();
	return 0;
}
