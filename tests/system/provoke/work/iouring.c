/* io_uring by raw system calls: opens that succeed and fail, mkdir, rename, unlink, connect; URINGOP with PATH and SOCKADDR. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring, next;
static struct io_uring_params params;
static struct io_uring_sqe *entries;
static char *queue;

static void submit(struct io_uring_sqe entry)
{
	unsigned *tail = (unsigned *)(queue + params.sq_off.tail);
	unsigned *array = (unsigned *)(queue + params.sq_off.array);
	unsigned slot = *tail & *(unsigned *)(queue + params.sq_off.ring_mask);

	entries[slot] = entry;
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring, 1, ++next, IORING_ENTER_GETEVENTS, NULL, 0);
}

static uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

int main(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(9) };
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	ring = (int)syscall(SYS_io_uring_setup, 16, &params);
	if (ring < 0)
		return 1;
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	inet_pton(AF_INET, "127.0.0.1", &peer.sin_addr);
	submit((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = address("/etc/hostname"), .open_flags = O_RDONLY });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = address("/nothing here"), .open_flags = O_RDONLY });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = address("/tmp/provoke-ring"), .open_flags = O_CREAT | O_WRONLY, .len = 0640, .flags = IOSQE_ASYNC });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_RENAMEAT, .fd = AT_FDCWD, .addr = address("/tmp/provoke-ring"), .len = (uint32_t)AT_FDCWD, .addr2 = address("/tmp/provoke-rung") });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = address("/tmp/provoke-rung") });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_MKDIRAT, .fd = AT_FDCWD, .addr = address("/tmp/provoke-ring"), .len = 0700 });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = address("/tmp/provoke-ring"), .unlink_flags = AT_REMOVEDIR });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = sock, .addr = address(&peer), .off = sizeof peer });
	submit((struct io_uring_sqe){ .opcode = IORING_OP_SOCKET, .fd = AF_INET6, .off = SOCK_DGRAM });
	return 0;
}
