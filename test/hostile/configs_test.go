package hostile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

func TestConfigs(t *testing.T) {
	reg := fixture.Serve(t)
	base := fixture.Busybox(t)
	// One store for all: its canaries, and Coracle's own program, are looked at when all are through.
	b := newBox(t)
	program := canary(t, b.coracle)
	t.Run("all", func(t *testing.T) {
		for _, c := range hostile.Configs() {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				testConfig(t, b.of(t), reg, base, c)
			})
		}
	})
	for _, args := range [][]string{{"images"}, {"images", "--json"}, {"runs"}, {"runs", "--json"}} {
		b.wantStatus(b.run(args...), 0, hostile.Budget{})
	}
	b.check()
	if canary(t, b.coracle) != program {
		t.Error("Coracle's own program has changed")
	}
}

func testConfig(t *testing.T, b *box, reg *fixture.Registry, base fixture.Image, c hostile.Config) {
	t.Helper()
	ref := reg.Ref(pushConfig(reg, base, c))
	got := b.run(append([]string{"run", "-q", ref}, c.Args...)...)
	if testing.Verbose() {
		t.Logf("status %d, %v, %d MiB: %s | %s", got.Code, got.CPU, got.Memory>>20, got.stdout, lastError(got.stderr))
	}
	if c.Outcome == hostile.Reject {
		code := c.Code
		if code == 0 {
			code = 125
		}
		b.wantStatus(got, code, hostile.Budget{})
		if !strings.Contains(lastError(got.stderr), c.Says) {
			t.Errorf("the message lacks %q: %s", c.Says, got.stderr)
		}
		if strings.TrimSpace(got.stdout) != "" {
			t.Errorf("it ran: %s", got.stdout)
		}
	} else {
		if c.Code != hostile.AnyCode && got.Code != c.Code {
			t.Errorf("status %d, want %d: %s%s", got.Code, c.Code, got.stdout, got.stderr)
		}
		if out := strings.TrimSpace(got.stdout); c.Prints != "*" && out != c.Prints {
			t.Errorf("it prints %q, want %q: %s", out, c.Prints, got.stderr)
		}
	}
	testOtherIdentities(t, b, ref, c)
	// Whatever is shown of it is for a terminal.
	for _, args := range [][]string{{"inspect", ref}, {"inspect", "--layers", "--no-trunc", ref}} {
		if shown := b.run(args...); shown.Code == 0 {
			b.wantStatus(shown, 0, hostile.Budget{})
		} else if c.Outcome != hostile.Reject {
			t.Errorf("%q: status %d: %s", args, shown.Code, shown.stderr)
		} else {
			b.harmless(shown.stdout + shown.stderr)
		}
	}
}

// testOtherIdentities runs an attack as the caller and as root. They take no notice of the image's USER; all else is refused, or not, as
// it is for the default.
func testOtherIdentities(t *testing.T, b *box, ref string, c hostile.Config) {
	t.Helper()
	about, _, _ := strings.Cut(c.Name, "-")
	for _, identity := range []string{"host-uid", "root"} {
		got := b.run(append([]string{"run", "-q", "--userns", identity, ref}, c.Args...)...)
		b.wantStatus(got, got.Code, hostile.Budget{})
		if about == "user" || about == "passwd" || about == "group" {
			continue
		}
		if refused := got.Code >= 125 && got.Code <= 127; refused != (c.Outcome == hostile.Reject) && c.Code != hostile.AnyCode {
			t.Errorf("as %s: status %d: %s", identity, got.Code, got.stderr)
		}
	}
}

// canary describes one file, its content included.
func canary(t *testing.T, path string) string {
	t.Helper()
	n, err := hostile.Look(path, true)
	mustDo(t, err)
	return hostile.Describe(n) + n.Hash + n.Mtime.String() + n.Ctime.String()
}

// pushConfig stores the image of an attack and returns its name.
func pushConfig(reg *fixture.Registry, base fixture.Image, c hostile.Config) string {
	img := base
	img.Layers = append([]fixture.Layer(nil), base.Layers...)
	if c.Files != nil {
		img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, c.Files...))
	}
	if c.Layers != nil {
		img.Layers = append(img.Layers, c.Layers()...)
	}
	if c.Set != nil {
		c.Set(&img.Config)
	}
	name := "config/" + c.Name + ":1"
	reg.Push(name, img)
	if c.Raw == nil {
		return name
	}
	config := fixture.NewBlob(ocispec.MediaTypeImageConfig, []byte(c.Raw(string(img.ConfigBlob().Data))))
	reg.PushBlob("config/"+c.Name, config)
	manifest := img.Manifest()
	was := img.ConfigBlob().Descriptor
	text := strings.Replace(string(manifest.Data), was.Digest.String(), digest.FromBytes(config.Data).String(), 1)
	text = strings.Replace(text, sizeField(was.Size), sizeField(config.Descriptor.Size), 1)
	reg.PushManifest(name, fixture.NewBlob(ocispec.MediaTypeImageManifest, []byte(text)))
	return name
}

// sizeField is the size of the configuration, which comes first, as a manifest has it.
func sizeField(size int64) string { return fmt.Sprintf(`"size":%d`, size) }
