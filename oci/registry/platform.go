package registry

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ParsePlatform reads "os/arch[/variant]", or only "arch" for Linux; "" is this machine. Names of architectures as uname
// and Debian have them (x86_64, aarch64, armhf) are understood.
func ParsePlatform(s string) (ocispec.Platform, error) {
	if s == "" {
		return normal(ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}), nil
	}
	parts := strings.Split(s, "/")
	if len(parts) == 1 {
		parts = []string{"linux", s}
	}
	if len(parts) > 3 || slices.Contains(parts, "") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ocispec.Platform{}, fmt.Errorf("platform %q: not of the form os/arch or os/arch/variant, such as linux/arm64", s)
	}
	p := ocispec.Platform{OS: strings.ToLower(parts[0]), Architecture: strings.ToLower(parts[1])}
	if len(parts) == 3 {
		p.Variant = strings.ToLower(parts[2])
	}
	return normal(p), nil
}

// FormatPlatform is the form ParsePlatform reads.
func FormatPlatform(p ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normal gives a platform its one name: the variant that an architecture has anyway is left out (arm64/v8, amd64/v1), the
// one that must be known is put in (arm is arm/v7).
func normal(p ocispec.Platform) ocispec.Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture = "arm"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	case "i386", "i686":
		p.Architecture = "386"
	}
	switch {
	case p.Architecture == "arm64" && (p.Variant == "v8" || p.Variant == "8"), p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	}
	return p
}

// fit says how well what is had serves what is wanted: 0 not at all, more is better. A machine runs programs for an
// earlier variant of its architecture.
func fit(want, have ocispec.Platform) int {
	want, have = normal(want), normal(have)
	if want.OS != have.OS || want.Architecture != have.Architecture {
		return 0
	}
	wanted, had := variantNumber(want), variantNumber(have)
	if wanted < 0 || had < 0 {
		if want.Variant == have.Variant {
			return 100
		}
		return 0
	}
	if had > wanted {
		return 0
	}
	return 100 - (wanted - had)
}

// variantNumber is the 7 of arm/v7, or -1.
func variantNumber(p ocispec.Platform) int {
	v := p.Variant
	if v == "" {
		v = map[string]string{"amd64": "v1", "arm64": "v8"}[p.Architecture]
	}
	if len(v) == 2 && v[0] == 'v' && v[1] >= '1' && v[1] <= '9' {
		return int(v[1] - '0')
	}
	if v == "" {
		return 0
	}
	return -1
}

// Fits reports whether a machine that wants one platform can run what is made for another.
func Fits(want, have ocispec.Platform) bool { return fit(want, have) > 0 }
