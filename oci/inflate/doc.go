// Package inflate decodes gzip streams (RFC 1952, DEFLATE is RFC 1951), faster than the decoders that are usual in Go and
// without trusting a byte of its input.
//
// # How it is fast
//
// Inflating is most of the processor time of a pull. The decoder holds 64 bits of input and refills them by one unaligned
// load without a branch. It finds a symbol by one look into a table of 11 (distances 9) bits, whose entries hold the value,
// the mask of the extra bits and how far to shift; longer codes take a second look. The look-up of the next symbol starts
// before a match is copied, matches are copied in words beyond their end, and repetitions of less than 8 bytes are made by
// one multiplication. All buffers and tables are arrays of fixed size whose indexes are masked or bounded, so that the
// compiler proves the bounds checks away; there is no unsafe and no assembler in here. A careful loop, symbol by
// symbol, takes over where less than 32 bytes of input are at hand.
//
// Output is decoded straight into a Chunk, behind a copy of the 32 KiB that matches may refer to, and handed out as it is:
// see Reader.Next and Chunk, which several users can share.
//
// # What is accepted
//
// What Go's compress/gzip accepts, and nothing else, but for reserved flags, which Go ignores and the format forbids to
// ignore; fuzz tests compare. Members one after another are one stream; each
// has its CRC-32 and size checked. FEXTRA, FNAME and FCOMMENT are read past, names of more than 511 bytes refused, FHCRC is
// checked. Whatever follows the last member and is not a member is an error: GNU gzip ignores
// zeros there and warns of anything else, which for an image layer would be bytes that one client looks at and another does
// not. Codes must be complete, except that one single code of one bit, or no code at all, may stand as long as nothing else
// is used. A stream that has no byte at all is cut, not empty.
//
// # Limits
//
// Time and memory are linear in the input: about 90 KiB and one Chunk a Reader. Output is at most 1032 times the input; to
// bound it is the caller's business.
package inflate
