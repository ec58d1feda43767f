package gpu

import (
	"slices"
	"strings"
	"testing"
)

func TestRequirements(t *testing.T) {
	const ends = "; driver 570.124.06 can do CUDA 12.8"
	for _, c := range []struct {
		env  []string
		want []string
	}{
		{nil, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA="}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=12.8"}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=9.0 brand=tesla"}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=12.9"}, []string{"the image wants cuda>=12.9" + ends}},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=unknown,driver>=535,driver<536 brand=tesla,driver>=580"}, []string{"the image wants cuda>=13.0 (or one of 2 other combinations)" + ends}},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=tesla,driver>=570,driver<571"}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=geforce,driver>=570,driver<571"}, []string{"the image wants cuda>=13.0 (or one of 1 other combinations)" + ends}},
		{[]string{"NVIDIA_REQUIRE_ARCH=arch>=10.0", "NVIDIA_REQUIRE_CUDA=cuda>=12.0"}, []string{"the image wants arch>=10.0" + ends}},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0,driver!=1"}, []string{"the image wants cuda>=13.0 and driver!=1" + ends}},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0", "NVIDIA_DISABLE_REQUIRE=true"}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0", "NVIDIA_DISABLE_REQUIRE=0"}, []string{"the image wants cuda>=13.0" + ends}},
		{[]string{"NVIDIA_REQUIRE_CUDA=weather=fine"}, nil},
		{[]string{"NVIDIA_REQUIRE_CUDA=nonsense"}, nil},
	} {
		inventory := machine("g")
		if got := Unmet(c.env, inventory, []Choice{{Device: inventory.GPUs[0]}}); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.env, got, c.want)
		}
	}
}

// TestManyRequirements: what an image states is told in few words.
func TestManyRequirements(t *testing.T) {
	var env []string
	for range 10_000 {
		env = append(env, "NVIDIA_REQUIRE_X=cuda>=99."+strings.Repeat("9", 1000))
	}
	got := Unmet(env, machine("g"), nil)
	if len(got) != 5 || got[4] != "and 9996 more requirements of the image" || len(got[0]) > 200 || !strings.Contains(got[0], "cuda>=99.99") || !strings.Contains(got[0], "…; driver ") {
		t.Errorf("%d: %q", len(got), got)
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"12.8", "12.8", 0}, {"12.8", "12.10", -1}, {"13", "12.9", 1}, {"12", "12.0", 0}, {"570.124.06", "570", 1}} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %d", c.a, c.b, got)
		}
	}
}

func TestDriverCapabilities(t *testing.T) {
	for _, c := range []struct{ env, wanted, unknown []string }{
		{nil, DefaultCapabilities, nil},
		{[]string{"NVIDIA_DRIVER_CAPABILITIES="}, DefaultCapabilities, nil},
		{[]string{"NVIDIA_DRIVER_CAPABILITIES=all", "A=1", "NVIDIA_DRIVER_CAPABILITIES=compute, video"}, []string{"compute", "video"}, nil},
		{[]string{"NVIDIA_DRIVER_CAPABILITIES=compute,fly"}, []string{"compute"}, []string{"fly"}},
		{[]string{"NVIDIA_DRIVER_CAPABILITIES=fly"}, DefaultCapabilities, []string{"fly"}},
	} {
		wanted, unknown := DriverCapabilities(c.env)
		if !slices.Equal(wanted, c.wanted) || !slices.Equal(unknown, c.unknown) {
			t.Errorf("%q: %q, %q", c.env, wanted, unknown)
		}
	}
}
