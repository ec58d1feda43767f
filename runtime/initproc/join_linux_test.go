package initproc

import (
	"os"
	"testing"
)

func TestNamespacesAreToldApart(t *testing.T) {
	for name, want := range map[string]bool{"user": true, "mnt": false} {
		file, err := os.Open("/proc/self/ns/user")
		if err != nil {
			t.Fatal(err)
		}
		if own, err := sameNamespace(file, "/proc/self/ns/"+name); err != nil || own != want {
			t.Errorf("the user namespace is the %s namespace: %v, %v", name, own, err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindProcessOfNobody(t *testing.T) {
	if dir, err := findProcess(-1); err == nil {
		t.Errorf("a process without a number is %s", dir)
	}
}
