// Package env reads variables as docker's --env and --env-file have them.
package env

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/coracle-run/coracle/runtime/spec"
)

// Read reads a file of variables as docker's --env-file has it: NAME=VALUE a line, NAME alone for the caller's own value,
// lines of # and empty ones left out. Nothing is unquoted.
func Read(r io.Reader, lookup func(string) (string, bool)) ([]string, error) {
	var list []string
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
			list = append(list, v)
		}
	}
	return list, lines.Err()
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

// Lookup finds a variable in an environment of NAME=VALUE.
func Lookup(environ []string, name string) (string, bool) {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
