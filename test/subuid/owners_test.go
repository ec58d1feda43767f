package subuid_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

func TestFilesBelongToWhomTheImageSays(t *testing.T) {
	b, ref := database(t)
	const list = `stat -c "%n %u:%g %a %h" /etc /etc/shadow /var/lib /var/lib/db /var/lib/db/* /var/mail /home/app /home/app/.profile /bin/busybox`
	want := `/etc 0:0 755 2
/etc/shadow 0:42 640 1
/var/lib 0:0 755 1
/var/lib/db 999:999 700 1
/var/lib/db/link 999:999 777 1
/var/lib/db/seed 999:999 600 2
/var/lib/db/seed2 999:999 600 2
/var/mail 0:8 2775 1
/home/app 1000:1000 755 1
/home/app/.profile 1000:1000 644 1
/bin/busybox 0:0 755 1`
	plain := strings.NewReplacer("755 2\n", "755\n", "755 1\n", "755\n", "700 1\n", "700\n", "2775 1\n", "2775\n")
	for _, how := range []string{"the first time", "again"} {
		got := plain.Replace(b.run(ref, list) + "\n") // how many names a directory has is the file system's own
		if got != plain.Replace(want+"\n") {
			t.Errorf("%s:\n%s\nwant\n%s", how, got, want)
		}
	}
	// What the layers hold is as it was, and one delta of each serves all: of busybox's /home/app, and of the database.
	deltas, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/subuid-*/fs"))
	if err != nil || len(deltas) != 2 {
		t.Errorf("deltas %v, %v", deltas, err)
	}
}

// TestDatabase starts as root, gives a directory away and becomes another user, as the entrypoints of databases do.
func TestDatabase(t *testing.T) {
	b, ref := database(t, func(im *fixture.Image) { im.Config.Entrypoint = []string{"/entrypoint"} })
	if err := os.Mkdir(filepath.Join(b.wd, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "--userns", "subuid", "-v", b.wd + "/data:/var/lib/db", ref, "stat", "-c", "%u:%g", "/var/lib/db/data/table"}
	for range 2 { // the second finds the first one's files
		if got := b.ok(run...); got != "running as 999:999\n999:999" {
			t.Errorf("%q", got)
		}
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(b.wd, "data"), &st); err != nil || int(st.Uid) != b.hostUID(999) {
		t.Errorf("the volume belongs to %d on the host, want %d (%v)", st.Uid, b.hostUID(999), err)
	}
	// Root inside takes it back.
	b.ok("run", "--userns", "subuid", "-v", b.wd+"/data:/data", "--entrypoint", "chown", ref, "-R", "0:0", "/data")
	if raw, err := os.ReadFile(filepath.Join(b.wd, "data/data/table")); err != nil || string(raw) != "row\nrow\n" {
		t.Errorf("%q, %v", raw, err)
	}
	// Otherwise it does not work, which is what the mode is for.
	if r := b.do("run", ref, "true"); r.code == 0 {
		t.Error("a container with one user runs it, too")
	}
}

// TestUsers: whoever the image's USER is, it has its number, groups and home, and nothing of root's.
func TestUsers(t *testing.T) {
	b, ref := database(t)
	for _, c := range []struct{ user, ids, home string }{
		{"", "0 0 0 4", "/root"}, {"root", "0 0 0 4", "/root"}, {"0", "0 0 0 4", "/root"},
		{"db", "999 999 101 999", "/var/lib/db"}, {"999", "999 999 101 999", "/var/lib/db"}, {"db:ssl", "999 101 101", "/var/lib/db"},
		{"1000:0", "1000 0 0", "/home/app"}, {"4242:4243", "4242 4243 4243", "/home/job"}, {"65536:65536", "65536 65536 65536", "/home/job"},
	} {
		t.Run("USER "+c.user, func(t *testing.T) {
			b.t = t
			got := b.run(ref, `echo $(id -u) $(id -g) $(id -G | tr " " "\n" | sort -n) $HOME; touch $HOME/new && stat -c %u $HOME/new; id -un >/dev/null || echo nameless; echo to the terminal >/dev/stderr`, "-u", c.user)
			uid, _, _ := strings.Cut(c.ids, " ")
			if want := c.ids + " " + c.home + "\n" + uid; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestUsersBeyondTheRange(t *testing.T) {
	b, ref := database(t)
	for user, says := range map[string]string{
		"65537": `user "65537": id 65537 is beyond your subordinate ids in /etc/subuid, which reach to 65536`, "0:65537": "/etc/subgid, which reach to 65536",
		"4294967295": "range", "4294967296": "range", "-1": "range", "a:b:c": "no such user", "root:unknown": "group unknown", "db\n": "no such user", ":5": "has no user",
	} {
		r := b.do("run", "--userns", "subuid", "-u", user, ref, "true")
		if r.code != 125 || !strings.Contains(r.stderr, says) || !strings.Contains(r.stderr, "\nhint: ") {
			t.Errorf("-u %q: status %d, %q, want it to say %q", user, r.code, r.stderr, says)
		}
	}
	far := fixture.NewLayer(fixture.Gzip, fixture.File("far", "x", 0o644).Own(1000000, 5))
	b, ref = database(t, func(im *fixture.Image) { im.Layers = append(im.Layers, far) })
	r := b.do("run", "--userns", "subuid", ref, "true")
	for _, says := range []string{`/"far"`, "id 1000000 is beyond", "usermod --add-subuids", "-u"} {
		if r.code != 125 || !strings.Contains(r.stderr, says) && says != "-u" {
			t.Errorf("status %d, %q, want it to say %q", r.code, r.stderr, says)
		}
	}
	b.empty("tmp", "upper")
	b.ok("run", ref, "true")
}

// TestRecordSaysWhoIsWho reads the record.
func TestRecordSaysWhoIsWho(t *testing.T) {
	b, ref := database(t)
	b.run(ref, "true")
	var rec struct {
		UserNS   string `json:"userns"`
		IDMap    any    `json:"id_map"`
		Security struct{ Capabilities []string }
	}
	if err := json.Unmarshal([]byte(b.ok("runs", "show", "last", "--json")), &rec); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(b.ids)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if rec.UserNS != "subuid" || !reflect.DeepEqual(rec.IDMap, want) || len(rec.Security.Capabilities) != 8 {
		t.Errorf("%+v, want the map %v", rec, want)
	}
}

// TestToolThatFails: what newuidmap complains of is what a person is told, and nothing is left running.
func TestToolThatFails(t *testing.T) {
	b, ref := database(t)
	bin := t.TempDir()
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		need.Program(t, filepath.Join(bin, tool), "#!/bin/sh\necho "+tool+": write to uid_map failed: Operation not permitted >&2\nexit 1\n")
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := b.do("run", "--userns", "subuid", ref, "true")
	if r.code != 125 || !strings.Contains(r.stderr, "cannot use the subordinate ids: new") || !strings.Contains(r.stderr, "\nhint: newuidmap and newgidmap must be setuid root") {
		t.Errorf("status %d, %q", r.code, r.stderr)
	}
	t.Setenv("PATH", strings.TrimPrefix(os.Getenv("PATH"), bin+":"))
	b.empty("upper", "tmp")
}
