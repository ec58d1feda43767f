package gpu

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// fakeArg is the first argument by which the test's program is a helper that behaves as the second says.
const fakeArg = "fake-helper"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == fakeArg {
		os.Exit(fakeHelper(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == parentArg {
		os.Exit(beParent(os.Args[2]))
	}
	os.Exit(m.Run())
}

// fake is a helper's program that behaves in one of the ways of fakeHelper.
func fake(t *testing.T, behaviour string) Place {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), HelperName)
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' %s %s\n", self, fakeArg, behaviour)
	need.Program(t, path, script)
	return Place{Helper: path, Patience: time.Minute}
}

// hung is a helper that says something and hangs before it is asked anything.
const hung = "hung"

// fakeHelper answers each line as a behaviour has it.
func fakeHelper(behaviour string) int {
	if behaviour == hung {
		fmt.Fprintln(os.Stderr, "asking the driver")
		_ = unix.Pause()
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request Request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil || request.Protocol != Protocol {
			return 3
		}
		switch behaviour {
		case "works":
			say(answer(request))
		case "hangs":
			fmt.Fprintln(os.Stderr, "asking the driver")
			_ = unix.Pause() // until a signal comes, which here is the last
		case "hangs-with-child": // that keeps the output open
			child := exec.Command("/bin/sleep", "1000")
			child.Stdout, child.Stderr = os.Stdout, os.Stderr
			if err := child.Run(); err != nil {
				return 1
			}
		case "crashes":
			fmt.Fprintln(os.Stderr, "panic:\tno such symbol\n\n"+strings.Repeat("goroutine 1\n", 10000))
			return 2
		case "goes":
			return 0
		case "cuts":
			fmt.Print(`{"protocol":1,"inv`)
			return 0
		case "garbage":
			fmt.Println("Segmentation fault \x1b[31m")
		case "endless":
			text := strings.Repeat(" ", 1<<20)
			for {
				if _, err := fmt.Print(text); err != nil {
					return 1
				}
			}
		case "newer":
			say(Reply{Protocol: Protocol + 1, Inventory: &Inventory{}})
		case "older":
			fmt.Println(`{"gpus":[]}`)
		case "mute":
			say(Reply{Protocol: Protocol})
		default:
			kind, message, _ := strings.Cut(behaviour, ":")
			say(Reply{Protocol: Protocol, Failure: &Failure{Kind: FailureKind(kind), Message: message}})
		}
	}
	return 0
}

func say(r Reply) {
	text, _ := json.Marshal(r) // a Reply can always be said
	fmt.Println(string(text))
}

// answer is that of a helper that works. Its driver's version is the driver root that it was given; its warnings tell where it is.
func answer(request Request) Reply {
	reply := Reply{Protocol: Protocol, Warnings: []string{"same"}}
	switch request.Op {
	case List:
		reply.Inventory = &Inventory{Driver: request.DriverRoot}
		reply.Warnings = append(reply.Warnings, surroundings()...)
	case Spec:
		reply.CDI, _ = json.Marshal(request.Spec) // likewise
	case Watch:
		for _, uuid := range request.UUIDs {
			reply.Readings = append(reply.Readings, Reading{UUID: uuid})
		}
	}
	return reply
}

// surroundings are what a process has inherited: its files and directories, but for those that Go opens itself, its variables and directory.
func surroundings() (lines []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			lines = append(lines, "fd "+to)
		}
	}
	env := os.Environ()
	slices.Sort(env)
	for _, v := range env {
		lines = append(lines, "env "+v)
	}
	dir, _ := os.Getwd()
	return append(lines, "dir "+dir)
}
