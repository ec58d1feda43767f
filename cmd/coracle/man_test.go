package main

//go:generate go test -tags "netgo osusergo seccomp urfave_cli_no_docs" -count=1 -run ^TestManPages$ . -args -write

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/cmd/coracle/man"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/ui"
)

// write has TestManPages write what it has made. Whether what is there is that, test/generated tells.
var write = flag.Bool("write", false, "write the man pages and the reference")

// manual is what is generated, by file.
func manual() map[string]string {
	top := man.Of(newApp(ui.New(nil, nil, func(string) string { return "" })), setForGood)
	files := map[string]string{man.ConfigName + ".5": man.Config(), "reference.md": top.Markdown()}
	for _, p := range top.All() {
		files[p.Name()+".1"] = p.Roff()
	}
	return files
}

// setForGood says by which key and variable an option of a command is set for good.
func setForGood(command, option string) string {
	for _, s := range config.Settings {
		ofRun := strings.HasPrefix(s.Key, jobCommand+".")
		if s.Option != "--"+option || ofRun && command != jobCommand && command != "rerun" || option == "layers" && command != "" {
			continue
		}
		text := "set for good by " + s.Key
		if s.Variable != "" {
			text += " or $" + s.Variable
		}
		return text
	}
	return ""
}

// TestManPages has the formatter read every page: it complains of what it does not understand.
func TestManPages(t *testing.T) {
	files := manual()
	if *write {
		writeManual(t, files)
	}
	groff := need.Tool(t, "groff")
	for name, text := range files {
		if strings.HasSuffix(name, ".md") {
			continue
		}
		for _, section := range []string{"NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"} {
			if !strings.Contains(text, ".SH "+section+"\n") && name != "coracle-help.1" && section != "DESCRIPTION" {
				t.Errorf("%s has no section %s", name, section)
			}
		}
		if strings.HasSuffix(name, ".1") && !strings.Contains(text, ".SH EXIT CODES\n") {
			t.Errorf("%s does not say how it ends", name)
		}
		cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-rLL=78n")
		cmd.Stdin = strings.NewReader(text)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v: %s", name, err, complaints.String())
		}
		if !strings.Contains(out.String(), "coracle") {
			t.Errorf("%s is empty", name)
		}
	}
}

// writeManual writes the files that have changed, and removes those of commands that are gone.
func writeManual(t *testing.T, files map[string]string) {
	t.Helper()
	old, err := filepath.Glob("man/*.[15]")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if _, there := files[filepath.Base(path)]; !there {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range files {
		path := filepath.Join("man", name)
		if raw, err := os.ReadFile(path); err == nil && string(raw) == text {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every option that can be set for good is one of 'coracle run', the program or the commands that pull, under the same name.
func TestSettingsAreOptions(t *testing.T) {
	app := newApp(ui.New(nil, nil, func(string) string { return "" }))
	var names []string
	for _, f := range slices.Concat(app.Flags, runCommand().Flags) {
		names = append(names, f.Names()[0])
	}
	for _, s := range config.Settings {
		section, key, _ := strings.Cut(s.Key, ".")
		if s.Option != "" && !slices.Contains(names, strings.TrimPrefix(s.Option, "--")) {
			t.Errorf("%s: there is no option %s", s.Key, s.Option)
		}
		if section == jobCommand && s.Option != "--"+strings.ReplaceAll(key, "_", "-") {
			t.Errorf("%s is not called as its option %s", s.Key, s.Option)
		}
	}
}
