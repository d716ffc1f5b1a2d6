/* The i386 entry from a 64-bit program (int 0x80) and, built with -m32, a whole 32-bit one: socketcall and ipc too. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <string.h>
#include <unistd.h>

static long call(long number, long a, long b, long c, long d, long e)
{
	long result;
	__asm__ volatile("int $0x80"
#ifdef __x86_64__
			 : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "r8", "r9", "r10", "r11");
#else
			 : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
#endif
	return result;
}

int main(void)
{
	char *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	struct sockaddr_in *peer = (void *)(low + 256);
	unsigned *args = (void *)(low + 512);
	long sock, segment;

	strcpy(low, "/etc/hostname");
	strcpy(low + 64, "/nothing/here");
	call(5, (long)low, O_RDONLY, 0, 0, 0);                  /* open */
	call(5, (long)(low + 64), O_RDWR | O_CREAT, 0600, 0, 0);
	call(295, AT_FDCWD, (long)low, O_RDONLY, 0, 0);         /* openat */
	args[0] = AF_INET, args[1] = SOCK_STREAM, args[2] = 0;
	sock = call(102, 1, (long)args, 0, 0, 0);               /* socketcall socket */
	peer->sin_family = AF_INET;
	peer->sin_port = htons(9);
	peer->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	args[0] = (unsigned)sock, args[1] = (unsigned)(long)peer, args[2] = sizeof *peer;
	call(102, 3, (long)args, 0, 0, 0);                      /* socketcall connect */
	call(362, sock, (long)peer, sizeof *peer, 0, 0);        /* connect */
	segment = call(117, 23, IPC_PRIVATE, 4096, 0600, 0);    /* ipc shmget */
	call(117, 24, segment, IPC_RMID, 0, 0);                 /* ipc shmctl */
	call(10, (long)(low + 64), 0, 0, 0, 0);                 /* unlink */
	call(37, getpid(), 0, 0, 0, 0);                         /* kill */
	call(999, 1, 2, 3, 4, 5);
	strcpy(low + 128, "/bin/true");
	args[0] = (unsigned)(long)(low + 128), args[1] = 0;
	call(11, (long)(low + 128), (long)args, 0, 0, 0);       /* execve */
	return 0;
}
