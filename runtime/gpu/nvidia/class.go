package nvidia

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// capability is a part of the driver that a container may ask for, as in NVIDIA_DRIVER_CAPABILITIES.
type capability string

const (
	compute  capability = "compute"
	compat32 capability = "compat32"
	graphics capability = "graphics"
	utility  capability = "utility"
	video    capability = "video"
	display  capability = "display"
	ngx      capability = "ngx"
)

// known are all of them, in the order of NVIDIA's documentation.
var known = []capability{compute, compat32, graphics, utility, video, display, ngx}

// capabilities is what a container asks for.
type capabilities map[capability]bool

// parseCapabilities reads names; none of them are those that a job needs to compute. Names that nobody knows are returned.
func parseCapabilities(names []string) (c capabilities, unknown []string) {
	c = capabilities{}
	for _, name := range names {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "":
		case name == "all":
			for _, k := range known {
				c[k] = true
			}
		case slices.Contains(known, capability(name)):
			c[capability(name)] = true
		default:
			unknown = append(unknown, name)
		}
	}
	if len(c) == 0 {
		c[utility], c[compute] = true, true
	}
	return c, unknown
}

// String is the value of NVIDIA_DRIVER_CAPABILITIES.
func (c capabilities) String() string {
	var names []string
	for _, k := range known {
		if c[k] {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, ",")
}

// draws reports whether the display nodes are wanted, too.
func (c capabilities) draws() bool { return c[graphics] || c[display] }

// classes says of which capabilities a file is part, by its name without the version. It follows the lists of files in the README of
// NVIDIA's driver; a file that is not listed here is new, and is given to everybody.
var classes = map[string][]capability{
	"libnvidia-ml":           {utility},
	"libnvidia-cfg":          {utility},
	"libnvidia-nscq":         {utility},
	"libnvidia-sandboxutils": {utility},
	"nvidia-smi":             {utility},
	"nvidia-debugdump":       {utility},
	"nvidia-persistenced":    {utility},

	"libcuda":                     {compute},
	"libcudadebugger":             {compute},
	"libnvidia-opencl":            {compute},
	"libOpenCL":                   {compute},
	"libnvidia-ptxjitcompiler":    {compute},
	"libnvidia-fatbinaryloader":   {compute},
	"libnvidia-compiler":          {compute},
	"libnvidia-nvvm":              {compute},
	"libnvidia-nvvm70":            {compute},
	"libnvidia-tileiras":          {compute},
	"libnvidia-pkcs11":            {compute},
	"libnvidia-pkcs11-openssl3":   {compute},
	"libnvidia-allocator":         {compute, graphics},
	"libnvidia-gpucomp":           {compute, graphics},
	"nvidia-cuda-mps-control":     {compute},
	"nvidia-cuda-mps-server":      {compute},
	"nvidia-imex":                 {compute},
	"nvidia-imex-ctl":             {compute},
	"nvidia-fabricmanager":        {compute},
	"nvidia-mps":                  {compute},
	"nvidia.icd":                  {compute},
	"libvdpau_nvidia":             {video},
	"libnvidia-encode":            {video},
	"libnvidia-opticalflow":       {video},
	"libnvcuvid":                  {video},
	"libnvidia-ngx":               {ngx},
	"libnvidia-eglcore":           {graphics},
	"libnvidia-glcore":            {graphics},
	"libnvidia-tls":               {graphics},
	"libnvidia-glsi":              {graphics},
	"libnvidia-fbc":               {graphics},
	"libnvidia-ifr":               {graphics},
	"libnvidia-rtcore":            {graphics},
	"libnvoptix":                  {graphics},
	"libGLX_nvidia":               {graphics},
	"libGLX_indirect":             {graphics},
	"libEGL_nvidia":               {graphics},
	"libGLESv2_nvidia":            {graphics},
	"libGLESv1_CM_nvidia":         {graphics},
	"libnvidia-glvkspirv":         {graphics},
	"libnvidia-cbl":               {graphics},
	"libnvidia-egl-gbm":           {graphics},
	"libnvidia-egl-wayland":       {graphics},
	"libnvidia-egl-wayland2":      {graphics},
	"libnvidia-egl-xcb":           {graphics},
	"libnvidia-egl-xlib":          {graphics},
	"libnvidia-vulkan-producer":   {graphics},
	"libnvidia-vksc-core":         {graphics},
	"libnvidia-api":               {graphics},
	"nvidia-drm_gbm":              {graphics},
	"nvoptix.bin":                 {graphics},
	"libnvidia-gtk2":              {display},
	"libnvidia-gtk3":              {display},
	"libnvidia-wayland-client":    {display},
	"libglxserver_nvidia":         {display},
	"nvidia_drv":                  {display},
	"nvidia-xconfig":              {display},
	"10-nvidia.conf":              {display},
	"nvidia-drm-outputclass.conf": {display},
}

// directories are classes by a directory in a file's path, for files with names that say little.
var directories = map[string]capability{"glvnd": graphics, "egl": graphics, "vulkan": graphics}

// wants reports whether a file of the driver is part of what was asked for.
func (c capabilities) wants(path string) bool {
	for dir := range strings.SplitSeq(filepath.Dir(path), "/") {
		if class, ok := directories[dir]; ok {
			return c.has(class)
		}
		if class, ok := classes[dir]; ok { // a daemon's directory in /run
			return slices.ContainsFunc(class, c.has)
		}
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".so")
	class, ok := classes[name]
	return !ok || slices.ContainsFunc(class, c.has)
}

// has reports whether a capability was asked for, or comes with one: what shows pictures draws them first.
func (c capabilities) has(k capability) bool { return c[k] || k == graphics && c[display] }

// wantsLink is the same for a link, written TARGET::PATH, both ends of which have to be there.
func (c capabilities) wantsLink(link string) bool {
	target, path, ok := strings.Cut(link, "::")
	return ok && c.wants(target) && c.wants(path)
}

// unknownWarning is what the user is told of names that are no capabilities.
func unknownWarning(names []string) string {
	return fmt.Sprintf("NVIDIA_DRIVER_CAPABILITIES: no such capability: %s", strings.Join(names, ", "))
}
