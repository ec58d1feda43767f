package spec

import (
	"errors"
	"strings"
	"testing"
)

func TestParseVolume(t *testing.T) {
	for _, c := range []struct {
		text string
		want Volume
	}{
		{"/a:/b", Volume{Type: Bind, Source: "/a", Target: "/b"}},
		{"/a:/b:ro", Volume{Type: Bind, Source: "/a", Target: "/b", ReadOnly: true}},
		{"/a:/b:ro,rslave", Volume{Type: Bind, Source: "/a", Target: "/b", ReadOnly: true, Propagation: "rslave"}},
		{"./data:/data/", Volume{Type: Bind, Source: "/home/me/data", Target: "/data"}},
		{".:/src:rw", Volume{Type: Bind, Source: "/home/me", Target: "/src"}},
		{"/with space/ä:/x", Volume{Type: Bind, Source: "/with space/ä", Target: "/x"}},
	} {
		got, err := ParseVolume(c.text, "/home/me")
		if err != nil || got != c.want {
			t.Errorf("%q: %+v (%v), want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseMount(t *testing.T) {
	for _, c := range []struct {
		text string
		want Volume
	}{
		{"type=bind,source=/a,target=/b", Volume{Type: Bind, Source: "/a", Target: "/b"}},
		{"type=bind,src=data,dst=/b,readonly", Volume{Type: Bind, Source: "/home/me/data", Target: "/b", ReadOnly: true}},
		{"type=bind,src=/a,dst=/b,ro=false,bind-propagation=private", Volume{Type: Bind, Source: "/a", Target: "/b", Propagation: "private"}},
		{`type=bind,"source=/a,b:c",target=/d`, Volume{Type: Bind, Source: "/a,b:c", Target: "/d"}},
		{"type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=0700", Volume{Type: Tmpfs, Target: "/t", SizeBytes: 64 << 20, Mode: 0o700}},
	} {
		got, err := ParseMount(c.text, "/home/me")
		if err != nil || got != c.want {
			t.Errorf("%q: %+v (%v), want %+v", c.text, got, err, c.want)
		}
	}
}

func TestBadVolumesSayWhy(t *testing.T) {
	for text, why := range map[string]string{
		"/a": "HOST:CONTAINER", "/a:b": "absolute", ":/b": "missing", "/a:/b:ro:x": "--mount", "/a:/b:rx": `"rx"`,
		"name:/b": "./name", "/a:/b:rshared": "privileges",
	} {
		if _, err := ParseVolume(text, "/"); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), why) {
			t.Errorf("-v %s: %v, want it to say %q", text, err, why)
		}
	}
	for text, why := range map[string]string{
		"type=bind,target=/b": "source is missing", "type=bind,source=/a": "target is missing", "source=/a,target=/b": "type must be",
		"type=volume,source=a,target=/b": "type must be", "type=tmpfs,target=/t,tmpfs-size=big": "tmpfs-size", "type=tmpfs,target=/t,tmpfs-size=0": "no size",
		"type=tmpfs,target=/t,tmpfs-size=1000000000000g": "no size", "type=tmpfs,target=t": "absolute",
		"type=tmpfs,source=/a,target=/t": "no source", "type=bind,source=/a,target=/b,tmpfs-size=1": "type=tmpfs", `type="bind`: "mount",
		"type=bind,source=/a,target=/b,readonly=maybe": "readonly", "type=tmpfs,target=/t,tmpfs-mode=9": "tmpfs-mode", "": "mount",
		"type=bind,source=/a,target=/b,colour=red": `"colour"`, "type=tmpfs,target=/t,bind-propagation=private": "type=bind",
	} {
		if _, err := ParseMount(text, "/"); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), why) {
			t.Errorf("--mount %s: %v, want it to say %q", text, err, why)
		}
	}
}
