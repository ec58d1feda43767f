package nvidia

import (
	"slices"
	"strings"
	"testing"
)

func TestParseCapabilities(t *testing.T) {
	for _, tc := range []struct{ names, want, unknown string }{
		{"", "compute,utility", ""},
		{"compute", "compute", ""},
		{" Video ,utility", "utility,video", ""},
		{"all", "compute,compat32,graphics,utility,video,display,ngx", ""},
		{"utility,teleport,", "utility", "teleport"},
		{"teleport", "compute,utility", "teleport"},
	} {
		c, unknown := parseCapabilities(strings.Split(tc.names, ","))
		if c.String() != tc.want || strings.Join(unknown, ",") != tc.unknown {
			t.Errorf("%q: %s, unknown %v", tc.names, c, unknown)
		}
	}
}

func TestWants(t *testing.T) {
	for _, tc := range []struct{ path, by string }{
		{"/usr/lib64/libcuda.so.570.1", "compute"},
		{"/usr/lib64/libcuda.so", "compute"},
		{"/usr/lib64/libnvidia-ml.so.570.1", "utility"},
		{"/usr/lib64/libnvidia-encode.so.570.1", "video"},
		{"/usr/lib64/vdpau/libvdpau_nvidia.so.570.1", "video"},
		{"/usr/lib64/libnvidia-ngx.so.570.1", "ngx"},
		{"/usr/lib64/libGLX_nvidia.so.570.1", "graphics display"},
		{"/usr/lib64/libnvidia-allocator.so.570.1", "compute graphics display"},
		{"/usr/lib64/xorg/modules/drivers/nvidia_drv.so", "display"},
		{"/usr/lib64/gbm/nvidia-drm_gbm.so", "graphics display"},
		{"/etc/vulkan/icd.d/nvidia_icd.json", "graphics display"},
		{"/usr/share/egl/egl_external_platform.d/10_nvidia_wayland.json", "graphics display"},
		{"/etc/OpenCL/vendors/nvidia.icd", "compute"},
		{"/usr/bin/nvidia-smi", "utility"},
		{"/usr/bin/nvidia-cuda-mps-server", "compute"},
		{"/run/nvidia-persistenced/socket", "utility"},
		{"/run/nvidia-fabricmanager/socket", "compute"},
		{"/tmp/nvidia-mps", "compute"},
		{"/usr/lib64/libnvidia-something-new.so.570.1", "compute compat32 graphics utility video display ngx"},
		{"/lib/firmware/nvidia/570.1/gsp_ga10x.bin", "compute compat32 graphics utility video display ngx"},
	} {
		var by []string
		for _, k := range known {
			if (capabilities{k: true}).wants(tc.path) {
				by = append(by, string(k))
			}
		}
		if got := strings.Join(by, " "); got != tc.by {
			t.Errorf("%s is wanted by %q, not %q", tc.path, got, tc.by)
		}
	}
}

func TestWantsLink(t *testing.T) {
	c := capabilities{compute: true}
	links := []string{"libcuda.so.1::/usr/lib64/libcuda.so", "libGLX_nvidia.so.1.2::/usr/lib64/libGLX_indirect.so.0", "../libnvidia-allocator.so.1::/usr/lib64/gbm/nvidia-drm_gbm.so", "nonsense"}
	if got := slices.DeleteFunc(links, func(l string) bool { return !c.wantsLink(l) }); len(got) != 1 || !strings.HasPrefix(got[0], "libcuda") {
		t.Errorf("links: %v", got)
	}
}
