// System calls that a container might forbid. Each is made in a process of its own, which may be killed for it.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What glibc may not know yet; the numbers are the same on every architecture.
#define NR_open_tree 428
#define NR_fsopen 430
#define NR_clone3 435
#define NR_pidfd_getfd 438
#define NR_mount_setattr 442
#define NR_memfd_secret 447
#define NR_set_mempolicy_home_node 450

static long unshare_user(void) { return unshare(CLONE_NEWUSER); }
static long unshare_mount(void) { return unshare(CLONE_NEWNS); }
static long unshare_network(void) { return unshare(CLONE_NEWNET); }
static long unshare_user_and_mount(void) { return unshare(CLONE_NEWUSER | CLONE_NEWNS); }

static long clone_user(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return pid;
}

static long clone3_user(void)
{
	uint64_t arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
	long pid = syscall(NR_clone3, arguments, sizeof arguments);
	if (pid == 0)
		_exit(0);
	return pid;
}

static long mount_tmpfs(void) { return mount("tmpfs", "/tmp", "tmpfs", 0, NULL); }
static long mount_proc(void) { return mount("proc", "/tmp", "proc", 0, NULL); }
static long remount_sys(void) { return mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long unmount_mask(void) { return umount2("/proc/keys", MNT_DETACH); }
static long pivot(void) { return syscall(SYS_pivot_root, ".", "."); }
static long change_root(void) { return chroot("/tmp"); }
static long clone_tree(void) { return syscall(NR_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }
static long open_fs(void) { return syscall(NR_fsopen, "tmpfs", 0); }
static long set_mount_attributes(void)
{
	uint64_t attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */};
	return syscall(NR_mount_setattr, AT_FDCWD, "/sys", 0, attributes, sizeof attributes);
}

static long make_device(void)
{
	unlink("/tmp/probe-device");
	long made = mknod("/tmp/probe-device", S_IFCHR | 0600, makedev(1, 1));
	int saved = errno;
	unlink("/tmp/probe-device");
	errno = saved;
	return made;
}

static long bpf(void)
{
	uint32_t attributes[16] = {1 /* hash map */, 4, 4, 1};
	return syscall(SYS_bpf, 0 /* BPF_MAP_CREATE */, attributes, sizeof attributes);
}
static long io_uring(void)
{
	uint32_t parameters[64] = {0};
	return syscall(SYS_io_uring_setup, 1, parameters);
}
static long user_faults(void) { return syscall(SYS_userfaultfd, O_CLOEXEC); }
static long user_faults_own(void) { return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */); }
static long perf(void)
{
	uint64_t attributes[16] = {1 /* software */ | (uint64_t)128 << 32, 0, 0, 0, 0, 1 << 5 /* not the kernel */};
	return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0);
}
static long kexec(void) { return syscall(SYS_kexec_load, 0, 0, NULL, -1L); }
static long kexec_file(void) { return syscall(SYS_kexec_file_load, -1, -1, 0L, "", -1L); }
static long load_module(void) { return syscall(SYS_finit_module, -1, "", 0); }
static long load_module_text(void) { return syscall(SYS_init_module, "", 0L, ""); }
static long unload_module(void) { return syscall(SYS_delete_module, "no-such-module", O_NONBLOCK); }
static long restart(void) { return syscall(SYS_reboot, 0, 0, 0, NULL); }
static long swap_on(void) { return syscall(SYS_swapon, "/nonexistent", 0); }
static long accounting(void) { return syscall(SYS_acct, "/nonexistent"); }
static long quota(void) { return syscall(SYS_quotactl, -1, NULL, 0, NULL); }
static long clock_set(void) { return syscall(SYS_clock_adjtime, CLOCK_REALTIME, &(struct timex){.modes = ADJ_TICK, .tick = -1}); }
static long name_host(void) { return sethostname("probe", 5); }
static long kernel_log(void) { char text[16]; return klogctl(3, text, sizeof text); }
static long kernel_log_size(void) { return klogctl(10, NULL, 0); }
static long session_keyring(void) { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); }
static long add_key(void) { return syscall(SYS_add_key, "user", "probe", "x", 1L, KEY_SPEC_PROCESS_KEYRING); }
static long request_key(void) { return syscall(SYS_request_key, "user", "probe", NULL, 0); }
static long open_by_handle(void) { return syscall(SYS_open_by_handle_at, AT_FDCWD, "", 0); }
static long fanotify(void) { return syscall(SYS_fanotify_init, 0, O_RDONLY); }
static long fanotify_own(void) { return syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY); }
static long other_personality(void) { return syscall(SYS_personality, 0x0040000L /* ADDR_NO_RANDOMIZE */); }
static long compare(void) { return syscall(SYS_kcmp, getpid(), getpid(), 0, 0L, 0L); }
static long secret_memory(void) { return syscall(NR_memfd_secret, 0); }
static long own_memory_layout(void) { return prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0); }
static long more_capabilities(void)
{
	uint32_t header[2] = {0x20080522, 0}, data[6] = {1u << 21, 1u << 21};
	return syscall(SYS_capset, header, data);
}
static long groups_none(void) { return syscall(SYS_setgroups, 0L, NULL); }
static long other_user(void) { return syscall(SYS_setresuid, 54321L, 54321L, 54321L); }
static long other_group(void) { return syscall(SYS_setresgid, 54321L, 54321L, 54321L); }
static long higher_priority(void) { return setpriority(PRIO_PROCESS, 0, -5); }
static long memory_policy(void) { return syscall(SYS_set_mempolicy, 0, NULL, 0L); }
static long memory_policy_read(void) { return syscall(SYS_get_mempolicy, NULL, NULL, 0L, NULL, 0L); }
static long home_node(void) { return syscall(NR_set_mempolicy_home_node, 0L, 0L, 0L, 0L); }

