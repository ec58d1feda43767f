package fsx

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/host"
)

// fieldsAfterHost counts the fields of a temporary name that follow the host, which can hold dots itself.
const fieldsAfterHost = 5

// TempName is a fresh name that says which process made it: HOST[@MACHINE].BOOT.PIDSPACE.PID.START.RANDOM. Whoever finds it later
// can tell, with TempOwner, whether somebody still works on it.
func TempName() (string, error) {
	self, err := host.Self()
	if err != nil {
		return "", err
	}
	return TempNameOf(self, rand.Text()), nil
}

// TempNameOf is the name TempName gives to a process.
func TempNameOf(owner host.Owner, random string) string {
	at := strings.ReplaceAll(escape(owner.Host), "@", "%40")
	if owner.Machine != "" {
		at += "@" + owner.Machine
	}
	return fmt.Sprintf("%s.%s.%s.%d.%d.%s", at, owner.BootID, escape(owner.PIDSpace), owner.PID,
		owner.StartTime, random)
}

// escape leaves no colon in a name either: fuse-overlayfs takes it in the path of an upper directory for the end of that.
func escape(text string) string { return strings.ReplaceAll(url.PathEscape(text), ":", "%3A") }

// TempOwner is the process that made a name. ok is false for a name that TempName did not make.
func TempOwner(name string) (owner host.Owner, ok bool) {
	parts := strings.Split(name, ".")
	if len(parts) <= fieldsAfterHost {
		return host.Owner{}, false
	}
	hostParts, rest := parts[:len(parts)-fieldsAfterHost], parts[len(parts)-fieldsAfterHost:]
	at, machine, _ := strings.Cut(strings.Join(hostParts, "."), "@")
	hostName, hostErr := url.PathUnescape(at)
	space, spaceErr := url.PathUnescape(rest[1])
	pid, pidErr := strconv.Atoi(rest[2])
	start, startErr := strconv.ParseUint(rest[3], 10, 64)
	if errors.Join(hostErr, spaceErr, pidErr, startErr) != nil || hostName == "" || rest[0] == "" || pid <= 0 || rest[4] == "" {
		return host.Owner{}, false
	}
	return host.Owner{Host: hostName, Machine: machine, BootID: rest[0], PIDSpace: space, PID: pid, StartTime: start}, true
}

// TempDir makes a directory with a fresh name in dir, mode 0700, and returns its path.
func TempDir(dir string) (string, error) {
	name, err := TempName()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if err := Step("mkdir", path); err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// DeadTemps are the paths of what processes that are provably dead have made in dir under names of TempName's, and left.
func DeadTemps(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if owner, ok := TempOwner(e.Name()); ok && owner.Dead() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}
