package need

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestRequired(t *testing.T) {
	for _, tc := range []struct {
		list string
		want bool
	}{
		{"", false},
		{"userns", true},
		{"overlay,userns", true},
		{"overlay, userns", true},
		{"usernsx,user", false},
		{"all", true},
	} {
		if got := required("userns", tc.list); got != tc.want {
			t.Errorf("required(userns, %q) = %v, want %v", tc.list, got, tc.want)
		}
	}
}

// verdict records how Missing ends a test.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper()             {}
func (v *verdict) Name() string        { return "TestVerdict" }
func (v *verdict) Logf(string, ...any) {}
func (v *verdict) Skipf(string, ...any) {
	v.skipped = "yes"
	runtime.Goexit()
}

func (v *verdict) Fatalf(string, ...any) {
	v.failed = "yes"
	runtime.Goexit()
}

func missing(ability string) *verdict {
	v := new(verdict)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Missing(v, ability, "two\nlines")
	}()
	<-done
	return v
}

func TestMissingSkipsAndTakesNote(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(list, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(skipsEnv, list)
	t.Setenv(requireEnv, "other")
	if v := missing("overlay"); v.skipped == "" || v.failed != "" {
		t.Errorf("an undeclared ability: skipped %q, failed %q", v.skipped, v.failed)
	}
	raw, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if want := "overlay\tTestVerdict\ttwo lines\n"; string(raw) != want {
		t.Errorf("the list of skips holds %q, want %q", raw, want)
	}
}

func TestMissingFailsWhereDeclared(t *testing.T) {
	t.Setenv(requireEnv, "userns,overlay")
	if v := missing("overlay"); v.failed == "" || v.skipped != "" {
		t.Errorf("a declared ability: skipped %q, failed %q", v.skipped, v.failed)
	}
}

func TestTestArgs(t *testing.T) {
	in := []string{"-test.testlogfile=/tmp/x", "-test.v=true", "-test.coverprofile=/root/c", "-test.run=^TestA$", "--test.outputdir=/root"}
	if got := strings.Join(testArgs(in), " "); got != "-test.v=true -test.run=^TestA$" {
		t.Errorf("testArgs keeps %q", got)
	}
}

func TestStageEnviron(t *testing.T) {
	s := stage{dir: t.TempDir()}
	env := s.environ([]string{"HOME=/root", "AWS_SECRET_ACCESS_KEY=x", "TEST_REQUIRE=all", "CORACLE_TEST_CACHE=/c", "LANG=C.UTF-8", "CORACLE_ROOT=/r"})
	text := "\n" + strings.Join(env, "\n") + "\n"
	for _, want := range []string{"HOME=" + s.path("home"), "TEST_REQUIRE=all", "CORACLE_TEST_CACHE=/c", "LANG=C.UTF-8"} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the environment lacks %s", want)
		}
	}
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "CORACLE_ROOT", binaryEnv} {
		if strings.Contains(text, "\n"+name+"=") {
			t.Errorf("the environment passes %s on", name)
		}
	}
}

func TestTop(t *testing.T) {
	outside, tree := t.TempDir(), t.TempDir()
	deep := filepath.Join(tree, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	if top, err := Top(); err != nil || top != tree {
		t.Errorf("Top() = %q, %v, want %q", top, err, tree)
	}
	t.Chdir(outside)
	if top, err := Top(); err == nil {
		t.Errorf("a directory outside the tree has the top %q", top)
	}
}
