package seccomp

import "slices"

// Default is the default filter for this program's architecture, as the kernel takes it: struct sock_filter, 8 bytes an
// instruction, native byte order.
func Default() []byte { return slices.Clone(compiled) }
