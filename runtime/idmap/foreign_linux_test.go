package idmap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/host"
)

// TestForeignTrees: a tree of the caller's own needs no help; whose files are out of reach is said, and who can help. Files of
// others are in test/subuid.
func TestForeignTrees(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own")
	if err := os.MkdirAll(filepath.Join(own, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if uid, found := strangerIn(own); found {
		t.Errorf("a stranger %d", uid)
	}
	if err := RemoveForeign(own); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(own); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	why := errors.New("why")
	err := error(&ForeignError{Path: "/store/tmp/x", UID: 100998, Err: why})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "uid 100998") {
		t.Error(err)
	}
	hinted, ok := errors.AsType[*ForeignError](err)
	if !ok || !strings.Contains(hinted.Hint(), "uid 100998") || !strings.Contains(hinted.Hint(), "/store/tmp/x") {
		t.Errorf("%v", hinted)
	}
}

func TestReaches(t *testing.T) {
	ids := host.IDMap{UIDs: []host.IDRange{{Inside: 0, Host: 1000, Size: 1}, {Inside: 1, Host: 100000, Size: 10}}}
	for uid, want := range map[uint32]bool{1000: true, 1001: false, 0: false, 99999: false, 100000: true, 100009: true, 100010: false, 4294967295: false} {
		if got := reaches(ids, uid); got != want {
			t.Errorf("%d: %v", uid, got)
		}
	}
}
