package seccomp

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the compiled default filters anew")

// The calls that libseccomp knows by name decide how some rules compile: files are compared byte for byte where it is the
// version they were made with, and by meaning (TestFilterDecidesAsTheProfileSays) everywhere.
const madeWith = "2.5.4"

func TestDefaultIsCompiledFromTheProfile(t *testing.T) {
	if v := version(); v != madeWith && !*update {
		t.Logf("libseccomp %s, the filters were made with %s: comparing their meaning only", v, madeWith)
		return
	}
	for goarch := range machines {
		profile, _ := Profile(goarch)
		got, err := Compile(profile)
		if err != nil {
			t.Fatal(err)
		}
		name := "default_" + goarch + ".bpf"
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the profile compiles to: run go generate in runtime/seccomp", name)
		}
	}
}

// Every call of libseccomp's table, on the native architecture, with arguments that meet and that miss each condition of its
// rules, is decided by the filter as the profile reads.
func TestFilterDecidesAsTheProfileSays(t *testing.T) {
	goarch := "amd64"
	profile, _ := Profile(goarch)
	filter, err := os.ReadFile("default_" + goarch + ".bpf")
	if err != nil {
		t.Fatal(err)
	}
	vm := machineFor(t, filter)
	last := lastCall(profile, libseccomp.ArchAMD64)
	decided := 0
	for number := 0; number <= last+20; number++ {
		name, err := libseccomp.ScmpSyscall(number).GetNameByArch(libseccomp.ArchAMD64)
		for _, args := range argumentsFor(profile, name) {
			want := unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
			if number <= last {
				want = meaning(profile, name, args)
			}
			if err != nil && number <= last {
				want = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM) // a hole in the table
			}
			if got := decide(t, vm, unix.AUDIT_ARCH_X86_64, uint32(number), args); got != want {
				t.Errorf("%s (%d) with %#x: %#x, want %#x", name, number, args, got, want)
			}
			decided++
		}
	}
	if decided < 400 {
		t.Errorf("only %d decisions were compared", decided)
	}
}

// TestShortFilters: a filter decides as libseccomp's own, for every architecture and around every number that it looks at.
func TestShortFilters(t *testing.T) {
	amd64, _ := Profile("amd64")
	arm64, _ := Profile("arm64")
	all := []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	for name, profile := range map[string]*specs.LinuxSeccomp{
		"amd64": amd64, "arm64": arm64,
		"one call":  {DefaultAction: specs.ActErrno, Architectures: all, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}},
		"nothing":   {DefaultAction: specs.ActKillProcess, Architectures: all[:1]},
		"no arch":   {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read", "exit"}, Action: specs.ActAllow}}},
		"but a few": {DefaultAction: specs.ActAllow, Architectures: all, Syscalls: []specs.LinuxSyscall{{Names: []string{"ptrace", "bpf"}, Action: specs.ActKill}}},
		"arguments": {DefaultAction: specs.ActAllow, Architectures: all, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"socket", "personality"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 38, Op: specs.OpGreaterThan}}},
			{Names: []string{"personality"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{{Index: 1, Value: 1, ValueTwo: 1, Op: specs.OpMaskedEqual}}},
		}},
	} {
		full, err := plain(profile)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw, err := encode(full)
		if err != nil {
			t.Fatal(err)
		}
		short, err := Compile(profile)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d instructions, of %d", name, len(short)/8, len(raw)/8)
		if (name == "amd64" || name == "arm64") && len(short) > len(raw)*3/4 {
			t.Errorf("%s: %d instructions, libseccomp has %d", name, len(short)/8, len(raw)/8)
		}
		want, got := machineFor(t, raw), machineFor(t, short)
		arguments := [][6]uint64{{}, {38}, {39}, {1 << 32}, {0, 1}, {unix.CLONE_NEWUSER}, {^uint64(0), ^uint64(0), ^uint64(0)}}
		for _, arch := range append(audits(), 0, unix.AUDIT_ARCH_S390X) {
			for _, i := range full {
				for _, number := range []uint32{i.K - 1, i.K, i.K + 1} {
					for _, args := range arguments {
						if w, g := decide(t, want, arch, number, args), decide(t, got, arch, number, args); w != g {
							t.Fatalf("%s: %#x of %#x with %#x: %#x, libseccomp's says %#x", name, number, arch, args, g, w)
						}
					}
				}
			}
		}
	}
}

