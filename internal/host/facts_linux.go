package host

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts is what a run depends on of this machine.
type Facts struct {
	Hostname    string
	Kernel      string // uname's release, for example 6.1.0-18-amd64
	OS          string // PRETTY_NAME of os-release(5); "" when there is none
	Arch        string // as Go names it
	CPUs        int    // that this process may use
	MemoryBytes int64  // installed
	CgroupV2    bool   // /sys/fs/cgroup is the unified hierarchy; false on hybrid hosts

	CgroupNamespaces bool // the kernel was built with cgroups, and lets the caller have namespaces of them

	major, minor int
}

// Read gathers the facts of this machine.
func Read() (Facts, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return Facts{}, os.NewSyscallError("uname", err)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return Facts{}, os.NewSyscallError("sysinfo", err)
	}
	f := Facts{
		Hostname:    unix.ByteSliceToString(uts.Nodename[:]),
		Kernel:      unix.ByteSliceToString(uts.Release[:]),
		OS:          osName("/etc/os-release"),
		Arch:        runtime.GOARCH,
		CPUs:        runtime.NumCPU(),
		MemoryBytes: int64(info.Totalram) * int64(info.Unit),
		CgroupV2:    unified("/sys/fs/cgroup"),

		CgroupNamespaces: exists("/proc/self/ns/cgroup") && firstLine("/proc/sys/user/max_cgroup_namespaces") != "0",
	}
	if _, err := fmt.Sscanf(f.Kernel, "%d.%d", &f.major, &f.minor); err != nil {
		return Facts{}, fmt.Errorf("reading the kernel's version %q: %w", f.Kernel, err)
	}
	return f, nil
}

// KernelAtLeast compares with the running kernel's version.
func (f Facts) KernelAtLeast(major, minor int) bool {
	return f.major > major || f.major == major && f.minor >= minor
}

// Username is the caller's name, or its number where there is no name: containers and some clusters have none.
func Username() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// Home is the caller's home directory as passwd(5) has it; "" where there is no entry.
func Home() string {
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return ""
	}
	return u.HomeDir
}

// Groupname is the name of the caller's group, or its number where it has none.
func Groupname() string {
	id := strconv.Itoa(os.Getgid())
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

func unified(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

func osName(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
