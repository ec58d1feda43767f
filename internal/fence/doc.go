// Package fence confines this process, for the rest of its life, to writing below some directories, with the kernel's Landlock
// (landlock(7)). It is the second of two guards: who unpacks an image resolves no name outside of the layer's root, and if that
// has a gap, the kernel refuses what would come through it.
//
// Confined is all that changes files or their names: opening them for writing, truncating, making, linking, renaming and
// removing. Reading is not, for an image is fetched with certificates, credentials and archives from anywhere. Nor is what was
// opened before.
//
// Where the kernel has no Landlock, or a filter around this process does not let it be used, nothing is confined and nothing is
// said: it is a guard more, and no pull depends on it.
package fence
