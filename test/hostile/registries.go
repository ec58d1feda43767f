package hostile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
)

// Secrets of the user that no stranger may ever see.
const (
	User     = "alice"
	Password = "s3cret-Passw0rd"
	Token    = "t0ken-of-Alice"
)

// World is the network of one attack: all of it is on the island, and whatever is said to the places that are not the registry
// is recorded.
type World struct {
	Registry string // HOST:PORT of the registry, over https; the user has a password for it
	Stranger string // HOST:PORT of another one, over https: it serves what the registry has, to anybody
	Plain    string // HOST:PORT of the registry's host that speaks http
	Traps    Traps
	Image    fixture.Image
}

// Traps are addresses, HOST:PORT, where nobody may be sent to. Those of names resolve to the ones above them.
type Traps struct {
	Loopback, Loopback6, Metadata, Metadata6                     string
	LoopbackName, Loopback6Name, MetadataName, Metadata6Name     string
	Unspecified, LoopbackMapped, LoopbackOther, LoopbackShortcut string
}

// All are all traps, by what they are called in the names of attacks.
func (t Traps) All() map[string]string {
	return map[string]string{
		"loopback": t.Loopback, "loopback6": t.Loopback6, "metadata": t.Metadata, "metadata6": t.Metadata6,
		"loopback-name": t.LoopbackName, "loopback6-name": t.Loopback6Name, "metadata-name": t.MetadataName, "metadata6-name": t.Metadata6Name,
		"unspecified": t.Unspecified, "mapped": t.LoopbackMapped, "loopback-other": t.LoopbackOther,
	}
}

// trapNames are the keys of All.
var trapNames = []string{"loopback", "loopback6", "metadata", "metadata6", "loopback-name", "loopback6-name", "metadata-name", "metadata6-name", "unspecified", "mapped", "loopback-other"}

// A Registry is an attack by what a registry answers.
type Registry struct {
	Case
	// Lie stands between the client and an honest registry that holds World.Image as x/y:1.
	Lie func(w *World, honest http.Handler) http.Handler
	// Push, in place of World.Image, changes what the registry holds: it lies by content.
	Push func(reg *fixture.Registry)
	// TLS is what is wrong with the registry's certificate: "expired", "name", "unknown" or "old" (the protocol); "": nothing.
	TLS      string
	Leave    bool   // the user interrupts after two seconds; the status is 130
	Says     string // what the message says, when it is rejected
	Requests int    // the most requests there may be; 40
	Budget   Budget
}

// Registries are all attacks by registries.
func Registries() []Registry {
	return slices.Concat(manifests(), certificates(), blobs(), redirects(), challenges(), answers())
}

// Name is the repository and tag of every attack.
const Name = "x/y:1"

// on answers by itself what matches, and leaves the rest to the honest registry.
func on(match func(*http.Request) bool, answer func(w *World, rw http.ResponseWriter, req *http.Request)) func(*World, http.Handler) http.Handler {
	return func(w *World, honest http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if match(req) {
				answer(w, rw, req)
				return
			}
			honest.ServeHTTP(rw, req)
		})
	}
}

func everything(*http.Request) bool { return true }

// The paths of the registry's protocol (distribution-spec).

func isManifest(req *http.Request) bool { return strings.Contains(req.URL.Path, "/manifests/") }
func isBlob(req *http.Request) bool     { return strings.Contains(req.URL.Path, "/blobs/") }

// isLayer is a blob, and not the configuration, which comes first and is smaller than any layer here.
func isLayer(w *World, req *http.Request) bool {
	return isBlob(req) && slices.ContainsFunc(w.Image.Layers, func(l fixture.Layer) bool {
		return strings.Contains(req.URL.Path, l.Descriptor.Digest.String())
	})
}

// onLayer answers by itself for the layers of the image.
func onLayer(answer func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request)) func(*World, http.Handler) http.Handler {
	return func(w *World, honest http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if isLayer(w, req) {
				answer(w, honest, rw, req)
				return
			}
			honest.ServeHTTP(rw, req)
		})
	}
}

// layerData is the blob of the layer a request asks for.
func layerData(w *World, req *http.Request) []byte {
	for _, l := range w.Image.Layers {
		if strings.Contains(req.URL.Path, l.Descriptor.Digest.String()) {
			return l.Blob
		}
	}
	panic(fmt.Sprintf("hostile: %s is no layer", req.URL))
}

// redirect sends the client elsewhere.
func redirect(rw http.ResponseWriter, to string) {
	rw.Header().Set("Location", to)
	rw.WriteHeader(http.StatusTemporaryRedirect)
}
