package registry

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBadRef means that a text is no image reference.
	ErrBadRef = errors.New("not an image reference")
	// ErrNotFound means that the registry has no such repository, tag or digest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrUnauthorized means that the registry wants (other) credentials. Many registries say so for repositories that do
	// not exist, too.
	ErrUnauthorized = errors.New("access denied by the registry")
	// ErrUnreachable means that the registry could not be talked to: no such host, refused, timed out, TLS, 5xx.
	ErrUnreachable = errors.New("registry unreachable")
	// ErrCertificate means that the registry's certificate is not to be trusted: of an unknown authority, expired, or for
	// another host.
	ErrCertificate = errors.New("the registry's certificate is not trusted")
	// ErrRateLimited means that the registry wants fewer requests.
	ErrRateLimited = errors.New("rate limit of the registry reached")
	// ErrDigest means that bytes are not what their digest or size says: damage, or an attack.
	ErrDigest = errors.New("content does not match its digest")
	// ErrOtherSize is an ErrDigest of an answer that says itself that it is not what was asked for; no byte of it was read.
	ErrOtherSize = fmt.Errorf("%w", ErrDigest)
	// ErrNotRegistry means that what answered does not speak the registry protocol.
	ErrNotRegistry = errors.New("not a registry's answer")
	// ErrNotImage means that the reference names something that is not a container image.
	ErrNotImage = errors.New("not a container image")
	// ErrMediaType means a manifest or layer in a format Coracle cannot read.
	ErrMediaType = errors.New("unsupported media type")
	// ErrTooLarge means a manifest or configuration above MaxManifest.
	ErrTooLarge = errors.New("larger than accepted")
	// ErrPlatform means that the image is not available for the wanted platform; the error is a *PlatformError.
	ErrPlatform = errors.New("image is not available for this platform")
	// ErrForbiddenAddress means that a registry tried to send the client where it must not go: a plain-http or link-local
	// address, or this machine itself.
	ErrForbiddenAddress = errors.New("refused to follow the registry")
)

// maxNamed bounds how many platforms a message names; an index has room for 20,000.
const maxNamed = 24

// PlatformError says for which platforms an image is available. It is an ErrPlatform.
type PlatformError struct {
	Want string
	Have []string // may be empty
}

// Error implements error.
func (e *PlatformError) Error() string {
	have := "none that it names"
	if len(e.Have) > 0 {
		have = strings.Join(e.Have[:min(len(e.Have), maxNamed)], ", ")
		if more := len(e.Have) - maxNamed; more > 0 {
			have += fmt.Sprintf(" and %d more", more)
		}
	}
	return fmt.Sprintf("%v: wanted %s, available: %s", ErrPlatform, e.Want, have)
}

// Is makes the error an ErrPlatform.
func (e *PlatformError) Is(target error) bool { return target == ErrPlatform }

// Hint says what to do next.
func (e *PlatformError) Hint() string {
	if len(e.Have) == 0 {
		return ""
	}
	return "choose one of them with --platform; a program for another architecture needs an emulator to run"
}
