// Package registry talks to image registries: it parses references, resolves them to one platform's manifest, and reads
// blobs. It is the only package that uses go-containerregistry's client code, of which it takes the authentication and
// the credential keychain; manifests and blobs it reads itself, because they come from strangers:
//
//   - every manifest and configuration is checked against its digest and its size, at most MaxManifest bytes;
//   - blobs are read from wherever the connection broke, a stalled one counts as broken; the caller checks their digest;
//   - credentials go to the registry and the token service it names, and to no host a redirect leads to;
//   - plain http is spoken with this machine itself, and otherwise only when asked for; a redirect or token service may
//     lead to neither plain http nor a link-local address, nor, from elsewhere, to this machine.
package registry
