/* Landlock denials (LANDLOCK_ACCESS, LANDLOCK_DOMAIN): files, a TCP port, a signal and an abstract socket out of scope. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than Debian 12's header. */
struct attr { uint64_t fs, net, scoped; };

int main(void)
{
	struct attr attr = { .fs = (1 << 13) - 1, .net = 3, .scoped = 3 };
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0provoke-scope" };
	socklen_t length = (socklen_t)(sizeof name.sun_family + 14);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), ruleset;

	bind(listener, (struct sockaddr *)&name, length);
	listen(listener, 1);
	if (fork() == 0) {
		ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_landlock_restrict_self, ruleset, 0))
			_exit(1);
		open("/etc/hostname", O_RDONLY);
		open("/tmp/provoke with space", O_CREAT | O_WRONLY, 0600);
		mkdir("/tmp/provoke-landlock", 0700);
		inet_pton(AF_INET, "127.0.0.1", &peer.sin_addr);
		connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&peer, sizeof peer);
		bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&peer, sizeof peer);
		connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, length);
		kill(getppid(), 0);
		execl("/bin/true", "true", NULL);
		_exit(0);
	}
	wait(NULL);
	sleep(1); /* LANDLOCK_DOMAIN status=deallocated comes from a worker */
	return 0;
}
