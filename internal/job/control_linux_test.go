package job

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/runtime/container"
)

// TestKinds: an error of a supervisor's is the same one for the command that hears of it.
func TestKinds(t *testing.T) {
	for _, k := range kinds {
		err := Remote(&control.Error{Kind: kindOf(fmt.Errorf("doing something: %w: why", k.of)), Message: "what it said"})
		if !errors.Is(err, k.of) || err.Error() != "what it said" {
			t.Errorf("%s: %v", k.name, err)
		}
		for _, other := range kinds {
			if other.name != k.name && errors.Is(err, other.of) {
				t.Errorf("%s is %s, too", k.name, other.name)
			}
		}
	}
	for range 10 { // of an error that is two, it is always the same that counts
		if kind := kindOf(fmt.Errorf("%w: %w", container.ErrExec, container.ErrEnded)); kind != "ended" {
			t.Errorf("its kind is %q", kind)
		}
	}
	for _, err := range []error{syscall.EIO, &control.Error{Kind: "of a later version", Message: "something"}} {
		if kindOf(err) != "" || !errors.Is(Remote(err), err) {
			t.Errorf("%v has a kind", err)
		}
	}
}
