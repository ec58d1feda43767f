package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/test/fixture"
)

// layoutItems is an OCI layout of one image; change gets its entries by name, and "" for what is added.
func layoutItems(t *testing.T, im fixture.Image, change map[string]string, more ...item) []byte {
	t.Helper()
	manifest := im.Manifest()
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, manifest.Descriptor.MediaType, manifest.Descriptor.Digest, len(manifest.Data))
	items := []item{
		{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`},
		{name: "index.json", body: index},
		{name: blobName(manifest.Data), body: string(manifest.Data)},
		{name: blobName(im.ConfigBlob().Data), body: string(im.ConfigBlob().Data)},
	}
	for _, l := range im.Layers {
		items = append(items, item{name: blobName(l.Blob), body: string(l.Blob)})
	}
	kept := items[:0]
	for _, i := range items {
		body, changed := change[i.name]
		if changed && body == "" {
			continue
		}
		if changed {
			i.body = body
		}
		kept = append(kept, i)
	}
	return tarOf(t, append(kept, more...)...)
}

func blobName(data []byte) string { return "blobs/sha256/" + digest.FromBytes(data).Encoded() }

// attack is an archive, and what must become of it.
type attack struct {
	data []byte
	want error // nil: it is read as if nothing were there
}

func attacks(t *testing.T) map[string]attack {
	t.Helper()
	im := sample("a")
	manifest, config := im.Manifest(), im.ConfigBlob()
	layer, oldConfig := plainLayer(t)
	old := func(change func(items []item) []item) []byte {
		return tarOf(t, change(oldDocker(t, layer, oldConfig))...)
	}
	add := func(more ...item) func([]item) []item {
		return func(items []item) []item { return append(items, more...) }
	}
	set := func(name string, to item) func([]item) []item {
		return func(items []item) []item {
			for n := range items {
				if items[n].name == name {
					items[n] = to
				}
			}
			return items
		}
	}
	describe := func(json string) []byte { return old(set("manifest.json", item{name: "manifest.json", body: json})) }
	layout := func(change map[string]string, more ...item) []byte { return layoutItems(t, im, change, more...) }
	bad := archive.ErrArchive
	cases := map[string]attack{
		"a name above":                {old(add(item{name: "../evil", body: "x"})), bad},
		"a name above, within":        {old(add(item{name: "a/../../evil", body: "x"})), bad},
		"a name with a step back":     {old(add(item{name: "aaaa/../bbbb", body: "x"})), bad},
		"an absolute name":            {old(add(item{name: "/etc/passwd", body: "x"})), bad},
		"a name that is a step back":  {old(add(item{name: "..", body: "x"})), bad},
		"a very long name":            {old(add(item{name: strings.Repeat("x", 1<<16), body: "x"})), bad},
		"a name of control sequences": {old(add(item{name: "\x1b[2J", body: "x"})), nil},
		"a device":                    {old(add(item{name: "dev", kind: tar.TypeChar}, item{name: "fifo", kind: tar.TypeFifo})), nil},
		"a directory above":           {old(add(item{name: "../evil/", kind: tar.TypeDir})), nil}, // it is passed over
		"two descriptions":            {old(add(item{name: "manifest.json", body: "[]"})), bad},
		"two descriptions, one plain": {old(add(item{name: "./manifest.json", body: "[]"})), bad},
		"two layers of one name":      {old(add(item{name: "aaaa/layer.tar", body: "x"})), bad},
		"a link and a file":           {old(add(item{name: "bbbb/layer.tar", body: "x"})), bad},
		"a link out":                  {old(set("bbbb/layer.tar", item{name: "bbbb/layer.tar", link: "../../etc/passwd", kind: tar.TypeSymlink})), bad},
		"an absolute link":            {old(set("bbbb/layer.tar", item{name: "bbbb/layer.tar", link: "/etc/passwd", kind: tar.TypeSymlink})), bad},
		"a hard link out":             {old(set("cccc/layer.tar", item{name: "cccc/layer.tar", link: "../../etc/passwd", kind: tar.TypeLink})), bad},
		"a link to itself":            {old(set("bbbb/layer.tar", item{name: "bbbb/layer.tar", link: "layer.tar", kind: tar.TypeSymlink})), bad},
		"a link to nothing":           {old(set("bbbb/layer.tar", item{name: "bbbb/layer.tar", link: "../dddd/layer.tar", kind: tar.TypeSymlink})), bad},
		"a link as configuration":     {old(set("0123.json", item{name: "0123.json", link: "/etc/passwd", kind: tar.TypeSymlink})), bad},
		"a link as description":       {old(set("manifest.json", item{name: "manifest.json", link: "../x", kind: tar.TypeSymlink})), bad},
		"another layer":               {old(set("aaaa/layer.tar", item{name: "aaaa/layer.tar", body: "another"})), registry.ErrDigest},
		"no layer":                    {old(set("aaaa/layer.tar", item{name: "elsewhere", body: "x"})), bad},
		"no JSON":                     {describe(`[{"Config":`), bad},
		"another JSON":                {describe(`{"Config":"0123.json"}`), bad},
		"a layer above":               {describe(`[{"Config":"0123.json","Layers":["../aaaa/layer.tar","b","c"]}]`), bad},
		"an absolute configuration":   {describe(`[{"Config":"/etc/passwd","Layers":[]}]`), bad},
		"an empty configuration":      {describe(`[{"Config":"","Layers":[]}]`), bad},
		"fewer layers than known":     {describe(`[{"Config":"0123.json","Layers":["aaaa/layer.tar"]}]`), bad},
		"no images":                   {describe(`[]`), archive.ErrNoImage},
		"a large description":         {describe("[" + strings.Repeat(" ", 5<<20) + "]"), registry.ErrTooLarge},
		"deep JSON":                   {describe(strings.Repeat("[", 1<<20)), bad},
		"a configuration of no image": {old(set("0123.json", item{name: "0123.json", body: `"text"`})), bad},
		"a diffID that is a path": {old(set("0123.json", item{name: "0123.json",
			body: `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:../../x","sha256:../../x","sha256:../../x"]}}`})), registry.ErrNotImage},
		"one name for two images": {describe(`[{"Config":"0123.json","RepoTags":["a:1"],"Layers":["aaaa/layer.tar","bbbb/layer.tar","cccc/layer.tar"]},` +
			`{"Config":"other.json","RepoTags":["a:1"],"Layers":[]}]`), bad},

		"a layout without an index":      {layout(map[string]string{"index.json": ""}), bad},
		"a layout of another version":    {layout(map[string]string{"oci-layout": `{"imageLayoutVersion":"2.0.0"}`}), bad},
		"an index that is no JSON":       {layout(map[string]string{"index.json": "<html>"}), bad},
		"a large index":                  {layout(map[string]string{"index.json": "{" + strings.Repeat(" ", 100<<20) + "}"}), registry.ErrTooLarge},
		"a digest that is a path":        {layout(map[string]string{"index.json": `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../etc/passwd","size":1}]}`}), registry.ErrNotImage},
		"a manifest of another digest":   {layout(map[string]string{blobName(manifest.Data): string(manifest.Data) + " "}), registry.ErrDigest},
		"a configuration of another one": {layout(map[string]string{blobName(config.Data): strings.Replace(string(config.Data), "sh", "hs", 1)}), registry.ErrDigest},
		"a configuration cut short":      {layout(map[string]string{blobName(config.Data): string(config.Data[:10])}), registry.ErrDigest},
		"a layer of another size":        {layout(map[string]string{blobName(im.Layers[0].Blob): "short"}), registry.ErrDigest},
		"a layer of other bytes":         {layout(map[string]string{blobName(im.Layers[2].Blob): strings.Repeat("x", len(im.Layers[2].Blob))}), registry.ErrDigest},
		"a layout without a layer":       {layout(map[string]string{blobName(im.Layers[1].Blob): ""}), bad},
		"a layout without its manifest":  {layout(map[string]string{blobName(manifest.Data): ""}), bad},
		"blobs twice":                    {layout(nil, item{name: blobName(manifest.Data), body: "something else"}), nil},
		"an index twice":                 {layout(nil, item{name: "index.json", body: "{}"}), bad},

		"nothing":     {nil, bad},
		"zeros":       {make([]byte, 1<<20), bad},
		"noise":       {bytes.Repeat([]byte("no archive "), 1000), bad},
		"xz":          {[]byte("\xfd7zXZ\x00 and so on"), bad},
		"broken gzip": {append([]byte("\x1f\x8b\x08\x00"), make([]byte, 100)...), bad},
		"broken zstd": {append([]byte("\x28\xb5\x2f\xfd"), bytes.Repeat([]byte{0xff}, 100)...), bad},
	}
	for name, change := range map[string]func(m *ocispec.Manifest) any{
		"a manifest that is an index, too": func(m *ocispec.Manifest) any {
			return struct {
				*ocispec.Manifest
				Manifests []ocispec.Descriptor `json:"manifests"`
			}{m, []ocispec.Descriptor{}}
		},
		"a layer of an unknown kind": func(m *ocispec.Manifest) any { m.Layers[0].MediaType = "text/html"; return m },
		"a negative size":            func(m *ocispec.Manifest) any { m.Layers[0].Size = -1; return m },
		"a layer that is a path":     func(m *ocispec.Manifest) any { m.Layers[0].Digest = "sha256:../x"; return m },
		"a config that is a path":    func(m *ocispec.Manifest) any { m.Config.Digest = "sha256:../x"; return m },
		"an artifact": func(m *ocispec.Manifest) any {
			m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json"
			return m
		},
	} {
		want := registry.ErrNotImage
		if name == "a layer of an unknown kind" {
			want = registry.ErrMediaType
		}
		cases[name] = attack{withManifest(t, im, change), want}
	}
	return cases
}

// withManifest is a layout whose manifest was changed, and whose digests are right all the same.
func withManifest(t *testing.T, im fixture.Image, change func(*ocispec.Manifest) any) []byte {
	t.Helper()
	img, _ := stored(t, im)
	raw := marshal(t, change(&img.Manifest))
	index := fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, ocispec.MediaTypeImageManifest, digest.FromBytes(raw), len(raw))
	return layoutItems(t, im, map[string]string{"index.json": index}, item{name: blobName(raw), body: string(raw)})
}

// tryAll opens an archive as load does, and reads every image of it.
func tryAll(t *testing.T, path string) error {
	t.Helper()
	a, err := archive.Open(t.Context(), archive.Name{Path: path}, archive.Options{Scratch: scratch(t)})
	if err != nil {
		return err
	}
	_, err = resolve(t, a)
	return errors.Join(err, a.Close())
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func TestHostileArchives(t *testing.T) {
	for name, c := range attacks(t) {
		t.Run(name, func(t *testing.T) {
			began := cpuTime(t)
			path := write(t, c.data)
			err := tryAll(t, path)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
				t.Errorf("beside the archive: %v, %v", left, err)
			}
			if took := cpuTime(t) - began; took > 10*time.Second {
				t.Errorf("it took %v of CPU time", took)
			}
		})
	}
}

// TestCutArchives cuts archives at each hundredth of their length: what is read is the image, or nothing.
func TestCutArchives(t *testing.T) {
	layer, config := plainLayer(t)
	for kind, data := range map[string][]byte{
		"new": saved(t, archive.Docker, sample("a"), "a:1"), "old": tarOf(t, oldDocker(t, layer, config)...), "layout": layoutItems(t, sample("a"), nil),
	} {
		whole := resolved(t, opened(t, "docker-archive:"+write(t, dockerised(t, kind, data))))
		read := 0
		for percent := range 100 {
			cut := dockerised(t, kind, data)
			cut = cut[:len(cut)*percent/100]
			for _, packed := range []bool{false, true} {
				if packed {
					cut = zipped(t, cut)
				}
				a, err := archive.Open(t.Context(), archive.Name{Path: write(t, cut)}, archive.Options{Scratch: scratch(t)})
				if err != nil {
					continue
				}
				r, err := resolve(t, a)
				if err == nil {
					read++
					if r.Digest != whole.Digest {
						t.Errorf("%s cut at %d %%: %s", kind, percent, r.Digest)
					}
				}
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if read > 100 {
			t.Errorf("%s: %d of 200 cut archives could be read", kind, read)
		}
	}
}

// dockerised gives a layout docker's description, so that all archives can be opened by one name.
func dockerised(t *testing.T, kind string, data []byte) []byte {
	t.Helper()
	if kind != "layout" {
		return data
	}
	im := sample("a")
	description := fmt.Sprintf(`[{"Config":%q,"Layers":[]}]`, blobName(im.ConfigBlob().Data))
	return layoutItems(t, im, nil, item{name: "manifest.json", body: description})
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestBombs reads archives that are small and claim to be large.
func TestBombs(t *testing.T) {
	header := func(h tar.Header) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	one := header(tar.Header{Typeflag: tar.TypeDir, Name: "directory/"})
	many := bytes.Repeat(one, 100_001)
	for name, c := range map[string]attack{
		"a file of an exabyte":            {header(tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: 1 << 60}), archive.ErrArchive},
		"a file of an exabyte, packed":    {zipped(t, header(tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: 1 << 60})), archive.ErrArchive},
		"a name of a gigabyte":            {longName(1 << 30), archive.ErrArchive},
		"a hundred thousand entries":      {many, registry.ErrTooLarge},
		"a hundred thousand entries, zip": {zipped(t, many), registry.ErrTooLarge},
		"zeros, packed":                   {zipped(t, make([]byte, 64<<20)), archive.ErrArchive},
		"zeros behind an archive, zip":    {zipped(t, append(saved(t, archive.Docker, sample("a")), make([]byte, 64<<20)...)), nil},
		"a sparse file of new GNU tar":    {sparsePAX(t), archive.ErrArchive},
		"a sparse file of old GNU tar":    {sparse(t), archive.ErrArchive},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			path := write(t, c.data)
			runtime.ReadMemStats(&before)
			began := cpuTime(t)
			if err := tryAll(t, path); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 200<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
			if took := cpuTime(t) - began; took > 10*time.Second {
				t.Errorf("it took %v of CPU time", took)
			}
		})
	}
}

