package initproc

import (
	"errors"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// The texts are libcontainer 1.5.2's; test/integration mounts what cannot be mounted and sees the class for real.
func TestClassify(t *testing.T) {
	const wrapped = "unable to start container process: error during container init: "
	for _, c := range []struct {
		err, want string
		class     container.Fault
	}{
		{wrapped + `error mounting "/a" to rootfs at "/b": not a directory`, `error mounting "/a" to rootfs at "/b": not a directory`, container.FaultMount},
		{wrapped + "mkdir /etc/passwd: not a directory", "mkdir /etc/passwd: not a directory", ""},
		{"creating the container: no memory", "creating the container: no memory", ""},
	} {
		got := classify(errors.New(c.err))
		f := fault{}
		if errors.As(got, &f); got.Error() != c.want || f.class != c.class {
			t.Errorf("%q: %q of class %q", c.err, got, f.class)
		}
	}
}

func TestNested(t *testing.T) {
	for user, want := range map[rootfs.User]bool{{}: false, {Home: "/root"}: false, {UID: 1000}: true, {GID: 7}: true} {
		if got := (&keeper{}).nested(user); got != want {
			t.Errorf("%+v: %v", user, got)
		}
		mapped := &keeper{request: container.Request{IDs: host.IDMap{UIDs: []host.IDRange{{Size: 1}}}}}
		if mapped.nested(user) {
			t.Errorf("%+v: nested in a namespace that has it", user)
		}
	}
}
