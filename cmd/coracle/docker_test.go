package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/ui"
)

// TestDockerOptions: README.md says of its command which options docker has and Coracle has not, and of none that is there that it is not.
func TestDockerOptions(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := toldMissing(string(text))
	ours := optionsOf(newApp(ui.New(nil, nil, func(string) string { return "" })).Commands, "")
	theirs := dockerOptions(t)
	for command, options := range theirs {
		have, ok := ours[command]
		if !ok {
			t.Errorf("%s is no command of Coracle's any more", command)
		}
		for _, option := range options {
			said := slices.ContainsFunc(told[command], func(pattern string) bool { return covers(pattern, option) })
			if have := slices.Contains(have, option); have == said {
				t.Errorf("docker %s --%s: Coracle has it is %v, README.md says that it has not is %v", command, option, have, said)
			}
		}
	}
	for command, patterns := range told {
		for _, pattern := range patterns {
			if !slices.ContainsFunc(theirs[command], func(option string) bool { return covers(pattern, option) }) {
				t.Errorf("README.md says that %s has no --%s, which docker's has not either", command, pattern)
			}
		}
	}
}

// dockerOptions are docker's, by command.
func dockerOptions(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "docker-options.txt"))
	if err != nil {
		t.Fatal(err)
	}
	options := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if command, list, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			options[command] = append(options[command], strings.Fields(list)...)
		}
	}
	return options
}

// optionsOf are Coracle's, by command. Those that help does not show are none: they are there to say why not.
func optionsOf(commands []*cli.Command, above string) map[string][]string {
	options := map[string][]string{}
	for _, c := range commands {
		name := strings.TrimSpace(above + " " + c.Name)
		options[name] = []string{}
		for _, f := range c.Flags {
			if v, ok := f.(cli.VisibleFlag); !ok || v.IsVisible() {
				options[name] = append(options[name], f.Names()...)
			}
		}
		for below, list := range optionsOf(c.Subcommands, name) {
			options[below] = list
		}
	}
	return options
}

// toldMissing are the options that the list at the end of README.md says are not there, by command: "- `stop`: `--signal`".
func toldMissing(readme string) map[string][]string {
	_, list, _ := strings.Cut(readme, "\n## Options that docker has and Coracle has not\n")
	list, _, _ = strings.Cut(list, "\n## ")
	told := map[string][]string{}
	quoted, command := regexp.MustCompile("`([^`]+)`"), ""
	for row := range strings.Lines(list) {
		for i, m := range quoted.FindAllStringSubmatch(row, -1) {
			if option, ok := strings.CutPrefix(m[1], "--"); ok {
				told[command] = append(told[command], option)
			} else if i == 0 && strings.HasPrefix(row, "- ") {
				command = m[1]
			}
		}
	}
	return told
}

// covers: a star at the end is for what begins like that.
func covers(pattern, option string) bool {
	beginning, group := strings.CutSuffix(pattern, "*")
	return pattern == option || group && strings.HasPrefix(option, beginning)
}
