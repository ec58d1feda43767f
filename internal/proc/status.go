package proc

import (
	"strconv"
	"strings"
)

// Status is the content of /proc/PID/status (proc_pid_status(5)).
type Status string

// Field is what stands behind a name; "": there is no such line.
func (s Status) Field(name string) string {
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, name); ok && strings.HasPrefix(rest, ":") {
			return strings.TrimSpace(rest[1:])
		}
	}
	return ""
}

// Number is a field's first, such as the real one of four ids; 0: there is none.
func (s Status) Number(name string) int {
	first, _, _ := strings.Cut(s.Field(name), "\t")
	n, _ := strconv.Atoi(first)
	return n
}

// Mask is a field's set of bits, such as one of signals; 0: there is none.
func (s Status) Mask(name string) uint64 {
	n, _ := strconv.ParseUint(s.Field(name), 16, 64)
	return n
}

// State is the process's, a letter; 0: unknown.
func (s Status) State() byte {
	if state := s.Field("State"); state != "" {
		return state[0]
	}
	return 0
}

// PIDs are the process's numbers in its pid namespaces, from the one of that /proc on (NSpid, since Linux 4.1).
func (s Status) PIDs() (pids []int) {
	for text := range strings.FieldsSeq(s.Field("NSpid")) {
		if pid, err := strconv.Atoi(text); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
