/* fanotify permission events answered with FAN_AUDIT: allowed, denied, denied with a rule's number (FANOTIFY). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fanotify.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than Debian 12's header: fanotify_response_info_audit_rule. */
struct rule { uint8_t type, pad; uint16_t length; uint32_t number, subject_trust, object_trust; };
struct answer { struct fanotify_response response; struct rule rule; };

int main(int argc, char **argv)
{
	const char *file = argc > 1 ? argv[1] : "/tmp/provoke-fanotify";
	int group = fanotify_init(FAN_CLASS_CONTENT | 0x40 /* FAN_ENABLE_AUDIT */, O_RDONLY);
	struct fanotify_event_metadata event;

	close(open(file, O_CREAT | O_WRONLY, 0600));
	if (group < 0 || fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, file))
		return 1;
	if (fork() == 0) {
		close(group);
		for (int i = 0; i < 3; i++)
			close(open(file, O_RDONLY));
		_exit(0);
	}
	for (int i = 0; i < 3; i++) {
		struct answer answer = { .rule = { 1, 0, sizeof answer.rule, 77, 2, 1 } };
		if (read(group, &event, sizeof event) < (ssize_t)sizeof event)
			return 1;
		answer.response.fd = event.fd;
		answer.response.response = (i ? FAN_DENY : FAN_ALLOW) | 0x10 /* FAN_AUDIT */ | (i == 2 ? 0x20 /* FAN_INFO */ : 0);
		write(group, &answer, i == 2 ? sizeof answer : sizeof answer.response);
		close(event.fd);
	}
	wait(NULL);
	unlink(file);
	return 0;
}
