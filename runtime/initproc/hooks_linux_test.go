package initproc

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/container"
)

func TestHookFault(t *testing.T) {
	hooks := &specs.Hooks{
		CreateContainer: []specs.Hook{{Path: "/a", Args: []string{"a"}}, {Path: "/b", Args: []string{"b", "__cdi-hook", "update-ldcache", "--folder", "/x"}}},
	}
	const begins = "unable to start container process: error during container init: "
	for text, want := range map[string]string{
		begins + "error running createContainer hook #1: exit status 1, stdout: , stderr: no\n loader\n":       "/b __cdi-hook update-ldcache (createContainer): exit status 1: no loader",
		begins + "error running createContainer hook #0: exit status 2, stdout: out\n, stderr: ":               "/a (createContainer): exit status 2: out",
		begins + "error running createContainer hook #0: hook ran past specified timeout of 65.0s":             "/a (createContainer): hook ran past specified timeout of 65.0s",
		begins + "error running createContainer hook #0: exit status 1, stdout: " + strings.Repeat("x", 1<<16): "/a (createContainer): exit status 1: xxx",
	} {
		err := hookFault(errors.New(text), hooks)
		f := fault{}
		if !errors.As(err, &f) || f.class != container.FaultHook || !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%.100s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"error mounting", begins + "error running createContainer hook #2: x", "error running nothing hook #0: x", "error running "} {
		if err := hookFault(errors.New(text), hooks); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := hookFault(errors.New("error running createContainer hook #0: x"), nil); err != nil {
		t.Error(err)
	}
}

// What libcontainer is to run always is this program, and never without variables or a limit.
func TestHooksAreWrapped(t *testing.T) {
	five := 5
	for _, c := range []struct {
		hook specs.Hook
		args []string
		late int
	}{
		{specs.Hook{Path: "/a", Args: []string{"a", "b"}, Env: []string{"A=1"}, Timeout: &five}, []string{"coracle-hook", "5", "/a", "a", "b"}, 10},
		{specs.Hook{Path: "/a"}, []string{"coracle-hook", "60", "/a", "/a"}, 65},
	} {
		got := wrap(c.hook)
		if got.Path != "/proc/self/exe" || !slices.Equal(got.Args, c.args) || len(got.Env) == 0 || *got.Timeout != c.late {
			t.Errorf("%+v", got)
		}
	}
}
