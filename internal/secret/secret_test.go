package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/secret"
	"github.com/coracle-run/coracle/runtime/spec"
)

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(file))
	for _, c := range []struct{ option, id, from, value string }{
		{"id=A", "A", secret.Variable, "of A"},
		{"id=A,env=B", "A", secret.Variable, "of B"},
		{"id=A,type=env,src=B", "A", secret.Variable, "of B"},
		{"id=A,type=env", "A", secret.Variable, "of A"},
		{"id=token", "token", secret.File, "from a file"},
		{"id=A,src=" + file, "A", secret.File, "from a file"},
		{"type=file,id=token", "token", secret.File, "from a file"},
	} {
		forgotten := []string{}
		list, err := secret.Read([]string{c.option}, secret.Environ{
			Lookup: func(name string) (string, bool) { return "of " + name, name == "A" || name == "B" },
			Forget: func(name string) error { forgotten = append(forgotten, name); return nil },
		})
		if err != nil {
			t.Errorf("%s: %v", c.option, err)
			continue
		}
		records, values := secret.Records(list)
		if len(records) != 1 || records[0].ID != c.id || records[0].From != c.from || !slices.Equal(values, []string{c.value}) {
			t.Errorf("%s: %v %q", c.option, records, values)
		}
		if (len(forgotten) == 1) != (c.from == secret.Variable) {
			t.Errorf("%s: forgot %q", c.option, forgotten)
		}
	}
}

// TestMistakesDoNotRepeatTheSecret: who has the syntax wrong may have written the value itself.
func TestMistakesDoNotRepeatTheSecret(t *testing.T) {
	none := secret.Environ{Lookup: func(string) (string, bool) { return "", false }}
	for _, option := range []string{"hunter2", `id="hunter2`, "password=hunter2", "id=A,hunter2"} {
		_, err := secret.Read([]string{option}, none)
		if !errors.Is(err, spec.ErrOption) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", option, err)
		}
	}
	for _, options := range [][]string{{"id=A,src=x,env=B"}, {"id=a/b,env=B"}, {"src=x"}, {"id="}} {
		if _, err := secret.Read(options, none); !errors.Is(err, spec.ErrOption) {
			t.Errorf("%s: %v", options, err)
		}
	}
	for _, option := range []string{"id=A", "id=A,env=B", "id=A,src=/nowhere"} {
		if _, err := secret.Read([]string{option}, none); !errors.Is(err, secret.ErrRead) {
			t.Errorf("%s: %v", option, err)
		}
	}
	two := secret.Environ{Lookup: func(string) (string, bool) { return "x", true }, Forget: func(string) error { t.Error("forgotten"); return nil }}
	if _, err := secret.Read([]string{"id=A", "id=A"}, two); !errors.Is(err, spec.ErrOption) {
		t.Errorf("two of one name: %v", err)
	}
}
