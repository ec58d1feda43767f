package spec

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseVolume(t *testing.T) {
	for _, c := range []struct {
		text string
		want Volume
	}{
		{"/a:/b", Volume{Type: Bind, Source: "/a", Target: "/b"}},
		{"/a:/b:ro", Volume{Type: Bind, Source: "/a", Target: "/b", ReadOnly: true}},
		{"/a:/b:ro,rslave", Volume{Type: Bind, Source: "/a", Target: "/b", ReadOnly: true, Propagation: "rslave"}},
		{"/a:/b:z,cached,rw,private", Volume{Type: Bind, Source: "/a", Target: "/b", Propagation: "private"}},
		{"./data:/data/", Volume{Type: Bind, Source: "/home/me/data", Target: "/data"}},
		{".:/src:rw", Volume{Type: Bind, Source: "/home/me", Target: "/src"}},
		{"..:/src", Volume{Type: Bind, Source: "/home", Target: "/src"}},
		{"a/b:/src/../x", Volume{Type: Bind, Source: "/home/me/a/b", Target: "/x"}},
		{"/with space/ä,b:/x y/ü", Volume{Type: Bind, Source: "/with space/ä,b", Target: "/x y/ü"}},
		{"/\xff:/\xfe", Volume{Type: Bind, Source: "/\xff", Target: "/\xfe"}},
		{"name:/b", Volume{Type: Named, Source: "name", Target: "/b"}},
		{"A1.b-c_d:/b:nocopy,ro", Volume{Type: Named, Source: "A1.b-c_d", Target: "/b", ReadOnly: true, NoCopy: true}},
		{"/data", Volume{Type: Named, Target: "/data"}},
	} {
		got, err := ParseVolume(c.text, "/home/me")
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v (%v), want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseMount(t *testing.T) {
	bind := func(change func(*Volume)) Volume {
		v := Volume{Type: Bind, Source: "/a", Target: "/b"}
		change(&v)
		return v
	}
	for _, c := range []struct {
		text string
		want Volume
	}{
		{"type=bind,source=/a,target=/b", Volume{Type: Bind, Source: "/a", Target: "/b"}},
		{"type=bind,src=data,dst=/b,readonly", Volume{Type: Bind, Source: "/home/me/data", Target: "/b", ReadOnly: true}},
		{"type=bind,src=/a,dst=/b,ro=false,bind-propagation=private", bind(func(v *Volume) { v.Propagation = "private" })},
		{"type=bind,src=/a,dst=/b,rw=false,consistency=delegated", bind(func(v *Volume) { v.ReadOnly = true })},
		{"Type=BIND,src=/a,dst=/b,bind-recursive=disabled", bind(func(v *Volume) { v.Recursive = Disabled })},
		{"type=bind,src=/a,dst=/b,bind-nonrecursive", bind(func(v *Volume) { v.Recursive = Disabled })},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=writable", bind(func(v *Volume) { v.ReadOnly, v.Recursive = true, Writable })},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
			bind(func(v *Volume) { v.ReadOnly, v.Recursive, v.Propagation = true, Strict, "rprivate" })},
		{`type=bind,"source=/a,b:c",target=/d`, Volume{Type: Bind, Source: "/a,b:c", Target: "/d"}},
		{`type=bind,"source=/say ""a""=b",target=/d`, Volume{Type: Bind, Source: `/say "a"=b`, Target: "/d"}},
		{"type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=0700", Volume{Type: Tmpfs, Target: "/t", SizeBytes: 64 << 20, Mode: 0o700}},
		{"source=name,target=/d", Volume{Type: Named, Source: "name", Target: "/d"}},
		{"type=volume,src=name,dst=/d,volume-nocopy,volume-label=a=b,volume-driver=local,readonly",
			Volume{Type: Named, Source: "name", Target: "/d", NoCopy: true, ReadOnly: true, Labels: []string{"a=b"}}},
		{"type=volume,target=/d", Volume{Type: Named, Target: "/d"}},
		{"type=volume,src=name,dst=/d,volume-subpath=a/b/", Volume{Type: Named, Source: "name", Target: "/d", Subpath: "a/b"}},
		{"type=image,src=weights:1,dst=/w", Volume{Type: Image, Source: "weights:1", Target: "/w", ReadOnly: true}},
		{"type=image,src=weights@sha256:ab,dst=/w,image-subpath=/m,ro", Volume{Type: Image, Source: "weights@sha256:ab", Target: "/w", Subpath: "m", ReadOnly: true}},
		{"type=image,src=w,dst=/w,subpath=m,rw=false", Volume{Type: Image, Source: "w", Target: "/w", Subpath: "m", ReadOnly: true}},
	} {
		got, err := ParseMount(c.text, "/home/me")
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v (%v), want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseTmpfs(t *testing.T) {
	for _, c := range []struct {
		text string
		want Volume
	}{
		{"/t", Volume{Type: Tmpfs, Target: "/t"}},
		{"/t/:", Volume{Type: Tmpfs, Target: "/t"}},
		{"/t:size=64m,mode=1750,noexec", Volume{Type: Tmpfs, Target: "/t", SizeBytes: 64 << 20, Mode: 0o1750, Options: []string{"noexec"}}},
		{"/t:rw,exec,nosuid,nodev,size=50%", Volume{Type: Tmpfs, Target: "/t", Options: []string{"size=50%"}}},
		{"/t:ro,uid=3,gid=4,nr_inodes=10k", Volume{Type: Tmpfs, Target: "/t", ReadOnly: true, Options: []string{"uid=3", "gid=4", "nr_inodes=10k"}}},
	} {
		got, err := ParseTmpfs(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v (%v), want %+v", c.text, got, err, c.want)
		}
	}
	v, err := ParseTmpfs("/t:uid=3,noexec,gid=4")
	if got := v.WithoutOwners().Options; err != nil || !slices.Equal(got, []string{"noexec"}) {
		t.Errorf("without owners: %q (%v)", got, err)
	}
}

func TestBadVolumesSayWhy(t *testing.T) {
	cwd := func(parse func(string, string) (Volume, error)) func(string) (Volume, error) {
		return func(text string) (Volume, error) { return parse(text, "/") }
	}
	for _, c := range []struct {
		flag  string
		parse func(string) (Volume, error)
		why   map[string]string // by value
	}{
		{"-v", cwd(ParseVolume), map[string]string{
			"a": "absolute", "/a:b": "absolute", ":/b": "missing", "/a:/b:ro:x": "--mount", "/a:/b:rx": `"rx"`, "/data:ro": "absolute", "": "absolute",
			"n:/b": "two or more", "_name:/b": "./_name", "name!:/b": "no name", "ümlaut:/b": "no name", strings.Repeat("n", 256) + ":/b": "no name",
			"/a:/b:rshared": "privileges", "/a:/b:shared": "privileges", "/a:/b:nocopy": "directory of the host", "name:/b:rslave": "directory of the host",
			"/a:/b:": `""`,
		}},
		{"--mount", cwd(ParseMount), map[string]string{
			"type=bind,target=/b": "source is missing", "type=bind,source=/a": "target is missing", "source=/a,target=/b": "type=bind",
			"type=bnd,target=/t": `"bnd"`, "type=tmpfs,target=/t,tmpfs-size=big": "tmpfs-size", "type=tmpfs,target=/t,tmpfs-size=0": "no size",
			"type=tmpfs,target=/t,tmpfs-size=1000000000000g": "no size", "type=tmpfs,target=t": "absolute",
			"type=tmpfs,source=/a,target=/t": "no source", "type=bind,source=/a,target=/b,tmpfs-size=1": "type=tmpfs", `type="bind`: "quotes",
			"type=bind,source=/a,target=/b,readonly=maybe": "readonly", "type=tmpfs,target=/t,tmpfs-mode=9": "tmpfs-mode", "": "KEY=VALUE",
			"type=bind,source=/a,target=/b,colour=red": `"colour"`, "type=tmpfs,target=/t,bind-propagation=private": "type=bind",
			"type=bind,source=/a,target=/b,bind-propagation=rshared": "privileges", "type=bind,source=/a,target=/b,bind-propagation=z": "one of",
			"type=bind,source=/a,target=/b,bind-recursive=writable": "needs readonly", "type=bind,source=/a,target=/b,bind-recursive=no": "enabled",
			"type=bind,source=/a,target=/b,bind-recursive=readonly":                            "needs readonly",
			"type=bind,source=/a,target=/b,ro,bind-recursive=readonly,bind-propagation=rslave": "rprivate",
			"type=bind,source,target=/b":                                                       "source needs a value",
			"type=volume,source=a b,target=/b":                                                 "no name",
			"type=volume,source=name,target=/b,volume-driver=nfs":                              "local", "type=volume,source=name,target=/b,volume-opt=type=nfs": "type=bind",
			"type=volume,target=/b,volume-subpath=x": "without a name", "type=volume,source=name,target=/b,volume-subpath=../x": "..",
			"type=image,source=w,target=/b,rw": "read-only", "type=image,source=w,target=/b,readonly=false": "read-only",
			"type=image,target=/b": "source is missing", "type=image,source=w,target=/b,image-subpath=/": "path in it",
			"type=bind,source=/a,target=/b,subpath=x": "type=image", "type=bind,source=/a,target=/b,consistency=odd": "Linux",
		}},
		{"--tmpfs", ParseTmpfs, map[string]string{
			"t": "absolute", "": "absolute", ":size=1": "absolute", "/t:size=0": "no size", "/t:size=101%": "size", "/t:mode=8": "mode", "/t:uid=x": "uid",
			"/t:noexec=1": "noexec", "/t:suid": "nosuid", "/t:dev": "nodev", "/t:sise=1": `"sise"`, "/t:nr_inodes=": "nr_inodes",
		}},
	} {
		for text, why := range c.why {
			if _, err := c.parse(text); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s %s: %v, want it to say %q", c.flag, text, err, why)
			}
		}
	}
}

// Whatever the order of the command line, nothing covers what is mounted below it.
func TestVolumesGoByDepth(t *testing.T) {
	targets := func(volumes []Volume) (list []string) {
		for _, v := range volumes {
			list = append(list, v.Target)
		}
		return list
	}
	got := targets(ByDepth([]Volume{{Target: "/a/b/c"}, {Target: "/z"}, {Target: "/a/b"}, {Target: "/a"}, {Target: "/y/x"}}))
	if want := []string{"/z", "/a", "/a/b", "/y/x", "/a/b/c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMountOptions(t *testing.T) {
	for _, c := range []struct {
		volume Volume
		want   string
	}{
		{Volume{Type: Bind}, "nosuid,nodev,rnosuid,rnodev,rbind,rprivate"},
		{Volume{Type: Bind, ReadOnly: true, Recursive: Strict}, "nosuid,nodev,ro,rnosuid,rnodev,rro,rbind,rprivate"},
		{Volume{Type: Bind, ReadOnly: true, Recursive: Writable}, "nosuid,nodev,rnosuid,rnodev,ro,rbind,rprivate"},
		{Volume{Type: Bind, ReadOnly: true, Recursive: Disabled, Propagation: "slave"}, "nosuid,nodev,ro,bind,slave"},
		{Volume{Type: Named}, "nosuid,nodev,rnosuid,rnodev,rbind,rprivate"},
		{Volume{Type: Tmpfs, SizeBytes: 9, Mode: 0o700, Options: []string{"noexec"}}, "nosuid,nodev,size=9,mode=0700,noexec"},
		{Volume{Type: Tmpfs, ReadOnly: true}, "nosuid,nodev,ro,mode=1777"},
	} {
		if got := strings.Join(c.volume.mount().Options, ","); got != c.want {
			t.Errorf("%+v: %s, want %s", c.volume, got, c.want)
		}
	}
	s := &specs.Spec{Mounts: []specs.Mount{{Destination: "/a", Source: "/host", Type: "bind"}, (Volume{Type: Named, Source: "name", Target: "/v"}).mount()}}
	SetSource(s, "/v", "/kept/name")
	SetSource(s, "/a", "/other")
	if s.Mounts[0].Source != "/host" || s.Mounts[1].Source != "/kept/name" {
		t.Errorf("%+v", s.Mounts)
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	for _, v := range []Volume{
		{Target: "/"}, {Target: "/proc"}, {Target: "/proc/self"}, {Target: "/sys/fs"}, {Target: "/dev"}, {Target: "/dev/pts"}, {Target: "relative"},
		{Target: "/a\nb"}, {Target: "/a", Source: "/b\n"}, {Target: "/a", Subpath: "b\nc"},
	} {
		if err := v.check(); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", v, err)
		}
	}
	for _, v := range []Volume{{Target: "/dev/shm"}, {Target: "/dev/x"}, {Target: "/etc/hosts"}, {Target: "/process"}} {
		if err := v.check(); err != nil {
			t.Errorf("%+v: %v", v, err)
		}
	}
}
