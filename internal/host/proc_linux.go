package host

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// CoveredProc lists what of /proc is covered by other mounts, as container runtimes do to keep it from those inside. While any of it
// is, the kernel lets nobody in the mount namespace mount a fresh /proc, where it would not be (mount_too_revealing in
// fs/namespace.c).
func CoveredProc() []string {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer file.Close()
	return coveredProc(file)
}

// coveredProc reads proc_pid_mountinfo(5). A mount on an empty directory of the kernel's own, as binfmt_misc is, covers nothing.
func coveredProc(mountinfo io.Reader) (covered []string) {
	const target = 4
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > target && strings.HasPrefix(fields[target], "/proc/") && fields[target] != "/proc/sys/fs/binfmt_misc" {
			covered = append(covered, fields[target])
		}
	}
	return covered
}

// MountsBelow lists what is mounted below a directory, in this process's mount namespace.
func MountsBelow(dir string) ([]string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return mountsBelow(file, dir)
}

// octal are the characters that are numbers in proc_pid_mountinfo(5).
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func mountsBelow(mountinfo io.Reader, dir string) (below []string, err error) {
	const target, longest = 4, 1 << 20
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, longest) // an overlay names all its layers
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= target {
			continue
		}
		if place := octal.Replace(fields[target]); strings.HasPrefix(place, strings.TrimSuffix(dir, "/")+"/") && place != dir {
			below = append(below, place)
		}
	}
	return below, lines.Err()
}
