// Package pull brings an image from a Source, such as a registry, into the store.
//
// Each layer is one pipeline:
//
//	connections -> partial blob -> [sha256] -> gzip, zstd or plain -> [sha256] -> tar -> files
//
// A large blob is fetched in ranges, over as many connections as help, into a file of the store that outlives the process; one
// reader follows the first byte that is missing (spool.go; segment.go writes what requests bring, fetch.go chooses what to
// ask for, pace.go over how many connections). A small one is one stream, without the file. Reading, both hashes, inflating
// and writing run at the same time, on buffers that are used again and that a memory budget bounds (memory.go). Several
// layers are unpacked at once, the largest first, and the next ones fetched meanwhile (ahead.go). Nothing is visible to
// anybody before both digests of a layer are right; what fails, is cancelled or killed leaves nothing but partial blobs,
// which the next pull goes on with. Layers that are stored are not fetched, manifests that are stored are not asked for, and
// what cannot fit on the disk is not begun (space.go).
package pull
