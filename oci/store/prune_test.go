package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/oci/store"
)

// keepBlob keeps a blob of this content.
func keepBlob(t *testing.T, st *store.Store, content string, whole bool) digest.Digest {
	t.Helper()
	d := digest.FromString(content)
	p, err := st.Blobs().Partial(d, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	end := p.Close
	if whole {
		end = p.Keep
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return d
}

func prune(t *testing.T, st *store.Store, o store.PruneOptions) store.Pruned {
	t.Helper()
	pruned, err := st.Prune(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return pruned
}

func named(items []store.Item) (names []string) {
	for _, i := range items {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names
}

// littered is a store with one of everything that can go, and of everything that must stay.
func littered(t *testing.T) (st *store.Store, dangling, kept, used store.Image, loose digest.Digest) {
	t.Helper()
	st = two(t)
	old, shared, busy := addLayer(t, st, "old"), addLayer(t, st, "shared"), addLayer(t, st, "busy")
	loose = addLayer(t, st, "loose")
	dangling = put(t, st, image(t, "a:1", old, shared))
	put(t, st, image(t, "a:1", shared)) // moves the reference away
	kept, _ = st.Image("a:1")
	used = put(t, st, image(t, "used:1", busy))
	upper(t, st, "live", store.Lease{Run: "/runs/live", Digest: used.Digest, Layers: []digest.Digest{busy}})
	gone := upper(t, st, "gone", store.Lease{Run: "/runs/gone", Owner: dead(t)})
	write(t, filepath.Join(gone.FS(), "written"), "12345")
	temp := filepath.Join(st.Dirs().Layers, "tmp", tempNameOf(t, dead(t)))
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(temp, "half"), "123")
	keepBlob(t, st, "shared", true)
	keepBlob(t, st, "nobody's", true)
	keepBlob(t, st, "half a blob", false)
	return st, dangling, kept, used, loose
}

func TestPrune(t *testing.T) {
	st, dangling, kept, used, loose := littered(t)
	busy, err := st.Blobs().Partial(digest.FromString("being fetched"), 10)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dry := prune(t, st, store.PruneOptions{DryRun: true})
	if again := prune(t, st, store.PruneOptions{DryRun: true}); again.Bytes != dry.Bytes {
		t.Errorf("a dry run changes the next one: %d bytes, then %d", dry.Bytes, again.Bytes)
	}
	got := prune(t, st, store.PruneOptions{})
	for name, p := range map[string]store.Pruned{"dry": dry, "real": got} {
		if len(p.Images) != 1 || p.Images[0].Digest != dangling.Digest || len(p.Images[0].References) != 0 {
			t.Errorf("%s: images %+v, want the one without a reference", name, p.Images)
		}
		wantLayers := []string{string(digest.FromString("old")), string(loose)}
		slices.Sort(wantLayers)
		if !slices.Equal(named(p.Layers), wantLayers) {
			t.Errorf("%s: layers %v, want %v", name, named(p.Layers), wantLayers)
		}
		if !slices.Equal(named(p.Uppers), []string{"gone"}) || len(p.Temps) != 1 ||
			!slices.Equal(named(p.Blobs), []string{string(digest.FromString("nobody's"))}) ||
			!slices.Equal(named(p.Partials), []string{string(digest.FromString("half a blob"))}) {
			t.Errorf("%s: %+v", name, p)
		}
		lease, err := os.Stat(filepath.Join(st.Dirs().Layers, "upper", "live", "lease.json"))
		if err != nil {
			t.Fatal(err)
		}
		// The contents above, and the lease of the dead run, which is as long as the other but for names.
		contents := int64(len("old") + len("loose") + len("12345") + len("123") + len("nobody's") + len("half a blob"))
		if p.Bytes < contents || p.Bytes > contents+2*lease.Size() {
			t.Errorf("%s: %d bytes, want %d and a lease", name, p.Bytes, contents)
		}
	}
	if len(got.Dead) != 1 || got.Dead[0].Run != "/runs/gone" {
		t.Errorf("dead: %+v", got.Dead)
	}
	for _, img := range []store.Image{kept, used} {
		if now, err := st.Image(img.Ref); err != nil || len(st.Missing(now)) != 0 {
			t.Errorf("%s is not whole any more: %v", img.Ref, err)
		}
	}
	if again := prune(t, st, store.PruneOptions{}); again.Bytes != 0 || len(again.Images) != 0 {
		t.Errorf("the second time: %+v", again)
	}
	all := prune(t, st, store.PruneOptions{All: true})
	if len(all.Images) != 1 || all.Images[0].Digest != kept.Digest || !slices.Equal(all.Images[0].References, []string{"a:1"}) {
		t.Errorf("all: %+v, want the image that no run uses", all.Images)
	}
	if !slices.Equal(named(all.Blobs), []string{string(digest.FromString("shared"))}) {
		t.Errorf("all: blobs %v", named(all.Blobs))
	}
	if now, err := st.Image(used.Ref); err != nil || len(st.Missing(now)) != 0 {
		t.Errorf("the image in use: %v", err)
	}
	for _, dir := range []string{"tmp", "locks", "retired"} {
		if left := names(t, filepath.Join(st.Dirs().Layers, dir)); len(left) != 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
}

func TestPruneByAge(t *testing.T) {
	st, dangling, kept, _, _ := littered(t)
	yesterday := time.Now().Add(-24 * time.Hour)
	got := prune(t, st, store.PruneOptions{All: true, Before: yesterday})
	if len(got.Images)+len(got.Layers)+len(got.Blobs)+len(got.Partials) != 0 {
		t.Errorf("something is older than it is: %+v", got)
	}
	if len(got.Uppers) != 1 || len(got.Temps) != 1 {
		t.Errorf("what is dead goes at any age: %+v", got)
	}
	kept.Pulled = yesterday.Add(-time.Hour)
	put(t, st, kept)
	got = prune(t, st, store.PruneOptions{All: true, Before: yesterday})
	if len(got.Images) != 1 || got.Images[0].Digest != kept.Digest {
		t.Errorf("%+v, want only the image that was pulled before", got.Images)
	}
	if _, err := st.Image(string(dangling.Digest)); err != nil {
		t.Errorf("the younger one: %v", err)
	}
}

// A layer that another living process has just unpacked belongs to the image that it is about to store.
func TestPruneSparesWhatIsBeingPulled(t *testing.T) {
	st := open(t)
	d := addLayer(t, st, "x")
	living(t, st, d)
	keepBlob(t, st, "x", true)
	if got := prune(t, st, store.PruneOptions{All: true}); len(got.Layers)+len(got.Blobs) != 0 || !st.HasLayer(d) || !st.Blobs().Has(d) {
		t.Errorf("removed: %+v, %+v", got.Layers, got.Blobs)
	}
	// Of another host nobody can tell; it is believed for a while.
	layer := read(t, st, d)
	layer.Unpacker.Host, layer.Unpacker.BootID = "elsewhere", "11111111-1111-1111-1111-111111111111"
	describeAs(t, st, d, layer)
	write(t, filepath.Join(filepath.Dir(st.LayerDir(d)), "synced"), "")
	if got := prune(t, st, store.PruneOptions{}); len(got.Layers) != 0 {
		t.Errorf("another host's, removed: %+v", got.Layers)
	}
	layer.Created = time.Now().Add(-2 * time.Hour)
	describeAs(t, st, d, layer)
	if got := prune(t, st, store.PruneOptions{}); len(got.Layers) != 1 || len(got.Blobs) != 1 {
		t.Errorf("another host's of two hours ago, left: %+v", got)
	}
}

// What a process left that was killed between two steps, in the blobs.
func TestPruneStrays(t *testing.T) {
	st := open(t)
	d := keepBlob(t, st, "x", false)
	if err := os.Remove(st.Blobs().Path(d) + ".partial"); err != nil {
		t.Fatal(err)
	}
	write(t, st.Blobs().Path(digest.FromString("y"))+".unsynced", "boot")
	prune(t, st, store.PruneOptions{})
	if left := names(t, filepath.Dir(st.Blobs().Path(d))); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestUsage(t *testing.T) {
	st, _, kept, used, loose := littered(t)
	u, err := st.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Images) != 3 || u.Layered != 3 || u.LayerBytes != int64(len("old")+len("shared")+len("busy")) {
		t.Errorf("%d images, %d layers, %d bytes", len(u.Images), u.Layered, u.LayerBytes)
	}
	for _, i := range u.Images {
		switch i.Digest {
		case kept.Digest:
			if i.Bytes != 6 || i.Shared != 6 || !slices.Equal(i.References, []string{"a:1"}) || len(i.Runs) != 0 {
				t.Errorf("kept: %+v", i)
			}
		case used.Digest:
			if i.Bytes != 4 || i.Shared != 0 || !slices.Equal(i.Runs, []string{"live"}) {
				t.Errorf("used: %+v", i)
			}
		default:
			if i.Bytes != 9 || i.Shared != 6 || len(i.References) != 0 {
				t.Errorf("dangling: %+v", i)
			}
		}
	}
	if len(u.Loose) != 1 || u.Loose[0].Digest != loose || u.Loose[0].Bytes != 5 || u.Loose[0].InUse {
		t.Errorf("loose: %+v", u.Loose)
	}
	if len(u.Uppers) != 1 || u.Uppers[0].ID != "live" || len(u.Leftover) != 2 || len(u.Blobs) != 3 {
		t.Errorf("uppers %+v, left %+v, blobs %+v", u.Uppers, u.Leftover, u.Blobs)
	}
	if u.Data.Type == "" || u.Layers.Size == 0 || u.Layers.Free == 0 {
		t.Errorf("file systems: %+v, %+v", u.Data, u.Layers)
	}
	if all := prune(t, st, store.PruneOptions{All: true, DryRun: true}); all.Bytes != u.Reclaimable {
		t.Errorf("%d bytes are called reclaimable, prune would remove %d", u.Reclaimable, all.Bytes)
	}
}

// living makes a stored layer one that another process has unpacked, which lives.
func living(t *testing.T, st *store.Store, d digest.Digest) {
	t.Helper()
	parent, err := proc.ReadStat(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	layer := read(t, st, d)
	layer.Unpacker.PID, layer.Unpacker.StartTime = parent.PID, parent.Start
	describeAs(t, st, d, layer)
}
