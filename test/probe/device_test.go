package probe_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// with gives a container devices.
func with(d spec.Devices) change { return func(p *plan) { p.devices = d } }

// hook is a script of the host's shell.
func hook(script string, env ...string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script, "a-name"}, Env: env}
}

// inRoot has a hook's script begin with the container's root directory in $root, as hooks find it: by the state on their input, and
// config.json in its bundle.
const inRoot = `root=$(sed 's/.*"bundle":"\([^"]*\)".*/\1/')
root=$(sed 's/.*"root":{[^}]*"path":"\([^"]*\)".*/\1/' "$root/config.json")
`

// TestDevices: whoever the job is, it can use a device that it was given, and so can a further process. What hooks have made in its root
// is there, a read-only one too. A hook runs as the container's root, outside of the image's files, with its own variables and
// descriptors alone.
func TestDevices(t *testing.T) {
	t.Setenv("SECRET_OF_CALLER", "1")
	leak, err := os.Open(t.TempDir())
	must(t, err)
	defer leak.Close()
	const tell = inRoot + `{ pwd; id -u; env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort; ls -l /proc/self/fd | grep -o ' [0-9]* -> .*' | grep -v -e ' [0-2] -> ' -e /proc/; echo end; } >"$root/told"
`
	d := spec.Devices{
		Nodes: []spec.Node{{Source: "/dev/zero", Target: "/dev/of/mine"}},
		Env:   []string{"OF_DEVICE=1", "LD_PRELOAD=/evil.so"},
		Hooks: &specs.Hooks{
			CreateRuntime:   []specs.Hook{hook("exit 0")},
			CreateContainer: []specs.Hook{hook(tell, "OF_HOOK=1"), hook(inRoot + `echo second >>"$root/told"`)},
			StartContainer:  []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "test ! -e /proc/1/root/nosuch && test -e /dev/of/mine"}}},
		},
	}
	const look = `head -c 3 /dev/of/mine | wc -c; grep -c ' /dev/of/mine .*nosuid.*noexec' /proc/mounts; echo $OF_DEVICE`
	for _, mode := range vessels {
		t.Run(mode.name, func(t *testing.T) {
			v := launch(t, []string{"/bin/sh", "-c", "unset LD_PRELOAD; " + look + "; cat /told; echo ready; cat"}, slices.Concat(mode.changes, []change{with(d)})...)
			said := v.out.await(t, "ready")
			const want = "3\n1\n1\n/\n0\nOF_HOOK=1\nend\nsecond\nready"
			if !strings.Contains(said, want) {
				t.Errorf("the job says %q, want %q", said, want)
			}
			if out, _ := v.exec(container.Exec{Args: []string{"/bin/sh", "-c", look}}); out != "3\n1\n1\n" {
				t.Errorf("a further process says %q", out)
			}
			must(t, v.in.Close())
			v.wait()
		})
	}
}

// TestHooksFail: a hook that fails, or that hangs with children that hold its output, ends the start, and is named.
func TestHooksFail(t *testing.T) {
	second := 1
	slow := hook("sleep 1000 & sleep 1000")
	slow.Timeout = &second
	for name, c := range map[string]struct {
		hooks specs.Hooks
		says  string
	}{
		"fails":        {specs.Hooks{CreateContainer: []specs.Hook{hook("exit 0"), hook("echo no loader >&2; exit 3")}}, "(createContainer): exit status 3: no loader"},
		"hangs":        {specs.Hooks{CreateContainer: []specs.Hook{slow}}, "(createContainer): exit status 137: it ran for more than 1 s, and was killed"},
		"is not":       {specs.Hooks{CreateContainer: []specs.Hook{{Path: "/nosuch/hook"}}}, "/nosuch/hook (createContainer): exit status 127: executing it: No such file or directory"},
		"is early":     {specs.Hooks{CreateRuntime: []specs.Hook{hook("exit 4")}}, "(createRuntime): exit status 4"},
		"is inside":    {specs.Hooks{StartContainer: []specs.Hook{hook("exit 5")}}, "/bin/sh (startContainer): it failed in the container"},
		"is talkative": {specs.Hooks{CreateContainer: []specs.Hook{hook("i=0; while [ $i -lt 5000 ]; do echo many words; i=$((i+1)); done; exit 6")}}, "exit status 6: many words many words"},
	} {
		t.Run(name, func(t *testing.T) {
			p := draw(t, []string{"true"}, with(spec.Devices{Hooks: &c.hooks}))
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			must(t, err)
			defer null.Close()
			p.config.Stdin, p.config.Stdout, p.config.Stderr = null, null, null
			box, err := container.Prepare(p.config.IDs).Start(t.Context(), p.config)
			if box != nil {
				must(t, box.Kill())
				t.Fatal("it started")
			}
			if !errors.Is(err, container.ErrHook) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 1000 {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
