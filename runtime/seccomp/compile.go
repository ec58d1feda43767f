package seccomp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrProfile marks a profile that cannot be turned into a filter.
var ErrProfile = errors.New("seccomp profile cannot be compiled")

// libseccomp's names of what a profile may say. Actions that hand the decision to another process are not offered.
var (
	actions = map[specs.LinuxSeccompAction]libseccomp.ScmpAction{
		specs.ActAllow:       libseccomp.ActAllow,
		specs.ActErrno:       libseccomp.ActErrno,
		specs.ActKill:        libseccomp.ActKillThread,
		specs.ActKillThread:  libseccomp.ActKillThread,
		specs.ActKillProcess: libseccomp.ActKillProcess,
		specs.ActTrap:        libseccomp.ActTrap,
		specs.ActLog:         libseccomp.ActLog,
	}
	operators = map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
		specs.OpNotEqual:     libseccomp.CompareNotEqual,
		specs.OpLessThan:     libseccomp.CompareLess,
		specs.OpLessEqual:    libseccomp.CompareLessOrEqual,
		specs.OpEqualTo:      libseccomp.CompareEqual,
		specs.OpGreaterEqual: libseccomp.CompareGreaterEqual,
		specs.OpGreaterThan:  libseccomp.CompareGreater,
		specs.OpMaskedEqual:  libseccomp.CompareMaskedEqual,
	}
	archs = map[specs.Arch]struct {
		scmp  libseccomp.ScmpArch
		audit uint32
	}{
		specs.ArchX86_64:  {libseccomp.ArchAMD64, unix.AUDIT_ARCH_X86_64},
		specs.ArchX86:     {libseccomp.ArchX86, unix.AUDIT_ARCH_I386},
		specs.ArchX32:     {libseccomp.ArchX32, unix.AUDIT_ARCH_X86_64},
		specs.ArchAARCH64: {libseccomp.ArchARM64, unix.AUDIT_ARCH_AARCH64},
		specs.ArchARM:     {libseccomp.ArchARM, unix.AUDIT_ARCH_ARM},
	}
)

