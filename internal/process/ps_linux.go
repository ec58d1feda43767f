package process

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// PS is what ps prints with some options about some processes, after its headings.
func PS(options []string, list []Process) ([]string, error) {
	var numbers []string
	for _, p := range list {
		numbers = append(numbers, strconv.Itoa(p.PID))
	}
	out, err := ps(append(slices.Clone(options), "-q", strings.Join(numbers, ","))) // else it lists those of one terminal, or one user
	if err != nil {
		out, err = ps(options) // it is no ps of procps
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return nil, errors.New("ps has printed no PID, by which the job's lines are known: add -o pid")
	}
	wanted := lines[:1]
	for _, text := range lines[1:] {
		fields := strings.Fields(text)
		if len(fields) > column && slices.Contains(numbers, fields[column]) {
			wanted = append(wanted, text)
		}
	}
	return wanted, nil
}

func ps(options []string) (string, error) {
	cmd := exec.Command("ps", options...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		if first == "" {
			first = err.Error()
		}
		return "", fmt.Errorf("ps %s: %s", strings.Join(options, " "), first) // whose status is none of ours
	}
	return string(out), nil
}
