package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

func TestMain(m *testing.M) { os.Exit(need.Unprivileged(m)) }

const registryKey = "registry"

// TestStore runs the scripts that need no container.
func TestStore(t *testing.T) { run(t, "testdata/store") }

// TestRun runs the scripts that start containers of the busybox image.
func TestRun(t *testing.T) {
	need.Overlay(t)
	fixture.Busybox(t)
	run(t, "testdata/run")
}

func run(t *testing.T, dir string) {
	t.Helper()
	binary := need.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Setup: func(env *testscript.Env) error {
			env.Defer(func() { recorded.Check(t, filepath.Join(env.WorkDir, ".store")) })
			return setup(env, binary)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"push":      func(ts *testscript.TestScript, neg bool, args []string) { push(t, ts, neg, args) },
			"registry":  misbehaving,
			"status":    status,
			"lines":     lines,
			"oneline":   oneLine,
			"json":      jsonValue,
			"printable": printable,
			"signal":    signal,
		},
	})
}

// condition knows "subids": the user of the scripts has subordinate ids.
func condition(name string) (bool, error) {
	if name != "subids" {
		return false, fmt.Errorf("no condition is called %q", name)
	}
	_, err := host.SubordinateIDs()
	return err == nil, nil
}

// setup gives a script its own registry, store and home.
func setup(env *testscript.Env, binary string) error {
	r := fixture.Start()
	env.Defer(r.Close)
	env.Values[registryKey] = r
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("REG", r.Host())
	env.Setenv("HOME", home)
	env.Setenv("CORACLE_ROOT", filepath.Join(env.WorkDir, ".store"))
	env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	env.Setenv("TMPDIR", env.WorkDir)
	env.Setenv("ARCH", runtime.GOARCH)
	env.Setenv("UID", strconv.Itoa(os.Getuid()))
	env.Setenv("LOGIN", host.Username())
	env.Setenv("CORACLE_NO_SETTLE", "1") // what a pull leaves running would change what the next command finds
	env.Setenv("TERM", "xterm")
	return nil
}

func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

func registryOf(ts *testscript.TestScript) *fixture.Registry {
	r, ok := ts.Value(registryKey).(*fixture.Registry)
	if !ok {
		ts.Fatalf("the script has no registry")
	}
	return r
}

func misbehaving(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "registry MODE")
	ts.Check(misbehave(registryOf(ts), args[0]))
}

func push(t testing.TB, ts *testscript.TestScript, neg bool, args []string) {
	t.Helper()
	usage(ts, neg || len(args) != 2, "push NAME IMAGE")
	put := images[args[1]]
	usage(ts, put == nil, "push NAME IMAGE: no image "+args[1])
	put(t, registryOf(ts), args[0])
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "status N COMMAND [ARG...]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "lines N FILE")
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s has %d lines, want %s:\n%s", args[1], got, args[0], ts.ReadFile(args[1]))
	}
}

var errorLines = regexp.MustCompile(`^coracle: [^\n]+\n(hint: [^\n]+\n)?$`)

func oneLine(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "oneline FILE")
	if text := ts.ReadFile(args[0]); !errorLines.MatchString(text) {
		ts.Fatalf("%s is not one line of error and one of hint:\n%s", args[0], text)
	}
}

func printable(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "printable FILE")
	for _, r := range ts.ReadFile(args[0]) {
		if r != '\n' && !unicode.IsPrint(r) {
			ts.Fatalf("%s holds %U", args[0], r)
		}
	}
}

func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) != 2 && len(args) != 3, "json FILE PATH [VALUE]")
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &v); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	found, ok := lookup(v, args[1])
	if ok && len(args) == 3 {
		text, isText := found.(string)
		if !isText {
			var raw strings.Builder
			encoder := json.NewEncoder(&raw)
			encoder.SetEscapeHTML(false)
			ts.Check(encoder.Encode(found))
			text = strings.TrimSpace(raw.String())
		}
		re, err := regexp.Compile("^(?:" + args[2] + ")$")
		ts.Check(err)
		if ok = re.MatchString(text); !ok && !neg {
			ts.Fatalf("%s is %s, want %s", args[1], text, args[2])
		}
	}
	if ok == neg {
		ts.Fatalf("%s: found %v in %s", args[1], found, ts.ReadFile(args[0]))
	}
}

// lookup follows a path of field names and indexes; "len" counts.
func lookup(v any, path string) (any, bool) {
	for step := range strings.SplitSeq(path, ".") {
		switch here := v.(type) {
		case map[string]any:
			if step == "len" {
				return len(here), true
			}
			next, ok := here[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			if step == "len" {
				return len(here), true
			}
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(here) {
				return nil, false
			}
			v = here[i]
		default:
			return nil, false
		}
	}
	return v, true
}

var signals = map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// signal is for signals that testscript's own kill does not know; it goes to the last command in the background.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1 || signals[args[0]] == nil, "signal INT|TERM|KILL")
	running := ts.BackgroundCmds()
	if len(running) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(signals[args[0]]))
}