// Compile turns a profile into a filter for the architectures that it names, as Default has it. System calls newer than
// every one the profile names fail with ENOSYS and not with the profile's default, if that is to refuse: ENOSYS is what
// programs probe for before they fall back to an older call.
func Compile(profile *specs.LinuxSeccomp) ([]byte, error) {
	full, err := plain(profile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	arguments, err := decisions(withArguments(profile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return encode(shorten(full, arguments, audits()))
}

// plain is a filter as libseccomp makes it, with what it leaves out.
func plain(profile *specs.LinuxSeccomp) ([]bpf.RawInstruction, error) {
	decisions, err := decisions(profile)
	if err != nil || profile.DefaultAction == specs.ActAllow || profile.DefaultAction == specs.ActLog {
		return decisions, err
	}
	probes, err := unknownCalls(profile)
	return append(probes, decisions...), err
}

// decisions is a filter as libseccomp makes it.
func decisions(profile *specs.LinuxSeccomp) ([]bpf.RawInstruction, error) {
	filter, err := assemble(profile)
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	raw, err := export(filter)
	if err != nil {
		return nil, fmt.Errorf("exporting: %w", err)
	}
	return decode(raw)
}

// withArguments is what a profile says of the calls of which some rule looks at arguments.
func withArguments(profile *specs.LinuxSeccomp) *specs.LinuxSeccomp {
	matter := map[string]bool{}
	for _, rule := range profile.Syscalls {
		for _, name := range rule.Names {
			matter[name] = matter[name] || len(rule.Args) > 0
		}
	}
	part := *profile
	part.Syscalls = nil
	for _, rule := range profile.Syscalls {
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool { return !matter[name] })
		if len(rule.Names) > 0 {
			part.Syscalls = append(part.Syscalls, rule)
		}
	}
	return &part
}

// audits are the architectures that a filter can name, as the kernel calls them, in an order.
func audits() []uint32 {
	var all []uint32
	for _, arch := range archs {
		all = append(all, arch.audit)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// export goes through a file, as libseccomp before 2.6 knows no other way.
func export(filter *libseccomp.ScmpFilter) (_ []byte, err error) {
	fd, err := unix.MemfdCreate("seccomp-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "memfd:seccomp-filter")
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

func assemble(profile *specs.LinuxSeccomp) (*libseccomp.ScmpFilter, error) {
	fallback, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	filter, err := libseccomp.NewFilter(fallback)
	if err != nil {
		return nil, err
	}
	if err := setArchitectures(filter, profile.Architectures); err != nil {
		return nil, err
	}
	for _, rule := range profile.Syscalls {
		if err := addRule(filter, rule, fallback); err != nil {
			return nil, fmt.Errorf("rule for %v: %w", rule.Names, err)
		}
	}
	return filter, nil
}

func setArchitectures(filter *libseccomp.ScmpFilter, wanted []specs.Arch) error {
	native, err := libseccomp.GetNativeArch()
	if err != nil {
		return err
	}
	keepNative := false
	for _, name := range wanted {
		arch, ok := archs[name]
		if !ok {
			return fmt.Errorf("architecture %q is not known", name)
		}
		if err := filter.AddArch(arch.scmp); err != nil {
			return err
		}
		keepNative = keepNative || arch.scmp == native
	}
	if len(wanted) > 0 && !keepNative {
		return filter.RemoveArch(native)
	}
	return nil
}

func addRule(filter *libseccomp.ScmpFilter, rule specs.LinuxSyscall, fallback libseccomp.ScmpAction) error {
	then, err := action(rule.Action, rule.ErrnoRet)
	if err != nil || then == fallback {
		return err
	}
	conditions := make([]libseccomp.ScmpCondition, 0, len(rule.Args))
	for _, arg := range rule.Args {
		operator, ok := operators[arg.Op]
		if !ok {
			return fmt.Errorf("operator %q is not known", arg.Op)
		}
		values := []uint64{arg.Value}
		if arg.Op == specs.OpMaskedEqual {
			values = append(values, arg.ValueTwo)
		}
		condition, err := libseccomp.MakeCondition(arg.Index, operator, values...)
		if err != nil {
			return err
		}
		conditions = append(conditions, condition)
	}
	for _, name := range rule.Names {
		call, err := libseccomp.GetSyscallFromName(name)
		if err != nil {
			continue // newer than this libseccomp: unknownCalls answers for it
		}
		if err := filter.AddRuleConditional(call, then, conditions); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func action(a specs.LinuxSeccompAction, errno *uint) (libseccomp.ScmpAction, error) {
	found, ok := actions[a]
	if !ok {
		return 0, fmt.Errorf("action %q is not offered", a)
	}
	if a == specs.ActErrno {
		code := uint(unix.EPERM)
		if errno != nil {
			code = *errno
		}
		found = found.SetReturnCode(int16(code))
	}
	return found, nil
}

// Offsets of struct seccomp_data (linux/seccomp.h), and the bit that marks an x32 call on x86-64.
const (
	offsetNumber = 0
	offsetArch   = 4
	x32Bit       = 0x40000000
	retErrno     = 0x00050000 // SECCOMP_RET_ERRNO
)

// unknownCalls is the head of a filter: per architecture, a call beyond the last one that the profile names gets ENOSYS. It
// falls through to the decisions for everything else.
func unknownCalls(profile *specs.LinuxSeccomp) ([]bpf.RawInstruction, error) {
	var program []bpf.Instruction
	for _, name := range profile.Architectures {
		arch := archs[name]
		if name == specs.ArchX32 {
			continue // shares the x86-64 block, which leaves its calls to the decisions
		}
		last := lastCall(profile, arch.scmp)
		if last < 0 {
			continue
		}
		program = append(program,
			bpf.LoadAbsolute{Off: offsetArch, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch.audit, SkipFalse: 4},
			bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32Bit, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(last), SkipFalse: 1},
			bpf.RetConstant{Val: retErrno | uint32(unix.ENOSYS)},
		)
	}
	return bpf.Assemble(program)
}

// lastCall is the highest number of the calls that a profile names; -1 when it names none.
func lastCall(profile *specs.LinuxSeccomp, arch libseccomp.ScmpArch) int {
	last := -1
	for _, rule := range profile.Syscalls {
		for _, name := range rule.Names {
			if call, err := libseccomp.GetSyscallFromNameByArch(name, arch); err == nil {
				last = max(last, int(call))
			}
		}
	}
	return last
}
