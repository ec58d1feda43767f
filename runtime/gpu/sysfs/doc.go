// Package sysfs knows GPUs by the files that their kernel drivers have in /sys: AMD's (the kernel's gpu/amdgpu documents,
// driver-misc.rst and thermal.rst), and the GPU that is part of NVIDIA's Jetson boards, which the library that coracle-nvidia asks
// does not tell much of. Reading them needs no program and no right.
package sysfs
