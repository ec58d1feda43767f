package registry

import (
	"errors"
	"strings"
	"testing"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseRef(t *testing.T) {
	for _, c := range []struct{ in, canonical, familiar string }{
		{"debian", "docker.io/library/debian:latest", "debian:latest"},
		{"debian:12", "docker.io/library/debian:12", "debian:12"},
		{"pytorch/pytorch:2.4.0-cuda12.1", "docker.io/pytorch/pytorch:2.4.0-cuda12.1", "pytorch/pytorch:2.4.0-cuda12.1"},
		{"docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
		{"registry-1.docker.io/u/r:t", "docker.io/u/r:t", "u/r:t"},
		{"localhost/a", "localhost/a:latest", "localhost/a:latest"},
		{"localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"},
		{"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"},
		{"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
		{"nvcr.io/nvidia/pytorch:24.08-py3", "nvcr.io/nvidia/pytorch:24.08-py3", "nvcr.io/nvidia/pytorch:24.08-py3"},
		{"Registry/a", "Registry/a:latest", "Registry/a:latest"},
		{"debian@" + someDigest, "docker.io/library/debian@" + someDigest, "debian@" + someDigest},
		{"debian:12@" + someDigest, "docker.io/library/debian@" + someDigest, "debian@" + someDigest},
		{"a__b/c--d/e.f_g", "docker.io/a__b/c--d/e.f_g:latest", "a__b/c--d/e.f_g:latest"},
	} {
		ref, err := ParseRef(c.in)
		if err != nil {
			t.Errorf("ParseRef(%q): %v", c.in, err)
			continue
		}
		if ref.String() != c.canonical || ref.Familiar() != c.familiar {
			t.Errorf("ParseRef(%q) = %q, familiar %q; want %q, %q", c.in, ref, ref.Familiar(), c.canonical, c.familiar)
		}
		for _, form := range []string{ref.String(), ref.Familiar()} {
			if again, err := ParseRef(form); err != nil || again != ref {
				t.Errorf("ParseRef(%q) = %v, %v; want the same as from %q", form, again, err, c.in)
			}
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "Debian", "debian:", "debian:a b", "debian:" + strings.Repeat("a", 129), "https://docker.io/debian", "docker://debian",
		"debian@sha256:abc", "debian@sha256:../../etc/passwd", "debian@sha512:" + strings.Repeat("a", 128), "@" + someDigest,
		"a//b", "/a", "a/", "../a", "a/../b", "a..b/c", "-a", "a\nb", "a\x1b[31m", "a:b:c", "host.example:port/a", "exa_mple.com/a",
		strings.Repeat("a", 64), strings.Repeat("a", 250) + "/b", "a@b@c", "[::1/a",
	} {
		if ref, err := ParseRef(in); !errors.Is(err, ErrBadRef) {
			t.Errorf("ParseRef(%q) = %v, %v; want ErrBadRef", in, ref, err)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "LOCALHOST": true, "a.localhost:1": true, "127.0.0.1": true, "127.8.9.1:80": true,
		"[::1]:5000": true, "::1": true, "10.0.0.1": false, "example.com": false, "localhost.example.com": false, "128.0.0.1:5000": false,
		"docker.io": false, "127.0.0.1.example.com": false, "": false,
	} {
		if isLoopback(host) != want {
			t.Errorf("isLoopback(%q) = %v", host, !want)
		}
	}
}
