package script

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

// images are what scripts can push.
var images = map[string]func(t testing.TB, r *fixture.Registry, name string){
	// three small layers, one of each compression
	"small": func(_ testing.TB, r *fixture.Registry, name string) { r.Push(name, small()) },
	// the same in docker's media types
	"docker": func(_ testing.TB, r *fixture.Registry, name string) {
		im := small()
		im.Docker, im.Layers = true, im.Layers[:1]
		r.Push(name, im)
	},
	// shares the lowest layer with small
	"sibling": func(_ testing.TB, r *fixture.Registry, name string) {
		im := small()
		im.Layers = append(im.Layers[:1:1], fixture.NewLayer(fixture.Gzip, fixture.File("other", "another file\n", 0o644)))
		r.Push(name, im)
	},
	// this machine and two others, in one index
	"many": func(_ testing.TB, r *fixture.Registry, name string) {
		r.PushIndex(name, forPlatform("linux/s390x"), forPlatform("linux/"+runtime.GOARCH), forPlatform("linux/arm/v7"))
	},
	"foreign": func(_ testing.TB, r *fixture.Registry, name string) {
		r.PushIndex(name, forPlatform("linux/s390x"), forPlatform("linux/arm/v7"))
	},
	// a Helm chart, say: a manifest without an image's configuration
	"artifact": func(_ testing.TB, r *fixture.Registry, name string) { pushArtifact(r, name) },
	// text that must not reach a terminal as it is
	"hostile": func(_ testing.TB, r *fixture.Registry, name string) {
		im := small()
		im.Config.Labels = map[string]string{"title": "\x1b]0;owned\x07 \u009b31m \u202etxt.exe"}
		im.Config.Env = append(im.Config.Env, "EVIL=\x1b[2J\r")
		r.Push(name, im)
	},
	// three layers that hide parts of each other, and what made them
	"wasteful": func(_ testing.TB, r *fixture.Registry, name string) {
		r.Push(name, fixture.Image{
			Layers: []fixture.Layer{
				fixture.NewLayer(fixture.Gzip, fixture.File("cache", strings.Repeat("x", 3000), 0o644), fixture.File("kept", "kept\n", 0o644)),
				fixture.NewLayer(fixture.Gzip, fixture.Whiteout("", "cache"), fixture.File("model", strings.Repeat("y", 2000), 0o644)),
				fixture.NewLayer(fixture.Gzip, fixture.File("model", "new\n", 0o644)),
			},
			History: []ocispec.History{
				{CreatedBy: "/bin/sh -c make cache"},
				{CreatedBy: "/bin/sh -c #(nop)  ENV A=b", EmptyLayer: true},
				{CreatedBy: "RUN /bin/sh -c rm cache && \x1b[2J train --for a very long time and with many options # buildkit"},
				{CreatedBy: "COPY model /model # buildkit"},
			},
		})
	},
	// a layer that is fetched in ranges
	"large": func(_ testing.TB, r *fixture.Registry, name string) {
		r.Push(name, fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Plain, fixture.File("large", noise(40<<20), 0o644))}})
	},
	// says, as NVIDIA's do, what CUDA it is for
	"cuda": func(_ testing.TB, r *fixture.Registry, name string) {
		im := small()
		im.Config.Env = append(im.Config.Env, "CUDA_VERSION=12.9.1", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12.9 brand=tesla,driver>=535,driver<536")
		r.Push(name, im)
	},
	// says that it is larger than any disk
	"huge": func(_ testing.TB, r *fixture.Registry, name string) {
		im := small()
		r.Push(name, im)
		im.Layers[0].Descriptor.Size = 1 << 50
		r.PushManifest(name, im.Manifest())
	},
	"busybox": func(t testing.TB, r *fixture.Registry, name string) {
		t.Helper()
		r.Push(name, fixture.Busybox(t))
	},
	// what an image's configuration can say of a process
	"configured": func(t testing.TB, r *fixture.Registry, name string) {
		t.Helper()
		im := fixture.Busybox(t)
		im.Config.Entrypoint = []string{"echo", "entry"}
		im.Config.Cmd = []string{"one", "two words"}
		im.Config.Env = append(im.Config.Env, "FROM_IMAGE=yes", "BOTH=image")
		im.Config.WorkingDir = "/var/made/by/workdir"
		r.Push(name, im)
	},
	"user": func(t testing.TB, r *fixture.Registry, name string) {
		t.Helper()
		im := fixture.Busybox(t)
		im.Config.User = "1000"
		r.Push(name, im)
	},
	// something in the place of a volume, and links around it
	"seeded": func(t testing.TB, r *fixture.Registry, name string) {
		t.Helper()
		im := fixture.Busybox(t)
		im.Layers = append(im.Layers,
			fixture.NewLayer(fixture.Gzip,
				fixture.Dir("srv/model", 0o750), fixture.File("srv/model/weights", "six\n", 0o644), fixture.File("srv/model/gone", "", 0o644),
				fixture.Dir("empty", 0o755)),
			fixture.NewLayer(fixture.Gzip, fixture.Dir("srv/model", 0o750),
				fixture.File("srv/model/weights", "seven\n", 0o644), fixture.File("srv/model/deep/er/file", "eight\n", 0o600),
				fixture.File("srv/model/tool", "#!/bin/sh\n", 0o4755), fixture.Symlink("srv/model/out", "/etc/passwd"), fixture.Whiteout("srv/model", "gone"),
				fixture.Symlink("link", "srv"), fixture.Symlink("srv/to", "../../../srv/model"), fixture.Symlink("out", "/../../../../../../../../var")))
		r.Push(name, im)
	},
	// a file without the executable bit, a directory, a script without interpreter, and no command
	"unrunnable": func(t testing.TB, r *fixture.Registry, name string) {
		t.Helper()
		im := fixture.Busybox(t)
		im.Config.Cmd = nil
		im.Layers = append(im.Layers, fixture.NewLayer(fixture.Gzip,
			fixture.File("data.txt", "no program\n", 0o644), fixture.Dir("directory", 0o755),
			fixture.File("script", "#!/no/such/interpreter\n", 0o755), fixture.File("garbage", strings.Repeat("\x7f\x00", 100), 0o755)))
		r.Push(name, im)
	},
}

func small() fixture.Image {
	return fixture.Image{
		Layers: []fixture.Layer{
			fixture.NewLayer(fixture.Gzip, fixture.Dir("etc", 0o755), fixture.File("etc/motd", "gzip\n", 0o644)),
			fixture.NewLayer(fixture.Zstd, fixture.File("etc/zstd", "zstd\n", 0o644)),
			fixture.NewLayer(fixture.Plain, fixture.File("etc/plain", "plain\n", 0o644)),
		},
		Config: ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}, Labels: map[string]string{"org.example": "small"}},
	}
}

// noise is content that does not compress, always the same.
func noise(size int) string {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return string(b)
}

func forPlatform(text string) fixture.Image {
	im := small()
	parts := strings.Split(text+"/", "/")
	im.Platform = ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	return im
}

func pushArtifact(r *fixture.Registry, name string) {
	repo, _, _ := strings.Cut(name, ":")
	config := fixture.NewBlob("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"chart"}`))
	r.PushBlob(repo, config)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		ocispec.MediaTypeImageManifest, config.Descriptor.MediaType, config.Descriptor.Digest, config.Descriptor.Size)
	r.PushManifest(name, fixture.NewBlob(ocispec.MediaTypeImageManifest, []byte(manifest)))
}
