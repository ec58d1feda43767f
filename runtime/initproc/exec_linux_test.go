package initproc

import (
	"os"
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

func TestNamespacesAreToldApart(t *testing.T) {
	for name, want := range map[string]bool{"user": true, "mnt": false} {
		file, err := os.Open("/proc/self/ns/user")
		if err != nil {
			t.Fatal(err)
		}
		if own, err := sameNamespace(file, name); err != nil || own != want {
			t.Errorf("the user namespace is the %s namespace: %v, %v", name, own, err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindNamespaceOfNobody(t *testing.T) {
	if file, err := findNamespace(-1); err == nil {
		t.Errorf("a process without a number has the namespace %s", file.Name())
	}
}
