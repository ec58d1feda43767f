// Package registry talks to image registries: it parses references, resolves them to one platform's manifest, and reads
// blobs. Manifests and blobs come from strangers:
//
//   - every manifest and configuration is checked against its digest and its size, at most MaxManifest bytes;
//   - parts of blobs are read as asked for, a stalled connection, and one that drips, counts as broken; the caller checks
//     their digest;
//   - credentials go to the registry and the token service it names, and to no host a redirect leads to: access.go has the
//     rules;
//   - plain http is spoken with this machine itself, and otherwise only when asked for; a redirect or token service may
//     lead to neither plain http nor a link-local address, nor, from elsewhere, to this machine.
//
// Where an image is really fetched from, package routes reads out of registries.conf; its mirrors are asked in order and
// passed over when they fail, whatever the reason. Package creds knows who the user is. Certificates for a host come from
// certs.d (certs.go), proxies from the usual variables: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in upper or lower case, the
// last with names, domains, addresses and CIDRs. This machine is reached without a proxy.
//
// Of go-containerregistry are the names (pkg/name, below docker's stricter grammar), the media types (pkg/v1/types), the
// error codes (pkg/v1/remote/transport), and the interfaces and fields of credentials (pkg/authn; creds.Place is a Keychain).
// The token exchange is done here, and not by its transport. That one sends a password to a token service over plain http
// when the registry is insecure, follows its redirects with an identity token in the body, races https against http for an
// insecure registry, asks for as many new tokens as requests are refused at once, and puts a token service's answer into
// errors. Nor is its own keychain used: it gives a credential helper all the time in the world, and reads either docker's or
// podman's file. Docker's CLI, which comes along with it, would drop what it does not know when it writes.
package registry
