// Package pull brings an image from a registry into the store.
//
// Each layer is one stream, with nothing kept in between:
//
//	connection -> [sha256] -> gzip, zstd or plain -> [sha256] -> tar -> files
//
// Reading, both hashes, inflating and writing run at the same time, on buffers that are used again; a broken connection is
// resumed at its offset in the middle of all that, and the hashes carry on. Several layers are fetched at once, the
// largest first. Nothing is visible to anybody before both digests of a layer are right; what fails, is cancelled or
// killed leaves nothing that counts. Layers that are stored are not fetched, manifests that are stored are not asked for.
package pull
