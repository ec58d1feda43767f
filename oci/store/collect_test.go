package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
)

func TestCollectSaysWhatReclaimRemoves(t *testing.T) {
	st := two(t)
	layers := st.Dirs().Layers
	var followed []string
	st.FollowDead(func(l store.Lease) error {
		followed = append(followed, l.Scope)
		for _, dir := range l.Cgroups {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		return nil
	})
	live := upper(t, st, "live", store.Lease{Run: "/runs/live"})
	group := filepath.Join(t.TempDir(), "coracle-dead")
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Fatal(err)
	}
	gone := upper(t, st, "dead", store.Lease{Run: "/runs/dead", Owner: dead(t), Cgroups: []string{group, group + "-that-is-gone"}})
	write(t, filepath.Join(gone.FS(), "big"), strings.Repeat("x", 5000))
	retired := filepath.Join(layers, "retired", strings.Repeat("a", 64)+".X")
	if err := os.Mkdir(retired, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(retired, "file"), "xyz")
	mark := fsx.TempNameOf(dead(t), "mark-X")
	write(t, filepath.Join(layers, "tmp", mark), `{"scope":"coracle-x.scope"}`)
	write(t, filepath.Join(layers, "locks", "free"), "")
	unlock, err := st.Lock(t.Context(), digest.FromString("held"), func() { t.Error("busy") })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unlock() }()

	before := tree(t, layers)
	would, err := st.Collect(true)
	if err != nil {
		t.Fatal(err)
	}
	if after := tree(t, layers); !slices.Equal(before, after) || len(followed) > 0 {
		t.Errorf("a dry run left %q of %q, and followed %q", after, before, followed)
	}
	got, err := st.Collect(false)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]store.Collected{"would": would, "did": got} {
		if len(c.Uppers) != 1 || c.Uppers[0].Name != "dead" || c.Uppers[0].Bytes < 5000 || len(c.Temps) != 1 || len(c.Retired) != 1 || c.Retired[0].Bytes != 3 {
			t.Errorf("%s: %+v", what, c)
		}
		if !slices.Equal(c.Locks, []string{"free"}) || !slices.Equal(c.Cgroups, []string{group}) || !slices.Equal(c.Scopes, []string{"coracle-x.scope"}) {
			t.Errorf("%s: locks %q, groups %q, scopes %q", what, c.Locks, c.Cgroups, c.Scopes)
		}
		if c.Bytes != c.Uppers[0].Bytes+c.Temps[0].Bytes+3 {
			t.Errorf("%s: %d bytes", what, c.Bytes)
		}
	}
	if len(got.Dead) != 1 || got.Dead[0].Run != "/runs/dead" || len(would.Dead) != 0 {
		t.Errorf("dead: %+v", got.Dead)
	}
	if _, err := os.Stat(live.FS()); err != nil {
		t.Error(err)
	}
	again, err := st.Collect(false)
	if err != nil || len(again.Uppers)+len(again.Temps)+len(again.Retired)+len(again.Locks) > 0 || again.Bytes != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// tree lists all paths below a directory.
func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
