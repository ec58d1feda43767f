package container

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestInitConfigLayout(t *testing.T) {
	filter := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	raw, err := InitConfig{
		TTY: true, Nested: true, Switch: true, Fence: true, Filtered: true, Launcher: true, Hold: true, Rank: true, UID: 1000, GID: 1001, Groups: []uint32{5, 6},
		Capabilities: 1<<32 | 1<<5, Args: []string{"sh", "-c", ""}, Env: []string{"A=1"}, Filter: filter, CPUs: []int{1, 64},
		Rlimits: []Rlimit{{7, 5, 6}}, Passed: 1<<36 | 1<<14,
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	header := make([]uint32, 14)
	n, err := binary.Decode(raw, binary.NativeEndian, header)
	if err != nil {
		t.Fatal(err)
	}
	text := "sh\x00-c\x00\x00A=1\x00"
	want := []uint32{initMagic, flagTTY | flagNested | flagSwitch | flagFence | flagFiltered | flagLauncher | flagHold | flagRank, 1000, 1001, 1 << 5, 1, 3, 1, 3, uint32(len(text)), 2, 2, 1, 0}
	for i := range want {
		if header[i] != want[i] {
			t.Errorf("word %d of the header is %#x, want %#x", i, header[i], want[i])
		}
	}
	if got := binary.NativeEndian.Uint64(raw[n:]); got != 1<<36|1<<14 {
		t.Errorf("signals %#x", got)
	}
	n += 8
	if got := raw[n : n+len(filter)]; !bytes.Equal(got, filter) {
		t.Errorf("filter %v", got)
	}
	n += len(filter)
	sets := make([]uint64, 5)
	if size, err := binary.Decode(raw[n:], binary.NativeEndian, sets); err != nil || !slices.Equal(sets, []uint64{2, 1, 7, 5, 6}) {
		t.Errorf("CPUs and limits %x, %v", sets, err)
	} else {
		n += size
	}
	groups := make([]uint32, 2)
	size, err := binary.Decode(raw[n:], binary.NativeEndian, groups)
	if err != nil || !slices.Equal(groups, []uint32{5, 6}) {
		t.Errorf("groups %v, %v", groups, err)
	}
	if got := string(raw[n+size:]); got != text {
		t.Errorf("strings %q", got)
	}
}

func TestArgumentsArriveByteForByte(t *testing.T) {
	args, env := []string{"printf", "\xff\u00e9\xc3", ""}, []string{"A=\x80"}
	config := Config{Spec: &specs.Spec{Process: &specs.Process{Args: args, Env: env, Cwd: "/w"}}}
	raw, err := json.Marshal(newRequest(config))
	if err != nil {
		t.Fatal(err)
	}
	var got Request
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Args, args) || !slices.Equal(got.Env, env) || got.Spec.Process.Cwd != "/w" {
		t.Errorf("%q, %q, %+v", got.Args, got.Env, got.Spec.Process)
	}
	if len(config.Spec.Process.Args) != len(args) {
		t.Error("the caller's specification was changed")
	}
}

func TestInitConfigRefusesNUL(t *testing.T) {
	for _, c := range []InitConfig{{Args: []string{"a\x00b"}}, {Args: []string{"a"}, Env: []string{"A=\x00"}}} {
		if _, err := c.Encode(); !errors.Is(err, ErrNUL) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestReports(t *testing.T) {
	raw, err := binary.Append(nil, binary.NativeEndian, Report{Kind: ReportEnded, Value: 3 << 8, UserMicros: 1500000, SystemMicros: 250000, MaxRSS: 4096})
	if err != nil || len(raw) != ReportSize {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	got, err := parseReport(raw)
	if err != nil || got.Kind != ReportEnded || syscall.WaitStatus(got.Value).ExitStatus() != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if u := got.usage(); u != (Usage{UserSeconds: 1.5, SystemSeconds: 0.25, MaxRSS: 4096}) {
		t.Errorf("usage %+v", u)
	}
	for _, size := range []int{0, ReportSize - 1, ReportSize + 1} {
		if _, err := parseReport(make([]byte, size)); err == nil {
			t.Errorf("a report of %d bytes was taken", size)
		}
	}
}

func TestStartFailures(t *testing.T) {
	exec := func(errno syscall.Errno) Report {
		return Report{Kind: ReportFailed, Value: StageExec, Error: int32(errno)}
	}
	for _, c := range []struct {
		name    string
		report  Report
		command string
		want    error
		says    string
	}{
		{"it runs", Report{Kind: ReportStarted, Value: 2}, "x", nil, ""},
		{"not in PATH", exec(unix.ENOENT), "nosuch", ErrNotFound, "PATH"},
		{"no such file", exec(unix.ENOENT), "/bin/nosuch", ErrNotFound, "no such file in the image"},
		{"no interpreter", exec(unix.ELIBACC), "/run.sh", ErrNotFound, "interpreter"},
		{"no permission", exec(unix.EACCES), "/etc/passwd", ErrNotExecutable, "permission denied"},
		{"another architecture", exec(unix.ENOEXEC), "/bin/arm", ErrNotExecutable, "architecture"},
		{"arguments too long", exec(unix.E2BIG), "x", ErrNotExecutable, "too long"},
		{"no nested namespace", Report{Kind: ReportFailed, Value: StageUser, Error: int32(unix.EPERM)}, "x", ErrUser, "not permitted"},
		{"no filter", Report{Kind: ReportFailed, Value: StageSeccomp, Error: int32(unix.EINVAL)}, "x", ErrStart, "seccomp"},
		{"no memory, or no first process", Report{Kind: ReportFailed, Value: StageFork, Error: int32(unix.ENOMEM)}, "x", ErrStart, "first process"},
		{"nonsense", Report{Kind: 77}, "x", ErrStart, "77"},
	} {
		err := startFailure(c.report, c.command)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.want, c.says)
		}
	}
}

func TestExitOf(t *testing.T) {
	for status, want := range map[syscall.WaitStatus]Exit{
		0:         {Code: 0},
		3 << 8:    {Code: 3},
		9:         {Code: 137, Signal: unix.SIGKILL},
		15:        {Code: 143, Signal: unix.SIGTERM},
		137 << 8:  {Code: 137}, // the job's own choice, not a signal
		11 | 0x80: {Code: 139, Signal: unix.SIGSEGV},
	} {
		want.Wall = time.Second
		if got := exitOf(status, want.Wall, Usage{}); got != want {
			t.Errorf("status %#x: %+v, want %+v", int(status), got, want)
		}
	}
}

func TestHeadKeepsTheFirstLine(t *testing.T) {
	var said head
	if said.String() != "" {
		t.Errorf("%q", said.String())
	}
	for range 100 {
		if n, err := said.Write([]byte("\npanic: no threads\n\ngoroutine 1 [running]:\n")); n != 43 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := said.String(); got != ": panic: no threads" || len(said.text) > headSize {
		t.Errorf("%q of %d bytes", got, len(said.text))
	}
}

func TestFaultsBecomeErrors(t *testing.T) {
	for fault, want := range map[Fault]error{FaultStart: ErrStart, FaultMount: ErrMount, FaultUser: ErrUser, FaultNamespace: ErrUserNamespaces, "": ErrStart} {
		if got := (Reply{Fault: fault, Failed: "why"}).failure(); !errors.Is(got, want) || !strings.Contains(got.Error(), "why") {
			t.Errorf("fault %q: %v, want %v", fault, got, want)
		}
	}
}
