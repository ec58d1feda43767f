package probe_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const preface = `# What a job sees and may do

Written by ` + "`go test -update`" + `: what the probe below [inside](inside) says, run by the same ordinary user outside of any container and in
containers of three runtimes on one machine. [doc.go](doc.go) says how the tests use it; the other modes of Coracle are in
[testdata](testdata), as differences from the column here.

| column | is |
|---|---|
| outside | no container |
| coracle | ` + "`coracle run IMAGE`" + ` |
`

const legend = `
"open" is what works, "denied" comes with the kernel's error, "closed" is what cannot be read. An empty cell: there is no such thing.
Of limits and of the like, "as outside" is the caller's own.

What is open in Coracle's column, and why:

- Abstract sockets of the host, for the network is the host's: they belong to it. NCCL's ranks, each in a container of its own, hand
  memory to each other through them. What listens on one must look at who connects (SO_PEERCRED), as on the host itself.
- PID 1's limits and its OOM score, for it has the job's uid: a job can have its own init killed, which ends the job.
- /proc/pressure, whose files an ordinary user may open for triggers of its own, and what of /proc/self is the process's own affair.
- set-user-ID programs on the root are not hindered by the mount: by no_new_privs, and by there being one uid.
`

// table is README.md: outside, Coracle, the peers.
func table(columns []report) string {
	var text strings.Builder
	text.WriteString(preface)
	head, rule := "| | outside | coracle |", "|---|---|---|"
	for _, p := range peers {
		fmt.Fprintf(&text, "| %s | %s |\n", p.name, p.what)
		head, rule = head+" "+p.name+" |", rule+"---|"
	}
	text.WriteString(legend)
	all := report{}
	for _, column := range columns[1:] {
		maps.Copy(all, column)
	}
	group := ""
	for _, l := range all.lines() {
		if l.group != group {
			group = l.group
			fmt.Fprintf(&text, "\n## %s\n\n%s\n%s\n", group, head, rule)
		}
		fmt.Fprintf(&text, "| %s |", cell(l.key))
		for _, column := range columns {
			fmt.Fprintf(&text, " %s |", cell(column[l]))
		}
		text.WriteString("\n")
	}
	return text.String()
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace(s)
}

// TestTable: Coracle's column in README.md is what the golden file says.
func TestTable(t *testing.T) {
	if *update {
		return
	}
	raw, err := os.ReadFile("README.md")
	must(t, err)
	want := golden(t, modes[0].name)
	found := report{}
	group := ""
	for l := range strings.Lines(string(raw)) {
		if name, ok := strings.CutPrefix(l, "## "); ok {
			group = strings.TrimSpace(name)
		}
		columns := strings.Split(strings.TrimSuffix(strings.TrimSpace(l), " |"), " | ")
		if group == "" || len(columns) != 3+len(peers) || strings.TrimSpace(columns[0]) == "|" {
			continue
		}
		if value := columns[2]; strings.TrimSpace(value) != "" {
			found[line{group, strings.TrimPrefix(columns[0], "| ")}] = strings.TrimSpace(value)
		}
	}
	for l, value := range want {
		l.key = cell(l.key)
		if got, ok := found[l]; strings.TrimSpace(value) != "" && (!ok || got != strings.TrimSpace(cell(value))) {
			t.Errorf("README.md has %q for %s, the golden file %q: update it", got, l, value)
		}
	}
	if len(found) == 0 || slices.Contains(slices.Collect(maps.Values(found)), "CALLER") {
		t.Error("README.md has no table that can be read")
	}
}
