package hostile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

// examinations are configurations that the doctor reads more of than a run does.
func examinations() []hostile.Config {
	set := func(name, what string, env ...string) hostile.Config {
		return hostile.Config{
			Case: hostile.Case{Name: "doctor-" + name, What: what},
			Set:  func(c *ocispec.ImageConfig) { c.Env = append(c.Env, env...) },
		}
	}
	long := strings.Repeat("9.", 1<<19)
	return []hostile.Config{
		set("cuda-controls", "a version of CUDA with ESC, line breaks and bidirectional controls", "CUDA_VERSION=12\x1b[2J\nok  gpu  fine\u202e", "NVIDIA_REQUIRE_CUDA=cuda>=99\x1b]0;x\x07,\u202ebrand=\u200b"),
		set("cuda-1m", "a version of CUDA of a mebibyte", "CUDA_VERSION="+long, "NVIDIA_REQUIRE_CUDA=cuda>="+long),
		set("cuda-many", "100,000 alternatives", "NVIDIA_REQUIRE_CUDA="+strings.Repeat("cuda>=99,driver<1,brand=x ", 100_000)),
		set("cuda-requirements", "10,000 requirements", requirements(10_000)...),
		set("cuda-words", "requirements of no words", "CUDA_VERSION=", "NVIDIA_REQUIRE_CUDA=,,, ,=,>=<=!= =", "NVIDIA_REQUIRE_=x", "NVIDIA_REQUIRE_X"),
	}
}

func requirements(n int) (env []string) {
	for i := range n {
		env = append(env, fmt.Sprintf("NVIDIA_REQUIRE_%d=cuda>=99", i))
	}
	return env
}

// TestDoctorOfConfigs: the doctor of an image says what it found in few words, whatever the image says of itself, and fetches nothing.
func TestDoctorOfConfigs(t *testing.T) {
	reg := fixture.Serve(t)
	base := fixture.Busybox(t)
	b := newBox(t)
	t.Run("all", func(t *testing.T) {
		for _, c := range append(examinations(), hostile.Configs()...) {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				ref := reg.Ref(pushConfig(reg, base, c))
				b.of(t).examined(b.command("doctor", ref))
			})
		}
	})
	if left := b.added("images/refs"); len(left) > 0 {
		t.Errorf("it has fetched %q", left)
	}
	b.check()
}

// TestDoctorOfRegistries: the doctor of an image ends by itself, tells no secret, and goes nowhere where a pull does not go. Of attacks by
// layers it sees nothing.
func TestDoctorOfRegistries(t *testing.T) {
	need.UserNS(t)
	authority := newAuthority(t, "")
	for _, c := range hostile.Registries() {
		kind, _, _ := strings.Cut(c.Name, "-")
		if kind == "blob" || kind == "diffid" || strings.HasPrefix(c.Name, "redirect-blob") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b, a, trusted := newBox(t), authority, authority.file
			if c.TLS != "" {
				a = newAuthority(t, c.TLS)
			}
			if c.TLS != "unknown" {
				trusted = a.file
			}
			w := newNetwork(t, a, c)
			asked := b.command("doctor", w.Registry+"/"+hostile.Name)
			asked.Env = append(asked.Env, "SSL_CERT_FILE="+trusted, "DOCKER_CONFIG="+w.login(b))
			b.examined(asked)
			w.checkSecrets(t)
			// It asks twice, for the registry's sake and for the image's, and is run twice.
			if most := 4 * max(int64(c.Requests), 40); w.requests.Load() > most {
				t.Errorf("%d requests, at most %d are allowed", w.requests.Load(), most)
			}
			b.wantNothing(fixture.Image{})
			b.check()
		})
	}
}

// examined runs the doctor, in words and as JSON, and fails the test unless both are harmless, short, and agree with the status.
func (b *box) examined(asked launch) taken {
	b.t.Helper()
	text := asked.do(b.t)
	asked.Argv = append(asked.Argv, "--json")
	got := asked.do(b.t)
	if testing.Verbose() {
		b.t.Logf("status %d, %v of %v, %d MiB: %s", text.Code, text.CPU, text.Wall, text.Memory>>20, text.stdout)
	}
	var report struct{ Worst string }
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		b.t.Fatalf("status %d: %v: %s", got.Code, err, got.stderr)
	}
	code := map[string]int{"ok": 0, "note": 0, "warning": 1, "failure": 2}[report.Worst]
	for _, r := range []taken{text, got} {
		b.wantStatus(r, code, hostile.Budget{})
		const most = 16 << 10
		if n := len(r.stdout) + len(r.stderr); n > most {
			b.t.Errorf("it says %d bytes", n)
		}
	}
	return text
}
