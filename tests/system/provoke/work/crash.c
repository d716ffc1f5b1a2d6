/* Deaths that the kernel tells of: seccomp (kill, log, errno), segmentation fault, abort. One child each. */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void filter(unsigned number, unsigned action, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int main(int argc, char **argv)
{
	static const unsigned actions[] = {
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO | 13,
	};
	(void)argc;
	(void)argv;
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (fork() == 0) {
			filter(SYS_getppid, actions[i], SECCOMP_FILTER_FLAG_LOG);
			syscall(SYS_getppid);
			_exit(0);
		}
		wait(NULL);
	}
	if (fork() == 0) {
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		syscall(SYS_getpid);
	}
	wait(NULL);
	if (fork() == 0)
		*(volatile int *)16 = 1;
	wait(NULL);
	if (fork() == 0)
		abort();
	wait(NULL);
	if (fork() == 0) {
		prctl(PR_SET_NAME, "bad\nname", 0, 0, 0);
		raise(SIGSYS);
	}
	wait(NULL);
	return 0;
}
