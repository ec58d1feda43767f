package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// libseccomp writes a filter as a list of calls, and the kernel tries each call of its tables against that list when the filter is
// loaded: of a thousand instructions that takes 0.7 ms, twice in a container's start. What depends on architecture and number alone
// is found by halving instead, in a few hundred instructions.

// Classic BPF as libseccomp uses it.
const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJump = unix.BPF_JMP | unix.BPF_JA
	opJEQ  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJGE  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opJGT  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opRet  = unix.BPF_RET | unix.BPF_K
)

const (
	longestSkip = 255        // of a conditional jump
	toArguments = ^uint32(0) // distance of a jump that is not known yet
)

// verdict is what a filter decides; not known when it looks at the call's arguments, or does what is not expected of it.
type verdict struct {
	known  bool
	action uint32
}

// judge runs a filter on a call of which architecture and number are known.
func judge(filter []bpf.RawInstruction, arch, number uint32) verdict {
	var value uint32
	var of uint32 // the offset that value is of
	for at := 0; at < len(filter); at++ {
		switch i := filter[at]; {
		case i.Op == opLoad && i.K == offsetNumber:
			value, of = number, offsetNumber
		case i.Op == opLoad && i.K == offsetArch:
			value, of = arch, offsetArch
		case i.Op == opJump:
			at += int(i.K)
		case i.Op == opRet:
			return verdict{true, i.K}
		case i.Op == opJEQ:
			at += skip(i, value == i.K)
		case i.Op == opJGE && of == offsetNumber:
			at += skip(i, value >= i.K)
		case i.Op == opJGT && of == offsetNumber:
			at += skip(i, value > i.K)
		default:
			return verdict{}
		}
	}
	return verdict{}
}

func skip(i bpf.RawInstruction, holds bool) int {
	if holds {
		return int(i.Jt)
	}
	return int(i.Jf)
}

// step is the verdict on the calls from a number on, until the next step.
type step struct {
	from uint32
	verdict
}

// steps are the verdicts of a filter on all numbers. They change only at numbers that it compares with.
func steps(filter []bpf.RawInstruction, arch uint32) (found []step) {
	bounds := []uint32{0}
	for _, i := range filter {
		if i.Op == opJEQ || i.Op == opJGE || i.Op == opJGT {
			bounds = append(bounds, i.K, i.K+1) // 0, where there is nothing above
		}
	}
	slices.Sort(bounds)
	for _, from := range slices.Compact(bounds) {
		v := judge(filter, arch, from)
		if len(found) == 0 || found[len(found)-1].verdict != v {
			found = append(found, step{from, v})
		}
	}
	return found
}

// search is the program that finds the verdict on the number that has been loaded.
func search(steps []step) []bpf.RawInstruction {
	if len(steps) == 1 && steps[0].known {
		return []bpf.RawInstruction{{Op: opRet, K: steps[0].action}}
	}
	if len(steps) == 1 {
		return []bpf.RawInstruction{{Op: opJump, K: toArguments}}
	}
	half := len(steps) / 2
	below, above := search(steps[:half]), search(steps[half:])
	return slices.Concat(unless(opJGE, steps[half].from, len(below)), below, above)
}

// unless jumps over so many instructions when the comparison holds.
func unless(op uint16, k uint32, over int) []bpf.RawInstruction {
	if over <= longestSkip {
		return []bpf.RawInstruction{{Op: op, Jt: uint8(over), K: k}}
	}
	return []bpf.RawInstruction{{Op: op, Jf: 1, K: k}, {Op: opJump, K: uint32(over)}}
}

// shorten is a filter that decides as full does, which names no architectures but those given, of which the last is asked for first;
// arguments decides on the calls whose arguments matter.
func shorten(full, arguments []bpf.RawInstruction, audits []uint32) []bpf.RawInstruction {
	foreign := steps(full, foreignArch(full))
	program := search(foreign)
	if len(foreign) > 1 || !foreign[0].known {
		return full // it asks for more than equality of an architecture
	}
	for _, audit := range audits {
		found := steps(full, audit)
		if slices.Equal(found, foreign) {
			continue
		}
		block := append([]bpf.RawInstruction{{Op: opLoad, K: offsetNumber}}, search(found)...)
		// The next architecture's block follows, behind the question for this one.
		program = slices.Concat([]bpf.RawInstruction{{Op: opJEQ, Jt: 1, K: audit}, {Op: opJump, K: uint32(len(block))}}, block, program)
	}
	program = append([]bpf.RawInstruction{{Op: opLoad, K: offsetArch}}, program...)
	for at := range program {
		if program[at].Op == opJump && program[at].K == toArguments {
			program[at].K = uint32(len(program) - at - 1)
		}
	}
	return append(program, arguments...)
}

// foreignArch is an architecture that a filter does not name.
func foreignArch(filter []bpf.RawInstruction) (arch uint32) {
	for slices.ContainsFunc(filter, func(i bpf.RawInstruction) bool { return i.K == arch }) {
		arch++
	}
	return arch
}

// decode and encode translate from and to what the kernel takes.
func decode(filter []byte) ([]bpf.RawInstruction, error) {
	raw := make([]bpf.RawInstruction, len(filter)/8)
	_, err := binary.Decode(filter, binary.NativeEndian, raw)
	return raw, err
}

func encode(program []bpf.RawInstruction) ([]byte, error) {
	return binary.Append(nil, binary.NativeEndian, program)
}
