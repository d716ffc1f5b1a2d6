/* System calls on processes: signals, tracing, namespaces, identity, limits. Results do not matter, records do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t sleeper(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void as_nobody(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct timespec now;
		struct timex timex = { .modes = 0 };
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		clock_gettime(CLOCK_REALTIME, &now);
		clock_settime(CLOCK_REALTIME, &now);
		adjtimex(&timex);
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_ON, 0);
		syscall(SYS_init_module, "not a module", 12, "");
		syscall(SYS_finit_module, 0, "", 1);
		syscall(SYS_delete_module, "provoke", O_NONBLOCK);
		syscall(SYS_kexec_load, 0, 0, 0, 0);
		sethostname("provoke", 7);
		kill(getppid(), SIGTERM);
		setuid(0);
		chroot("/");
		nice(-5);
		syscall(SYS_setns, 0, CLONE_NEWNET);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int main(void)
{
	pid_t other = sleeper();
	char here[8], there[8] = "seven..";
	struct iovec local = { here, sizeof here }, remote = { there, sizeof there };
	struct clone_args clone3 = { .flags = CLONE_NEWUTS | CLONE_NEWIPC, .exit_signal = SIGCHLD };
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { { 0 } };
	struct rlimit limit = { 100, 200 };
	int pidfd;
	pid_t pid;

	/* signals: OBJ_PID beside the call */
	kill(other, 0);
	kill(other, SIGUSR1);
	waitpid(other, NULL, 0);
	other = sleeper();
	syscall(SYS_tgkill, other, other, 0);
	syscall(SYS_tkill, other, SIGWINCH);
	kill(-99999, SIGTERM);
	pidfd = (int)syscall(SYS_pidfd_open, other, 0);
	syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
	close((int)syscall(SYS_pidfd_getfd, pidfd, 1, 0));

	/* looking into another */
	ptrace(PTRACE_SEIZE, other, 0, 0);
	ptrace(PTRACE_INTERRUPT, other, 0, 0);
	waitpid(other, NULL, __WALL);
	ptrace(PTRACE_PEEKDATA, other, there, 0);
	ptrace(PTRACE_POKEDATA, other, 8, 1);
	ptrace(PTRACE_DETACH, other, 0, 0);
	process_vm_readv(other, &local, 1, &remote, 1, 0);
	process_vm_writev(other, &local, 1, &remote, 1, 0);
	syscall(SYS_kcmp, getpid(), other, KCMP_FILE, 0, 0);

	/* namespaces and new processes */
	pid = (pid_t)syscall(SYS_clone3, &clone3, sizeof clone3);
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	pid = fork();
	if (pid == 0) {
		unshare(CLONE_NEWUSER | CLONE_NEWNET);
		sethostname("provoke", 70000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	pid = fork();
	if (pid == 0) {
		int fd = open("/proc/self/ns/uts", O_RDONLY);
		unshare(CLONE_NEWUTS);
		setns(fd, CLONE_NEWUTS);
		_exit(0);
	}
	waitpid(pid, NULL, 0);

	/* identity, capabilities, limits */
	pid = fork();
	if (pid == 0) {
		setgid(4242);
		setregid(4242, -1);
		setresuid(-1, 4242, 0);
		seteuid(0);
		setfsuid(4242);
		setfsgid(4242);
		setgroups(0, NULL);
		syscall(SYS_capget, &header, caps);
		caps[0].effective = caps[0].permitted = 1 << CAP_NET_RAW | 1 << CAP_KILL;
		caps[0].inheritable = 1 << CAP_KILL;
		syscall(SYS_capset, &header, caps);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	prctl(PR_SET_NAME, "odd \"name\"\n", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
	prctl(12345, 1, 2, 3, 4);
	personality(ADDR_NO_RANDOMIZE);
	prlimit(other, RLIMIT_NOFILE, &limit, NULL);
	setrlimit(RLIMIT_CORE, &limit);
	setpriority(PRIO_PROCESS, (id_t)other, 5);
	sched_setscheduler(other, SCHED_BATCH, &(struct sched_param){ 0 });

	/* keys */
	long key = syscall(SYS_add_key, "user", "provoke", "secret", 6, KEY_SPEC_PROCESS_KEYRING);
	syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, 0, 0, 0);
	syscall(SYS_keyctl, KEYCTL_REVOKE, key, 0, 0, 0);
	syscall(SYS_request_key, "user", "absent", NULL, KEY_SPEC_PROCESS_KEYRING);
	syscall(SYS_seccomp, 99, 0, 0);
	syscall(600);                                 /* a number that no table knows */
	syscall(SYS_getpid | 0x40000000);             /* x32's bit */

	as_nobody();
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	return 0;
}
