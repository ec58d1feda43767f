package initproc

import (
	"slices"
	"testing"
)

func TestMerge(t *testing.T) {
	env := []string{"PATH=/bin", "A=1", "HOME=/"}
	got := merge(env, []string{"A=2", "B=\xff", "A=3"})
	if want := []string{"PATH=/bin", "HOME=/", "B=\xff", "A=3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := merge(env, nil); !slices.Equal(got, env) {
		t.Errorf("%q, want %q", got, env)
	}
}
