package network

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder says which process has a port, as far as this user may know: " by NAME (pid N)", or nothing.
func holder(p Port) string {
	var inodes []string
	for _, family := range p.families() {
		text, err := os.ReadFile("/proc/net/" + strings.TrimSuffix(family, "4"))
		if err == nil {
			inodes = append(inodes, bound(string(text), p)...)
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // another user's, or gone
		}
		inode, socket := strings.CutPrefix(target, "socket:[")
		if !socket || !slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err == nil {
			return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return " by a process of another user"
}

// bound are the inodes of the sockets in a table of /proc/net that have the port (proc(5)): its second column is ADDRESS:PORT in
// hexadecimal, the fourth the state, the tenth the inode.
func bound(table string, p Port) []string {
	const listening, unconnected = "0A", "07"
	var inodes []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		_, port, _ := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		if err == nil && uint16(number) == p.Host && (fields[3] == listening || fields[3] == unconnected) {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}
