// Package pull brings an image from a registry into the store: each layer streams from the network through decompression
// and both digests into its tree, several layers at once, with nothing kept in between.
package pull
