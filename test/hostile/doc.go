// Package hostile holds attacks on Coracle as data: layers, registries and image configurations that lie, each with its name,
// where it comes from, and what has to become of it. README.md is the table of them; `go generate` writes it.
//
// The tests run every attack through the real binary, as an ordinary user, in namespaces in which no network but the tests'
// own can be reached. Round the target there are canaries: files, directories, links and an innocent image in the same store.
// They must not change, in whatever stat(2), their content and their attributes say. What the command takes of memory and of
// processor time is bounded and measured, and what it prints holds nothing that a terminal acts upon. Where an attack is let
// in, the tree is looked at as the job would see it, mounted by overlayfs, and as it lies on the disk.
package hostile

//go:generate go test -run ^TestTable$ -update .
