package seccomp

import _ "embed"

//go:embed default_amd64.bpf
var compiled []byte
