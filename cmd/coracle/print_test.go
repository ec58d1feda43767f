package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

func TestFamiliarNames(t *testing.T) {
	digest := "sha256:" + strings.Repeat("9f", 32)
	tests := []struct{ canonical, repository, tag, image string }{
		{"docker.io/library/debian:12", "debian", "12", "debian:12"},
		{"docker.io/org/app:latest", "org/app", "latest", "org/app:latest"},
		{"registry.lab:5000/team/train:v1", "registry.lab:5000/team/train", "v1", "registry.lab:5000/team/train:v1"},
		{"docker.io/library/debian@" + digest, "debian", "<none>", "debian@9f9f9f9f9f9f"},
		{"", "<none>", "<none>", ""},
		{"not a reference", "<none>", "<none>", "not a reference"},
	}
	for _, tt := range tests {
		if repository, tag := familiar(tt.canonical); repository != tt.repository || tag != tt.tag {
			t.Errorf("%s: %s %s", tt.canonical, repository, tag)
		}
		if got := familiarImage(tt.canonical); got != tt.image {
			t.Errorf("%s: %s, want %s", tt.canonical, got, tt.image)
		}
	}
}

func TestMatches(t *testing.T) {
	const canonical = "docker.io/library/debian:12"
	for name, want := range map[string]bool{
		"debian": true, "debian:12": true, "deb*": true, "docker.io/library/debian": true, "docker.io/library/debian:12": true, "*:12": true,
		"debian:11": false, "ubuntu": false, "*/debian": false, "[": false, "": false,
	} {
		if got := matches(canonical, name); got != want {
			t.Errorf("matches(%q) = %v", name, got)
		}
	}
	if matches("", "*") {
		t.Error("an image without a name matches one")
	}
}

// What is shown can be pasted into a shell and means the same.
func TestCommandLine(t *testing.T) {
	tests := []struct {
		argv []string
		want string
	}{
		{nil, ""},
		{[]string{"python3", "train.py", "--lr=3e-4", "a/b:c@d%e,f+g_h"}, "python3 train.py --lr=3e-4 a/b:c@d%e,f+g_h"},
		{[]string{"sh", "-c", "echo $HOME; rm *"}, "sh -c 'echo $HOME; rm *'"},
		{[]string{"echo", "it's", "", `"`, "~"}, `echo 'it'\''s' '' '"' '~'`},
	}
	for _, tt := range tests {
		if got := commandLine(tt.argv); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.argv, got, tt.want)
		}
	}
}

func TestStateAndDuration(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	began, ended := now.Add(-time.Hour), now.Add(-30*time.Minute)
	created := record.Run{Created: began}
	tests := []struct {
		v               record.View
		state, duration string
	}{
		{record.View{State: record.Running, Run: created}, "running", "1h00m"},
		{record.View{State: record.Ended, Run: created, Started: &began, Finished: &ended, Wall: new(90.5), ExitCode: new(137)}, "exited (137)", "1m31s"},
		{record.View{State: record.Ended, Run: created, Finished: &ended, Wall: new(0.0), ExitCode: new(125)}, "exited (125)", "30m00s"},
		{record.View{State: record.Gone, Run: created, Finished: &ended}, "lost", "30m00s"},
		{record.View{State: record.Gone, Run: created}, "lost", ""},
		{record.View{State: record.Damaged}, "damaged", ""},
	}
	for _, tt := range tests {
		if got := stateText(&tt.v); got != tt.state {
			t.Errorf("state %s, want %s", got, tt.state)
		}
		if got := durationText(&tt.v, now); got != tt.duration {
			t.Errorf("%s: duration %s, want %s", tt.state, got, tt.duration)
		}
	}
}

// A record of which little is known gives a page without holes.
func TestPageOfADamagedRecord(t *testing.T) {
	v := record.View{State: record.Damaged, Dir: "/runs/x", Message: "it is torn"}
	v.ID = "01K0000000ABCDEFGHJKMNPQRS"
	var out strings.Builder
	if err := ui.New(&out, nil, func(string) string { return "" }).Fields(runPage(v, time.Now())); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(strings.Fields(line)) < 2 {
			t.Errorf("an empty field: %q", line)
		}
	}
}

// loud and quiet are errors with a status of their own, as a job's end is.
type ending struct{ silent bool }

func (e ending) Error() string { return "the job ended" }
func (e ending) ExitCode() int { return 42 }
func (e ending) Silent() bool  { return e.silent }

type advised struct{ error }

func (advised) Hint() string { return "turn it off and on" }

func TestReport(t *testing.T) {
	tests := []struct {
		err    error
		code   int
		output string
	}{
		{nil, 0, ""},
		{ending{silent: true}, 42, ""},
		{fmt.Errorf("run: %w", ending{}), 42, "coracle: run: the job ended\n"},
		{errors.New("it broke"), 125, "coracle: it broke\n"},
		{fmt.Errorf("runs: %w", record.ErrNotFound), 125, "coracle: runs: no such run\nhint: 'coracle runs' lists the runs\n"},
		{fmt.Errorf("images: %w", advised{store.ErrNotFound}), 125, "coracle: images: no such image in the store\nhint: turn it off and on\n"},
		{usagef("runs show", "too much"), 125, "coracle: runs show: too much\nhint: see 'coracle runs show --help'\n"},
		{fmt.Errorf("pull: %w", interruption{signal: 2}), 130, "coracle: pull: interrupted\n"},
		{errors.Join(registry.ErrDigest, errors.New("second\x1b")), 125, "coracle: content does not match its digest; second\\x1b\n" +
			"hint: try again; if it stays, the registry or a proxy before it serves damaged data\n"},
	}
	for _, tt := range tests {
		var errs strings.Builder
		code := conclude(ui.New(nil, &errs, func(string) string { return "" }), tt.err)
		if code != tt.code || errs.String() != tt.output {
			t.Errorf("%v: status %d, want %d\n%s", tt.err, code, tt.code, errs.String())
		}
	}
}
