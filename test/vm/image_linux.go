package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// A release of Debian is what a node's system is made of.
type release struct{ name, kernel string }

// releases are those that nodes are made of; the last one is the newest.
var releases = []release{{"bookworm", "6.1"}, {"trixie", "6.12"}}

// packages are those of every node, beside the essential ones.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "linux-image-cloud-amd64", "iproute2", "udev",
	"uidmap", "passwd", "busybox-static", "procps",
	"munge", "slurmctld", "slurmd", "slurm-client", // inside/batch_test.go
	"nfs-kernel-server", "nfs-common", // inside/nfs_test.go
}

func (r release) String() string { return r.name }

// system is the disk, the kernel and its first file system: disk.img, vmlinuz, initrd.
func (r release) system() part {
	return part{name: r.name, args: append([]string{"system", r.name}, packages...), file: "disk.img"}
}

// qemu is that of Debian 13, whatever the machine has: under qemu 7.2, of Debian 12, kernels of Debian 13 crash in every other
// boot, for flags of the processor that it makes up.
var qemu = part{name: "emulator", args: []string{"emulator", "trixie", "qemu-system-x86"}, file: "bin/qemu-system-x86_64"}

// emulator is the beginning of a command line that runs the qemu in a directory, with its own loader and libraries.
func emulator(dir string) []string {
	return []string{
		filepath.Join(dir, "lib", "ld-linux-x86-64.so.2"), "--library-path", filepath.Join(dir, "lib"),
		filepath.Join(dir, qemu.file), "-L", filepath.Join(dir, "share"),
	}
}

// ensure makes what of the release's node is missing, and returns where system and emulator are.
func (r release) ensure(ctx context.Context, log io.Writer) (system, emulator string, err error) {
	if emulator, err = qemu.ensure(ctx, log); err != nil {
		return "", "", err
	}
	system, err = r.system().ensure(ctx, log)
	return system, emulator, err
}

// named are the releases of a comma-separated list, or all of "all".
func named(list string) (chosen []release, err error) {
	if list == "all" {
		return releases, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(releases, func(r release) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no node is called %q; there are %v, and all", name, releases)
		}
		chosen = append(chosen, releases[i])
	}
	return chosen, nil
}
