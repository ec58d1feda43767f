// Package archive reads and writes images that lie in files instead of in a registry: docker's archives (`docker save`), OCI
// image layouts, and such layouts in a tar archive. Their names are those of skopeo and podman:
//
//	docker-archive:FILE[:NAME|:@N]    what docker save writes, old and new
//	oci:DIR[:TAG]                     a directory with an OCI image layout
//	oci-archive:FILE[:TAG]            the same in a tar archive
//
// # Reading
//
// Open finds out what the images of an archive are, and an Image's Source is what package pull pulls from. Archives are
// strangers. A tar archive is never unpacked: its entries are listed once, within bounds, and blobs are read where they lie.
// What cannot be read in any order, because it comes through a pipe or is compressed as a whole, is first copied to a
// nameless file on the store's disk (Options.Scratch), which the kernel removes with the process. Names must stay inside, a
// name must be there once, links lead from one entry to another and nowhere else. In a directory the kernel refuses
// every path with a link in it. No digest is believed: package pull checks each.
//
// An archive of docker before version 25 has no manifests. They are made here, always the same for the same archive, in
// docker's media types, with the layers as they lie in the archive; so the image has a digest, though no registry knows it.
// Image.Made says so. Newer ones hold an OCI layout, too; then its manifests count, and images keep their digests.
//
// # Writing
//
// Save writes manifests, configurations and layers byte for byte as they came, so that the image has the same digest
// wherever it is loaded next. The same images give the same bytes, whenever they are saved.
package archive
