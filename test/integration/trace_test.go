package integration_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestInitCannotBeTraced has the job's very first instructions attach to PID 1, which is not yet under the filter by then: a
// job that traces it could make any call through it.
func TestInitCannotBeTraced(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		need.Missing(t, "amd64", "the program is machine code for it")
	}
	b, ref := busybox(t, func(img *fixture.Image) {
		img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.File("seize", string(program(seizeInit)), 0o755)))
	})
	for range 20 { // the moment is short
		if r := b.do("run", ref, "/seize"); r.code != 1 {
			t.Fatalf("attaching to PID 1: status %d, want 1, which is EPERM: %s", r.code, r.stderr)
		}
	}
}

// seizeInit is exit(-ptrace(PTRACE_SEIZE, 1, 0, 0)), without the milliseconds in which a C or Go program begins.
var seizeInit = []byte{
	0xb8, 101, 0, 0, 0, // mov eax, SYS_ptrace
	0xbf, 0x06, 0x42, 0, 0, // mov edi, PTRACE_SEIZE
	0xbe, 1, 0, 0, 0, // mov esi, 1
	0x31, 0xd2, // xor edx, edx
	0x4d, 0x31, 0xd2, // xor r10, r10
	0x0f, 0x05, // syscall
	0xf7, 0xd8, // neg eax
	0x89, 0xc7, // mov edi, eax
	0xb8, 231, 0, 0, 0, // mov eax, SYS_exit_group
	0x0f, 0x05, // syscall
}

// program is a static amd64 executable of some code.
func program(code []byte) []byte {
	const base, ehdr, phdr = 0x400000, 64, 56
	size := uint64(ehdr + phdr + len(code))
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: base + ehdr + phdr, Phoff: ehdr, Ehsize: ehdr, Phentsize: phdr, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	segment := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000}
	var out bytes.Buffer
	for _, part := range []any{header, segment, code} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			panic(err) // a buffer takes everything
		}
	}
	return out.Bytes()
}
