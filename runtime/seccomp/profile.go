// Package seccomp turns a seccomp profile, as docker and the OCI runtime specification write it, into the filter that the
// kernel takes, and holds the project's default filter ready.
//
// The default is moby's profile for a container without capabilities, plus the NUMA calls that moby gives only to
// CAP_SYS_NICE and that PyTorch and others make. It is compiled beforehand (go generate), because libseccomp takes
// 11 ms for three architectures and the result is always the same; a test compiles it again and compares.
package seccomp

import (
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

//go:generate go test -run TestDefaultIsCompiledFromTheProfile -update .

// numa are the memory policy calls: they concern the caller's own memory, or, for migrate_pages and move_pages, which are not
// among them, other processes'.
var numa = []string{"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}

// machine says how profile and specification call an architecture, and what else runs on it.
type machine struct {
	moby  string // in the profile's conditions
	archs []specs.Arch
}

var machines = map[string]machine{
	"amd64": {"amd64", []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}},
	"arm64": {"arm64", []specs.Arch{specs.ArchAARCH64, specs.ArchARM}},
}

// Profile is the default profile for a GOARCH, for a container that holds some capabilities ("CAP_SYS_ADMIN"), usually none, on any
// kernel that Coracle supports. Second result: whether the architecture is known.
func Profile(goarch string, held ...string) (*specs.LinuxSeccomp, bool) {
	m, ok := machines[goarch]
	if !ok {
		return nil, false
	}
	base := seccomp.DefaultProfile()
	profile := &specs.LinuxSeccomp{
		DefaultAction:   base.DefaultAction,
		DefaultErrnoRet: base.DefaultErrnoRet,
		Architectures:   m.archs,
	}
	for _, rule := range base.Syscalls {
		if applies(rule, m.moby, held) {
			profile.Syscalls = append(profile.Syscalls, rule.LinuxSyscall)
		}
	}
	profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: numa, Action: specs.ActAllow})
	return profile, true
}

// applies evaluates a rule's conditions. Those on the kernel's version are all older than the oldest supported kernel,
// which a test asserts.
func applies(rule *seccomp.Syscall, arch string, held []string) bool {
	has := func(name string) bool { return slices.Contains(held, name) }
	lacks := func(name string) bool { return !has(name) }
	if not := rule.Excludes; not != nil {
		if slices.Contains(not.Arches, arch) || not.MinKernel != nil || slices.ContainsFunc(not.Caps, has) {
			return false
		}
	}
	if only := rule.Includes; only != nil {
		if len(only.Arches) > 0 && !slices.Contains(only.Arches, arch) || slices.ContainsFunc(only.Caps, lacks) {
			return false
		}
	}
	return true
}

// matters reports whether a rule of the default profile depends on a capability.
func matters(capability string) bool {
	return slices.ContainsFunc(seccomp.DefaultProfile().Syscalls, func(rule *seccomp.Syscall) bool {
		depends := func(f *seccomp.Filter) bool { return f != nil && slices.Contains(f.Caps, capability) }
		return depends(rule.Includes) || depends(rule.Excludes)
	})
}
