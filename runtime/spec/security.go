package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Namespaces of every container, as the specification calls them; the user namespace is the keeper's and the network the
// host's, unless a network of its own is asked for.
var Namespaces = []specs.LinuxNamespaceType{
	specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace,
}

func namespaces(h Host, ownNetwork bool) Modifier {
	return func(s *specs.Spec) error {
		kinds := Namespaces
		if ownNetwork {
			kinds = append(slices.Clone(kinds), specs.NetworkNamespace)
		}
		for _, kind := range kinds {
			if kind == specs.CgroupNamespace && !h.CgroupNamespaces {
				continue
			}
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
		}
		return nil
	}
}

// protection hides what of /proc and /sys tells about or reaches other things than the job. NUMA and PCI below /sys stay
// visible: NCCL builds its topology from them.
func protection(o Security) Modifier {
	return func(s *specs.Spec) error {
		held, err := Capabilities(o.BaseCapabilities, o.AddCapabilities, o.DropCapabilities)
		if err != nil {
			return err
		}
		s.Process.NoNewPrivileges = !o.NewPrivileges
		// None to be inherited, as docker has it since CVE-2022-29162: a program of another user than root has none.
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: held, Effective: held, Permitted: held}
		s.Linux.RootfsPropagation = "rprivate"
		s.Linux.MaskedPaths = []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
			"/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
			"/sys/kernel/notes", "/sys/kernel/vmcoreinfo", // where the kernel is in memory
		}
		s.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
		return nil
	}
}