static long trace_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	long traced = ptrace(PTRACE_SEIZE, child, NULL, NULL);
	int saved = errno;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	errno = saved;
	return traced;
}

static long push_into_terminal(void)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	long pushed = tty < 0 ? -1 : ioctl(tty, TIOCSTI, NULL);
	return pushed < 0 && errno == EFAULT ? 0 : pushed; // it would have read what to push
}

static long socket_of(int domain, int type, int protocol) { return socket(domain, type | SOCK_CLOEXEC, protocol); }
static long kernel_crypto(void) { return socket_of(38 /* AF_ALG */, SOCK_SEQPACKET, 0); }
static long virtual_machine(void) { return socket_of(40 /* AF_VSOCK */, SOCK_STREAM, 0); }
static long raw_packets(void) { return socket_of(17 /* AF_PACKET */, SOCK_RAW, 0); }
static long raw_internet(void) { return socket_of(AF_INET, SOCK_RAW, 255); }
static long audit(void) { return socket_of(16 /* AF_NETLINK */, SOCK_RAW, 9 /* NETLINK_AUDIT */); }
static long routes(void) { return socket_of(16, SOCK_RAW, 0 /* NETLINK_ROUTE */); }
static long bluetooth(void) { return socket_of(31, SOCK_RAW, 1); }
static long internet(void) { return socket_of(AF_INET, SOCK_STREAM, 0); }

#ifdef __x86_64__
static long other_interface(void) { return syscall(0x40000000L | SYS_getpid); } // x32
#endif

static const struct {
	const char *name;
	long (*make)(void);
} calls[] = {
	{"unshare: user namespace", unshare_user}, {"unshare: mount namespace", unshare_mount},
	{"unshare: network namespace", unshare_network}, {"unshare: user and mount namespace", unshare_user_and_mount},
	{"clone: user namespace", clone_user}, {"clone3: user namespace", clone3_user},
	{"mount: tmpfs", mount_tmpfs}, {"mount: proc", mount_proc}, {"mount: /sys again, writable", remount_sys},
	{"mount_setattr", set_mount_attributes}, {"umount: a mask", unmount_mask}, {"pivot_root", pivot}, {"chroot", change_root},
	{"open_tree: clone", clone_tree}, {"fsopen", open_fs}, {"mknod: /dev/mem", make_device},
	{"bpf", bpf}, {"io_uring_setup", io_uring}, {"userfaultfd", user_faults}, {"userfaultfd: own mode", user_faults_own},
	{"perf_event_open", perf}, {"kexec_load", kexec}, {"kexec_file_load", kexec_file}, {"init_module", load_module_text},
	{"finit_module", load_module}, {"delete_module", unload_module}, {"reboot", restart}, {"swapon", swap_on}, {"acct", accounting},
	{"quotactl", quota}, {"clock_adjtime: set", clock_set}, {"sethostname", name_host}, {"syslog: read", kernel_log},
	{"syslog: size", kernel_log_size}, {"keyctl: session keyring", session_keyring}, {"add_key", add_key},
	{"request_key", request_key}, {"open_by_handle_at", open_by_handle}, {"fanotify_init", fanotify},
	{"fanotify_init: own", fanotify_own}, {"personality: no randomisation", other_personality}, {"kcmp", compare},
	{"memfd_secret", secret_memory}, {"prctl: PR_SET_MM", own_memory_layout}, {"capset: more", more_capabilities},
	{"setgroups", groups_none}, {"setresuid: another", other_user}, {"setresgid: another", other_group},
	{"setpriority: higher", higher_priority}, {"set_mempolicy", memory_policy}, {"get_mempolicy", memory_policy_read},
	{"set_mempolicy_home_node", home_node}, {"ptrace: a child", trace_child}, {"ioctl: TIOCSTI", push_into_terminal},
	{"socket: AF_ALG", kernel_crypto}, {"socket: AF_VSOCK", virtual_machine}, {"socket: AF_PACKET", raw_packets},
	{"socket: raw AF_INET", raw_internet}, {"socket: audit", audit}, {"socket: routes", routes},
	{"socket: AF_BLUETOOTH", bluetooth}, {"socket: AF_INET", internet},
#ifdef __x86_64__
	{"another system call interface: x32", other_interface},
#endif
};

// Makes one call in a child. What it says: "open", "denied ERRNO" or "killed".
static void try_call(size_t n)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		unshare(CLONE_NEWNS); // where mounting is allowed, nobody else is to see what comes of it
		if (calls[n].make() >= 0)
			errno = 0;
		_exit(errno);
	}
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		say("call", calls[n].name, "not tried");
		return;
	}
	errno = WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		say("call", calls[n].name, "killed by %s", sigabbrev_np(WTERMSIG(status)));
	else
		say_outcome("call", calls[n].name, errno == 0 ? 0 : -1);
}

void try_calls(void)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		try_call(i);
}
