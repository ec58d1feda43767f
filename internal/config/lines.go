package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// expects is what a key takes, in words.
func (s Setting) expects() string {
	one := map[Kind]string{Switch: "true or false", Number: "a number", Mirrors: "a table"}[s.Kind]
	if one == "" {
		one = `a text, in quotes`
	}
	if !s.List {
		return one
	}
	if s.Kind == Mirrors {
		return "tables, [[registry.mirror]]"
	}
	return `a list of texts, ["...", ...]`
}

// wrongType says what a key takes, and what it was given.
func wrongType(key, expected string, value any) error {
	names := map[string]string{
		"string": "a text", "int64": "a number", "float64": "a number", "bool": "true or false", "[]interface {}": "a list",
		"map[string]interface {}": "a table", "[]map[string]interface {}": "a list of tables",
	}
	got, ok := names[fmt.Sprintf("%T", value)]
	if !ok {
		got = "a date or time"
	}
	return fmt.Errorf("%s is %s, not %s", key, expected, got)
}

func sortedKeys(tree map[string]any) []string { return slices.Sorted(maps.Keys(tree)) }

// linesOf finds in which line each key is set, first. The TOML library keeps that to itself. What looks like a key inside of a text
// of several lines may be taken for one: it makes a line of an error wrong, and nothing else.
func linesOf(text string) map[string]int {
	lines, table, n := map[string]int{}, "", 0
	note := func(key string) {
		if lines[key] == 0 {
			lines[key] = n
		}
	}
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && !strings.Contains(line, "=") {
			name, _, _ := strings.Cut(strings.TrimLeft(line, "["), "]")
			table = dotted(name)
			note(table)
			continue
		}
		name, _, isKey := strings.Cut(line, "=")
		if !isKey || strings.HasPrefix(line, "#") {
			continue
		}
		key := dotted(name)
		if table != "" {
			key = table + "." + key
		}
		note(key)
	}
	return lines
}

// dotted is a key as Settings have it: without spaces and quotes round its parts.
func dotted(key string) string {
	parts := strings.Split(key, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}