// longName is a GNU long name that claims a length.
func longName(size int64) []byte {
	block := make([]byte, 512)
	copy(block, "././@LongLink")
	copy(block[100:], "0000644\x00")
	copy(block[124:], fmt.Sprintf("%011o\x00", size))
	copy(block[257:], "ustar  \x00")
	block[156] = 'L'
	sum := 8 * int(' ')
	for n, b := range block {
		if n < 148 || n >= 156 {
			sum += int(b)
		}
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return slices.Concat(block, bytes.Repeat([]byte("x"), 2<<20))
}

// sparse is an entry of old GNU tar's sparse kind.
func sparse(t *testing.T) []byte {
	t.Helper()
	block := longName(0)[:512]
	copy(block, "manifest.json\x00")
	block[156] = 'S'
	sum := 8 * int(' ')
	for n, b := range block {
		if n < 148 || n >= 156 {
			sum += int(b)
		}
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(block, make([]byte, 1024)...)
}

// sparsePAX is an entry with the records of a sparse file. archive/tar does not write them, so their names are changed after.
func sparsePAX(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	h := tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: 512, PAXRecords: map[string]string{
		"GNX.sparse.major": "1", "GNX.sparse.minor": "0", "GNX.sparse.name": "manifest.json", "GNX.sparse.realsize": "1099511627776",
	}}
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 512)
	copy(body, "1\n0\n0\n")
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(buf.Bytes(), []byte("GNX."), []byte("GNU."))
}