func TestFilterOnForeignCalls(t *testing.T) {
	filter, err := os.ReadFile("default_amd64.bpf")
	if err != nil {
		t.Fatal(err)
	}
	vm := machineFor(t, filter)
	if got := decide(t, vm, unix.AUDIT_ARCH_S390X, unix.SYS_READ, [6]uint64{}); got == unix.SECCOMP_RET_ALLOW {
		t.Error("a call of an architecture that the profile does not name is allowed")
	}
	const i386Unshare, cloneNewUser = 310, 0x10000000
	if got := decide(t, vm, unix.AUDIT_ARCH_I386, i386Unshare, [6]uint64{cloneNewUser}); got == unix.SECCOMP_RET_ALLOW {
		t.Error("unshare is allowed by its 32-bit number")
	}
	if got := decide(t, vm, unix.AUDIT_ARCH_X86_64, x32Bit|unix.SYS_UNSHARE, [6]uint64{cloneNewUser}); got == unix.SECCOMP_RET_ALLOW {
		t.Error("unshare is allowed by its x32 number")
	}
}

// What the project promises of its default, whatever the profile upstream becomes.
func TestDefaultPromises(t *testing.T) {
	profile, _ := Profile("amd64")
	const denied, allowed = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), uint32(unix.SECCOMP_RET_ALLOW)
	for _, c := range []struct {
		call string
		args [6]uint64
		want uint32
	}{
		{"read", [6]uint64{}, allowed}, {"ptrace", [6]uint64{}, allowed}, {"mbind", [6]uint64{}, allowed},
		{"get_mempolicy", [6]uint64{}, allowed}, {"set_mempolicy", [6]uint64{}, allowed},
		{"clone", [6]uint64{unix.CLONE_NEWUSER}, denied}, {"clone", [6]uint64{unix.CLONE_VM}, allowed},
		{"clone3", [6]uint64{}, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"socket", [6]uint64{unix.AF_ALG}, denied}, {"socket", [6]uint64{unix.AF_VSOCK}, denied},
		{"socket", [6]uint64{unix.AF_UNIX}, allowed},
		{"unshare", [6]uint64{unix.CLONE_NEWUSER}, denied}, {"mount", [6]uint64{}, denied}, {"bpf", [6]uint64{}, denied},
		{"io_uring_setup", [6]uint64{}, denied}, {"userfaultfd", [6]uint64{}, denied}, {"keyctl", [6]uint64{}, denied},
		{"perf_event_open", [6]uint64{}, denied}, {"kexec_load", [6]uint64{}, denied}, {"move_pages", [6]uint64{}, denied},
	} {
		if got := meaning(profile, c.call, c.args); got != c.want {
			t.Errorf("%s(%#x): %#x, want %#x", c.call, c.args[0], got, c.want)
		}
	}
}

// What changes nothing of the filter is not compiled for; what does, is.
func TestFilterForCapabilities(t *testing.T) {
	for held, same := range map[string]bool{"": true, "CAP_CHOWN CAP_SETUID CAP_SETPCAP": true, "CAP_CHOWN CAP_SYS_ADMIN": false, "CAP_SYS_CHROOT": false} {
		caps := strings.Fields(held)
		got, err := For(caps)
		if err != nil {
			t.Fatal(err)
		}
		profile, _ := Profile(runtime.GOARCH, caps...)
		compiled, err := Compile(profile)
		if err != nil || !bytes.Equal(got, compiled) || bytes.Equal(got, Default()) != same {
			t.Errorf("%q: as compiled: %v (%v), as the default: %v", held, bytes.Equal(got, compiled), err, bytes.Equal(got, Default()))
		}
	}
}

