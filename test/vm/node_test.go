package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

const (
	// nodesEnv asks for the nodes (make test-vm): "all", or releases, separated by commas.
	nodesEnv = "CORACLE_TEST_VM"
	// onlyEnv is a regular expression of tests, for those who look for a mistake: the others are left out.
	onlyEnv = "CORACLE_TEST_VM_RUN"
	// killsEnv asks for TestKilledAtAnyMoment, and says how often a run is killed in each way.
	killsEnv = "CORACLE_TEST_KILLS"
)

// limit ends a node that hangs.
const limit = 30 * time.Minute

// guests are the packages whose tests run in a node: those that were written for it, and of the others some that kernel and
// systemd have a say in. All together have to end in some minutes.
var guests = []guest{
	{dir: "test/vm/inside", run: ".", also: loads},
	{dir: "test/probe", run: "^TestExec(CannotBeCaught|IntoHostileJobs|SharesMounts|WhileTheJobEnds|EndsWithTheJob|IsAccounted|OnTerminal)$", sources: []string{"inside", "README.md"}, also: probe},
	{dir: "test/subuid", run: "^Test(Confined|OutOfReach|SetIDBits|SupplementaryGroups|OthersProcessesEnd|WhoMayMountChangesNothing|FilesBelongToWhomTheImageSays)$"},
	{dir: "test/integration", run: "^Test(Status|Signals|StopTimeout|Terminal.*|KernelSays.*|Namespaces.*|DangerousFiles.*|Volumes|ReadOnlyVolumesStayReadOnly|WhoMayMountMounts|CapabilitiesOpen.*|HostHome.*|NoInit.*)$"},
	{dir: "test/script", run: "^TestRun$/^(limits|metrics|record|network|security|terminal)$"},
}

// A guest is a package whose tests run in a node.
type guest struct {
	dir, run string
	sources  []string                                                  // what its tests want to find beside testdata
	also     func(t *testing.T, source, dir string) (path, env string) // makes one more file, and says what names it
}

// probe is the program of test/probe, for which a node has no compiler.
func probe(t *testing.T, source, dir string) (path, env string) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(source, "inside", "*.c"))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "program")
	args := append([]string{"-std=gnu11", "-O2", "-static", "-o", path}, sources...)
	if out, err := exec.Command(need.Tool(t, "gcc"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path, "CORACLE_TEST_PROBE=program"
}

// loads is the program of test/integration's known loads; the environment says how many kills are asked for.
func loads(t *testing.T, _, dir string) (path, env string) {
	t.Helper()
	path = filepath.Join(dir, "load")
	cmd := exec.Command("go", "build", "-o", path, "../integration/testdata/load")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if number := os.Getenv(killsEnv); number != "" {
		env = killsEnv + "=" + number
	}
	return path, env
}

// TestNodes boots the nodes beside each other, and reports what their tests found.
func TestNodes(t *testing.T) {
	list := os.Getenv(nodesEnv)
	if list == "" {
		t.Skip("`make test-vm` boots the nodes")
	}
	need.Tool(t, "mke2fs")
	need.Binary(t)
	chosen, err := named(list)
	if err != nil {
		t.Fatal(err)
	}
	suites := build(t)
	for _, r := range chosen {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			examine(t, r, suites)
		})
	}
}

// build links the guests' tests as Coracle is linked, so that they need nothing of the node's.
func build(t *testing.T) (suites []suite) {
	t.Helper()
	top, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	tags := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				tags = s.Value
			}
		}
	}
	dir := t.TempDir()
	for _, g := range guests {
		name := filepath.Base(g.dir)
		s := suite{name: name, binary: filepath.Join(dir, name), args: []string{
			"-test.v=test2json", "-test.timeout=20m", "-test.run=" + cmp.Or(os.Getenv(onlyEnv), g.run),
		}}
		for _, source := range append(g.sources, "testdata") {
			if path := filepath.Join(top, g.dir, source); source != "testdata" || exists(path) {
				s.sources = append(s.sources, path)
			}
		}
		if g.also != nil {
			path, env := g.also(t, filepath.Join(top, g.dir), dir)
			s.sources, s.env = append(s.sources, path), env
		}
		cmd := exec.Command("go", "test", "-c", "-tags", tags, "-ldflags", "-s -w -linkmode external -extldflags -static",
			"-o", s.binary, "./"+g.dir)
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the tests of %s: %v: %s", g.dir, err, out)
		}
		suites = append(suites, s)
	}
	return suites
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// examine boots one node.
func examine(t *testing.T, r release, suites []suite) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	n, err := prepare(ctx, r, payload{mode: "suites", suites: suites})
	if errors.Is(err, errMissing) {
		need.Missing(t, "node", err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.remove(); err != nil {
			t.Error(err)
		}
	})
	start := time.Now()
	said := new(results)
	log := keep(t, n)
	err = n.boot(ctx, func(line string) {
		said.line(line)
		_, _ = fmt.Fprintln(log, line) // for a look at it
	})
	t.Logf("the node %s ran for %.0f s", r, time.Since(start).Seconds())
	for i := range said.suites {
		t.Run(said.suites[i].name, func(t *testing.T) { report(t, &said.suites[i]) })
	}
	if err != nil || !said.complete || len(said.suites) != len(suites) {
		t.Errorf("the node did not come to its end: %v", err)
	}
	if t.Failed() {
		t.Logf("the node's console (%s) ends:\n%s", n.console, n.lastWords())
	}
}

// keep has what the node says written beside the built binaries, as it says it, to be looked at while it runs and afterwards.
func keep(t *testing.T, n *node) *os.File {
	t.Helper()
	top, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "bin", "node-"+n.release.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n.console = filepath.Join(dir, "console")
	log, err := os.Create(filepath.Join(dir, "results"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// report tells what became of a suite's tests as if they had run here.
func report(t *testing.T, o *outcome) {
	t.Helper()
	tail := o.output.String()
	tail = tail[max(0, len(tail)-4000):]
	list, err := o.verdicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		t.Run(v.test, func(t *testing.T) {
			switch v.action {
			case "pass":
				t.Logf("took %.1f s", v.seconds)
			case "skip":
				t.Skip(strings.TrimSpace(v.output.String()))
			default:
				t.Errorf("%s", v.output.String())
			}
		})
	}
	t.Logf("%s: %d tests in %.0f s", o.name, len(list), o.took.Seconds())
	if o.status != 0 && !t.Failed() || len(list) == 0 && os.Getenv(onlyEnv) == "" {
		t.Errorf("%s ended with status %d after %d tests; it said at the end:\n%s", o.name, o.status, len(list), tail)
	}
}
