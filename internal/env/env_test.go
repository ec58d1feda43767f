package env

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/runtime/spec"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"SET": "here", "EMPTY": ""}[name]
	return value, ok
}

func TestRead(t *testing.T) {
	got, err := Read(strings.NewReader("\ufeffA=1\n# comment\n\n  B= two words \nC='quoted'\nSET\nUNSET\nEMPTY\nD=a=b\n"), lookup)
	want := []string{"A=1", "B= two words ", "C='quoted'", "SET=here", "EMPTY=", "D=a=b"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

func TestBadEnvFilesNameTheLine(t *testing.T) {
	for text, where := range map[string]string{"A=1\n=x\n": "line 2", "\n\nMY VAR=1": "line 3", "export A": "line 1"} {
		if _, err := Read(strings.NewReader(text), lookup); !errors.Is(err, spec.ErrOption) || !strings.Contains(err.Error(), where) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read(strings.NewReader("A="+strings.Repeat("x", 2<<20)), lookup); err == nil {
		t.Error("a line without end was read")
	}
}
