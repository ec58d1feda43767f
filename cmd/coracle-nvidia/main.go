// Command coracle-nvidia asks NVIDIA's driver what Coracle wants to know: see the package runtime/gpu.
package main

import "os"

func main() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
