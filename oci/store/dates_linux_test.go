package store_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dates are a file's last access, last change of content and last change of any kind.
func dates(t *testing.T, path string) []time.Time {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return []time.Time{time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix()), time.Unix(st.Ctim.Unix())}
}
