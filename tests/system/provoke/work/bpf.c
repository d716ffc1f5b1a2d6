/* bpf(2): a map, a program loaded and let go (BPF op=LOAD and UNLOAD), a program refused, an unknown command. */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof *attr);
}

int main(void)
{
	union bpf_attr attr;
	struct bpf_insn ok[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	struct bpf_insn bad[] = { { .code = BPF_JMP | BPF_EXIT } };
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event };
	char log[256];

	memset(&attr, 0, sizeof attr);
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	strcpy(attr.map_name, "provoke");
	close((int)bpf(BPF_MAP_CREATE, &attr));
	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uint64_t)ok;
	attr.insn_cnt = 2;
	attr.license = (uint64_t)"GPL";
	strcpy(attr.prog_name, "provoke");
	close((int)bpf(BPF_PROG_LOAD, &attr));
	attr.insns = (uint64_t)bad;
	attr.insn_cnt = 1;
	attr.log_buf = (uint64_t)log;
	attr.log_size = sizeof log;
	attr.log_level = 1;
	bpf(BPF_PROG_LOAD, &attr);
	bpf(9999, &attr);
	close((int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
	sleep(1); /* UNLOAD comes from a worker after a grace period */
	return 0;
}