// TestHostileDirectories puts things into a layout that are no files.
func TestHostileDirectories(t *testing.T) {
	im := sample("a")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := blobName(im.Manifest().Data)
	for name, change := range map[string]func(dir string) error{
		"a link as manifest": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, manifest), filepath.Join(dir, "m")), os.Symlink(filepath.Join(dir, "m"), filepath.Join(dir, manifest)))
		},
		"a link as layer": func(dir string) error {
			path := filepath.Join(dir, blobName(im.Layers[0].Blob))
			return errors.Join(os.Remove(path), os.Symlink(secret, path))
		},
		"a link as the directory of blobs": func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "b")), os.Symlink("b", filepath.Join(dir, "blobs")))
		},
		"a link as index": func(dir string) error {
			path := filepath.Join(dir, "index.json")
			return errors.Join(os.Remove(path), os.Symlink(secret, path))
		},
		"a pipe as index": func(dir string) error {
			path := filepath.Join(dir, "index.json")
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		},
		"a directory as layer": func(dir string) error {
			path := filepath.Join(dir, blobName(im.Layers[0].Blob))
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			img, blobs := stored(t, im)
			dir := filepath.Join(t.TempDir(), "layout")
			if err := archive.SaveDir(t.Context(), dir, []archive.Saved{{Image: img}}, blobs); err != nil {
				t.Fatal(err)
			}
			if err := tryAll(t, dir); err != nil {
				t.Fatal(err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if err := tryAll(t, dir); !errors.Is(err, archive.ErrArchive) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestFullDisk copies an archive to a disk that has no room for it.
func TestFullDisk(t *testing.T) {
	data := zipped(t, saved(t, archive.Docker, sample("a")))
	scratch := func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) }
	_, err := archive.Open(t.Context(), archive.Name{Path: write(t, data)}, archive.Options{Scratch: scratch})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}

// memory is a file that is on no disk.
func memory() (*os.File, error) {
	fd, err := unix.MemfdCreate("archive", unix.MFD_CLOEXEC)
	return os.NewFile(uintptr(fd), "archive"), err
}

// FuzzOpen has no archive end in anything but an image whose digests are right, or an error.
func FuzzOpen(f *testing.F) {
	layer := string(fixture.NewLayer(fixture.Plain, fixture.File("a", "b", 0o644)).Blob)
	for _, seed := range []string{"", "manifest.json", layer, "\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh9"} {
		f.Add([]byte(seed))
	}
	for name, c := range attacks(&testing.T{}) {
		if len(c.data) < 1<<16 && name != "" {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := archive.Open(t.Context(), archive.Name{Path: "fuzz"}, archive.Options{Scratch: memory, Stream: bytes.NewReader(data)})
		if err != nil {
			return
		}
		for _, image := range a.Images() {
			src := a.Source(image, "", "")
			r, err := src.Resolve(t.Context(), image.Root, ocispec.Platform{OS: "linux", Architecture: "amd64"})
			if err != nil {
				continue
			}
			if digest.FromBytes(r.RawManifest) != r.Digest || digest.FromBytes(r.RawConfig) != r.Manifest.Config.Digest {
				t.Errorf("%s was accepted for %s", digest.FromBytes(r.RawManifest), r.Digest)
			}
			for _, l := range r.Manifest.Layers {
				blob, err := src.Open(t.Context(), l, 0, l.Size)
				if err != nil {
					continue
				}
				if n, err := io.Copy(io.Discard, blob); err == nil && n != l.Size {
					t.Errorf("%d bytes of a layer of %d", n, l.Size)
				}
				_ = blob.Close()
			}
		}
		_ = a.Close()
	})
}