func TestConditionsOnTheKernelAreOlderThanAnySupported(t *testing.T) {
	for _, rule := range moby.DefaultProfile().Syscalls {
		for _, f := range []*moby.Filter{rule.Includes, rule.Excludes} {
			if f != nil && f.MinKernel != nil && f.MinKernel.Kernel >= 5 {
				t.Errorf("rule for %v depends on kernel %d.%d: Profile must evaluate it", rule.Names, f.MinKernel.Kernel, f.MinKernel.Major)
			}
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	allow := []specs.Arch{specs.ArchX86_64}
	for name, profile := range map[string]*specs.LinuxSeccomp{
		"an unknown action":       {DefaultAction: "SCMP_ACT_DANCE", Architectures: allow},
		"a decision by others":    {DefaultAction: specs.ActNotify, Architectures: allow},
		"an unknown architecture": {DefaultAction: specs.ActErrno, Architectures: []specs.Arch{"SCMP_ARCH_VAX"}},
		"an unknown operator": {DefaultAction: specs.ActErrno, Architectures: allow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: "SCMP_CMP_ISH"}}},
		}},
	} {
		if _, err := Compile(profile); err == nil {
			t.Errorf("%s was compiled", name)
		}
	}
}

func version() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return string(rune('0'+major)) + "." + string(rune('0'+minor)) + "." + string(rune('0'+micro))
}

// meaning evaluates a profile the way its documentation reads: the first action whose rule names the call and whose conditions
// all hold, an allowing one before others.
func meaning(profile *specs.LinuxSeccomp, name string, args [6]uint64) uint32 {
	result := uint32(unix.SECCOMP_RET_ERRNO) | uint32(*profile.DefaultErrnoRet)
	for _, rule := range profile.Syscalls {
		if !slices.Contains(rule.Names, name) || !holds(rule.Args, args) {
			continue
		}
		if rule.Action == specs.ActAllow {
			return unix.SECCOMP_RET_ALLOW
		}
		result = unix.SECCOMP_RET_ERRNO | uint32(*rule.ErrnoRet)
	}
	return result
}

func holds(conditions []specs.LinuxSeccompArg, args [6]uint64) bool {
	for _, c := range conditions {
		arg, ok := args[c.Index], false
		switch c.Op {
		case specs.OpEqualTo:
			ok = arg == c.Value
		case specs.OpLessThan:
			ok = arg < c.Value
		case specs.OpGreaterThan:
			ok = arg > c.Value
		case specs.OpMaskedEqual:
			ok = arg&c.Value == c.ValueTwo
		}
		if !ok {
			return false
		}
	}
	return true
}

func argumentsFor(profile *specs.LinuxSeccomp, name string) [][6]uint64 {
	all := [][6]uint64{{}, {^uint64(0), ^uint64(0), ^uint64(0)}}
	for _, rule := range profile.Syscalls {
		if !slices.Contains(rule.Names, name) {
			continue
		}
		for _, c := range rule.Args {
			for _, v := range []uint64{c.Value - 1, c.Value, c.Value + 1, c.ValueTwo, c.Value << 32} {
				args := [6]uint64{}
				args[c.Index] = v
				all = append(all, args)
			}
		}
	}
	return all
}

// machineFor loads a filter into a simulator of the kernel's classic BPF.
func machineFor(t *testing.T, filter []byte) *bpf.VM {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(filter)/8)
	if _, err := binary.Decode(filter, binary.NativeEndian, raw); err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter has instructions that are not classic BPF")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// decide runs a filter on one call. The simulator reads big-endian words, as of a packet; the kernel reads native ones.
func decide(t *testing.T, vm *bpf.VM, arch, number uint32, args [6]uint64) uint32 {
	t.Helper()
	data := binary.BigEndian.AppendUint32(nil, number)
	data = binary.BigEndian.AppendUint32(data, arch)
	data = binary.BigEndian.AppendUint64(data, 0)
	for _, arg := range args {
		data = binary.BigEndian.AppendUint32(data, uint32(arg))
		data = binary.BigEndian.AppendUint32(data, uint32(arg>>32))
	}
	verdict, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(verdict)
}
