// Package gpu is a machine with NVIDIA GPUs for tests, without a GPU: a driver of stub libraries, and namespaces in which an ordinary
// user sees it installed.
//
//	driver, err := gpu.Build(dir)                                    // compiled from source/
//	m, err := gpu.Start(driver, gpu.Setup{Place: gpu.Usual, GPUs: 2}) // /dev/nvidia0, libcuda.so.1 in the loader's cache, ...
//	m.Command(dir, env, "coracle", "run", "--gpus", "all", ...)
//
// Two of the libraries do something. libnvidia-ml.so.1 answers for as many GPUs as the setup has, and is told what to answer by
// [Machine.Say]: numbers, a lost GPU, MIG mode, a function that fails, hangs or crashes. libcuda.so.1 opens the device nodes and has
// memory, so that a program can tell whether it was given what it needs; a process that has made a context is one of the GPU's.
// Nothing of this is NVIDIA's.
//
// The tests of this package run the real binaries on such machines, and the lane of real ones (make test-gpu), see README.md.
package gpu
