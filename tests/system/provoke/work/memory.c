/* Descriptors, memory and System V and POSIX IPC: FD_PAIR, MMAP, IPC, IPC_SET_PERM, MQ_*, OPENAT2. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void descriptors(void)
{
	int pair[2], fd;
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };

	pipe(pair);
	pipe2(pair, O_CLOEXEC | O_NONBLOCK);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	fd = (int)syscall(SYS_openat2, AT_FDCWD, "/etc/hostname", &how, sizeof how);
	syscall(SYS_openat2, AT_FDCWD, "/proc/self/exe", &how, sizeof how);
	how = (struct open_how){ .flags = O_CREAT | O_WRONLY | O_EXCL, .mode = 0640, .resolve = RESOLVE_BENEATH };
	syscall(SYS_openat2, AT_FDCWD, "/tmp/provoke-openat2", &how, sizeof how);
	how.resolve = 1ULL << 40;
	syscall(SYS_openat2, fd, "x", &how, sizeof how);
	syscall(SYS_openat2, AT_FDCWD, "x", &how, 8);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fcntl(fd, F_DUPFD_CLOEXEC, 100);
	ioctl(fd, FIONREAD, &pair[0]);
	ioctl(0, TIOCSTI, "x");
	lseek(fd, 4, SEEK_SET);
	dup3(fd, 200, O_CLOEXEC);
	fchmodat(fd, "", 04755, AT_EMPTY_PATH);
	faccessat(AT_FDCWD, "/etc/shadow", R_OK | W_OK, AT_EACCESS);
	mknod("/tmp/provoke-node", S_IFIFO | 0600, 0);
	unlink("/tmp/provoke-node");
	umask(077);
	syscall(SYS_close_range, 300, ~0U, 0);
	syscall(SYS_execveat, fd, "", NULL, NULL, AT_EMPTY_PATH);
	close(fd);
}

static void memory(void)
{
	int fd = memfd_create("provoke", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;

	ftruncate(fd, 4096);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mprotect(map, 4096, PROT_READ | PROT_EXEC);
	munmap(map, 4096);
	map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	munmap(map, 4096);
	close(fd);
}

static void ipc(void)
{
	struct shmid_ds shm;
	struct semid_ds sem;
	struct msqid_ds msg;
	union { int val; struct semid_ds *buf; } arg = { .buf = &sem };
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0640);

	shmdt(shmat(id, NULL, SHM_RDONLY));
	shmctl(id, IPC_STAT, &shm);
	shm.shm_perm.uid = 4242;
	shm.shm_perm.mode = 0604;
	shmctl(id, IPC_SET, &shm);
	shmctl(id, IPC_RMID, NULL);
	id = semget(IPC_PRIVATE, 2, IPC_CREAT | IPC_EXCL | 0600);
	semctl(id, 0, IPC_STAT, arg);
	sem.sem_perm.gid = 4242;
	semctl(id, 0, IPC_SET, arg);
	semctl(id, 0, IPC_RMID);
	id = msgget(IPC_PRIVATE, IPC_CREAT | 0666);
	msgctl(id, IPC_STAT, &msg);
	msg.msg_qbytes = 1024;
	msgctl(id, IPC_SET, &msg);
	msgsnd(id, &(struct { long kind; char text[4]; }){ 1, "abc" }, 4, IPC_NOWAIT);
	msgctl(id, IPC_RMID, NULL);
	shmget(0x7e57, 4096, 0);
}

static void queues(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 32 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct timespec now = { 0, 0 };
	char buffer[32];
	mqd_t queue = mq_open("/provoke", O_CREAT | O_RDWR | O_NONBLOCK, 0620, &attr);

	mq_notify(queue, &event);
	mq_notify(queue, NULL);
	mq_send(queue, "one", 3, 7);
	mq_timedreceive(queue, buffer, sizeof buffer, NULL, &now);
	attr.mq_flags = 0;
	mq_setattr(queue, &attr, NULL);
	mq_close(queue);
	mq_open("/provoke", O_RDONLY);
	mq_unlink("/provoke");
	mq_open("/absent", O_RDONLY);
}

int main(void)
{
	descriptors();
	memory();
	ipc();
	queues();
	return 0;
}
