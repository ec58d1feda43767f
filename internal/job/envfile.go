package job

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/coracle-run/coracle/runtime/spec"
)

// ReadEnv reads a file of variables as docker's --env-file has it: NAME=VALUE a line, NAME alone for the caller's own value,
// lines of # and empty ones left out. Nothing is unquoted.
func ReadEnv(r io.Reader, lookup func(string) (string, bool)) ([]string, error) {
	var env []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimLeft(strings.TrimPrefix(lines.Text(), "\ufeff"), " \t")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		v, err := Variable(text, lookup)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if v != "" {
			env = append(env, v)
		}
	}
	return env, lines.Err()
}

// Variable completes what -e was given: NAME=VALUE stays, NAME becomes the caller's own variable, or "" when it has none.
func Variable(text string, lookup func(string) (string, bool)) (string, error) {
	name, _, assigned := strings.Cut(text, "=")
	if name == "" || strings.ContainsAny(name, " \t\x00") {
		return "", fmt.Errorf("%w: %q is no variable: write NAME=VALUE or NAME", spec.ErrOption, text)
	}
	if assigned {
		return text, nil
	}
	if value, ok := lookup(name); ok {
		return name + "=" + value, nil
	}
	return "", nil
}
